"""What the readers of RAP v1 and RAP v2 share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import find_file, find_images, keep_present
from passerby.data.formats.matlab import load_mat, unpack_integers, unpack_struct
from passerby.errors import FormatError

__all__ = [
    "check_names",
    "find_camera",
    "find_rap_images",
    "load_rap",
    "read_identities",
    "to_labels",
]

ROWS = {"RAP v1": 41_585, "RAP v2": 84_928}
FOLDERS = ("RAP_dataset", "images", ".")


def load_rap(root: Path, *, version: str, required: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """Read `RAP_annotation.mat` and make sure, by the number of its rows, that it is of the version wanted.

    Raises:
        FormatError: If the file is missing, damaged, or of the other version.
    """
    path = find_file(root, "RAP_annotation.mat", "RAP_annotation/RAP_annotation.mat")
    value = load_mat(path, required=["RAP_annotation"])["RAP_annotation"]
    record = unpack_struct(value, required=[], what=f"{path.name}: RAP_annotation")
    lengths = {np.shape(v)[0] for v in record.values() if np.ndim(v) == 2}
    for other, rows in ROWS.items():
        if other != version and rows in lengths:
            name = "rap1" if other == "RAP v1" else "rap2"
            raise FormatError(
                f"{path} has {rows:,} rows: it is {other}, whatever its name; expected {version} with "
                f"{ROWS[version]:,} rows. Read it with `passerby prepare {name}`"
            )
    return path, unpack_struct(value, required=required, what=f"{path.name}: RAP_annotation")


def to_labels(values: NDArray[np.int64]) -> NDArray[np.int8]:
    """Turn 0 no, 1 yes, 2 unknown into 0, 1, −1."""
    return np.where(values == 2, -1, values).astype(np.int8)


def read_identities(record: Mapping[str, Any], fields: Sequence[str], *, rows: int) -> list[str | None]:
    """Identities as strings, None for the negative numbers that stand for unknown."""
    for field in fields:
        if field in record:
            numbers = unpack_integers(record[field], what=field, low=-10, high=10**7, shape=(None,))
            if len(numbers) != rows:
                raise FormatError(
                    f"{field}: expected {rows:,} identities, got {len(numbers):,}; another version?"
                )
            return [str(n) if n >= 0 else None for n in numbers]
    return [None] * rows


def find_camera(stem: str) -> str | None:
    """The camera that a file name begins with.

    Example:
        >>> find_camera("CAM01_2014-02-15_20140215161032-20140215162620_tarid0_frame218_line1")
        'CAM01'
    """
    match = re.match(r"cam\d+", stem, flags=re.IGNORECASE)
    return match.group().upper() if match else None


def find_rap_images(
    root: Path, names: Sequence[str], *, dataset: str, allow_missing: bool
) -> tuple[list[int], list[str]]:
    """The rows whose picture is there, and their paths relative to the root."""
    found = find_images(root, *FOLDERS)
    images = [found.get(PurePosixPath(n).stem) for n in names]
    rows = keep_present(images, dataset=dataset, where=root / FOLDERS[0], allow_missing=allow_missing)
    return rows, [image for image in images if image is not None]


def check_names(have: Sequence[str], want: Sequence[str], *, what: str, share: float = 1.0) -> None:
    """Make sure that two lists name the same attributes in the same order, though spelled differently.

    Names agree when the words of one are all among those of the other: `shoes-Sport` and `SportShoes`,
    `hs-Hat` and `Hat`; but not `hs-Hat` and `hs-Glasses`.

    Args:
        have: Names in the file.
        want: Names in the schema.
        what: How to name the list in errors.
        share: Part of the names, in [0, 1], that must agree.

    Raises:
        FormatError: If fewer agree.
    """
    words = [(_words(a), _words(b)) for a, b in zip(have, want, strict=True)]
    differ = [i for i, (a, b) in enumerate(words) if not a or not (a <= b or b <= a)]
    if len(differ) > (1 - share) * len(want):
        first = differ[0]
        raise FormatError(
            f"{what}: attribute {first + 1} is {have[first]!r}, expected {want[first]!r} or the like; "
            f"another version?"
        )


def _words(name: str) -> set[str]:
    """Lower-case beginnings of the words of a name: enough to see through `Pusing` and `Femal`."""
    return {w.lower()[:3] for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}
