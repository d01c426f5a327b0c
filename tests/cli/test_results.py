"""`passerby results`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.errors import DataError
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS


def write(
    folder: Path, *, seed: int, score: float, dataset: str = "peta", metrics: Mapping[str, Any] | None = None
) -> None:
    Result(
        model="baseline",
        variant="sb",
        backbone="resnet50",
        pretraining="imagenet",
        dataset=dataset,
        partition="official-1",
        split="test",
        input_size=(256, 192),
        protocol={"name": "default"},
        seed=seed,
        epochs=30,
        device="cpu",
        commit=None,
        metrics=metrics or {**dict.fromkeys(METRICS, score), "per_attribute": {"Hat": {"mA": score}}},
        seconds=1.0,
    ).write(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "results", seed=0, score=0.81)
    write(tmp_path / "results", seed=1, score=0.83)
    write(tmp_path / "results", seed=0, score=0.5, dataset="pa100k")
    return tmp_path / "results"


def test_the_table_on_screen(folder: Path) -> None:
    result = CliRunner().invoke(app, ["results", str(folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "82.00 ± 1.41" in result.output
    assert "50.00" in result.output
    assert "default" in result.output


@pytest.mark.parametrize("width", [60, 80])
def test_scores_are_whole_even_on_a_narrow_screen(folder: Path, width: int) -> None:
    result = CliRunner().invoke(app, ["results", str(folder)], env={"COLUMNS": str(width)})
    assert result.output.count("82.00") == result.output.count("±1.41") == len(METRICS)
    assert max(map(len, result.output.splitlines())) <= width
    assert "peta official-1/test · 2 seeds" in result.output or width < 80


def test_what_all_rows_share_stands_above_the_table(folder: Path) -> None:
    result = CliRunner().invoke(app, ["results", str(folder)], env={"COLUMNS": "200"})
    title, _, table = result.output.partition("\n")
    assert title == "baseline · resnet50 · sb · pretraining imagenet · 256×192 · 30 epochs · protocol default"
    assert "pa100k official-1/test · 1 seed " in table
    assert "peta official-1/test · 2 seeds " in table
    assert "resnet50" not in table


def test_attributes_that_cannot_be_measured_are_named_below_every_table(tmp_path: Path) -> None:
    score = {"accuracy": 0.8, "mA": 0.75, "positives": 2, "negatives": 8}
    missing = {"accuracy": 0.9, "mA": None, "positives": 0, "negatives": 10}
    metrics = {**dict.fromkeys(METRICS, 0.75), "unmeasured": ["Bag"]}
    write(tmp_path, seed=0, score=0.5, metrics={**metrics, "per_attribute": {"Hat": score, "Bag": missing}})
    remark = (
        "peta official-1/test, protocol default: 1 of 2 attributes lacks positives or negatives and is left "
        "out of mA: Bag."
    )
    for options in ([], ["--markdown"], ["--by-attribute"], ["--by-attribute", "--markdown"]):
        result = CliRunner().invoke(app, ["results", str(tmp_path), *options], env={"COLUMNS": "200"})
        assert result.output.splitlines()[-1] == remark, options
    assert "| Bag | 0.0 | 100.0 | 90.0 | – |" in result.output
    assert "| mean | 10.0 | 90.0 | 85.0 | 75.0 |" in result.output


def test_a_named_file_of_another_kind_is_left_out_and_mentioned(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("variant: sb")
    command = ["results", str(tmp_path / "recipe.yaml"), str(folder / "pa100k")]
    process = subprocess.run(
        [sys.executable, "-m", "passerby", *command], capture_output=True, text=True, check=True
    )
    assert "50.00" in process.stdout
    assert process.stderr == (
        f"passerby: left out: {tmp_path}/recipe.yaml is not a score file, which `passerby evaluate … "
        "--result` writes\n"
    )


def test_markdown(folder: Path) -> None:
    result = CliRunner().invoke(app, ["results", str(folder / "peta"), "--markdown"])
    lines = result.output.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| peta, official-1/test | baseline · resnet50 · sb |")


def test_the_folder_results_is_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert "pa100k" in CliRunner().invoke(app, ["results", "--markdown"]).output


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "peta" / "x.json").write_text(json.dumps({"dataset": "peta", "metrics": {"mA": 0.8}}))
    error = CliRunner().invoke(app, ["results", str(folder)]).exception
    assert isinstance(error, DataError)
    assert "x.json" in str(error)


def test_chosen_variants_and_columns_as_markdown(folder: Path) -> None:
    options = ("--variants", "sb", "--columns", "model,seeds,mA", "--markdown")
    result = CliRunner().invoke(app, ["results", str(folder / "peta"), *options])
    assert result.output == "| model | seeds | mA |\n|---|---:|---:|\n| baseline | 2 | 82.00 ± 1.41 |\n"
    for wrong in (("--columns", "mA"), ("--columns", "mA", "--markdown", "--by-attribute")):
        result = CliRunner().invoke(app, ["results", str(folder), *wrong])
        assert result.exit_code == 2
        assert "--columns needs --markdown" in result.output


def test_json(folder: Path) -> None:
    first, second = json.loads(CliRunner().invoke(app, ["results", str(folder), "--json"]).stdout)
    assert (first["dataset"], first["seeds"], first["mean"]["mA"], first["sd"]) == ("pa100k", [0], 0.5, None)
    assert second["seeds"] == [0, 1]
    assert second["mean"]["mA"] == pytest.approx(0.82)
    assert second["sd"]["mA"] == pytest.approx(0.0002**0.5)
    assert second["input_size"] == [256, 192]
    result = CliRunner().invoke(app, ["results", str(folder), "--json", "--markdown"])
    assert result.exit_code == 2
    assert "either --markdown or --json" in result.stderr


def test_json_by_attribute(tmp_path: Path) -> None:
    scores = {"accuracy": 0.75, "mA": 0.5, "positives": 1, "negatives": 3}
    write(tmp_path, seed=0, score=0.5)
    path = next(tmp_path.rglob("*.json"))
    values = json.loads(path.read_text())
    values["metrics"]["per_attribute"] = {"Hat": scores}
    path.write_text(json.dumps(values))
    output = CliRunner().invoke(app, ["results", str(tmp_path), "--by-attribute", "--json"]).stdout
    (hat,) = json.loads(output)["attributes"]
    assert (hat["name"], hat["positives"], hat["always_no"]) == ("Hat", 0.25, 0.75)
    assert list(hat["runs"].values()) == [{"accuracy": 0.75, "mA": 0.5}]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_scores_by_attribute_fit(tmp_path: Path, width: int) -> None:
    names = ("x" * 100, "a long name of several words that has to wrap in a narrow terminal")
    for variant in ("sb", "a-variant-with-a-long-name", "another-variant-with-a-long-name"):
        write(tmp_path, seed=0, score=0.5)
        path = next(tmp_path.rglob("baseline-resnet50-sb-seed0.json"))
        values = json.loads(path.read_text())
        path.unlink()
        scores = {"accuracy": len(variant) / 100, "mA": len(variant) / 50, "positives": 1, "negatives": 3}
        values["variant"], values["metrics"]["per_attribute"] = variant, dict.fromkeys(names, scores)
        (tmp_path / f"{variant}.json").write_text(json.dumps(values))
    words = ["results", str(tmp_path), "--by-attribute"]
    output = CliRunner().invoke(app, words, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, output.splitlines())) <= width
    assert "…" not in output
    for length in (2, 26, 32):
        assert output.split().count(f"{length:.1f}") >= 2
        assert output.split().count(f"{2 * length:.1f}") >= 2
    assert output.count("x") >= 100
