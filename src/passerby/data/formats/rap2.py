"""RAP v2 (Li et al.: A Richly Annotated Pedestrian Dataset for Person Retrieval, TIP 2019)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from passerby.data.formats.dataset_files import find_guidance, load_schema
from passerby.data.formats.matlab import unpack_integers, unpack_partitions, unpack_strings
from passerby.data.formats.rap import (
    check_names,
    find_camera,
    find_rap_images,
    load_rap,
    read_identities,
    to_labels,
)
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("rap2")
"""The 54 evaluated attributes, in the order of `selected_attribute`."""

ROWS = 84_928
COLUMNS = 152
PARTS = ("train_index", "val_index", "test_index")


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read RAP v2: `RAP_annotation.mat` with the pictures in `RAP_dataset/`.

    Args:
        root: Folder of `RAP_annotation.mat`, or the one above `RAP_annotation/`.
        allow_missing: Go on without the pictures that are not there.

    Returns:
        A manifest with the partitions `official-1` … `official-5`.

    Raises:
        FormatError: If a file is missing, truncated, of another version (v1 files labelled v2 circulate) or
            out of range.
    """
    root = Path(root)
    path, record = load_rap(
        root,
        version="RAP v2",
        required=["name", "data", "attribute", "selected_attribute", "partition_attribute"],
    )
    names = unpack_strings(record["name"], what=f"{path.name}: name", count=ROWS)
    attributes = unpack_strings(record["attribute"], what=f"{path.name}: attribute", count=COLUMNS)
    data = np.asarray(record["data"])
    if data.shape != (ROWS, COLUMNS):
        raise FormatError(
            f"{path.name}: data: expected {ROWS} × {COLUMNS} numbers, got {data.shape}; another version?"
        )
    selected = unpack_integers(  # counted from 1
        record["selected_attribute"],
        what=f"{path.name}: selected_attribute",
        low=1,
        high=COLUMNS,
        shape=(len(SCHEMA),),
    )
    check_names([attributes[i - 1] for i in selected], SCHEMA.names, what=f"{path.name}: selected attributes")
    labels = unpack_integers(data[:, selected - 1], what=f"{path.name}: labels in data", low=0, high=2)
    partitions = unpack_partitions(
        record["partition_attribute"],
        sizes=dict.fromkeys(PARTS),
        rows=ROWS,
        what=f"{path.name}: partition_attribute",
    )
    identities = read_identities(record, ["person_identity", "identity"], rows=ROWS)
    rows, images = find_rap_images(root, names, dataset="RAP v2", allow_missing=allow_missing)
    guidance = find_guidance(root, (PurePosixPath(names[r]).stem for r in rows))
    return Manifest.create(
        "rap2",
        SCHEMA,
        root=root,
        images=images,
        labels=to_labels(labels)[rows],
        partitions={k: [splits[r] for r in rows] for k, splits in partitions.items()},
        identities=[identities[r] for r in rows],
        cameras=[find_camera(names[r]) for r in rows],
        masks=guidance.masks,
        parsing=guidance.parsing,
        parsing_classes=guidance.parsing_classes,
        keypoints=guidance.keypoints,
    )
