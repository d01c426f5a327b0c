"""RAP v1 (Li et al.: A Richly Annotated Dataset for Pedestrian Attribute Recognition, 2016)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["BOX_NAMES", "EVALUATED", "SCHEMA", "read"]

SCHEMA = load_schema("rap1")
"""All 92 attributes, in the order of the file; the first 51 are evaluated."""

EVALUATED = SCHEMA.names[:51]
"""Names of the attributes that published results are about."""

BOX_NAMES = ("person", "head-shoulder", "upper body", "lower body")
"""The four boxes of a row; each is x, y, width, height in pixels of the full frame."""

ROWS = 41_585
PART_SIZES = {"train_index": 33_268, "test_index": 8_317}


def read(
    root: Path,
    *,
    allow_missing: bool = False,
    attributes: Literal["evaluated", "all"] = "evaluated",
    frames: bool = False,
) -> Manifest:
    """Read RAP v1: `RAP_annotation.mat` with the pictures in `RAP_dataset/`.

    Args:
        root: Folder of `RAP_annotation.mat`, or the one above `RAP_annotation/`.
        allow_missing: Go on without the pictures that are not there.
        attributes: The 51 evaluated ones or all 92.
        frames: The pictures are full frames, so the person's box of the annotation is the crop. The published
            pictures are already cropped to the person, hence no box by default.

    Returns:
        A manifest with the partitions `official-1` … `official-5` (train and test; v1 has no validation split).

    Raises:
        FormatError: If a file is missing, truncated, of another version or out of range.
    """
    root = Path(root)
    path, record = load_rap(
        root,
        version="RAP v1",
        required=["partion", "label", "attribute_eng", "attribute_exp", "imagesname", "position"],  # sic
    )
    labels = _read_labels(path, record)
    names = unpack_strings(record["imagesname"], what=f"{path.name}: imagesname", count=ROWS)
    partitions = unpack_partitions(
        record["partion"], sizes=PART_SIZES, rows=ROWS, what=f"{path.name}: partion"
    )
    position = np.asarray(record["position"], dtype=np.float64)
    if position.shape != (ROWS, 4 * len(BOX_NAMES)):
        raise FormatError(
            f"{path.name}: position: expected {ROWS} × {4 * len(BOX_NAMES)} numbers, got {position.shape}; "
            f"another version?"
        )
    identities = read_identities(record, ["identity"], rows=ROWS)
    rows, images = find_rap_images(root, names, dataset="RAP v1", allow_missing=allow_missing)
    guidance = find_guidance(root, (PurePosixPath(names[r]).stem for r in rows))
    manifest = Manifest.create(
        "rap1",
        SCHEMA,
        root=root,
        images=images,
        labels=labels[rows],
        partitions={k: [splits[r] for r in rows] for k, splits in partitions.items()},
        boxes=[_person_box(path, position[r], r) for r in rows] if frames else None,
        identities=[identities[r] for r in rows],
        cameras=[find_camera(names[r]) for r in rows],
        masks=guidance.masks,
        parsing=guidance.parsing,
        parsing_classes=guidance.parsing_classes,
        keypoints=guidance.keypoints,
    )
    return manifest if attributes == "all" else manifest.select_attributes(EVALUATED)


def _read_labels(path: Path, record: dict[str, Any]) -> NDArray[np.int8]:
    in_file = unpack_strings(record["attribute_eng"], what=f"{path.name}: attribute_eng", count=len(SCHEMA))
    check_names(in_file, SCHEMA.names, what=f"{path.name}: attribute_eng")
    evaluated = unpack_strings(
        record["attribute_exp"], what=f"{path.name}: attribute_exp", count=len(EVALUATED)
    )
    check_names(evaluated, EVALUATED, what=f"{path.name}: attribute_exp", share=0.8)
    values = unpack_integers(
        record["label"], what=f"{path.name}: label", low=0, high=2, shape=(ROWS, len(SCHEMA))
    )
    return to_labels(values)


def _person_box(path: Path, position: NDArray[np.float64], row: int) -> tuple[float, float, float, float]:
    x, y, width, height = (float(v) for v in position[:4])
    if not (width > 0 and height > 0):
        raise FormatError(
            f"{path.name}: position of row {row + 1}: expected a box with area, got {width} × {height} px"
        )
    return x, y, x + width, y + height
