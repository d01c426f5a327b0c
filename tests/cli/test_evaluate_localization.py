"""`passerby evaluate-localization`, from a bundle and a manifest to a table and files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, SchemaError
from passerby.evaluation.localization.ground_truth import PAPER_CLASSES
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

SCHEMA = AttributeSchema(
    "toy", (Attribute("Hat", "wears a hat"), Attribute("[b]Bag", "carries a bag"), Attribute("Old", "is old"))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 30 images, their parsing maps, a manifest and a bundle of random weights."""
    folder = tmp_path_factory.mktemp("folder")
    rng = np.random.default_rng(0)
    for i in range(30):
        Image.fromarray(rng.integers(0, 255, (40, 20, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        classes = np.zeros((40, 20), np.uint8)
        x, y = rng.integers(0, 10), rng.integers(0, 20)
        classes[y : y + 12, x : x + 8] = 1
        classes[30:, : 10 if i % 6 else 1] = 2  # every sixth bag is 4 pixels of the input
        Image.fromarray(classes).save(folder / f"{i}-classes.png")
    Manifest.create(
        "toy",
        SCHEMA,
        root=folder,
        images=[f"{i}.png" for i in range(30)],
        labels=[[1, 1, 0]] * 30,
        partitions={"random": ["train"] * 2 + ["val"] * 3 + ["test"] * 25},
        identities=[f"p{i // 2}" for i in range(30)],
        parsing=[f"{i}-classes.png" for i in range(30)],
    ).with_guidance(
        parsing_classes=("null", "hat", "boots", *(n for n in PAPER_CLASSES if n not in ("hat", "boots")))
    ).write(folder / "toy.parquet")
    torch.manual_seed(0)
    model = create_model("baseline", schema=SCHEMA, backbone="test_resnet")
    Bundle(model, Preprocess(16, 12), (), {"variant": "sb"}).save(folder / "bundle")
    (folder / "names.json").write_text('{"Hat": "hat", "[b]Bag": ["boots", "jeans"]}')
    return folder


def run(folder: Path, *words: str, width: int = 100) -> str:
    command = [
        "evaluate-localization",
        str(folder / "bundle"),
        "--data",
        str(folder / "toy.parquet"),
    ]
    result = CliRunner().invoke(app, [*command, "--resamples", "50", *words], env={"COLUMNS": str(width)})
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def find_row(output: str, name: str) -> list[str]:
    return next(line for line in output.splitlines() if line.strip().startswith(name)).split()


def test_table_and_files_agree(folder: Path, tmp_path: Path) -> None:
    result = tmp_path / "results" / "toy.localization.json"
    output = run(folder, "--out", str(tmp_path / "out"), "--result", str(result), "--min-area-px", "5")
    scores = LocalizationScores.load(tmp_path / "out")
    hat = scores.per_attribute["Hat"]["box_iou"]
    assert "toy, random, test: 25 samples, in per cent" in output
    expected = ["Hat", "25", f"{100 * hat.value:.1f}", f"{100 * hat.low:.1f}–{100 * hat.high:.1f}"]
    assert find_row(output, "Hat")[:4] == expected
    assert find_row(output, "mean of 1")[3] == f"{100 * scores.mean['box_iou'].value:.1f}"
    assert find_row(output, "1 of SSPNet's")[3] == f"{100 * hat.value:.1f}"
    assert "Rules: grad-cam-p, foreground max:0.5, one outer box" in output
    assert "50 resamples of 13 identities or images." in output
    assert "insertion" not in output
    assert repr(LocalizationScores.load(result).mean) == repr(scores.mean)
    assert (tmp_path / "results" / "toy.localization.parquet").is_file()
    assert scores.cases is not None
    assert len(scores.cases.best) == len(scores.cases.worst) == 2
    assert len(list((tmp_path / "out" / "cases").iterdir())) == 5


def test_the_folder_becomes_a_chapter_without_the_model(folder: Path, tmp_path: Path) -> None:
    run(folder, "--out", str(tmp_path / "out"), "--min-area-px", "5")
    for words, pictures in (([], 8), (["--no-images"], 4)):
        command = ["report", str(tmp_path / "out"), "--out", str(tmp_path / "r.html"), *words]
        result = CliRunner().invoke(app, command)
        assert result.exception is None
        assert "): 1 localisation\n" in result.stderr
        html = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert '<h2 id="l0-h">Localisation</h2>' in html
        assert html.count("data:image/jpeg") == 3 + pictures  # the legend's and the cases'


def test_a_label_map_and_options(folder: Path, tmp_path: Path) -> None:
    words = [
        "--label-map",
        str(folder / "names.json"),
        "--min-area-px",
        "5",
        "--partition",
        "random",
        "--split",
        "test",
    ]
    words += [
        "--method",
        "layer-cam",
        "--binarize",
        "quantile:0.8",
        "--boxes",
        "components",
        "--insertion-deletion",
        "1",
    ]
    words += ["--exclude-from-mean", "Hat", "--out", str(tmp_path), "--device", "cpu", "--seed", "3"]
    words += ["--min-samples", "22"]
    output = run(folder, *words)
    scores = LocalizationScores.load(tmp_path)
    assert (scores.counts, scores.too_small["[b]Bag"]) == ({"Hat": 25, "[b]Bag": 21}, 4)
    assert scores.names == {"Hat": ("hat",), "[b]Bag": ("boots", "jeans")}
    assert scores.protocol.describe() in " ".join(output.split())
    assert (scores.protocol.method, scores.protocol.binarization) == ("layer-cam", "quantile:0.8")
    assert (scores.protocol.min_samples, scores.mean_of) == (22, ())
    assert (scores.protocol.boxes, scores.seed, scores.exclude_from_mean) == ("components", 3, ("Hat",))
    assert "Hat (excluded)" in output
    assert "[b]Bag" in output
    assert "at most 1 samples per attribute" in output
    assert "insertion" in output
    assert "4 samples are too small to count." in output
    assert "Not in the mean: Hat." in output


def test_the_table_fits_a_narrow_screen(folder: Path) -> None:
    words = ("--label-map", str(folder / "names.json"), "--min-area-px", "5")
    wide, narrow = run(folder, *words), run(folder, *words, width=80)
    assert find_row(narrow, "Hat") == find_row(wide, "Hat")
    assert max(map(len, narrow.splitlines())) <= 80


def test_only_predicted(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(folder / "bundle")
    Bundle(bundle.model, bundle.preprocess, (0.0, 1.0, 0.5)).save(tmp_path / "bundle")
    words = ["evaluate-localization", str(tmp_path / "bundle"), "--data", str(folder / "toy.parquet")]
    words += [
        "--label-map",
        str(folder / "names.json"),
        "--min-area-px",
        "5",
        "--only-predicted",
        "--resamples",
        "9",
    ]
    output = CliRunner().invoke(app, words).stdout
    assert find_row(output, "Hat")[1] == "25"
    assert "Without samples: [b]Bag." in output


def test_errors_come_before_the_work(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no binarisation rule 'half'"):
        run(folder, "--binarize", "half")
    with pytest.raises(ConfigError, match="no label map 'ccp'"):
        run(folder, "--label-map", "ccp")
    with pytest.raises(SchemaError, match=r"label map peta-to-ccp does not fit: .* choose another label map"):
        run(folder, "--label-map", "peta-to-ccp")
    with pytest.raises(ConfigError, match=r"ends in localization\.json"):
        run(folder, "--result", str(tmp_path / "x.json"))
    monkeypatch.setattr(Bundle, "load", lambda *_, **__: pytest.fail("the work began"))
    (tmp_path / "a.txt").touch()
    for name in ("x.json", "a.txt"):
        with pytest.raises(ConfigError, match=r"ends in localization\.json"):
            run(folder, "--out", str(tmp_path / name))
    monkeypatch.undo()
    with pytest.raises(DataError, match="no boxes at"):
        run(folder, "--truth", "boxes")


def test_the_help_names_a_label_map() -> None:
    output = CliRunner().invoke(app, ["evaluate-localization", "--help"], env={"COLUMNS": "200"}).stdout
    assert "peta-to-ccp" in output


def test_json_is_the_content_of_the_score_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "toy.localization.json"
    document = json.loads(run(folder, "--json", "--result", str(path)))
    stored = json.loads(path.read_text())
    assert {**document, "seconds": 0} == {**stored, "seconds": 0}
    assert document["per_attribute"]["Hat"]["samples"] == 25
    assert document["mean_of_paper"]["box_iou"] == document["per_attribute"]["Hat"]["box_iou"]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_every_score_is_printed_whatever_the_width(folder: Path, tmp_path: Path, width: int) -> None:
    path = tmp_path / "toy.localization.json"
    words = ("--result", str(path), "--insertion-deletion", "2", "--min-area-px", "5")
    output = run(folder, *words, width=width)
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    hat = LocalizationScores.load(path).per_attribute["Hat"]
    for score in ("box_iou", "box_share", "mask_iou", "pointing", "box_energy", "insertion", "deletion"):
        assert f"{100 * hat[score].value:.1f}" in output.split()
    assert f"{100 * hat['box_iou'].low:.1f}–{100 * hat['box_iou'].high:.1f}" in output.split()
