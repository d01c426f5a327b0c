"""Custom data: a CSV or Parquet table with one row per person and one column per attribute.

| column | meaning |
|---|---|
| `image` | path relative to the root; the only required column |
| `x0`, `y0`, `x1`, `y1` | crop in pixels, right and bottom exclusive; empty for the full image |
| `identity`, `camera` | any text |
| `split` | `train`, `val`, `test` or empty; becomes the partition `own` (`split:<name>`: `<name>`) |
| `mask`, `parsing` | path relative to the root, or empty; `classes.txt` in the folder names the classes |
| `keypoints` | 17 × (x px, y px, score) in COCO order: 51 numbers separated by blanks, or a list |
| any other | an attribute: 1 present, 0 absent, empty or −1 unknown |
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from passerby.data.domain import read_domain
from passerby.data.formats.dataset_files import keep_present, load_classes, load_schema
from passerby.data.manifest import Manifest, check_relative_path
from passerby.errors import DataError, FormatError, ManifestError
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box

__all__ = ["read", "read_persons"]

BOX = ("x0", "y0", "x1", "y1")
RESERVED = frozenset({"image", *BOX, "identity", "camera", "split", "mask", "parsing", "keypoints"})
KNOWN_SCHEMAS = ("pa100k", "peta", "rap1", "rap2", "wider", "market1501", "upar", "ccp")
LABELS = {"1": 1, "0": 0, "-1": -1, "": -1, "1.0": 1, "0.0": 0, "-1.0": -1, "true": 1, "false": 0}


def read(
    root: Path,
    *,
    allow_missing: bool = False,
    table: Path | None = None,
    schema: Path | None = None,
    attributes: Sequence[str] | None = None,
    name: str | None = None,
) -> Manifest:
    """Read a custom table.

    Args:
        root: Folder that the paths in the table are relative to, or the table itself.
        allow_missing: Continue without missing images.
        table: The CSV or Parquet file; by default the only CSV (or else only Parquet) file in the root.
        schema: CSV file with the fields of `passerby.schema.Attribute`, which describes the attributes.
        attributes: Names of the attribute columns; by default those of the schema, or else all columns that
            have no other meaning.
        name: Name of the data set; by default the stem of the table.

    Returns:
        A manifest whose schema is the given one, or that of a known data set if it contains all attributes,
        or created from the names of the columns.

    Raises:
        FormatError: If a column is missing or a cell is invalid; the message names the row.
        ManifestError: If a path is not below the root.
        SchemaError: If the schema lacks an attribute or the table has none.
    """
    root = Path(root)
    file = Path(table) if table else _find_table(root)
    root = root.parent if root.is_file() else root
    columns = _load_parquet(file) if file.suffix.lower() == ".parquet" else _load_csv(file)
    cells = _Cells(file, columns)
    resolved = _resolve_schema(cells, schema, attributes, name or file.stem)
    images = cells.map("image", cells.to_image)
    rows = keep_present(
        [p if (root / p).is_file() else None for p in images],
        dataset=name or file.stem,
        where=root,
        allow_missing=allow_missing,
    )
    cells = cells.take(rows)
    labels = [cells.map(n, cells.to_label) for n in resolved.names]
    partitions = {
        "own" if c == "split" else c[6:]: cells.map(c, cells.to_text) for c in columns if _is_split(c)
    }
    parsing = _read_paths(cells, "parsing", root)
    manifest = Manifest.create(
        name or file.stem,
        resolved,
        root=root,
        images=[images[r] for r in rows],
        labels=np.array(labels, dtype=np.int8).T,
        partitions=partitions,
        boxes=_read_boxes(cells),
        identities=cells.map("identity", cells.to_text),
        cameras=cells.map("camera", cells.to_text),
        masks=_read_paths(cells, "mask", root),
        parsing=parsing,
        keypoints=cells.map("keypoints", cells.to_keypoints),
    )
    manifest = manifest.with_guidance(parsing_classes=load_classes(root, parsing))
    return replace(manifest, domain=read_domain(root, file.parent))


def read_persons(file: Path) -> list[tuple[int, str, Box | None]]:
    """Read the number, the image and the box of each row of a table, for prediction.

    The columns are those of the module; all but `image`, `x0`, `y0`, `x1` and `y1` are ignored. Paths of
    images may be absolute.

    Raises:
        FormatError: If there is no row, a column is missing or a box is impossible; the message names the
            row.
    """
    columns = _load_parquet(file) if file.suffix.lower() == ".parquet" else _load_csv(file)
    cells = _Cells(file, columns)
    if not len(cells.numbers):
        raise FormatError(f"expected at least one row in {file}, found none")
    images = cells.map("image", cells.to_text)
    sides = _read_boxes(cells) or [None] * len(images)
    persons = []
    for number, image, box in zip(cells.numbers, images, sides, strict=True):
        if image is None:
            raise FormatError(f"{file.name}, row {number}: expected the path of an image, got nothing")
        try:
            persons.append((number, image, None if box is None else Box.from_xyxy(box)))
        except DataError as error:
            raise FormatError(f"{file.name}, row {number}: {error}") from error
    return persons


class _Cells:
    """The columns of a table, and conversions of their cells; errors name file, row and column."""

    def __init__(
        self, file: Path, columns: dict[str, list[Any]], numbers: Sequence[int] | None = None
    ) -> None:
        self.file = file
        self.columns = columns
        count = len(columns.get("image", []))
        self.numbers = range(1, count + 1) if numbers is None else numbers  # from 1, without the header

    def take(self, rows: Sequence[int]) -> _Cells:
        columns = {k: [v[r] for r in rows] for k, v in self.columns.items()}
        return _Cells(self.file, columns, [self.numbers[r] for r in rows])

    def map(self, column: str, convert: Callable[[Any], Any]) -> list[Any]:
        if column not in self.columns:
            return [None] * len(self.numbers)
        values = []
        for number, cell in zip(self.numbers, self.columns[column], strict=True):
            try:
                values.append(convert(cell))
            except (ValueError, TypeError) as error:
                raise FormatError(f"{self.file.name}, row {number}, column {column!r}: {error}") from error
            except ManifestError as error:
                raise ManifestError(f"{self.file.name}, row {number}, column {column!r}: {error}") from error
        return values

    @staticmethod
    def to_text(cell: Any) -> str | None:
        text = "" if cell is None else str(cell).strip()
        return text or None

    @staticmethod
    def to_path(cell: Any) -> str | None:
        text = _Cells.to_text(cell)
        return check_relative_path(text) if text else None

    @staticmethod
    def to_image(cell: Any) -> str:
        path = _Cells.to_path(cell)
        if path is None:
            raise ValueError("expected the path of an image, got nothing")
        return path

    @staticmethod
    def to_label(cell: Any) -> int:
        text = "" if cell is None or cell != cell else str(cell).strip().lower()  # NaN is unknown
        if text not in LABELS:
            raise ValueError(f"expected 1, 0 or nothing (unknown), got {cell!r}")
        return LABELS[text]

    @staticmethod
    def to_number(cell: Any) -> float | None:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            return None
        try:
            number = float(cell)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"expected a finite number of pixels, got {cell!r}")
        return number

    @staticmethod
    def to_keypoints(cell: Any) -> list[float] | None:
        values = re.split(r"[\s,;]+", cell.strip().strip("[]").strip()) if isinstance(cell, str) else cell
        if values is None or list(values) == [""]:
            return None
        numbers = [_Cells.to_number(v) for v in values]
        if len(numbers) != 51 or None in numbers:
            raise ValueError(f"expected 51 numbers (17 × x, y, score), got {len(numbers)}")
        return [n for n in numbers if n is not None]


def _is_split(column: str) -> bool:
    return column == "split" or column.startswith("split:")


def _find_table(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise FormatError(f"expected a folder with a table at {root}, which does not exist; check --root")
    for pattern in ("*.csv", "*.parquet"):
        found = sorted(root.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(p.name for p in found[:5])
            raise FormatError(f"expected one table in {root}, found {names}; choose one with --table")
    raise FormatError(f"expected a CSV or Parquet table in {root}, found none; give its path with --table")


def _load_csv(file: Path) -> dict[str, list[Any]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = [h.strip() for h in next(reader, [])]
            rows = [row for row in reader if row]
    except FileNotFoundError:
        raise FormatError(f"expected a table at {file}, which does not exist; check --table") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{file} is not a CSV file in UTF-8 ({error}); save it as such") from error
    _check_header(file, header)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise FormatError(
                f"{file.name}, row {number}: expected {len(header)} cells, got {len(row)}; check the commas"
            )
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _load_parquet(file: Path) -> dict[str, list[Any]]:
    try:
        table = pq.read_table(file)
    except FileNotFoundError:
        raise FormatError(f"expected a table at {file}, which does not exist; check --table") from None
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{file} is truncated or not a Parquet file ({error}); write it again") from error
    _check_header(file, table.column_names)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _check_header(file: Path, header: Sequence[str]) -> None:
    repeated = sorted({h for h in header if header.count(h) > 1})
    if repeated or "" in header:
        raise FormatError(
            f"{file.name}: expected columns with different names, got {repeated or 'one without a name'}"
        )
    if "image" not in header:
        raise FormatError(f"{file.name}: expected a column `image`, got {', '.join(header[:8]) or 'nothing'}")
    sides = [b for b in BOX if b in header]
    if sides and len(sides) != len(BOX):
        raise FormatError(f"{file.name}: a box needs the columns x0, y0, x1, y1; got only {', '.join(sides)}")


def _resolve_schema(
    cells: _Cells, schema: Path | None, attributes: Sequence[str] | None, name: str
) -> AttributeSchema:
    columns = [c for c in cells.columns if c not in RESERVED and not _is_split(c)]
    given = AttributeSchema.from_csv(Path(schema), name=name) if schema else None
    names = list(attributes) if attributes else list(given.names) if given else columns
    missing = [n for n in names if n not in columns]
    if missing or not names:
        wanted = f"columns for {', '.join(missing)}" if missing else "attribute columns"
        raise FormatError(f"{cells.file.name}: expected {wanted}; it has {', '.join(columns) or 'none'}")
    if given:
        return given.select(names)
    for known in map(load_schema, KNOWN_SCHEMAS):
        if set(names) <= set(known.names):
            return AttributeSchema(name, known.select(names).attributes)
    return AttributeSchema(name, tuple(Attribute(n, f"has the attribute {n!r}") for n in names))


def _read_boxes(cells: _Cells) -> list[tuple[float, ...] | None] | None:
    if BOX[0] not in cells.columns:
        return None
    boxes: list[tuple[float, ...] | None] = []
    sides = zip(*(cells.map(b, cells.to_number) for b in BOX), strict=True)
    for number, box in zip(cells.numbers, sides, strict=True):
        known = [v for v in box if v is not None]
        if known and not (len(known) == 4 and box[2] > box[0] and box[3] > box[1]):
            raise FormatError(
                f"{cells.file.name}, row {number}: expected x1 > x0 and y1 > y0, or empty cells, got {box}"
            )
        boxes.append(box if known else None)
    return boxes


def _read_paths(cells: _Cells, column: str, root: Path) -> list[str | None]:
    """The masks or parsing maps, which must exist."""
    paths: list[str | None] = cells.map(column, cells.to_path)
    for number, path in zip(cells.numbers, paths, strict=True):
        if path and not (root / path).is_file():
            raise DataError(
                f"{cells.file.name}, row {number}: {column} {path} does not exist under {root}; "
                f"add it or clear the cell"
            )
    return paths
