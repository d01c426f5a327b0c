"""The columns of a manifest, and checks of their values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from passerby.errors import ManifestError
from passerby.schema import AttributeSchema

__all__ = [
    "COLUMNS",
    "SPLITS",
    "check_classes",
    "check_length",
    "check_lists",
    "check_partition",
    "check_paths",
    "check_relative_path",
    "check_table",
    "make_guidance_columns",
]

SPLITS = ("train", "val", "test")
COLUMNS = {
    "image": pa.string(),
    "box": pa.list_(pa.float32(), 4),
    "identity": pa.string(),
    "camera": pa.string(),
    "mask": pa.string(),
    "parsing": pa.string(),
    "keypoints": pa.list_(pa.float32(), 51),
}
"""Columns of every manifest, except for those of labels and partitions."""

_DRIVE = re.compile(r"[A-Za-z]:")


def check_relative_path(path: str) -> str:
    """Return a path with POSIX separators, and check that it stays below the root.

    Raises:
        ManifestError: If it is absolute or leaves the root through `..`.

    Example:
        >>> check_relative_path("images/00001.png")
        'images/00001.png'
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    if not pure.parts or pure.is_absolute() or ".." in pure.parts or _DRIVE.match(path):
        raise ManifestError(
            f"expected a path below the root folder, got {path!r}; make it relative to --root"
        )
    return str(pure)


def check_table(path: Path, table: pa.Table, schema: AttributeSchema) -> None:
    """Check the columns of a table that was read from a file and may have been edited."""
    wanted = COLUMNS | {f"label:{name}": pa.int8() for name in schema.names}
    for name, kind in wanted.items():
        if (count := table.column_names.count(name)) != 1:
            raise ManifestError(
                f"{path}: expected one column {name!r}, got {count}; create it again with `passerby prepare`"
            )
        if table.column(name).type != kind:
            raise ManifestError(f"{path}, column {name!r}: expected {kind}, got {table.column(name).type}")
        if name.startswith("label:"):
            wrong = [v for v in pc.unique(table.column(name)).to_pylist() if v not in (-1, 0, 1)]
            if wrong:
                raise ManifestError(
                    f"{path}, column {name!r}: expected labels 1, 0 or -1, got also {wrong[:5]}"
                )
    if table.column("image").null_count:
        raise ManifestError(f"{path} has rows without image; create it again with `passerby prepare`")
    for name in ("image", "mask", "parsing"):
        check_paths(name, table.column(name).to_pylist(), len(table))
    check_lists("box", table.column("box").to_pylist(), len(table), 4)
    for name in table.column_names:
        if name.startswith("split:"):
            check_partition(name.removeprefix("split:"), table.column(name).to_pylist(), len(table))


def check_partition(name: str, splits: Sequence[str | None], n: int) -> pa.Array:
    """Check the splits of a partition, and convert them to a column."""
    unknown = set(splits) - {*SPLITS, None}
    if unknown:
        raise ManifestError(
            f"partition {name!r}: expected the splits {', '.join(SPLITS)} or none, "
            f"got {sorted(map(str, unknown))[:5]}"
        )
    return pa.array(check_length(f"partition {name}", splits, n), pa.string())


def check_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Check the class names of parsing maps: unique, and at most 255."""
    classes = tuple(str(name) for name in names)
    if len(set(classes)) != len(classes) or not all(classes) or len(classes) > 255:
        raise ManifestError(
            f"expected at most 255 parsing classes with unique names, got {len(classes)}: "
            f"{', '.join(map(repr, classes[:5]))} …"
        )
    return classes


def make_guidance_columns(
    n: int,
    *,
    masks: Sequence[str | None] | None,
    parsing: Sequence[str | None] | None,
    keypoints: Sequence[Any] | None,
) -> dict[str, pa.Array]:
    """Check the columns `mask`, `parsing` and `keypoints` of n rows; None gives a column of nulls."""
    return {
        "mask": pa.array(check_paths("mask", masks, n), pa.string()),
        "parsing": pa.array(check_paths("parsing", parsing, n), pa.string()),
        "keypoints": pa.array(check_lists("keypoints", keypoints, n, 51), COLUMNS["keypoints"]),
    }


def check_length(name: str, values: Sequence[Any] | None, n: int) -> list[Any]:
    """Check the number of values; None gives a list of None."""
    if values is None:
        return [None] * n
    if len(values) != n:
        raise ManifestError(f"column {name!r}: expected {n} values, got {len(values)}")
    return list(values)


def check_paths(name: str, values: Sequence[str | None] | None, n: int) -> list[str | None]:
    """Check that paths stay below the root."""
    return [None if v is None else check_relative_path(v) for v in check_length(name, values, n)]


def check_lists(name: str, values: Sequence[Any] | None, n: int, length: int) -> list[Any]:
    """Check that lists have a fixed length, and boxes a positive area in pixels."""
    column = check_length(name, values, n)
    for row, value in enumerate(column):
        if value is None:
            continue
        if len(value) != length:
            raise ManifestError(f"column {name!r}, row {row}: expected {length} numbers, got {len(value)}")
        if name == "box" and not (
            -math.inf < value[0] < value[2] < math.inf and -math.inf < value[1] < value[3] < math.inf
        ):
            raise ManifestError(
                f"row {row}: expected a box (left, top, right, bottom) of positive area, got {list(value)}"
            )
    if name == "box":
        _refuse_fractions(column)
    return column


def _refuse_fractions(boxes: Sequence[Sequence[float] | None]) -> None:
    known = [(row, box) for row, box in enumerate(boxes) if box is not None]
    fractions = [(row, box) for row, box in known if max(map(abs, box)) <= 1]
    if fractions:
        row, box = fractions[0]
        raise ManifestError(
            f"row {row}: expected a box (left, top, right, bottom) in pixels, got {list(box)}; "
            f"{len(fractions):,} of {len(known):,} boxes look like fractions of the image: multiply left and "
            "right by its width, top and bottom by its height"
        )
