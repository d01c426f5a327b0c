"""The text of tables: its encoding, what separates the cells, and the decimal separator."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from passerby.errors import FormatError

__all__ = ["decode", "find_decimal", "split_records"]

LISTS = frozenset({".txt", ".lst"})
"""Extensions of text tables that blanks may separate."""

DELIMITERS = (",", ";", "\t", "|")
SNIFFED_ROWS = 50
MAX_CHARACTERS = 10_000_000
"""Length of a cell from which a quotation mark is probably not closed."""

_FRACTION = re.compile(
    r"(?<![\w.,])[+-]?(?:\d+([.,])(?:\d{1,2}|\d{4,})|0([.,])\d+|\d{4,}([.,])\d+)(?![\w.,])"
)
"""A number whose separator cannot be one of thousands."""

logger = logging.getLogger(__name__)


def decode(file: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or Windows-1252."""
    content = file.read_bytes()
    if content.startswith(b"PK\x03\x04"):
        raise FormatError(f"{file.name} is an Excel or ODS file; rename it to .xlsx or .ods")
    encodings = ["utf-8-sig"]
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:2]:
        encodings = ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
    elif b"\0" not in content:
        encodings.append("cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252":
            logger.warning(
                "%s is not in UTF-8; read as Windows-1252 (Western Europe). If letters are wrong, save it as "
                "'CSV UTF-8'",
                file.name,
            )
        return text
    raise FormatError(f"{file} is not a text table in UTF-8, UTF-16 or Windows-1252; save it as CSV UTF-8")


def split_records(file: Path, text: str, *, count: int | None) -> tuple[list[list[Any]], str]:
    """Rows of cells, and what separates them; `count` cells per row if there is no header."""
    with _long_cells():
        return _split_records(file, text, count=count)


def _split_records(file: Path, text: str, *, count: int | None) -> tuple[list[list[Any]], str]:
    first, _, rest = text.partition("\n")
    if declared := re.fullmatch(r"sep=(.)", first.strip().strip('"')):  # Excel's own declaration
        return _parse(file, rest, declared[1]), declared[1]
    delimiter = _find_delimiter(text)
    if count is None and delimiter is None and file.suffix.lower() in LISTS:
        count = len(first.split())  # a header
    if count is None or (delimiter and len(next(csv.reader([first], delimiter=delimiter), [])) == count):
        return _parse(file, text, delimiter or ","), delimiter or ","
    blanks = [line.rsplit(None, count - 1) for line in text.splitlines()]
    if delimiter is None or (blanks and len(blanks[0]) == count):
        return blanks, " "
    return _parse(file, text, delimiter), delimiter


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the limit of the csv module, which is 131,072 characters by default, while a file is read."""
    before = csv.field_size_limit(MAX_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def find_decimal(text: str) -> str:
    """The decimal separator, empty if no number shows it, or several differ.

    Example:
        >>> find_decimal("a.jpg;12,5;1.000"), find_decimal("a.jpg;0.125"), find_decimal("a.jpg;1.000")
        (',', '.', '')
    """
    found = {"".join(groups) for groups in _FRACTION.findall(text)}
    return found.pop() if len(found) == 1 else ""


def _find_delimiter(text: str) -> str | None:
    """The delimiter that divides the first rows into most cells, the same number in each."""
    best, found = (0.0, 1), None
    for delimiter in DELIMITERS:
        try:
            rows = list(islice(csv.reader(io.StringIO(text), delimiter=delimiter), SNIFFED_ROWS))
        except csv.Error:
            continue
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        if not rows or len(rows[0]) < 2:
            continue
        score = (sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0]))
        if score > best:
            best, found = score, delimiter
    return found


def _parse(file: Path, text: str, delimiter: str) -> list[list[Any]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FormatError(
            f"{file} is not a CSV file ({error}); is a quotation mark not closed? Save it as CSV again"
        ) from error
