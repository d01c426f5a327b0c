from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from typer.testing import CliRunner, Result

from passerby.bundle import Bundle, load
from passerby.cli import app
from passerby.data.normalise import normalise
from passerby.errors import BundleError, DataError
from passerby.inference.predictor import Predictor
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess


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
    assert result.stdout == ""
    with (folder / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["source", "present", "Hat", "Bag", "Boots", "notes"]
    assert [row[:2] for row in rows[1:]] == [["one.jpg", "Hat; Boots"], ["two.png", "Hat; Boots"]]


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
    assert f"2 image(s): {note}" in run(man, "one.jpg", "two.png").stdout
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
