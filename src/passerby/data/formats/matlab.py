"""Read `.mat` files of data sets, with errors that explain the problem of the file.

Only arrays are read, never code: MATLAB 4 to 7.2 files through `scipy.io`, not the HDF5-based 7.3. The
published files are compressed and contain checksums, so any damaged byte is detected.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import FormatError

__all__ = [
    "check_strings",
    "load_mat",
    "unpack_integers",
    "unpack_partitions",
    "unpack_strings",
    "unpack_struct",
]

PARTITIONS = 5

_AGAIN = "copy or download the file again"


def load_mat(path: Path, *, required: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Read all variables of a `.mat` file.

    Args:
        path: The file.
        required: Names of variables that must exist; others are allowed.

    Returns:
        Arrays by variable name, with the two dimensions of MATLAB and indices that start at 1.

    Raises:
        FormatError: If the file is missing, empty, truncated, not a `.mat` file or of version 7.3, or lacks a
            required variable.

    Example:
        >>> import tempfile, scipy.io
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scipy.io.savemat(Path(folder) / "a.mat", {"label": np.eye(2, dtype=np.uint8)})
        ...     load_mat(Path(folder) / "a.mat", required=["label"])["label"].tolist()
        [[1, 0], [0, 1]]
    """
    # Imported here so that listing the formats does not require scipy.
    from scipy.io import loadmat

    path = Path(path)
    if not path.is_file():
        raise FormatError(f"expected the file {path}, which does not exist; check --root and the file name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            content = loadmat(str(path))
    except NotImplementedError as error:
        raise FormatError(
            f"{path} is a MATLAB 7.3 (HDF5) file; expected version 7 or older, as published: "
            f"{_AGAIN}, or save it in MATLAB with the option -v7"
        ) from error
    except Exception as error:  # scipy raises any exception for damaged files, even UnboundLocalError
        raise FormatError(
            f"{path} ({path.stat().st_size} bytes) is truncated, damaged or not a .mat file "
            f"({type(error).__name__}: {error}); {_AGAIN}"
        ) from error
    variables = {k: v for k, v in content.items() if not k.startswith("__")}
    missing = [name for name in required if name not in variables]
    if missing:
        raise FormatError(
            f"{path}: expected the variables {', '.join(required)}; missing {', '.join(missing)}, "
            f"found {', '.join(sorted(variables)) or 'none'}: another version of the data set, "
            f"or truncated; {_AGAIN}"
        )
    return variables


def unpack_struct(value: NDArray[Any], *, required: Sequence[str], what: str) -> dict[str, Any]:
    """Unpack a 1×1 MATLAB struct.

    Args:
        value: A variable from `load_mat`.
        required: Fields that must exist; others are allowed.
        what: Name of the struct in errors, such as `PETA.mat: peta`.

    Returns:
        Field values by name, in the order of the file.

    Raises:
        FormatError: If it is not a 1×1 struct or lacks a required field.

    Example:
        >>> array = np.zeros((1, 1), dtype=[("label", "O")])
        >>> array["label"][0, 0] = np.ones((1, 2), np.uint8)
        >>> unpack_struct(array, required=["label"], what="toy")["label"].tolist()
        [[1, 1]]
    """
    array = np.asarray(value)
    if array.dtype.names is None or array.size != 1:
        raise FormatError(
            f"{what}: expected a 1×1 struct with the fields {', '.join(required)}, "
            f"got {array.dtype} of shape {array.shape}; another version of the data set?"
        )
    missing = [name for name in required if name not in array.dtype.names]
    if missing:
        raise FormatError(
            f"{what}: expected the fields {', '.join(required)}; missing {', '.join(missing)}, "
            f"found {', '.join(array.dtype.names)}: another version of the data set?"
        )
    record = array.reshape(-1)[0]
    return {name: record[name] for name in array.dtype.names}


def unpack_strings(cells: NDArray[Any], *, what: str, count: int | None = None) -> list[str]:
    """Unpack a MATLAB cell array of strings, in order.

    Nested cells, as some tools write them, are unpacked, too; surrounding whitespace is removed.

    Args:
        cells: A cell array (N×1 or 1×N) of strings.
        what: Name of the array in errors, such as `annotation.mat: attributes`.
        count: Expected number of strings; any number by default.

    Raises:
        FormatError: If a cell is not a string or is empty, or the count differs.

    Example:
        >>> cells = np.array([[np.array(["Female"])], [np.array(["Hat"])]], dtype=object)
        >>> unpack_strings(cells.reshape(2, 1), what="toy", count=2)
        ['Female', 'Hat']
    """
    strings = []
    for position, cell in enumerate(np.asarray(cells).reshape(-1), start=1):
        item = cell
        while isinstance(item, np.ndarray) and item.size == 1:
            item = item.reshape(-1)[0]
        if not isinstance(item, str) or not item.strip():
            raise FormatError(
                f"{what}: expected a string in cell {position}, got {str(item)[:60]!r}; {_AGAIN}"
            )
        strings.append(str(item).strip())
    if count is not None and len(strings) != count:
        raise FormatError(
            f"{what}: expected {count} strings, got {len(strings)}; another version, or truncated?"
        )
    return strings


def check_strings(cells: NDArray[Any], expected: Sequence[str], *, what: str) -> None:
    """Check that a MATLAB cell array contains the expected strings in the expected order.

    Raises:
        FormatError: If the count or a string differs; the message names the first difference.

    Example:
        >>> check_strings(np.array([["Female"], ["Hat"]], dtype=object), ["Female", "Hat"], what="toy")
    """
    strings = unpack_strings(cells, what=what, count=len(expected))
    for position, (got, want) in enumerate(zip(strings, expected, strict=True), start=1):
        if got != want:
            raise FormatError(
                f"{what}: cell {position} is {got!r}, expected {want!r}; another version of the data set?"
            )


def unpack_integers(
    value: NDArray[Any],
    *,
    what: str,
    low: int,
    high: int,
    shape: tuple[int | None, ...] | None = None,
) -> NDArray[np.int64]:
    """Check that an array contains integers within a range, and convert it to int64.

    Args:
        value: Any numeric array; integral floats are allowed, because MATLAB's default type is double.
        what: Name of the array in errors.
        low: Smallest value allowed.
        high: Largest value allowed.
        shape: The expected shape; None for a dimension of any length. `(None,)` flattens 1×N and N×1.

    Raises:
        FormatError: If the array is not numeric, has another shape, or a value is out of range.

    Example:
        >>> unpack_integers(np.array([[1.0, 2.0]]), what="toy", low=1, high=2, shape=(None,)).tolist()
        [1, 2]
    """
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise FormatError(f"{what}: expected numbers, got {array.dtype} of shape {array.shape}; {_AGAIN}")
    if shape is not None and len(shape) == 1 and array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if shape is not None and (
        len(shape) != array.ndim
        or any(s is not None and s != t for s, t in zip(shape, array.shape, strict=True))
    ):
        wanted = " × ".join("any" if s is None else str(s) for s in shape)
        raise FormatError(
            f"{what}: expected shape {wanted}, got {' × '.join(map(str, array.shape))}; "
            f"another version of the data set, or truncated?"
        )
    valid = np.isfinite(array) & (array == np.trunc(array)) & (array >= low) & (array <= high)
    if not valid.all():
        where = tuple(int(i[0]) for i in np.nonzero(~valid))
        raise FormatError(
            f"{what}: expected integers from {low} to {high}, got {array[where]!s} at index {where} "
            f"(starting at 0); {_AGAIN}"
        )
    return array.astype(np.int64)


def unpack_partitions(
    cells: NDArray[Any], *, sizes: Mapping[str, int | None], rows: int, what: str
) -> dict[str, list[str | None]]:
    """Convert the five partitions of PETA or RAP, structs of row numbers (from 1), to one split per row.

    Args:
        cells: Cell array of five structs.
        sizes: Expected number of rows by field, such as `train` or `train_index`; None for any number.
        rows: Number of rows of the data set.
        what: Name of the array in errors.

    Returns:
        The splits `train`, `val`, `test` of the partitions `official-1` … `official-5`.

    Raises:
        FormatError: If there are not five, or a row is not in exactly one split.
    """
    cells = np.asarray(cells).reshape(-1)
    if len(cells) != PARTITIONS:
        raise FormatError(f"{what}: expected {PARTITIONS} partitions, got {len(cells)}; another version?")
    partitions = {}
    for k, cell in enumerate(cells, start=1):
        record = unpack_struct(cell, required=list(sizes), what=f"{what} {k}")
        splits: list[str | None] = [None] * rows
        for field, size in sizes.items():
            split = field.removesuffix("_index")
            numbers = unpack_integers(
                record[field], what=f"{what} {k}: {field}", low=1, high=rows, shape=(None,)
            )
            if size is not None and len(numbers) != size:
                raise FormatError(
                    f"{what} {k}: expected {size:,} rows in {field}, got {len(numbers):,}; {_AGAIN}"
                )
            for number in numbers:
                before = splits[number - 1]
                if before is not None:
                    raise FormatError(
                        f"{what} {k}: row {number} occurs in {before} and again in {split}; {_AGAIN}"
                    )
                splits[number - 1] = split
        if None in splits:
            raise FormatError(f"{what} {k}: row {splits.index(None) + 1} is in no split; {_AGAIN}")
        partitions[f"official-{k}"] = splits
    return partitions
