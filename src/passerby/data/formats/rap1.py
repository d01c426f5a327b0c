"""RAP v1 (Li et al.: A Richly Annotated Dataset for Pedestrian Attribute Recognition, 2016)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import load_schema
from passerby.data.formats.matlab import unpack_integers, unpack_partitions, unpack_strings
from passerby.data.formats.rap import Annotations, check_names, create_manifest, load_rap, read_identities
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["BOX_NAMES", "EVALUATED", "SCHEMA", "read"]

SCHEMA = load_schema("rap1")
"""All 92 attributes, in the order of the file; the first 51 are evaluated."""

EVALUATED = SCHEMA.names[:51]
"""Names of the attributes that published results evaluate."""

BOX_NAMES = ("person", "head-shoulder", "upper body", "lower body")
"""The four boxes of a row, each as x, y, width, height in pixels of the full frame."""

ROWS = 41_585
SPLIT_SIZES = {"train_index": 33_268, "test_index": 8_317}


def read(
    root: Path,
    *,
    allow_missing: bool = False,
    attributes: Literal["evaluated", "all"] = "evaluated",
    frames: bool = False,
) -> Manifest:
    """Read RAP v1: `RAP_annotation.mat` with the images in `RAP_dataset/`.

    Args:
        root: Folder of `RAP_annotation.mat`, or the parent folder of `RAP_annotation/`.
        allow_missing: Continue without missing images.
        attributes: The 51 evaluated ones or all 92.
        frames: The images are full frames; crop them to the box of the person in the annotation. The
            published images are already cropped, so there is no box by default.

    Returns:
        A manifest with the partitions `official-1` … `official-5` (train and test; there is no validation
        split).

    Raises:
        FormatError: If a file is missing, truncated, of another version or out of range.
    """
    root = Path(root)
    path, record = load_rap(
        root,
        version="RAP v1",
        required=["partion", "label", "attribute_eng", "attribute_exp", "imagesname", "position"],  # sic
    )
    values = _read_values(path, record)
    names = unpack_strings(record["imagesname"], what=f"{path.name}: imagesname", count=ROWS)
    partitions = unpack_partitions(
        record["partion"], sizes=SPLIT_SIZES, rows=ROWS, what=f"{path.name}: partion"
    )
    position = np.asarray(record["position"], dtype=np.float64)
    if position.shape != (ROWS, 4 * len(BOX_NAMES)):
        raise FormatError(
            f"{path.name}: position: expected {ROWS} × {4 * len(BOX_NAMES)} numbers, got {position.shape}; "
            f"another version?"
        )
    found = Annotations(
        values,
        names,
        read_identities(record, ["identity"], rows=ROWS),
        partitions,
        [_read_person_box(path, position[row], row) for row in range(ROWS)] if frames else None,
    )
    manifest = create_manifest("RAP v1", SCHEMA, root, found, allow_missing=allow_missing)
    return manifest if attributes == "all" else manifest.select_attributes(EVALUATED)


def _read_values(path: Path, record: dict[str, Any]) -> NDArray[np.int64]:
    in_file = unpack_strings(record["attribute_eng"], what=f"{path.name}: attribute_eng", count=len(SCHEMA))
    check_names(in_file, SCHEMA.names, what=f"{path.name}: attribute_eng")
    evaluated = unpack_strings(
        record["attribute_exp"], what=f"{path.name}: attribute_exp", count=len(EVALUATED)
    )
    check_names(evaluated, EVALUATED, what=f"{path.name}: attribute_exp", share=0.8)
    return unpack_integers(
        record["label"], what=f"{path.name}: label", low=0, high=2, shape=(ROWS, len(SCHEMA))
    )


def _read_person_box(
    path: Path, position: NDArray[np.float64], row: int
) -> tuple[float, float, float, float]:
    x, y, width, height = (float(v) for v in position[:4])
    if not (width > 0 and height > 0):
        raise FormatError(
            f"{path.name}: position of row {row + 1}: expected a box with area, got {width} × {height} px"
        )
    return x, y, x + width, y + height
