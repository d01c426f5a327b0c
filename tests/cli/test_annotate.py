from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from passerby.annotators import factory
from passerby.cli import app
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, PasserbyError
from passerby.images.decode import read_size
from passerby.parsing import LIP_CLASSES
from passerby.schema import Attribute, AttributeSchema


class Blocks:
    """Masks and class 1 in the left half, keypoints along a line; nothing in dark images."""

    needs: tuple = ()

    def __init__(self, kind: str, source: str, classes: str) -> None:
        self.kind, self.name = kind, source
        self.classes = ("background", "head", "upper", "lower", "feet") if kind == "parsing" else ()

    def describe(self) -> dict:
        return {"method": self.name}

    def annotate(self, samples):
        return [self.answer(s.image) for s in samples]

    def answer(self, image):
        if np.asarray(image).max() < 50:
            return None
        w, h = image.size
        if self.kind == "keypoints":
            return np.column_stack([np.linspace(2, w / 2, 17), np.linspace(2, h - 3, 17), np.full(17, 0.8)])
        values = np.zeros((h, w), np.uint8)
        values[:, : w // 2] = 1
        return values


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The annotators that the command created, with networks replaced."""
    real, calls = factory.create_annotator, []

    def create(kind, source, *, device="cpu", classes="lip"):
        calls.append((kind, source, device, classes))
        if source.partition("=")[0] in ("geometric", "parsing"):
            return real(kind, source, device=device, classes=classes)
        return Blocks(kind, source, classes)

    monkeypatch.setattr(factory, "create_annotator", create)
    return calls


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Six images, the fifth dark."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    for i in range(6):
        colour = (10, 10, 10) if i == 4 else (120, 20 * i, 60)
        Image.new("RGB", (20, 48), colour).save(tmp_path / "data" / "images" / f"{i}.png")
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
    images = [f"images/{i}.png" for i in range(6)]
    manifest = Manifest.create(
        "toy", schema, root=tmp_path / "data", images=images, labels=[[1]] * 6, partitions={}
    )
    manifest.write(tmp_path / "toy.parquet")
    return tmp_path / "toy.parquet"


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(
        app, ["annotate", *map(str, arguments), "--device", "cpu"]
    )


def test_everything_at_once(path, created):
    before = path.read_bytes()
    sheet = path.with_name("sheet.png")
    result = run(path, "--masks", "--keypoints", "--parsing-from", "geometric", "--contact-sheet", sheet)
    assert result.exit_code == 0, (result.output, result.exception)
    assert created == [
        ("masks", "mask-rcnn", "cpu", "coarse"),
        ("parsing", "geometric", "cpu", "coarse"),
        ("keypoints", "keypoint-rcnn", "cpu", "coarse"),
    ]
    new = Manifest.load(path.with_name("toy-annotated.parquet"))
    assert [p is None for p in new.paths("mask")] == [False, False, False, False, True, False]
    assert new.paths("parsing")[0] == "annotations/parsing/images/0.png"
    assert new.parsing_classes[:2] == ("background", "head")
    assert path.read_bytes() == before
    content = json.loads(path.with_name("toy-annotated.quality.json").read_text())
    assert content["policy"] == {"missing": "ones", "kept": 5, "ones": 1, "dropped": 0, "hull": 0}
    assert content["quality"]["masks"]["present"] == 5
    assert content["annotators"]["parsing"]["given"]["masks"] == {"method": "mask-rcnn"}
    assert read_size(sheet)[0] > 200
    for text in (
        "rows with masks",
        "5 of 6",
        "Rows by --missing ones: 5 with a good mask, 1 without mask (full image).",
        "toy-annotated.parquet (6 rows)",
        "toy-annotated.quality.json",
        "sheet.png",
    ):
        assert text in result.output


def test_limit_drop_and_out(path, created, tmp_path):
    out = tmp_path / "new" / "few.parquet"
    result = run(path, "--masks", "--missing", "drop", "--limit", 5, "--out", out, "--into", "mine")
    assert result.exit_code == 0, result.output
    assert Manifest.load(out).paths("mask") == [f"mine/masks/images/{i}.png" for i in range(4)]
    assert "4 with a good mask, 1 removed" in result.output
    result = run(path, "--masks", "--into", "mine", "--masks-weights", "other.pth")
    assert isinstance(result.exception, ConfigError)
    assert "method" in str(result.exception)
    assert created[-1][1] == "mask-rcnn=other.pth"
    assert run(path, "--masks", "--into", "mine", "--masks-weights", "other.pth", "--redo").exit_code == 0


def test_a_manifest_has_the_name_of_a_parquet_file(path, created):
    result = run(path, "--masks", "--out", path.with_name("new.csv"))
    assert isinstance(result.exception, ConfigError)
    expected = "--out: a manifest is a Parquet file, got 'new.csv'; name it new.parquet"
    assert str(result.exception) == expected
    assert created == []


def test_a_trial_keeps_the_complete_result(path, created):
    assert run(path, "--masks").exit_code == 0
    whole = path.with_name("toy-annotated.parquet")
    before = [file.read_bytes() for file in (whole, whole.with_suffix(".quality.json"))]
    result = run(path, "--masks", "--limit", 2)
    assert "toy-annotated-first2.parquet (2 rows)" in result.output
    assert len(Manifest.load(path.with_name("toy-annotated-first2.parquet"))) == 2
    assert path.with_name("toy-annotated-first2.quality.json").is_file()
    assert [file.read_bytes() for file in (whole, whole.with_suffix(".quality.json"))] == before


def test_given_maps_get_the_names_of_their_classes(path, created):
    root = path.parent / "data"
    (root / "parsing").mkdir()
    for i in range(6):
        Image.new("L", (20, 48), 5 + i % 2).save(root / "parsing" / f"{i}.png")
    out = path.with_name("given.parquet")
    assert run(path, "--parsing-from", "files", "--out", out).exit_code == 0
    assert Manifest.load(out).parsing_classes == ()
    result = run(out, "--masks-from", "parsing")
    assert isinstance(result.exception, ConfigError)
    assert "does not name the classes" in str(result.exception)
    assert "--parsing-from files --parsing-classes lip" in str(result.exception)
    result = run(path, "--parsing-from", "files", "--parsing-classes", "coarse")
    assert isinstance(result.exception, DataError)
    assert "1.png: expected classes 0 … 5" in str(result.exception)
    result = run(
        path, "--masks-from", "parsing", "--parsing-from", "files", "--parsing-classes", "lip", "--out", out
    )
    assert result.exit_code == 0, (result.output, result.exception)
    assert Manifest.load(out).parsing_classes == LIP_CLASSES


def test_help_names_every_method():
    text = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["annotate", "--help"]).output
    for methods in factory.METHODS.values():
        assert all(method in text for method in methods)


def test_hulls_replace_missing_masks(path, created):
    assert run(path, "--keypoints", "--missing", "hull", "--out", path).exit_code == 0
    new = Manifest.load(path)
    assert [p is None for p in new.paths("mask")] == [False, False, False, False, True, False]
    assert new.paths("mask")[0] == "annotations/hulls/images/0.png.png"


def test_masks_from_parsing_and_from_files(path, created):
    result = run(path, "--parsing", "--masks-from", "parsing", "--parsing-classes", "coarse")
    assert result.exit_code == 0, (result.output, result.exception)
    assert created[0][:2] == ("parsing", "segformer")
    assert Manifest.load(path.with_name("toy-annotated.parquet")).paths("mask")[0] is not None
    root = path.parent / "data"
    (root / "masks").mkdir()
    Image.new("L", (20, 48), 1).save(root / "masks" / "0.png")
    out = path.with_name("given.parquet")
    result = run(path, "--masks-from", "files", "--out", out)
    assert result.exit_code == 0, result.output
    own = ["masks/0.png", *[None] * 5]
    assert Manifest.load(out).paths("mask") == own  # a full mask says nothing, but it was given
    assert json.loads(out.with_suffix(".quality.json").read_text())["policy"] is None
    assert "maps in" not in result.output
    assert run(path, "--masks-from", "files", "--missing", "ones", "--out", out).exit_code == 0
    assert Manifest.load(out).paths("mask") == [None] * 6


def test_existing_masks_are_kept_when_only_keypoints_are_asked_for(path, created):
    own = Manifest.load(path)
    own.with_guidance(masks=["gone.png", *[None] * 5]).write(path)
    result = run(path, "--keypoints-from", "vitpose")
    assert result.exit_code == 0, result.output
    assert created[0][:2] == ("keypoints", "vitpose")
    assert Manifest.load(path.with_name("toy-annotated.parquet")).paths("mask")[0] == "gone.png"
    assert "Rows by --missing" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected at least one of --masks, --parsing and --keypoints"),
        (["--masks-weights", "a.pth"], "--masks-weights requires a network that predicts masks; add --masks"),
        (["--masks-from", "files", "--masks-weights", "a.pth"], "leave it out"),
        (["--masks-from", "files"], "expected masks in masks/"),
        (["--parsing-from", "geometric"], "parsing by 'geometric' need masks and keypoints"),
        (["--parsing-from", "geometric", "--parsing-classes", "lip"], "coarse classes only"),
        (["--masks-from", "magic"], "--masks-from: expected one of mask-rcnn, parsing, files, got 'magic'"),
        (["--masks", "--parsing-classes", "lip"], "leave it out, or add --parsing"),
        (["--masks-from", "parsing"], "masks by 'parsing' need parsing, which are not available"),
        (["--parsing-from", "relabel", "--parsing-classes", "lip"], "expected a manifest with parsing maps"),
        (
            ["--masks", "--contact-sheet", "sheet.txt"],
            "no image format for sheet.txt; use .png",
        ),
        (["--masks", "--into", "/tmp"], "--into: expected a folder below"),
    ],
)
def test_impossible_requests_are_refused(path, created, arguments, message):
    result = run(path, *arguments)
    assert isinstance(result.exception, PasserbyError)
    assert message in str(result.exception)
    assert not path.with_name("toy-annotated.parquet").exists()


def test_json(path, created):
    result = run(path, "--masks", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    stored = json.loads(path.with_name("toy-annotated.quality.json").read_text())
    assert document == {"manifest": str(path.with_name("toy-annotated.parquet")), **stored}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_quality_fits(path, created, width):
    words = ["annotate", str(path), "--masks", "--keypoints"]
    output = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    assert output.count("5 of 6") == 2
