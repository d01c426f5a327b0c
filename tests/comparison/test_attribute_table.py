"""Accuracy and mA, one row per attribute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from passerby.cli import app
from passerby.comparison.aggregate import aggregate
from passerby.comparison.attribute_table import create_attribute_table
from passerby.errors import DataError
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS


def make(variant: str, *, seed: int = 0, shift: float = 0.0, **changes: Any) -> Result:
    counts = {"Hat": (5, 95), "Female": (40, 60)}
    per_attribute = {
        name: {"accuracy": 0.9 + shift, "mA": 0.6 + shift, "positives": yes, "negatives": no}
        for name, (yes, no) in counts.items()
    }
    per_attribute["Female"] |= {"accuracy": 0.7 + shift, "mA": 0.68 + shift}
    facts: dict[str, Any] = {
        "model": "man",
        "variant": variant,
        "backbone": "resnet50",
        "pretraining": "imagenet",
        "dataset": "peta",
        "partition": "official-1",
        "split": "test",
        "input_size": (256, 256),
        "protocol": {"name": "default"},
        "seed": seed,
        "epochs": 30,
        "device": "cpu",
        "commit": None,
        "metrics": {**dict.fromkeys(METRICS, 0.5), "per_attribute": per_attribute},
        "seconds": 1.0,
    }
    return Result(**(facts | changes))


def test_rows_are_those_of_the_score_files() -> None:
    table = create_attribute_table(
        aggregate([make("a"), make("b", shift=0.02), make("b", seed=1, shift=0.04)])
    )
    assert table.runs == ("a · 1 seed", "b · 2 seeds")
    assert list(table.lines()) == [
        ("Hat", "5.0", "95.0", "90.0", "60.0", "93.0", "63.0"),
        ("Female", "40.0", "60.0", "70.0", "68.0", "73.0", "71.0"),
        ("mean", "22.5", "77.5", "80.0", "64.0", "83.0", "67.0"),
    ]
    assert table.header[:4] == ("attribute", "positives", "always no", "a · 1 seed: accuracy")
    markdown = table.format_markdown().splitlines()
    assert markdown[1] == "|---|---:|---:|---:|---:|---:|---:|"
    assert markdown[2] == "| Hat | 5.0 | 95.0 | 90.0 | 60.0 | 93.0 | 63.0 |"


def test_json_has_the_mean_and_what_cannot_be_measured() -> None:
    result = make("a")
    per_attribute = result.metrics["per_attribute"]
    per_attribute["Bag"] = {"accuracy": 0.6, "mA": None, "positives": 0, "negatives": 100}
    bare = make("a", metrics={**result.metrics, "unmeasured": ["Bag"], "per_attribute": per_attribute})
    document = create_attribute_table(aggregate([bare, replace(bare, seed=1)])).to_dict()
    assert document["unmeasured"] == ["Bag"]
    assert document["mean"] == {
        "man · resnet50 · a": {"accuracy": pytest.approx(2.2 / 3), "mA": pytest.approx(0.64)}
    }


def test_other_data_and_other_attributes_are_refused() -> None:
    with pytest.raises(DataError, match=r"scored on peta official-1/test, got also pa100k test/test"):
        create_attribute_table(aggregate([make("b", dataset="pa100k", partition="test"), make("a")])[::-1])
    with pytest.raises(DataError, match="at least one run"):
        create_attribute_table([])
    other = make("b")
    fewer = {**other.metrics, "per_attribute": {"Hat": other.metrics["per_attribute"]["Hat"]}}
    with pytest.raises(DataError, match=r"man · resnet50 · b: expected the attributes Hat, Female, got Hat"):
        create_attribute_table(aggregate([make("a"), make("b", metrics=fewer)]))
    without = {"Hat": {"mA": 0.5}, "Female": {"mA": 0.5}}
    bare = make("a", metrics={**other.metrics, "per_attribute": without})
    with pytest.raises(DataError, match="no accuracy of Hat"):
        create_attribute_table(aggregate([bare]))


def test_the_command(tmp_path: Path) -> None:
    make("a").write(tmp_path)
    shown = CliRunner().invoke(app, ["results", str(tmp_path), "--by-attribute"], env={"COLUMNS": "150"})
    assert shown.exit_code == 0, shown.output
    assert "Always no" in shown.output
    assert "Female" in shown.output
    written = CliRunner().invoke(app, ["results", str(tmp_path), "--by-attribute", "--markdown"])
    assert written.output == create_attribute_table(aggregate([make("a")])).format_markdown()
    assert written.output.startswith("| attribute | positives | always no | accuracy | mA |")
