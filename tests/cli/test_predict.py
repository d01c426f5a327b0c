from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from typer.testing import CliRunner, Result

from passerby.bundle import Bundle, load
from passerby.cli import app
from passerby.data.manifest import Manifest
from passerby.data.normalise import normalise
from passerby.errors import BundleError, ConfigError, DataError
from passerby.inference.batches import PictureBatch, Skipped
from passerby.inference.predictor import Predictor
from passerby.inference.resume import ResumableOutput
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Prediction, Preprocess


def smooth(height: int = 96, width: int = 48) -> Image.Image:
    """A grey image without fine detail, lighter to the lower right, that JPEG keeps well."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray((40 + 1.2 * y + 1.5 * x).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    names = {"Hat": "wears a hat", "Bag": "carries a bag", "Boots": "wears boots"}
    schema = AttributeSchema("toy", tuple(Attribute(*pair) for pair in names.items()))
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    bundle = Bundle(model, Preprocess(64, 48), (0.0, 1.0, 0.0))  # Hat and Boots always, Bag never
    upright = smooth().convert("RGB")
    tell_apart(bundle, upright, upright.transpose(Image.Transpose.ROTATE_90))
    path = tmp_path_factory.mktemp("model") / "bundle"
    bundle.save(path)
    return path


@torch.no_grad()
def tell_apart(bundle: Bundle, one: Image.Image, other: Image.Image) -> None:
    """Set the classifier so that its logits are ±2 for the two images."""
    images = torch.stack([bundle.prepare(one), bundle.prepare(other)])
    features = bundle.model(normalise(images, bundle.preprocess)).features.mean((2, 3))
    direction = features[0] - features[1]
    direction = 4 * direction / direction.square().sum()
    classifier = bundle.model.classifier
    classifier.weight.copy_(direction.expand_as(classifier.weight))  # type: ignore[union-attr, operator]
    classifier.bias.fill_(float(2 - direction @ features[0]))  # type: ignore[union-attr, operator]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    for name in ("one.jpg", "two.png", "more/three.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (80, 40, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(bundle: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", str(bundle), *arguments, "--device", "cpu", "--workers", "2"])


def test_table(bundle: Path, folder: Path) -> None:
    result = run(bundle, "one.jpg", "*.png", "more")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["one.jpg", "two.png", "more/three.jpg"]
    assert all("Hat" in line and "Boots" in line and "Bag" not in line for line in lines[1:])
    assert result.stderr == ""


def test_jsonl_equals_python(bundle: Path, folder: Path) -> None:
    result = run(bundle, ".", "--format", "jsonl", "--batch-size", "2")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["source"] for row in rows] == ["one.jpg", "two.png", "more/three.jpg"]
    model = load(bundle)
    for row in rows:
        expected = model(row["source"])
        assert list(row["probabilities"].values()) == pytest.approx(expected.probabilities, abs=1e-5)
        assert row["present"] == ["Hat", "Boots"]


def test_csv_into_a_file(bundle: Path, folder: Path) -> None:
    result = run(bundle, "one.jpg", "two.png", "--format", "csv", "--out", "out.csv")
    assert result.exit_code == 0
    assert (result.stdout, result.stderr) == ("", "out.csv: 2 results\n")
    with (folder / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["source", "present", "Hat", "Bag", "Boots", "notes"]
    assert [row[:2] for row in rows[1:]] == [["one.jpg", "Hat; Boots"], ["two.png", "Hat; Boots"]]


@pytest.mark.parametrize("name", ["out.txt", "out.csv", "out.jsonl"])
def test_the_number_of_results_is_noted(bundle: Path, folder: Path, name: str) -> None:
    (folder / "broken.jpg").write_bytes(b"")
    result = run(bundle, "one.jpg", "broken.jpg", "--out", name)
    assert result.exit_code == 1
    assert f"{name}: 1 result\n" in result.stderr
    assert run(bundle, "one.jpg", "--out", f"quiet-{name}", "--quiet").stderr == ""


def test_all_and_top(bundle: Path, folder: Path) -> None:
    assert "Bag" in run(bundle, "one.jpg", "--all").stdout
    likeliest = run(bundle, "one.jpg", "--top", "2").stdout
    assert sum(word in likeliest for word in ("Hat", "Bag", "Boots")) == 2
    for wrong in (("--all", "--top", "1"), ("--all", "--format", "csv"), ("--top", "2", "--format", "jsonl")):
        result = run(bundle, "one.jpg", *wrong)
        assert result.exit_code == 2
        assert "--top" in result.stderr


def test_flip_changes_the_numbers(bundle: Path, folder: Path) -> None:
    plain, flipped = (run(bundle, "one.jpg", "--format", "jsonl", *more).stdout for more in ((), ("--flip",)))
    assert json.loads(plain)["probabilities"] != json.loads(flipped)["probabilities"]


def test_five_crops_change_the_numbers(bundle: Path, folder: Path) -> None:
    given = [
        json.loads(run(bundle, "one.jpg", "--format", "jsonl", *more).stdout)["probabilities"]
        for more in ((), ("--five-crops",), ("--five-crops", "--flip"))
    ]
    assert len({tuple(each.values()) for each in given}) == 3
    (expected,) = Predictor(load(bundle), tta=["five-crops"])(["one.jpg"])
    assert list(given[1].values()) == pytest.approx(expected.probabilities, abs=1e-5)


def test_corrupt_pictures_are_skipped_and_named(bundle: Path, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes((folder / "one.jpg").read_bytes()[:200])
    (folder / "text.png").write_text("no image")
    result = run(bundle, ".", "--format", "jsonl")
    assert result.exit_code == 1
    assert [json.loads(line)["source"] for line in result.stdout.splitlines()] == [
        "one.jpg",
        "two.png",
        "more/three.jpg",
    ]
    assert "broken.jpg" in result.stderr
    assert "text.png" in result.stderr
    assert "skipped 2 of 5" in result.stderr


def test_csv_of_corrupt_pictures_alone_has_its_header(bundle: Path, folder: Path) -> None:
    (folder / "text.png").write_text("no image")
    result = run(bundle, "text.png", "--format", "csv")
    assert result.exit_code == 1
    assert result.stdout == "source,present,Hat,Bag,Boots,notes\n"


def test_user_errors(bundle: Path, folder: Path) -> None:
    """`main` prints these and ends with status 2; see `test_status_of_the_real_command`."""
    assert isinstance(run(bundle, "gone.jpg").exception, DataError)
    assert isinstance(run(folder, "one.jpg").exception, BundleError)
    assert isinstance(run(bundle, "one.jpg", "--out", "one.jpg/file.txt").exception, DataError)
    assert run(bundle, "one.jpg", "--batch-size", "0").exit_code == 2
    assert run(bundle).exit_code == 2


def test_failing_run_leaves_no_output_file(
    bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Bundle, "predict_batch", fail)
    assert run(bundle, "one.jpg", "--out", "out.txt").exit_code == 1
    assert not (folder / "out.txt").exists()


@pytest.mark.slow
def test_status_of_the_real_command(bundle: Path, folder: Path) -> None:
    (folder / "text.png").write_text("no image")
    for sources, status, words in (
        (["one.jpg"], 0, ""),
        (["one.jpg", "text.png"], 1, "text.png"),
        (["gone.jpg"], 2, "no images at: gone.jpg"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from passerby.cli import main; main()", "predict", str(bundle), *sources],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def save_every_kind(folder: Path) -> list[str]:
    """The same grey image in every mode that cameras, scanners and editors leave behind."""
    grey = smooth()
    rgb = grey.convert("RGB")
    pixels = np.asarray(grey)
    rgb.save(folder / "rgb.png")
    rgb.save(folder / "rgb.jpg", quality=98)
    grey.save(folder / "grey.png")
    grey.convert("P").save(folder / "palette.png")
    clear = Image.merge("RGBA", (*rgb.split(), Image.new("L", rgb.size, 255)))
    clear.save(folder / "alpha.png")
    Image.merge("LA", (grey, Image.new("L", grey.size, 255))).save(folder / "grey-alpha.png")
    Image.fromarray(pixels.astype(np.uint16) * 257).save(folder / "sixteen.png")
    Image.fromarray(pixels.astype(np.uint16) * 257).save(folder / "sixteen.tif")
    zero = Image.new("L", grey.size, 0)
    Image.merge("CMYK", (zero, zero, zero, ImageOps.invert(grey))).save(folder / "cmyk.jpg", quality=98)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright
    rgb.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", quality=98, exif=exif)
    return sorted(path.name for path in folder.iterdir())


def test_pictures_of_every_kind(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = save_every_kind(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = run(bundle, ".", "--format", "csv")
    assert result.exit_code == 0, result.stderr
    rows = {row["source"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert sorted(rows) == names
    expected = rows["rgb.png"]
    for name, row in rows.items():
        for attribute in ("Hat", "Bag", "Boots"):
            assert float(row[attribute]) == pytest.approx(float(expected[attribute]), abs=0.05), name
    smooth().transpose(Image.Transpose.ROTATE_90).save("not-turned.png")
    wrong = json.loads(run(bundle, "not-turned.png", "--format", "jsonl").stdout)["probabilities"]
    assert all(abs(wrong[a] - float(expected[a])) > 0.5 for a in wrong)  # orientation makes a difference


@pytest.fixture
def man(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
    Bundle(create_model("man", schema=schema, backbone="test_resnet"), Preprocess(64, 48)).save(
        tmp_path / "man"
    )
    return tmp_path / "man"


def test_a_missing_mask_is_noted_in_every_format(man: Path, folder: Path) -> None:
    note = "no usable masks: the entire image counts as the person"
    assert f"2 images: {note}" in run(man, "one.jpg", "two.png").stdout
    rows = list(csv.DictReader(io.StringIO(run(man, "one.jpg", "--format", "csv").stdout)))
    assert [row["notes"] for row in rows] == [note]
    assert json.loads(run(man, "one.jpg", "--format", "jsonl").stdout)["notes"] == [note]
    card = (man / "README.md").read_text()
    assert "| Auxiliary inputs | masks; without: the entire image counts as the person |" in card


def test_ready_masks_are_used(man: Path, folder: Path) -> None:
    (folder / "masks").mkdir()
    with Image.open("one.jpg") as photo:
        mask = np.zeros((photo.height, photo.width), np.uint8)
    mask[:, : mask.shape[1] // 2] = 255
    Image.fromarray(mask).save(folder / "masks" / "one.png")
    result = run(man, "one.jpg", "two.png", "--format", "jsonl", "--masks", "masks")
    assert result.exit_code == 0, result.exception
    one, two = (json.loads(line) for line in result.stdout.splitlines())
    assert "notes" not in one
    assert two["notes"]
    plain = json.loads(run(man, "one.jpg", "--format", "jsonl").stdout)
    assert one["probabilities"] != plain["probabilities"]


def test_guidance_that_cannot_be_is_refused(man: Path, bundle: Path, folder: Path) -> None:
    for model, option, value, reason in (
        (bundle, "--masks", "mask-rcnn", "the model baseline takes no masks as input; omit --masks"),
        (man, "--keypoints", "vitpose", "the model man takes no keypoints as input"),
        (man, "--masks", "nowhere", "no method 'nowhere' for masks; choose mask-rcnn"),
        (man, "--masks", "parsing", "--masks parsing needs parsing first; run `passerby annotate`"),
    ):
        result = run(model, "one.jpg", option, value)
        assert result.exit_code != 0
        assert reason in str(result.exception)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(bundle: Path, folder: Path, width: int) -> None:
    words = ["predict", str(bundle), "one.jpg", "--all", "--device", "cpu"]
    output = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, output.splitlines())) <= width
    prediction = load(bundle)("one.jpg")
    for name in prediction.names:
        assert f"{name} {prediction[name]:.2f}" in " ".join(output.split())


def test_a_piped_table_has_one_line_for_each_image(bundle: Path, folder: Path) -> None:
    (folder / ("long" * 40)).mkdir()
    image = folder / ("long" * 40) / "one.jpg"
    image.write_bytes((folder / "one.jpg").read_bytes())
    words = ["predict", str(bundle), str(image), "--all", "--device", "cpu"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": ""})
    assert len(result.stdout.splitlines()) == 2


# ---------------------------------------------------------------------- tables


def write_table(folder: Path) -> list[list[str]]:
    """Boxes in two of the photos, one outside of its photo."""
    rows = [
        ["one.jpg", "0", "0", "20", "80", "left"],
        ["one.jpg", "15.5", "4", "60", "70", "right"],
        ["two.png", "200", "0", "220", "60", "outside"],
        ["two.png", "", "", "", "", "full image"],
    ]
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "x0", "y0", "x1", "y1", "note"], *rows])
    return rows


def test_one_row_for_each_box_of_a_table(bundle: Path, folder: Path) -> None:
    write_table(folder)
    result = run(bundle, "--table", "boxes.csv", "--format", "csv", "--out", "out.csv")
    assert result.exit_code == 1
    assert "skipped: row 4: two.png: box outside the image: expected a box that overlaps" in result.stderr
    assert "skipped 1 of 4 persons" in result.stderr
    with (folder / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == [2, 3, 5]  # as a spreadsheet numbers them
    assert [[row[side] for side in ("source", "x0", "y0", "x1", "y1")] for row in rows] == [
        ["one.jpg", "0", "0", "20", "80"],
        ["one.jpg", "15.5", "4", "60", "70"],
        ["two.png", "", "", "", ""],
    ]
    model = load(bundle)
    boxes = model(folder / "one.jpg", boxes=[(0, 0, 20, 80), (15.5, 4, 60, 70)])
    for row, expected in zip(rows, [*boxes, model(folder / "two.png")], strict=True):
        assert [float(row[name]) for name in expected] == pytest.approx(expected.probabilities, abs=1e-5)
    assert rows[0]["Hat"] != rows[1]["Hat"]


def test_boxes_in_jsonl_and_in_the_table(bundle: Path, folder: Path) -> None:
    write_table(folder)
    result = run(bundle, "--table", "boxes.csv", "--format", "jsonl")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("box") for line in lines] == [[0, 0, 20, 80], [15.5, 4, 60, 70], None]
    assert [line["row"] for line in lines] == [2, 3, 5]
    printed = run(bundle, "--table", "boxes.csv").stdout.splitlines()
    assert printed[0].split() == ["row", "box", "image", "attributes"]
    assert "15.5 4 60 70" in printed[2]


def test_rows_of_a_manifest(bundle: Path, folder: Path, tmp_path: Path) -> None:
    Manifest.create(
        "toy",
        ["Hat"],
        root=folder,
        images=["one.jpg", "two.png", "more/three.jpg"],
        labels=[[1], [0], [-1]],
        boxes=[(1, 2, 30, 60), None, None],
        partitions={"own": ["test", "train", "test"]},
    ).write(tmp_path / "toy.parquet")
    given = {}
    for options in ((), ("--split", "test")):
        result = run(bundle, "--table", "toy.parquet", "--format", "jsonl", *options)
        assert result.exit_code == 0, result.output
        given[options] = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["row"] for line in given[()]] == [0, 1, 2]
    assert given[()][0]["box"] == [1, 2, 30, 60]
    assert [line["row"] for line in given["--split", "test"]] == [0, 2]


def test_options_of_a_table(bundle: Path, folder: Path) -> None:
    (folder / "crops.csv").write_text("Portrait,bbox\none.jpg,1 2 3 4\n")
    options = ["--image-column", "Portrait", "--ignore", "bbox"]
    result = run(bundle, "--table", "crops.csv", *options, "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["source"] for line in result.stdout.splitlines()] == ["one.jpg"]
    (folder / "list.txt").write_text("one.jpg 1\ntwo.png 0\n")
    (folder / "names.txt").write_text("Hat\n")
    result = run(bundle, "--table", "list.txt", "--attribute-names", "names.txt", "--format", "jsonl")
    assert [json.loads(line)["row"] for line in result.stdout.splitlines()] == [1, 2]


def test_wrong_combinations_with_a_table(bundle: Path, folder: Path) -> None:
    write_table(folder)
    for arguments, message in (
        (["one.jpg", "--table", "boxes.csv"], "give either images or --table"),
        ([], "give either images or --table"),
        (["one.jpg", "--split", "test"], "without --table, leave out --split"),
    ):
        result = run(bundle, *arguments)
        assert result.exit_code == 2
        assert message in re.sub(r"[│\s]+", " ", result.stderr)
    result = run(bundle, "--table", "boxes.csv", "--out", "boxes.csv")
    assert "boxes.csv is one of the input files" in str(result.exception)
    (folder / "boxes.csv").write_text("image,x0,y0,x1,y1\none.jpg,0.1,0.1,0.5,0.9\n")
    assert "got the fractions" in str(run(bundle, "--table", "boxes.csv").exception)


# ---------------------------------------------------------------------- interrupted runs

INTERRUPTED = """
import os, signal
from passerby.cli import main
from passerby.inference.batches import PictureBatch, Skipped
from passerby.inference.predictor import Predictor

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell
real = Predictor._stream

def stream(self, batches):
    for number, item in enumerate(real(self, batches)):
        if number == {at}:
            os.kill(os.getpid(), signal.{name})
        yield item

Predictor._stream = stream
main()
"""


def read_rows(path: Path, form: str) -> dict[str, list[float]]:
    """The probabilities by source; each source must have one row."""
    text = path.read_text()
    if form == "csv":
        rows = [
            (r["source"], [float(r[n]) for n in ("Hat", "Bag")]) for r in csv.DictReader(io.StringIO(text))
        ]
    else:
        values = map(json.loads, text.splitlines())
        rows = [(v["source"], [v["probabilities"][n] for n in ("Hat", "Bag")]) for v in values]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


@pytest.fixture
def many(folder: Path) -> list[str]:
    """Nine images, the third and the last unreadable."""
    rng = np.random.default_rng(1)
    for number in range(9):
        Image.fromarray(rng.integers(0, 256, (80, 40, 3), dtype=np.uint8)).save(folder / f"many{number}.png")
    for number in (2, 8):
        (folder / f"many{number}.png").write_text("no image")
    return [f"many{number}.png" for number in range(9)]


def check_that_it_continues(bundle: Path, folder: Path, arguments: list[str], *, form: str) -> None:
    """After six of the nine images, of which the third has no row."""
    out = folder / f"out.{form}"
    readable = [f"many{number}.png" for number in (0, 1, 3, 4, 5, 6, 7)]
    assert list(read_rows(folder / f"out.{form}.partial", form)) == readable[:5]
    assert not out.exists()

    again = run(bundle, *arguments)
    assert isinstance(again.exception, ConfigError)
    assert "has 5 rows of an interrupted run; continue it with --resume" in str(again.exception)
    flipped = run(bundle, *arguments, "--resume", "--flip")
    assert "with --flip now, without before" in str(flipped.exception)
    result = run(bundle, *arguments, "--resume")
    assert result.exit_code == 1
    assert "continuing after 6 of 9 images; 1 of these were skipped" in result.stderr
    assert "skipped 2 of 9 images" in result.stderr
    rows = read_rows(out, form)
    assert list(rows) == readable
    assert not list(folder.glob("*.partial*"))

    run(bundle, *arguments)
    for source, expected in read_rows(out, form).items():
        assert rows[source] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_ctrl_c_keeps_the_rows_and_the_run_is_continued(
    bundle: Path, folder: Path, many: list[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    real = Predictor._stream

    def interrupt(self: Predictor, batches: Iterable[PictureBatch]) -> Iterator[Prediction | Skipped]:
        yield from islice(real(self, batches), 6)
        raise KeyboardInterrupt

    arguments = [*many, "--format", form, "--out", f"out.{form}", "--batch-size", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_stream", interrupt)
        result = run(bundle, *arguments)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        f"passerby: interrupted; out.{form}.partial keeps 5 rows; continue with the same command and --resume"
    )
    check_that_it_continues(bundle, folder, arguments, form=form)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "name", "status"), [("csv", "SIGKILL", -9), ("jsonl", "SIGINT", 130)])
def test_a_stopped_process_keeps_the_rows_and_is_continued(
    bundle: Path, folder: Path, many: list[str], *, form: str, name: str, status: int
) -> None:
    arguments = [*many, "--format", form, "--out", f"out.{form}", "--batch-size", "4"]
    code = INTERRUPTED.format(at=6, name=name)
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", str(bundle), *arguments, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    check_that_it_continues(bundle, folder, arguments, form=form)


def test_boxes_of_an_interrupted_run(bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(folder)
    arguments = ["--table", "boxes.csv", "--format", "csv", "--out", "out.csv"]
    run(bundle, *arguments)
    whole = (folder / "out.csv").read_text().splitlines()
    (folder / "out.csv").unlink()

    def fail(self: Predictor, batches: Iterable[PictureBatch]) -> Iterator[Prediction | Skipped]:
        yield from islice(real(self, batches), 1)
        raise MemoryError

    real = Predictor._stream
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_stream", fail)
        assert isinstance(run(bundle, *arguments).exception, MemoryError)
    assert (folder / "out.csv.partial").read_text().splitlines() == whole[:2]
    assert run(bundle, *arguments, "--resume").exit_code == 1
    rows = (folder / "out.csv").read_text().splitlines()
    assert [row.split(",")[:7] for row in rows] == [row.split(",")[:7] for row in whole]


def test_resuming_needs_a_file_with_rows(bundle: Path, folder: Path) -> None:
    for arguments in (["--resume"], ["--resume", "--out", "o.txt"], ["--resume", "--format", "csv"]):
        result = run(bundle, "one.jpg", *arguments)
        assert result.exit_code == 2
        assert "--resume continues an --out file of --format jsonl or csv" in " ".join(result.stderr.split())
    result = run(bundle, "one.jpg", "--resume", "--format", "csv", "--out", "o.csv")  # begins one
    assert result.exit_code == 0
    assert len((folder / "o.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "start"), [("o.csv", "source,present,Hat"), ("o.jsonl", "{"), ("o.txt", "image")]
)
def test_the_suffix_of_the_file_decides_the_format(bundle: Path, folder: Path, name: str, start: str) -> None:
    assert run(bundle, "one.jpg", "--out", name).exit_code == 0
    assert (folder / name).read_text().startswith(start)


def test_ctrl_c_without_a_file(bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bundle, "predict_batch", interrupt)
    result = run(bundle, "one.jpg")
    assert (result.exit_code, result.stderr) == (130, "passerby: interrupted\n")
    result = run(bundle, "one.jpg", "--format", "csv", "--out", "out.csv")
    assert (result.exit_code, result.stderr) == (130, "passerby: interrupted; no row was finished\n")
    assert not list(folder.glob("out*"))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_complete_file_is_not_predicted_again(
    bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    write_table(folder)
    out = folder / f"out.{form}"
    run(bundle, "--table", "boxes.csv", "--out", out.name)
    run(bundle, "one.jpg", "two.png", "--out", "files.csv")
    before = out.read_bytes()

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr(Predictor, "stream", fail)
    result = run(bundle, "--table", "boxes.csv", "--out", out.name, "--resume")
    assert result.exit_code == 1  # as the run that wrote the file
    assert result.stderr == (
        f"passerby: out.{form} is complete: 3 results for 4 persons, 1 of them without one (unreadable, "
        "or new since then); nothing was predicted. To predict again, for example with another bundle, leave "
        "out --resume\n"
    )
    assert out.read_bytes() == before
    whole = run(bundle, "one.jpg", "two.png", "--out", "files.csv", "--resume")
    assert whole.exit_code == 0
    assert "files.csv is complete: 2 results for 2 images; nothing was predicted" in whole.stderr
    other = run(bundle, "two.png", "one.jpg", "--out", "files.csv", "--resume")
    assert "files.csv exists and is not a complete result for these images" in str(other.exception)


def test_a_changed_image_is_noticed_on_resume(bundle: Path, folder: Path) -> None:
    arguments = ["a.png", "b.png", "--out", "out.csv"]
    for name in arguments[:2]:
        smooth().save(folder / name)
    assert run(bundle, *arguments).exit_code == 0
    lines = (folder / "out.csv").read_text().splitlines(keepends=True)
    real = ResumableOutput.open
    described: list[dict[str, Any]] = []

    def keep(self: ResumableOutput, description: dict[str, Any]) -> Any:
        described.append(description)
        return real(self, description)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableOutput, "open", keep)
        run(bundle, *arguments)
    (folder / "out.csv.partial").write_text("".join(lines[:2]))
    (folder / "out.csv.partial.json").write_text(json.dumps({"version": 2, **described[0]}))
    smooth(height=97).save(folder / "b.png")
    result = run(bundle, *arguments, "--resume")
    assert isinstance(result.exception, ConfigError)
    assert "begun with other settings: images.sizes and times of change: " in str(result.exception)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full of Linux")
def test_a_full_disk_is_reported_without_a_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "passerby", "recipes"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "passerby: cannot write the output: the disk is full; free some space\n"
