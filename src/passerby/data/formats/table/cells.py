"""The values of the cells of a table: paths, text, numbers, keypoints."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from passerby.data.columns import check_relative_path
from passerby.data.formats.table.files import Table, normalise_cell
from passerby.errors import DataError, FormatError, ManifestError

__all__ = ["Cells", "make_relative"]

_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:([.,])\d{3})+")
"""A number whose separator may be one of thousands, such as `1,000`."""


class Cells:
    """Conversions of the cells of a table; errors name file, row and column."""

    def __init__(self, table: Table, root: Path) -> None:
        self.table = table
        self.root = root

    def map(self, column: str | None, convert: Callable[[Any], Any]) -> list[Any]:
        """The converted cells of a column; None for each row if it does not exist."""
        if column not in self.table.columns:
            return [None] * len(self.table.places)
        values = []
        for place, cell in zip(self.table.places, self.table.columns[column], strict=True):
            try:
                values.append(convert(cell))
            except (ValueError, TypeError) as error:
                raise FormatError(f"{place}, column {column!r}: {error}") from error
            except ManifestError as error:
                raise ManifestError(f"{place}, column {column!r}: {error}") from error
        return values

    def read_files(self, column: str | None) -> list[str | None]:
        """The masks or parsing maps, which must exist."""
        paths: list[str | None] = self.map(column, self.to_path)
        for place, path in zip(self.table.places, paths, strict=True):
            if path and not (self.root / path).is_file():
                raise DataError(
                    f"{place}: {column} {path} does not exist under {self.root}; add it or clear the cell"
                )
        return paths

    @staticmethod
    def to_text(cell: Any) -> str | None:
        """Text, None if empty."""
        return normalise_cell(cell) or None

    def to_path(self, cell: Any) -> str | None:
        """A path relative to the root, None if empty."""
        text = self.to_text(cell)
        return check_relative_path(make_relative(text, self.root)) if text else None

    def to_image(self, cell: Any) -> str:
        """A path relative to the root."""
        path = self.to_path(cell)
        if path is None:
            raise ValueError("expected the path of an image, got nothing")
        return path

    def to_source(self, cell: Any) -> str:
        """A path relative to the root, or an absolute one, which may be anywhere."""
        text = self.to_text(cell)
        if text is None:
            raise ValueError("expected the path of an image, got nothing")
        if Path(text).is_absolute():
            return text
        return make_relative(text, self.root).replace("\\", "/")

    def to_number(self, cell: Any) -> float | None:
        """A number of pixels, None if empty."""
        text = cell.strip() if isinstance(cell, str) else normalise_cell(cell)
        grouped, decimal = _GROUPED.fullmatch(text), self.table.decimal
        if grouped and grouped[1] != decimal:
            raise ValueError(
                f"expected a number of pixels, got {cell!r}, which may be in thousands; write it without a "
                f"separator of thousands"
            )
        if not text:
            if isinstance(cell, float):
                raise ValueError(f"expected a finite number of pixels, got {cell!r}")
            return None
        try:
            number = float(text if decimal == "." else text.replace(",", "."))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"expected a finite number of pixels, got {cell!r}")
        return number

    def to_side(self, cell: Any) -> float | None:
        """A side of a box in pixels, None if empty or NaN."""
        if normalise_cell(cell).lower() in ("", "nan"):
            return None
        return self.to_number(cell)

    def to_keypoints(self, cell: Any) -> list[float] | None:
        """51 numbers, None if empty."""
        values = re.split(r"[\s,;]+", cell.strip().strip("[]").strip()) if isinstance(cell, str) else cell
        if values is None or list(values) == [""]:
            return None
        numbers = [self.to_number(v) for v in values]
        if len(numbers) != 51 or None in numbers:
            raise ValueError(f"expected 51 numbers (17 × x, y, score), got {len(numbers)}")
        return [n for n in numbers if n is not None]


def make_relative(path: str, root: Path | str) -> str:
    r"""An absolute path below the root, relative to it; other paths unchanged.

    Example:
        >>> make_relative("/data/shop/photos/a.jpg", "/data/shop")
        'photos/a.jpg'
        >>> make_relative(r"C:\Shop\photos\a.jpg", "c:/shop"), make_relative("photos/a.jpg", "/data/shop")
        ('photos/a.jpg', 'photos/a.jpg')
    """
    kind: type[PurePath] = PureWindowsPath if re.match(r"[A-Za-z]:|\\\\", path) else PurePosixPath
    pure = kind(path)
    if not pure.is_absolute():
        return path
    roots = [root.absolute(), root.resolve()] if isinstance(root, Path) else [root]
    for folder in roots:
        try:
            return pure.relative_to(kind(str(folder))).as_posix()
        except ValueError:
            continue
    raise ManifestError(
        f"expected a path below the root folder {roots[0]}, got {path!r}; set --root to a folder that "
        f"contains it, or write paths relative to the root"
    )
