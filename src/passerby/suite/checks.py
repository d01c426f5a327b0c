"""Checks of the data of a suite, before anything runs."""

from __future__ import annotations

from passerby.config import Recipe, Suite
from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError
from passerby.evaluation.protocols import load_protocol

__all__ = ["check_data", "check_teacher", "check_tests", "describe_test_split"]


def check_tests(suite: Suite, manifest: Manifest) -> None:
    """Refuse additional tests whose data or label map do not fit models trained on `manifest`.

    Raises:
        ManifestError: If the manifest of a test cannot be read, or lacks the partition or split.
        SchemaError: If a label map does not fit the model or the data.
    """
    for name, test in (*suite.tests.items(), *suite.localization.items()):
        target = Manifest.load(test.manifest, root=test.root)
        target.split_rows(test.partition, test.split)
        if test.label_map is None:
            continue
        if name in suite.tests:
            LabelMap.load(test.label_map).bind(manifest.schema.names, target.schema.names)
        else:
            label_map = LabelMap.load_truth(test.label_map)
            classes = [source.name for sources in label_map.rows.values() for source in sources]
            label_map.bind(classes, manifest.schema.names)


def check_data(suite: Suite, recipe: Recipe, manifest: Manifest) -> None:
    """Refuse a recipe whose data or protocol do not fit the suite.

    Raises:
        ManifestError: If the manifest lacks a split that the recipe uses.
        ConfigError: If `by: identity` is set for data without identities, or thresholds are to be calibrated
            although the protocol sets one.
    """
    data = recipe.data
    for split in (*data.train, data.val, "test"):
        manifest.split_rows(data.partition_name, split)
    if suite.by == "identity" and not any(manifest.identities):
        raise ConfigError(f"by: identity, but {data.manifest} has no identities; set by: image")
    if suite.calibrate and load_protocol(recipe.protocol).threshold is not None:
        raise ConfigError(
            f"calibrate: the protocol {recipe.protocol} sets one threshold for all attributes; remove "
            "calibrate, or choose another protocol"
        )


def check_teacher(student: str, data: Manifest, teacher: str, teacher_data: Manifest) -> None:
    """Refuse a teacher whose predictions do not cover the student's images and attributes.

    Raises:
        ConfigError: If so; the message names an attribute that the teacher lacks.
    """
    if lacking := set(data.schema.names) - set(teacher_data.schema.names):
        raise ConfigError(f"{teacher} is a teacher of {student}, but does not predict {min(lacking)}")
    if teacher_data.images != data.images:
        raise ConfigError(f"{teacher} is a teacher of {student}, but its manifest has other images")


def describe_test_split(manifest: Manifest, partition: str) -> dict[str, object]:
    """The contents of a test split that must be equal for models to be compared."""
    rows = manifest.split_rows(partition, "test")
    columns = [manifest.schema.index(name) for name in sorted(manifest.schema.names)]
    images, boxes = manifest.images, manifest.boxes()
    return {
        "images": [images[row] for row in rows],
        "boxes": [boxes[row] for row in rows],
        "attributes": sorted(manifest.schema.names),
        "labels": manifest.labels[rows][:, columns].tolist(),
    }
