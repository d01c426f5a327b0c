"""Files of passerby 0.1 are read under the current names."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from passerby.bundle import Bundle
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.data.manifest import Manifest
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.samples import MEASURES, SCORES, LocalizationSamples
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS
from passerby.migration import upgrade
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

NAMES = ("part", "people", "groups", "system")
"""Attributes with the names of renamed keys, which must not change."""

METADATA: dict[str, Any] = {
    "system": "man",
    "variant": "untaught",
    "backbone": "net",
    "pretraining": "none",
    "dataset": "peta",
    "split": "official-1",
    "train_parts": ["train"],
    "protocol": "honest",
    "seed": 0,
    "epochs": 3,
    "seconds": 1.0,
    "environment": {"device": "cpu", "commit": "abc"},
}
FACTS: dict[str, Any] = {
    **{key: METADATA[key] for key in ("system", "variant", "backbone", "pretraining", "dataset", "epochs")},
    "split": "official-1/test",
    "input_size": [32, 16],
    "protocol": {"name": "honest", "ema": None},
}
PER_ATTRIBUTE = {name: {"mA": 0.5, "threshold": 0.5} for name in NAMES}
METRICS_OF_01: dict[str, Any] = {
    **dict.fromkeys(METRICS, 0.5),
    "per_attribute": PER_ATTRIBUTE,
    "mA_per_part": {"head": 0.5},
}


def write(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


def to_schema(part: str = "part") -> dict[str, Any]:
    """A serialised schema of 0.1."""
    attributes = [{"name": name, "description": f"has {name}", part: "head"} for name in NAMES]
    return {"name": "toy", "attributes": attributes}


# ---------------------------------------------------------------------- names


def test_keys_and_values_have_the_current_names() -> None:
    assert upgrade({**METADATA, "method": "own", "fading": 3, "least_px": 9}) == {
        "model": "man",
        "variant": "undistilled",
        "backbone": "net",
        "pretraining": "none",
        "dataset": "peta",
        "partition": "official-1",
        "train_splits": ["train"],
        "protocol": "default",
        "seed": 0,
        "epochs": 3,
        "seconds": 1.0,
        "environment": {"device": "cpu", "commit": "abc"},
        "method": "native",
        "insertion_deletion": 3,
        "min_area_px": 9,
    }


def test_current_values_are_unchanged() -> None:
    for values in (METADATA, FACTS, METRICS_OF_01, to_schema(), [{"split": "own", "part": "test"}]):
        upgraded = upgrade(values)
        assert upgraded != values
        assert upgrade(upgraded) == upgraded


def test_names_of_attributes_are_unchanged() -> None:
    assert upgrade({"per_attribute": PER_ATTRIBUTE}) == {"per_attribute": PER_ATTRIBUTE}
    assert upgrade({"counts": {"people": 3, "groups": 4}}) == {"counts": {"people": 3, "groups": 4}}
    differences = {"differences": {"per_attribute": {name: {"pcc": {"low": 0.0}} for name in NAMES}}}
    assert upgrade(differences) == differences
    assert upgrade({"name": "honest", "part": "head"}) == {"name": "honest", "body_part": "head"}


def test_a_partition_may_have_the_name_of_a_split() -> None:
    assert upgrade({"split": "test", "part": "val"}) == {"partition": "test", "split": "val"}


def test_protocols_and_their_descriptions_are_renamed() -> None:
    assert upgrade({"protocol": {"name": "honest+threshold-0.4"}})["protocol"]["name"] == (
        "default+threshold-0.4"
    )
    line = upgrade({"protocol_line": "honest: yes when p > 0.5"})["protocol_line"]
    assert line == "default: yes when p > 0.5"
    line = upgrade({"protocol_line": "own, foreground max:0.5"})["protocol_line"]
    assert line == "native, foreground max:0.5"


# ---------------------------------------------------------------------- files


def test_schemas() -> None:
    schema = AttributeSchema.from_dict(to_schema())
    assert schema.names == NAMES
    assert {attribute.body_part for attribute in schema} == {"head"}
    assert AttributeSchema.from_dict(schema.to_dict()) == schema


def test_manifests(tmp_path: Path) -> None:
    schema = AttributeSchema.from_dict(to_schema())
    manifest = Manifest.create(
        "toy",
        schema,
        root=tmp_path,
        images=["a.png", "b.png"],
        labels=[[1, 0, 1, 0], [0, 1, 0, -1]],
        partitions={"official-1": ["train", "test"]},
    )
    path = manifest.write(tmp_path / "toy.parquet") or tmp_path / "toy.parquet"
    table = pq.ParquetFile(path).read()
    metadata = {key: value.replace(b'"body_part"', b'"part"') for key, value in table.schema.metadata.items()}
    assert metadata != table.schema.metadata
    pq.write_table(table.replace_schema_metadata(metadata), path)
    old = Manifest.load(path, root=tmp_path)
    assert old.schema == schema
    assert old.split_rows("official-1", "test").tolist() == [1]
    np.testing.assert_array_equal(old.labels, manifest.labels)


def test_bundles(tmp_path: Path) -> None:
    schema = AttributeSchema.from_dict(to_schema())
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    Bundle(model, Preprocess(32, 16), (), {}).save(tmp_path / "bundle")
    path = tmp_path / "bundle" / "config.json"
    config = json.loads(path.read_text())
    config |= {"schema": to_schema(), "metadata": METADATA}
    del config["checksum"]
    text = json.dumps(config, sort_keys=True)
    write(path, {**config, "checksum": hashlib.sha256(text.encode()).hexdigest()})
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.schema == schema
    assert bundle.metadata["model"] == "man"
    assert (bundle.metadata["partition"], bundle.metadata["train_splits"]) == ("official-1", ["train"])
    assert "split" not in bundle.metadata


def test_score_files(tmp_path: Path) -> None:
    values = {**FACTS, "seed": 0, "device": "cpu", "commit": None, "metrics": METRICS_OF_01, "seconds": 1.0}
    result = Result.load(write(tmp_path / "old.json", values))
    assert (result.model, result.variant) == ("man", "undistilled")
    assert (result.partition, result.split) == ("official-1", "test")
    assert result.protocol["name"] == "default"
    assert list(result.metrics["per_attribute"]) == list(NAMES)
    assert result.metrics["mA_per_body_part"] == {"head": 0.5}
    assert Result.load(result.write(tmp_path / "new.json")) == result


def test_evaluations(tmp_path: Path) -> None:
    probs = np.float32([[0.9, 0.1, 0.6, 0.4], [0.2, 0.7, 0.3, 0.8]])
    labels = np.int8([[1, 0, 1, 0], [0, 1, 0, 1]])
    predictions = Predictions(NAMES, ["a", "b"], [None] * 2, [None] * 2, np.arange(2), probs, labels)
    predictions.write(tmp_path / "predictions.parquet")
    metrics = {**METRICS_OF_01, **dict.fromkeys(METRICS, 1.0)}
    values = {
        "version": 1,
        "dataset": "toy",
        "split": "official-1",
        "part": "test",
        "count": 2,
        "protocol": "honest",
        "protocol_line": "honest: yes when p > 0.5",
        "thresholds": [0.5] * 4,
        "metrics": metrics,
        "degenerate": 0,
        "input_size": [32, 16],
        "device": "cpu",
        "seconds": 0.1,
        "skipped": [["c", "no image"]],
        "root": "..",
        "metadata": {**METADATA, "names": "peta-to-toy"},
        "schema": to_schema(),
    }
    write(tmp_path / "evaluation.json", values)
    evaluation = Evaluation.load(tmp_path)
    assert (evaluation.partition, evaluation.split, evaluation.five_crops) == ("official-1", "test", False)
    assert evaluation.protocol.name == "default"
    assert evaluation.schema.names == NAMES
    assert evaluation.metadata["label_map"] == "peta-to-toy"
    result = Result.load(tmp_path)
    assert (result.model, result.partition, result.split) == ("man", "official-1", "test")
    assert result.protocol == evaluation.to_result().protocol
    evaluation.write(tmp_path / "new")
    assert Evaluation.load(tmp_path / "new").to_result() == evaluation.to_result()


def test_comparisons(tmp_path: Path) -> None:
    scores = {name: [0.5] for name in METRICS}
    run = {**FACTS, "seeds": [0], "commits": [None], "scores": scores, "differences": None}
    interval = {"difference": 0.0, "low": -0.1, "high": 0.1, "share_not_above": 0.5}
    other = {**run, "variant": "b", "differences": {"mA": interval}}
    values = {"version": 1, "runs": [run, other], "metrics": ["mA"], "resamples": 9, "level": 0.95}
    values |= {"by": "image", "seed": 0, "people": 60, "groups": 30, "incomplete": 0, "commit": None}
    comparison = Comparison.load(write(tmp_path / "old.comparison.json", values))
    assert (comparison.n_samples, comparison.n_clusters) == (60, 30)
    assert (comparison.runs[0].model, comparison.runs[0].variant) == ("man", "undistilled")
    assert (comparison.runs[0].partition, comparison.runs[0].split) == ("official-1", "test")
    comparison.write(tmp_path / "new.comparison.json")
    assert Comparison.load(tmp_path / "new.comparison.json") == comparison


def test_comparisons_of_localization(tmp_path: Path) -> None:
    columns = {name: {score: [0.5] for score in SCORES} for name in NAMES}
    run = {**FACTS, "seeds": [0], "commits": [None], "scores": columns, "differences": None}
    run["protocol"] = {"method": "own"}
    interval = {"difference": 0.0, "low": -0.1, "high": 0.1, "share_not_above": 0.5}
    differences = {
        "per_attribute": {name: {"box_iou": interval} for name in NAMES},
        "mean": {"box_iou": interval},
        "mean_of_paper": {},
    }
    other = {**run, "variant": "b", "differences": differences}
    values = {"version": 1, "runs": [run, other], "scores": ["box_iou"], "commit": None}
    values |= {"counts": dict.fromkeys(NAMES, 9), "apart": ["part"], "mean_of": ["people"], "of_paper": []}
    values |= {"resamples": 9, "seed": 0, "groups": 30}
    path = write(tmp_path / "old.localization-comparison.json", values)
    comparison = LocalizationComparison.load(path)
    assert (comparison.exclude_from_mean, comparison.n_clusters) == (("part",), 30)
    assert tuple(comparison.counts) == NAMES
    assert comparison.runs[0].protocol["method"] == "native"
    assert comparison.runs[1].differences is not None
    assert tuple(comparison.runs[1].differences.per_attribute) == NAMES


def test_scores_of_localization(tmp_path: Path) -> None:
    measures = {name: np.float64([0.5] * 4) for name in MEASURES}
    images = [f"{i}.png" for i in range(4)]
    samples = LocalizationSamples(
        NAMES, np.arange(4), images, [None] * 4, np.arange(4), np.float64([0.5] * 4), measures
    )
    samples.write(tmp_path / "old.localization.parquet")
    protocol = {"truth": "parsing", "method": "own", "binarization": "max:0.5", "boxes": "outer"}
    protocol |= {"least_px": 9, "least_samples": 2, "only_predicted": False, "fading": 0}
    values = {
        "version": 1,
        "dataset": "toy",
        "split": "official-1",
        "part": "test",
        "protocol": protocol,
        "names": {name: [name] for name in NAMES},
        "apart": ["people"],
        "of_paper": [],
        "per_attribute": {name: {"box_iou": {"value": 0.5}} for name in NAMES},
        "too_small": dict.fromkeys(NAMES, 0),
        "input_size": [32, 16],
        "resamples": 9,
        "seed": 0,
        "groups": 4,
        "device": "cpu",
        "seconds": 0.1,
        "skipped": [],
        "metadata": METADATA,
    }
    scores = LocalizationScores.load(write(tmp_path / "old.localization.json", values))
    assert (scores.partition, scores.split) == ("official-1", "test")
    assert (scores.protocol.method, scores.protocol.min_area_px) == ("native", 9)
    assert scores.exclude_from_mean == ("people",)
    assert tuple(scores.names) == NAMES
    assert scores.metadata["model"] == "man"


def test_the_bundle_of_a_release_is_read() -> None:
    folder = Path(os.environ.get("PASSERBY_WEIGHTS", "")).parent / "bundles"
    paths = sorted(path.parent for path in folder.glob("*/config.json"))
    if "PASSERBY_WEIGHTS" not in os.environ or not paths:
        pytest.skip("PASSERBY_WEIGHTS is unset or has no folder of bundles next to it")
    bundle = Bundle.load(paths[0])
    assert bundle.metadata["partition"]
    assert bundle.metadata["train_splits"] == ["train"]
    assert bundle.metadata["model"] == bundle.model.name
    assert not {"system", "split", "train_parts"} & set(bundle.metadata)
    assert all(isinstance(attribute, Attribute) for attribute in bundle.schema)
