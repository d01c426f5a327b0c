"""`passerby calibrate`, from a bundle to one with thresholds of its own."""

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
from passerby.comparison.paired_scores import compare
from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.results import Result
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

METADATA = {"variant": "v", "pretraining": "none", "seed": 0, "epochs": 1, "seconds": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with sixty images, a manifest and a bundle of random weights."""
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images = [f"images/{i}.png" for i in range(60)]
    for image in images:
        Image.fromarray(rng.integers(0, 255, (40, 20, 3), dtype=np.uint8)).save(tmp_path / image)
    splits = ["train"] * 2 + ["val"] * 38 + ["test"] * 20
    Manifest.create(
        "toy",
        schema,
        root=tmp_path,
        images=images,
        labels=rng.integers(0, 2, (60, 2)).astype(np.int8),
        partitions={"own": splits},
    ).write(tmp_path / "toy.parquet")
    torch.manual_seed(0)
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    environment = {"environment": {"device": "cpu"}}
    Bundle(model, Preprocess(32, 16), (), {**METADATA, **environment}).save(tmp_path / "bundle")
    return tmp_path


def run(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "120"}, catch_exceptions=False)
    return result.output


def test_thresholds_are_chosen_saved_and_printed(folder: Path) -> None:
    data = ("--data", folder / "toy.parquet")
    output = run("calibrate", folder / "bundle", *data, "--goal", "mA", "--out", folder / "new")
    assert "Hat" in output
    assert "thresholds for the best mA on toy own/val" in output.replace("\n", " ")
    before, after = Bundle.load(folder / "bundle"), Bundle.load(folder / "new")
    assert set(before.thresholds) == {0.5}
    assert 0.5 not in after.thresholds
    for bundle in ("bundle", "new"):
        run("evaluate", folder / bundle, *data, "--result", folder / "results")
    files = sorted((folder / "results" / "toy").glob("*.json"))
    assert [file.name for file in files] == [
        "baseline-test_resnet-v-calibrated-mA-seed0.json",
        "baseline-test_resnet-v-seed0.json",
    ]
    calibrated, plain = map(Result.load, files)
    assert "calibration" not in plain.protocol
    assert calibrated.protocol["calibration"] == "thresholds for the best mA on toy own/val"
    comparison = compare(files, baseline="v", resamples=20)
    assert "thresholds for the best mA on toy own/val" in comparison.name_runs()[1][1]


def test_attributes_that_keep_their_thresholds_are_named(folder: Path) -> None:
    manifest = Manifest.load(folder / "toy.parquet")
    labels = manifest.labels.copy()
    labels[2:40, 1] = -1  # no label of the bag in the val split
    Manifest.create(
        "toy",
        manifest.schema,
        root=folder,
        images=manifest.images,
        labels=labels,
        partitions={"own": ["train"] * 2 + ["val"] * 38 + ["test"] * 20},
    ).write(folder / "toy.parquet")
    words = ("--data", folder / "toy.parquet", "--goal", "f1", "--out", folder / "new")
    output = run("calibrate", folder / "bundle", *words).replace("\n", " ")
    assert (
        "1 of 2 attributes have fewer than 10 positives or negatives and keep their thresholds: Bag" in output
    )
    hat, bag = Bundle.load(folder / "new").thresholds
    assert hat != 0.5 == bag


def test_the_test_split_is_refused_before_the_work(folder: Path) -> None:
    words = [
        "calibrate",
        folder / "bundle",
        "--data",
        folder / "toy.parquet",
        "--goal",
        "f1",
        "--out",
        "x",
    ]
    with pytest.raises(DataError, match="flatter"):
        run(*words, "--split", "test")
    assert not (folder / "x").exists()


def test_json(folder: Path) -> None:
    words = ["calibrate", str(folder / "bundle"), "--data", str(folder / "toy.parquet"), "--goal", "f1"]
    result = CliRunner().invoke(app, [*words, "--out", str(folder / "new"), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["calibration"] == "thresholds for the best f1 on toy own/val"
    hat = document["per_attribute"]["Hat"]
    assert (hat["threshold"], hat["before"]) == (Bundle.load(folder / "new").thresholds[0], 0.5)
    assert "saved in" in result.stderr
