"""What readers of Excel files return as empty cells: errors such as `#DIV/0!`, and formulas without a value.

Formulas have no value in files that a program wrote and no spreadsheet has opened since.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring
from zipfile import BadZipFile, ZipFile

from passerby.errors import FormatError

__all__ = ["fill_errors"]

_ANY = "{*}"
"""Any namespace of XML."""
_REFERENCE = re.compile(r"([A-Z]+)\d+")


def fill_errors(file: Path, sheet: str, rows: list[list[Any]]) -> None:
    """Write the text of error cells, such as `#DIV/0!`, into the rows of a sheet, which lack it.

    Args:
        file: The spreadsheet; other kinds than .xlsx and .xlsm are not read.
        sheet: Name of the sheet.
        rows: Its cells, from the first row and column; changed in place.

    Raises:
        FormatError: If a formula has no value; the message names the cell.
    """
    if file.suffix.lower() not in (".xlsx", ".xlsm"):
        return
    try:
        with ZipFile(file) as archive:
            content = _read_sheet(archive, sheet)
        # Almost every table has neither formulas nor errors.
        if not re.search(rb"""<(\w+:)?f[\s/>]|t=["']e["']""", content):
            return
        for row, column, cell in _walk(content):
            value = cell.findtext(f"{_ANY}v") or ""
            if cell.get("t") == "e":
                rows[row][column] = value
            elif cell.find(f"{_ANY}f") is not None and not value and cell.get("t") != "str":
                raise FormatError(
                    f"{file.name}, row {row + 1}: {cell.get('r', 'a cell')} has a formula without a value; "
                    f"open the file in Excel or LibreOffice and save it"
                )
    except (BadZipFile, KeyError, ParseError, IndexError, OSError, StopIteration) as error:
        raise FormatError(f"{file} is damaged or not a spreadsheet ({error}); save it again") from error


def _read_sheet(archive: ZipFile, name: str) -> bytes:
    """The XML of a sheet; names of members are compared without case, as Excel does."""
    members = {member.lower().replace("\\", "/"): member for member in archive.namelist()}
    sheets = {each.get("name"): each for each in _parse(archive.read(members["xl/workbook.xml"]), "sheet")}
    links = _parse(archive.read(members["xl/_rels/workbook.xml.rels"]), "Relationship")
    targets = {each.get("Id"): each.get("Target", "") for each in links}
    target = next(targets[value] for key, value in sheets[name].items() if key.endswith("}id"))
    return archive.read(members[str(PurePosixPath("/xl", target)).removeprefix("/").lower()])


def _walk(content: bytes) -> Iterator[tuple[int, int, Element]]:
    """Row and column, from 0, of each cell; a row or cell without a number follows the previous one."""
    row = -1
    for element in _parse(content, "row"):
        row = int(element.get("r", row + 2)) - 1
        column = -1
        for cell in element.findall(f"{_ANY}c"):
            reference = _REFERENCE.fullmatch(cell.get("r", ""))
            column = _count_letters(reference[1]) - 1 if reference else column + 1
            yield row, column, cell


def _parse(content: bytes, tag: str) -> list[Element]:
    """The elements of a tag."""
    root = fromstring(content)  # noqa: S314  (expat limits the expansion of entities)
    return root.findall(f".//{_ANY}{tag}")


def _count_letters(letters: str) -> int:
    """The number of a column, from 1: A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
