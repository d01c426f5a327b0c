from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from passerby.bundle import Bundle, load
from passerby.cli import app
from passerby.cli.attributes import name_files
from passerby.cli.options import BoxChoice, MethodChoice
from passerby.cli.output_paths import check_outputs
from passerby.errors import ConfigError, DataError, ModelError, SchemaError
from passerby.explain.boxes import Binarization, BoxMode
from passerby.explain.heat import METHODS
from passerby.explain.localization import localize_many
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.synthetic import SynthConfig, draw_person
from passerby.types import Preprocess
from passerby.visualization.localization_figure import draw_localization, draw_localizations

NAMES = ("Hat", "Bag/Case", "Boots", "Hat, with a brim")
SCHEMA = AttributeSchema("toy", tuple(Attribute(name, f"has {name}") for name in NAMES))
PICTURES = ("one.png", "more/one.png", "more/two.jpg")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    model = create_model("baseline", schema=SCHEMA, backbone="test_resnet")
    with torch.no_grad():
        model.classifier.weight.abs_()  # with features ≥ 0 each attribute has heat
    path = tmp_path_factory.mktemp("model") / "bundle"
    Bundle(model, Preprocess(96, 64), (0.0, 1.0, 0.0, 1.0)).save(path)  # Hat and Boots always
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i, name in enumerate(PICTURES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        drawn = draw_person(SynthConfig(height=128, width=96), seed=0, index=i)
        Image.fromarray(drawn.image).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(bundle: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["localize", str(bundle), *arguments, "--device", "cpu"])


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def assert_alike(path: str | Path, expected: Image.Image) -> None:
    with Image.open(path) as image:
        assert (np.asarray(image) == np.asarray(expected)).all()


def test_choices_are_those_of_the_library() -> None:
    assert tuple(MethodChoice) == METHODS
    assert tuple(BoxChoice) == get_args(BoxMode)


def test_table_without_any_file(bundle: Path, folder: Path) -> None:
    before = list_files(folder)
    result = run(bundle, "one.png", "more")
    assert result.exit_code == 0, result.output
    assert list_files(folder) == before
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["image", "attribute", "probability", "box", "heat", "inside"]
    assert [line[0] for line in lines[1:]] == [name for picture in PICTURES for name in (picture, "Boots")]
    found = next(localize_many(load(bundle), ["one.png"]))
    (region,) = found["Hat"]  # type: ignore[index]
    assert lines[1][3:7] == [f"{side:g}" for side in region.box.as_xyxy()]


def test_one_figure_of_all_pictures(bundle: Path, folder: Path) -> None:
    before = list_files(folder)
    options = ("--attributes", "Boots, Hat", "--height", "96", "--columns", "1")
    result = run(bundle, "one.png", "more", *options, "--out", "new/sheet.png")
    assert result.exit_code == 0, result.output
    assert list_files(folder) == before | {"new/sheet.png"}
    found = localize_many(load(bundle), PICTURES, attributes=["Boots", "Hat"])
    expected = draw_localizations(found, columns=1, height_px=96)  # type: ignore[arg-type]
    assert_alike("new/sheet.png", expected)
    assert result.stderr == f"new/sheet.png: {expected.width} × {expected.height} pixels\n"
    for suffix in (".jpg", ".pdf"):
        assert run(bundle, "one.png", *options, "--out", f"sheet{suffix}").exit_code == 0
    assert Path("sheet.pdf").read_bytes().startswith(b"%PDF")


def test_a_drawing_a_picture_and_attribute(bundle: Path, folder: Path) -> None:
    before = list_files(folder)
    options = ("--method", "layer-cam", "--binarize", "quantile:0.8", "--boxes", "components")
    result = run(bundle, "one.png", "more", "--folder", "out", *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == "out: 6 files\n"
    made = {f"out/{picture}.{name}.png" for picture in PICTURES for name in ("Hat", "Boots")}
    assert list_files(folder) == before | made
    found = localize_many(
        load(bundle),
        PICTURES,
        method="layer-cam",
        binarization=Binarization("quantile", 0.8),
        boxes="components",
    )
    for item in found:
        expected = draw_localization(item, "Boots", height_px=256)  # type: ignore[arg-type]
        assert_alike(f"out/{item.source}.Boots.png", expected)
    again = run(bundle, "one.png", "--attributes", "Bag/Case", "--folder", "again")
    assert again.exit_code == 0
    assert list_files(folder / "again") == {"one.png.Bag-Case.png"}


def test_lines_of_json(bundle: Path, folder: Path) -> None:
    result = run(bundle, "one.png", "more", "--attributes", "Hat, with a brim", "--jsonl", "new/boxes.jsonl")
    assert result.exit_code == 0, result.output
    assert result.stderr == "new/boxes.jsonl: 3 images\n"
    lines = Path("new/boxes.jsonl").read_text(encoding="utf-8").splitlines()
    found = localize_many(load(bundle), PICTURES, attributes=["Hat, with a brim"])
    assert [json.loads(line) for line in lines] == [item.to_dict() for item in found]  # type: ignore[union-attr]
    values = json.loads(lines[0])
    assert (values["source"], values["width"], values["height"]) == ("one.png", 96, 128)
    assert values["attributes"]["Hat, with a brim"]["present"] is False


def test_everything_at_once(bundle: Path, folder: Path) -> None:
    result = run(bundle, "more", "--out", "sheet.png", "--folder", "out", "--jsonl", "boxes.jsonl")
    assert result.exit_code == 0, result.output
    assert len(list_files(folder / "out")) == 4
    assert len(Path("boxes.jsonl").read_text().splitlines()) == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["sheet.png", "out", "boxes.jsonl"]


def test_unreadable_pictures_are_skipped_and_named(bundle: Path, folder: Path) -> None:
    (folder / "more" / "broken.jpg").write_bytes((folder / "more" / "two.jpg").read_bytes()[:200])
    result = run(bundle, "more", "--out", "sheet.png", "--jsonl", "boxes.jsonl")
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    assert "skipped 1 of 3 images" in result.stderr
    assert len(Path("boxes.jsonl").read_text().splitlines()) == 2
    before = list_files(folder)
    result = run(bundle, "more/broken.jpg", "--out", "other.png", "--folder", "out")
    assert result.exit_code == 1
    assert list_files(folder) == before


@pytest.mark.parametrize(
    ("error", "words", "options"),
    [
        (SchemaError, "'Boot'; did you mean Boots", ("--attributes", "Hat,Boot")),
        (ModelError, "no native map", ("--method", "native")),
        (ConfigError, "no binarisation rule 'half'", ("--binarize", "half")),
        (ConfigError, "share between 0 and 1", ("--binarize", "max:1")),
        (ConfigError, "takes no masks as input", ("--masks", "more")),
        (DataError, "no image format for sheet.txt", ("--out", "sheet.txt")),
        (DataError, "no images at: gone.png", ("gone.png",)),
        (ConfigError, "more/two.jpg is one of the input files", ("more", "--out", "more/two.jpg")),
        (ConfigError, "more/../one.png is one of the input files", ("--jsonl", "more/../one.png")),
    ],
)
def test_user_errors_leave_nothing(
    error: type[Exception], words: str, options: tuple[str, ...], bundle: Path, folder: Path
) -> None:
    """`main` prints these and ends with status 2."""
    before = {name: Path(name).read_bytes() for name in list_files(folder)}
    files = ("--out", "sheet.png", "--folder", "out", "--jsonl", "boxes.jsonl")
    result = run(bundle, "one.png", *files, *options)
    with pytest.raises(error, match=words):
        raise result.exception or RuntimeError(result.output)
    assert {name: Path(name).read_bytes() for name in list_files(folder)} == before


def test_drawings_never_replace_pictures(bundle: Path, folder: Path) -> None:
    assert run(bundle, "one.png", "--folder", ".").exit_code == 0
    made = Path("one.png.Hat.png").read_bytes()
    result = run(bundle, "one.png", "one.png.Hat.png", "--folder", ".", "--attributes", "Hat")
    with pytest.raises(ConfigError, match=r"one\.png\.Hat\.png is one of the input files"):
        raise result.exception or RuntimeError(result.output)
    assert Path("one.png.Hat.png").read_bytes() == made
    Path("link.png").hardlink_to("one.png")
    with pytest.raises(ConfigError, match=r"link\.png is one of"):
        check_outputs([Path("gone.png"), Path("link.png")], [Path("gone.jpg"), Path("one.png")])


def test_too_large_a_figure_is_refused_before_any_work(bundle: Path, folder: Path) -> None:
    for i in range(15):
        (folder / "more" / f"{i}.png").write_bytes((folder / "one.png").read_bytes())
    result = run(bundle / "gone", "more", "--height", "4096", "--out", "a.png")  # before the bundle is read
    with pytest.raises(DataError, match="give fewer images"):
        raise result.exception or RuntimeError(result.output)
    options = ("--height", "2048", "--columns", "1", "--attributes", "Hat,Boots", "--out", "a.png")
    with pytest.raises(DataError, match="give fewer images"):
        raise run(bundle, "more", *options).exception or RuntimeError


def test_a_figure_that_fails_leaves_the_old_files(
    bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sheet.png", "boxes.jsonl"):
        (folder / name).write_text("old")
    before = list_files(folder)

    def fail(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("passerby.visualization.localization_figure.draw_localizations", fail)
    assert run(bundle, "one.png", "--out", "sheet.png", "--jsonl", "boxes.jsonl").exit_code == 1
    assert list_files(folder) == before
    assert {(folder / name).read_text() for name in ("sheet.png", "boxes.jsonl")} == {"old"}


def test_options_that_are_refused(bundle: Path, folder: Path) -> None:
    both = run(bundle, "one.png", "--out", "a.png", "--jsonl", "a.png")
    assert both.exit_code == 2
    assert "the same file" in both.output
    for options in (("--height", "10"), ("--columns", "0"), ("--method", "cam"), ("--boxes", "inner")):
        assert run(bundle, "one.png", *options).exit_code == 2


def test_names_of_files() -> None:
    assert name_files(["Hat", "hat", "a:b"]) == {"Hat": "Hat-0", "hat": "hat-1", "a:b": "a-b"}
    assert all("/" not in name and name for name in name_files(["/", "..", "ä/ö"]).values())


def test_lines_of_json_on_standard_output(bundle: Path, folder: Path) -> None:
    run(bundle, *PICTURES, "--jsonl", "boxes.jsonl")
    result = run(bundle, *PICTURES, "--jsonl", "-")
    assert result.exit_code == 0, result.output
    assert result.stdout == Path("boxes.jsonl").read_text(encoding="utf-8")
    assert not Path("-").exists()


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal(bundle: Path, folder: Path, width: int) -> None:
    words = ["localize", str(bundle), *PICTURES, "--device", "cpu"]
    output = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    for name in ("Hat", "Boots"):
        probability = load(bundle)("one.png")[name]
        assert f"{name} {probability:.2f}" in " ".join(output.split())


# ---------------------------------------------------------------------- tables


def write_people(folder: Path) -> None:
    rows = ("one.png,10,0,50,128", "one.png,40.5,8,96,100", "more/two.jpg,,,,", "one.png,200,0,220,60")
    (folder / "people.csv").write_text("\n".join(("image,x0,y0,x1,y1", *rows)) + "\n")


def test_persons_of_a_table(bundle: Path, folder: Path) -> None:
    write_people(folder)
    before = list_files(folder)
    options = ("--attributes", "Hat", "--out", "sheet.png", "--folder", "out", "--jsonl", "boxes.jsonl")
    result = run(bundle, "--table", "people.csv", *options)
    assert result.exit_code == 1
    assert "skipped: row 5: one.png: box outside the image: expected a box that overlaps" in result.stderr
    assert result.stderr.splitlines()[-2:] == [
        "boxes.jsonl: 3 persons",
        "passerby: skipped 1 of 4 persons",
    ]
    made = {f"out/{name}.Hat.png" for name in ("one_row2.png", "one_row3.png", "more/two_row4.jpg")}
    assert list_files(folder) == before | made | {"sheet.png", "boxes.jsonl"}
    lines = [json.loads(line) for line in Path("boxes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["source"], line["row"], line.get("box")) for line in lines] == [
        ("one.png", 2, [10, 0, 50, 128]),
        ("one.png", 3, [40.5, 8, 96, 100]),
        ("more/two.jpg", 4, None),
    ]
    assert {(line["width"], line["height"]) for line in lines} == {(96, 128)}
    pictures = ["one.png", "one.png", "more/two.jpg"]
    crops = [(10, 0, 50, 128), (40.5, 8, 96, 100), None]
    found = list(localize_many(load(bundle), pictures, crops=crops, attributes=["Hat"]))
    for line, item in zip(lines, found, strict=True):
        assert {key: value for key, value in line.items() if key != "row"} == item.to_dict()  # type: ignore[union-attr]
    assert_alike("out/one_row3.png.Hat.png", draw_localization(found[1], "Hat", height_px=256))  # type: ignore[arg-type]


def test_a_table_is_given_instead_of_images(bundle: Path, folder: Path) -> None:
    write_people(folder)
    for arguments in (("one.png", "--table", "people.csv"), ()):
        result = run(bundle, *arguments)
        assert result.exit_code == 2
        assert "give either images or --table" in result.stderr
    result = run(bundle, "--table", "people.csv", "--jsonl", "people.csv")
    assert "people.csv is one of the input files" in str(result.exception)
    assert run(bundle, "--table", "people.csv").stdout.split()[:3] == ["row", "person", "image"]
