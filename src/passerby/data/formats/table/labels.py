"""The labels of a table: yes-or-no columns, columns with several values, and columns that are no labels.

A column with several values, such as `upper_colour` = red, blue, …, becomes one attribute for each value,
`upper_colour=red` and so on. They exclude each other, and are one category of the schema.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, time

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.table.files import Table, normalise_cell
from passerby.data.formats.table.values import (
    ABSENT,
    INTEGER,
    KEPT,
    LETTERS,
    NEGATIVE,
    POSITIVE,
    Column,
    apply_codes,
    assign_codes,
    check_codes,
    is_binary,
    propose,
    read_column,
    suggest,
)
from passerby.errors import FormatError
from passerby.io import list_some
from passerby.schema import Attribute

__all__ = ["Labels", "read_labels"]

MAX_VALUES = 20
"""Largest number of values of a column that becomes one attribute per value by default."""

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?|\d{1,2}:\d{2}(:\d{2})?"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """Attributes and their labels.

    Shape:
        values: (N, A) int8 in {1, 0, −1}.
    """

    attributes: tuple[Attribute, ...]
    values: NDArray[np.int8]

    def select(self, names: Sequence[str]) -> Labels:
        """The attributes of the given names, or of columns of the given names, in the order of the names."""
        rows = [i for name in names for i, a in enumerate(self.attributes) if name in (a.name, a.category)]
        unique = list(dict.fromkeys(rows))
        return Labels(tuple(self.attributes[i] for i in unique), self.values[:, unique])


def read_labels(
    table: Table,
    names: Sequence[str],
    *,
    unknown: Iterable[str] = (),
    absent: Iterable[str] = (),
    categorical: Iterable[str] = (),
) -> Labels:
    """Read columns as labels.

    Args:
        table: The table.
        names: The columns to read.
        unknown: Cells that mean unknown, in addition to empty ones, −1, `nan`, `?` and the like. A number
            only applies to columns that otherwise contain 1 and 0, so that `2` does not remove a value of
            `age`; `age=2` applies to that column.
        absent: Cells that mean absent, such as `none`, or none of the values of a column with several; the
            empty text stands for empty cells. Numbers and the empty text only apply to columns that otherwise
            contain labels; `Hat=2` or `Hat=` applies to that column.
        categorical: Columns that become one attribute for each value, however many; `none` is one, too.

    Raises:
        FormatError: If columns are no labels, or ambiguous; the message names all of them and the remedies.
    """
    codes, negative = assign_codes(unknown, names), assign_codes(absent, names)
    forced = frozenset(categorical)
    if missing := sorted(forced - set(names)):
        raise FormatError(
            f"--categorical: no column {', '.join(missing)}; it has {', '.join(names)}"
            f"{propose(missing, names)}"
        )
    read = [read_column(table, name) for name in names]
    check_codes("--unknown", codes, read)
    check_codes("--absent", negative, read)
    columns = []
    for column in read:
        known = apply_codes(column, codes, negative, kept=KEPT if column.name in forced else frozenset())
        columns.append(_force(known) if column.name in forced else _classify(known))
    if any(column.problem for column in columns):
        raise FormatError(_describe(table.name, columns))
    _log(columns)
    expanded = [_expand(column) if column.has_several else _binarise(column) for column in columns]
    attributes = [attribute for made, _ in expanded for attribute in made]
    _check_distinct(table.name, attributes)
    values = [labels for _, made in expanded for labels in made]
    empty = np.zeros((len(table.places), 0), np.int8)
    return Labels(tuple(attributes), np.stack(values, axis=1) if values else empty)


def _check_distinct(file: str, attributes: Sequence[Attribute]) -> None:
    """Check that no column is named like a value of another, such as `colour=red` next to `colour`."""
    columns: dict[str, str] = {}
    for attribute in attributes:
        column = attribute.category or attribute.name
        other = columns.setdefault(attribute.name, column)
        if other != column:
            raise FormatError(
                f"{file}: the columns {other!r} and {column!r} both make the attribute {attribute.name!r}; "
                f"rename one, or leave one out with {suggest('--ignore', column)}"
            )


def _force(column: Column) -> Column:
    if len(column.spelling) + column.has_absent < 2:
        return replace(column, problem="no category, because it has fewer than two values")
    return replace(column, has_several=True)


def _classify(column: Column) -> Column:
    values = set(column.spelling)
    if is_binary(values, has_absent=column.has_absent):
        return column
    if values == {"x"}:
        return _ask_about_crosses(column)
    if any(isinstance(cell, date | time) for cell, _ in column.cells) or all(map(_DATE.fullmatch, values)):
        return column.fail("dates or times")
    if all(map(INTEGER.fullmatch, values)):
        return _classify_integers(column)
    if all(map(_NUMBER.fullmatch, values)):
        fractions = (key for key in column.keys if key in values and not INTEGER.fullmatch(key))
        return column.fail("numbers", key=next(fractions))
    return _classify_text(column)


def _ask_about_crosses(column: Column) -> Column:
    gap = column.gap
    if gap is None:
        return replace(column.fail("only x"), is_label=True)
    problem, what = ("only x and empty cells", "an empty cell") if not gap else (f"only x and {gap}", gap)
    return replace(column.fail(problem, f"{suggest('--absent', gap)} if {what} means absent"), is_label=True)


def _ask_about_gaps(column: Column) -> Column:
    """The column with a single value, next to cells that count as unknown but may mean absent."""
    gap, name = column.gap, column.name
    if gap is None:
        return column.fail("a single value")
    cure = f"{suggest('--absent', f'{name}={gap}')} if {gap or 'an empty cell'} means absent"
    if gap.lower() not in KEPT:
        return column.fail("a single value", cure)
    cure += f", {suggest('--categorical', name)} if it is a value"
    return replace(column.fail(f"a single value and {gap}", cure), is_label=True)


def _classify_integers(column: Column) -> Column:
    """Codes of several values, such as 1 to 4; a single code next to 0 or 1 is ambiguous."""
    keys = sorted(column.spelling, key=int)
    codes = [key for key in keys if int(key) not in (0, 1)]
    if len(codes) == 1 < len(keys):
        return column.ask(f"the numbers {_join(keys)}", codes[0])
    if len(keys) + column.has_absent == 1 or int(keys[0]) < 0 or int(keys[-1]) > MAX_VALUES:
        cure = f"{suggest('--categorical', column.name)} if each is a value" if len(keys) > 1 else ""
        return column.fail("numbers", cure, key=keys[-1])
    return replace(column, has_several=True)


def _classify_text(column: Column) -> Column:
    """Values that repeat are a category; text that hardly repeats is a remark."""
    values, known = set(column.spelling), sum(map(bool, column.keys))
    if words := values & ((POSITIVE | NEGATIVE) - LETTERS):
        other = next(key for key in column.keys if key in values - (POSITIVE | NEGATIVE))
        return column.ask(f"{_join(sorted(words))} next to other text", other)
    if len(values) == 1 and not column.has_absent:
        return _ask_about_gaps(column)
    repeats = 2 * len(values) <= known if known >= MAX_VALUES else len(values) < known
    if len(values) > MAX_VALUES or not repeats:
        cure = f"{suggest('--categorical', column.name)} if each is a value"
        return column.fail(f"text with {len(values)} values", cure)
    return replace(column, has_several=True)


def _binarise(column: Column) -> tuple[list[Attribute], list[NDArray[np.int8]]]:
    numbers = {"": -1, ABSENT: 0} | dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, 0)
    attribute = Attribute(column.name, f"has the attribute {column.name!r}")
    return [attribute], [np.array([numbers[key] for key in column.keys], np.int8)]


def _expand(column: Column) -> tuple[list[Attribute], list[NDArray[np.int8]]]:
    keys = np.array(column.keys, dtype=object)
    attributes, labels = [], []
    for key in _sort_values(column):
        value = column.spelling[key]
        attributes.append(
            Attribute(
                f"{column.name}={value}",
                f"has the {column.name} {value!r}",
                category=column.name,
                classes=len(column.spelling) + column.has_absent,
            )
        )
        labels.append(np.where(keys == "", -1, keys == key).astype(np.int8))
    return attributes, labels


def _sort_values(column: Column) -> list[str]:
    if all(map(INTEGER.fullmatch, column.spelling)):
        return sorted(column.spelling, key=int)
    return sorted(column.spelling)


def _describe(file: str, columns: Sequence[Column]) -> str:
    """One message for all columns that cannot be read."""
    wrong = [column for column in columns if column.problem]
    lines = [f"  {c.name}: {c.problem}" + (f"; {c.cure}" if c.cure else "") for c in wrong]
    labels = [column.name for column in columns if column.is_label or not column.problem]
    count = (
        f"{len(wrong)} columns are not plain labels" if len(wrong) > 1 else "a column is not a plain label"
    )
    text = [f"{file}: {count} (1 or 0, yes or no, true or false; nothing if unknown):", *lines]
    if rest := [column.name for column in wrong if not column.is_label]:
        keep = f", or name the columns of labels with {suggest('--attributes', *labels)}" if labels else ""
        text.append(f"leave out columns with {suggest('--ignore', *rest)}{keep}")
    return "\n".join(text)


def _log(columns: Sequence[Column]) -> None:
    for column in (column for column in columns if column.has_several):
        values = [column.spelling[key] for key in _sort_values(column)]
        pairs = zip(column.keys, column.cells, strict=True)
        lost = any(not key and normalise_cell(cell).lower() == "none" for key, (cell, _) in pairs)
        logger.warning(
            "column %r has %d value%s and became one attribute for each: %s%s",
            column.name,
            len(values),
            "s" * (len(values) > 1),
            ", ".join(values),
            f"; 'none' counts as unknown: {suggest('--absent', f'{column.name}=none')} if it means that all "
            f"are absent, {suggest('--categorical', column.name)} if it is a value"
            if lost
            else "",
        )
    binary = [column for column in columns if not column.has_several]
    _log_minus_one(binary)


def _log_minus_one(columns: Sequence[Column]) -> None:
    """Log the columns of labels where −1, which counts as unknown, may mean absent: those without 0."""
    found = [
        column.name
        for column in columns
        if not {*NEGATIVE, ABSENT} & set(column.keys)
        and "-1" in {normalise_cell(cell) for cell in {cell for cell, _ in column.cells}}
    ]
    if not found:
        return
    others = len(found) < len(columns)
    logger.warning(
        "no label%s is 0, and -1 counts as unknown; if -1 means absent%s: %s",
        f" of {list_some(found)}" if others else "",
        " there" if others else "",
        suggest("--absent", *(f"{name}=-1" for name in found) if others else ["-1"]),
    )


def _join(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
