"""Files of tables: CSV in the variants that spreadsheets write, lists without header, Excel, ODS, Parquet.

The cells are not interpreted here; `passerby.data.formats.table.columns` and `labels` do that.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from passerby.data.formats.dataset_files import PICKLES, refuse_pickle
from passerby.data.formats.table.formulas import fill_errors
from passerby.data.formats.table.text import decode, find_decimal, split_records
from passerby.errors import FormatError
from passerby.images.limits import IMAGE_SUFFIXES

__all__ = ["SPREADSHEETS", "TEXTS", "Table", "is_image_name", "load_table", "normalise_cell", "read_names"]

TEXTS = frozenset({".csv", ".tsv", ".tab", ".txt", ".lst"})
"""Extensions of text tables, in lower case."""

SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"})
"""Extensions of spreadsheets, in lower case."""

INDEX_NAMES = re.compile(r"(unnamed: \d+(\.\d+)?|index|id|#|no\.?|nr\.?|row)?", re.IGNORECASE)
"""Names of a column that numbers the rows; pandas writes `Unnamed: 0` or no name."""

_INTEGER_AS_FRACTION = re.compile(r"^([+-]?(?:\d+(?![.,]000$)|0))[.,]0+$")
"""An integer such as `2.0`; not `2,000`, which may be two thousand."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """The cells of a file.

    Args:
        columns: Cells by name of the column; text, or the values of a spreadsheet or Parquet file.
        places: File and row of each row, for messages: `labels.csv, row 2`. Rows are numbered as a
            spreadsheet shows them: the header is row 1, and a cell with line breaks is one row.
        decimal: The decimal separator of text, `.` or `,`; empty if the file does not show which.
        numbering: Names of columns that only number the rows, unless an option names them.
    """

    columns: dict[str, list[Any]]
    places: list[str]
    decimal: str = "."
    numbering: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of the file, or of the first of several."""
        return self.places[0].rsplit(", row", 1)[0]

    @property
    def rows(self) -> list[int]:
        """Number of each row in its file."""
        return [int(place.rsplit(", row ", 1)[1]) for place in self.places]

    def take(self, rows: Sequence[int]) -> Table:
        """The given rows, in the given order."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return replace(self, columns=columns, places=[self.places[row] for row in rows])


def load_table(file: Path, *, names: Sequence[str] | None = None, worksheet: str | None = None) -> Table:
    """Read a table.

    Args:
        file: CSV (separated by commas, semicolons, tabs or vertical bars), a list (also separated by blanks),
            a spreadsheet, or Parquet.
        names: Names of the labels in a file without header; the first column contains the image.
        worksheet: Name of the sheet of a spreadsheet; by default the first one.

    Raises:
        FormatError: If the file does not exist, is of another kind, or its rows do not fit its header.
    """
    kind = file.suffix.lower()
    if kind in PICKLES:
        refuse_pickle(file)
    if kind not in TEXTS | SPREADSHEETS | {".parquet"}:
        raise FormatError(f"expected a CSV, Excel, ODS or Parquet table, got {file.name}; export it as CSV")
    if not file.is_file():
        raise FormatError(f"expected a table at {file}, which does not exist; check --table")
    if worksheet is not None and kind not in SPREADSHEETS:
        raise FormatError(f"{file.name} has no sheets; leave out --worksheet")
    if kind == ".parquet":
        return _load_parquet(file)
    if kind in SPREADSHEETS:
        return _make_table(file, _load_spreadsheet(file, worksheet), names=names)
    text = decode(file)
    records, delimiter = split_records(file, text, count=None if names is None else 1 + len(names))
    return _make_table(file, records, names=names, decimal="." if delimiter == "," else find_decimal(text))


def read_names(file: Path) -> list[str]:
    """Read the names of the labels of a list without header: one per line.

    Raises:
        FormatError: If the file does not exist, is empty, or contains a name twice.
    """
    if not file.is_file():
        raise FormatError(f"expected a file of attribute names at {file}; check --attribute-names")
    names = [line.strip() for line in decode(file).splitlines() if line.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not names:
        got = f"{', '.join(repeated)} twice" if repeated else "none"
        raise FormatError(f"{file.name}: expected one attribute name per line, each once, got {got}")
    return names


def is_image_name(cell: Any) -> bool:
    """Whether a cell is the name of an image file, by its extension."""
    return isinstance(cell, str) and PurePosixPath(cell.strip()).suffix.lower() in IMAGE_SUFFIXES


def normalise_cell(cell: Any) -> str:
    """The text of a cell, as a person reads it: no blanks around it, no `.0`, nothing for NaN.

    Example:
        >>> [normalise_cell(cell) for cell in (" Red ", 3.0, "2,0", "2,000", True, float("nan"), None)]
        ['Red', '3', '2', '2,000', 'true', '', '']
    """
    if cell is None or cell != cell:  # NaN
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and math.isfinite(cell) and cell == int(cell):
        return str(int(cell))
    text = str(cell).strip()
    return _INTEGER_AS_FRACTION.sub(r"\1", text)


def _load_spreadsheet(file: Path, worksheet: str | None) -> list[list[Any]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with CalamineWorkbook.from_path(file) as workbook:
            names = workbook.sheet_names
            if worksheet is not None and worksheet not in names:
                raise FormatError(
                    f"{file.name} has no sheet {worksheet!r}; --worksheet is one of {', '.join(names)}"
                )
            chosen = names[0] if worksheet is None else worksheet
            rows: list[list[Any]] = workbook.get_sheet_by_name(chosen).to_python(skip_empty_area=False)
    except (CalamineError, OSError, IndexError) as error:
        raise FormatError(f"{file} is damaged or not a spreadsheet ({error}); save it again") from error
    if worksheet is None and len(names) > 1:
        logger.warning(
            "%s: read the sheet %r; others: %s (--worksheet)", file.name, names[0], ", ".join(names[1:])
        )
    fill_errors(file, chosen, rows)
    return rows


def _load_parquet(file: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{file} is truncated or not a Parquet file ({error}); write it again") from error
    if b"passerby" in (table.schema.metadata or {}):
        raise FormatError(
            f"{file.name} is already a manifest, which `passerby prepare` wrote; use it as it is, or "
            f"give the table that it was made from"
        )
    _check_names(file, table.column_names)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    columns.pop("__index_level_0__", None)  # the index of pandas
    if not table.num_rows:
        raise FormatError(f"{file.name}: expected rows, got none; write it again")
    places = [f"{file.name}, row {number}" for number in range(1, table.num_rows + 1)]
    return Table(columns, places, numbering=_find_numbering(columns))


def _make_table(
    file: Path, records: list[list[Any]], *, names: Sequence[str] | None, decimal: str = "."
) -> Table:
    """Check the cells of all rows against the header; rows and columns without any cell are left out."""
    numbered = [
        (number, row)
        for number, row in enumerate(records, start=1)
        if any(normalise_cell(cell) for cell in row)
    ]
    if names is not None:
        header = ["image", *names]
        if numbered and set(names) & set(map(normalise_cell, numbered[0][1])):
            raise FormatError(f"{file.name}: row 1 is a header; leave out --attribute-names")
    else:
        if not numbered:
            raise FormatError(f"{file.name}: expected a header with a column `image`, got nothing")
        header = [re.sub(r"^#\s*(?=.)", "", normalise_cell(cell)) for cell in numbered.pop(0)[1]]
        _check_is_header(file, header)
    if not numbered:
        raise FormatError(f"{file.name}: expected rows below the header, got none; is it truncated?")
    if names is not None:
        _check_label_counts(file, numbered, len(names))
    rows = [_fit(file, number, row, header) for number, row in numbered]
    columns = _name_columns(file, header, [[row[i] for row in rows] for i in range(len(header))])
    places = [f"{file.name}, row {number}" for number, _ in numbered]
    return Table(columns, places, decimal, _find_numbering(columns))


def _check_is_header(file: Path, header: Sequence[str]) -> None:
    if any(map(is_image_name, re.split(r"[\s,;|]", header[0]))):
        raise FormatError(
            f"{file.name}, row 1: expected a header, got the image {header[0]!r}; add a header, or give a "
            f"file with the names of the labels, one per line, with --attribute-names"
        )


def _check_label_counts(file: Path, rows: Sequence[tuple[int, list[Any]]], count: int) -> None:
    """Check that each row of a list has as many labels after the name of the image as there are names."""
    for number, row in rows:
        cells = [*re.findall(r"[^\s,;|]+", normalise_cell(row[0])), *map(normalise_cell, row[1:])]
        images = [position for position, cell in enumerate(cells) if is_image_name(cell)]
        labels = cells[images[-1] + 1 :] if images else []
        if images and (len(labels) < count or any(labels[count:])):
            raise FormatError(
                f"{file.name}, row {number}: expected one label for each name in --attribute-names, got "
                f"{_count(len(labels), 'label')} and {_count(count, 'name')}"
            )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _fit(file: Path, number: int, row: list[Any], header: Sequence[str]) -> list[Any]:
    count = len(header)
    extra = [cell for cell in row[count:] if normalise_cell(cell)]
    if len(row) < count or extra:
        raise FormatError(
            f"{file.name}, row {number}: expected {count} cells, got {len(row)}; check the delimiters, and "
            f"quote cells that contain one"
        )
    return row[:count]


def _name_columns(file: Path, header: Sequence[str], cells: Sequence[list[Any]]) -> dict[str, list[Any]]:
    """Columns by name, without unnamed ones that are empty or number the rows.

    A first column of images without name is `image`.
    """
    columns: list[tuple[str, list[Any]]] = []
    for position, (name, column) in enumerate(zip(header, cells, strict=True)):
        unnamed = not name or name.lower().startswith("unnamed:")
        if unnamed and not any(map(normalise_cell, column)):
            continue
        if not name and position == 0 and _is_index(column):
            logger.warning("%s: left out column 1 (no name), which only numbers the rows", file.name)
            continue
        is_image = unnamed and position == 0 and column and all(map(is_image_name, column))
        if is_image:
            logger.warning("%s: read the first column, which has no name, as `image`", file.name)
        columns.append(("image" if is_image else name, column))
    _check_names(file, [name for name, _ in columns])
    return dict(columns)


def _find_numbering(columns: Mapping[str, Sequence[Any]]) -> frozenset[str]:
    return frozenset(
        name for name, cells in columns.items() if INDEX_NAMES.fullmatch(name) and _is_numbering(cells)
    )


def _is_index(column: Sequence[Any]) -> bool:
    """Whether the cells are numbers, not all 0 or 1; pandas repeats those of rows that were joined."""
    texts = [normalise_cell(cell) for cell in column]
    return all(text.isdecimal() for text in texts) and (_is_numbering(column) or max(map(int, texts)) > 1)


def _is_numbering(column: Sequence[Any]) -> bool:
    """Whether the cells are different numbers, as those of rows are, also of selected rows."""
    texts = [normalise_cell(cell) for cell in column]
    return all(text.isdecimal() for text in texts) and len(set(texts)) == len(texts)


def _check_names(file: Path, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise FormatError(
            f"{file.name}: expected columns with different names, got {', '.join(repeated)} twice; rename one"
        )
    if "" in names:
        number = list(names).index("") + 1
        raise FormatError(f"{file.name}: column {number} has cells but no name; name or remove it")
