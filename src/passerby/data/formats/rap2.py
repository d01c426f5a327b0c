"""RAP v2 (Li et al.: A Richly Annotated Pedestrian Dataset for Person Retrieval, TIP 2019)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from passerby.data.formats.dataset_files import load_schema
from passerby.data.formats.matlab import unpack_integers, unpack_partitions, unpack_strings
from passerby.data.formats.rap import Annotations, check_names, create_manifest, load_rap, read_identities
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("rap2")
"""The 54 evaluated attributes, in the order of `selected_attribute`."""

ROWS = 84_928
COLUMNS = 152
SPLITS = ("train_index", "val_index", "test_index")


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read RAP v2: `RAP_annotation.mat` with the images in `RAP_dataset/`.

    Args:
        root: Folder of `RAP_annotation.mat`, or the parent folder of `RAP_annotation/`.
        allow_missing: Continue without missing images.

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
    values = unpack_integers(data[:, selected - 1], what=f"{path.name}: labels in data", low=0, high=2)
    partitions = unpack_partitions(
        record["partition_attribute"],
        sizes=dict.fromkeys(SPLITS),
        rows=ROWS,
        what=f"{path.name}: partition_attribute",
    )
    identities = read_identities(record, ["person_identity", "identity"], rows=ROWS)
    found = Annotations(values, names, identities, partitions)
    return create_manifest("RAP v2", SCHEMA, root, found, allow_missing=allow_missing)
