"""The labels of a table: yes-or-no columns, columns with several values, and columns that are no labels.

A column with several values, such as `upper_colour` = red, blue, …, becomes one attribute for each value,
`upper_colour=red` and so on. They exclude each other, and are one category of the schema.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.table_files import Table, normalise_cell
from passerby.errors import FormatError
from passerby.schema import Attribute

__all__ = ["UNKNOWN", "Labels", "is_binary", "read_labels"]

POSITIVE = frozenset({"1", "yes", "y", "true", "t", "present", "x"})
NEGATIVE = frozenset({"0", "no", "n", "false", "f", "absent"})
LETTERS = frozenset({"y", "n", "t", "f", "x"})
"""Labels that also have other meanings, such as f for female: read only next to the opposite label."""

UNKNOWN = frozenset({"", "-1", "nan", "null", "none", "n/a", "#n/a", "na", "?", "-", "–", "unknown"})

KEPT = frozenset({"none"})
"""The text among `UNKNOWN` that is a value of a column for which values are requested."""

ABSENT = "\0"
"""Key of cells that are declared to mean absent."""

MAX_VALUES = 20
"""Largest number of values of a column that becomes one attribute per value by default."""

_SIMPLE = (str, int, float, bool, date, time, type(None))
_INTEGER = re.compile(r"[+-]?\d+")
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


@dataclass(frozen=True)
class _Column:
    """A column and how it is read.

    Args:
        keys: The cells in lower case; unknown ones are empty, those declared absent are `ABSENT`.
        spelling: The values as written, by their key; the commonest spelling of each, commonest value first.
        cells: The cells and their places, for messages.
        has_several: Whether it becomes one attribute for each value.
        problem: Why it cannot be read, empty otherwise.
        cure: How to read it anyway.
        is_label: Whether it probably is a label, so that leaving it out is not the remedy.
    """

    name: str
    keys: list[str]
    spelling: dict[str, str]
    cells: Sequence[tuple[Any, str]]
    has_several: bool = False
    problem: str = ""
    cure: str = ""
    is_label: bool = False

    def fail(self, problem: str, cure: str = "", *, key: str | None = None) -> _Column:
        """The column with a problem, which the first known cell or the first one of a key shows."""
        row = next(i for i, k in enumerate(self.keys) if k in self.spelling and key in (None, k))
        cell, place = self.cells[row]
        return replace(self, problem=f"{problem}, such as {normalise_cell(cell)!r} in {place}", cure=cure)

    def ask(self, problem: str, key: str) -> _Column:
        """The column with a value that is either an unknown label or a value of a category."""
        cure = f"--unknown {key} if that means unknown, --categorical {self.name} if it is a value"
        if not (self.has_absent or set(self.spelling) & NEGATIVE):
            cure = f"--absent {key} if that means absent, {cure}"
        return replace(self.fail(problem, cure, key=key), is_label=True)

    def without(self, codes: frozenset[str], instead: str = "") -> _Column:
        """The column with further cells that are unknown, or `ABSENT`."""
        keys = [instead if key in codes else key for key in self.keys]
        return replace(
            self, keys=keys, spelling={key: v for key, v in self.spelling.items() if key not in codes}
        )

    @property
    def has_absent(self) -> bool:
        """Whether cells are declared to mean absent."""
        return ABSENT in self.keys

    @property
    def gap(self) -> str | None:
        """The commonest cell that counts as unknown, such as an empty one or `none`; None without any."""
        gaps = Counter(
            normalise_cell(cell) for key, (cell, _) in zip(self.keys, self.cells, strict=True) if not key
        )
        return gaps.most_common(1)[0][0] if gaps else None


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
    codes, negative = _assign_codes(unknown, names), _assign_codes(absent, names)
    forced = frozenset(categorical)
    if missing := sorted(forced - set(names)):
        raise FormatError(f"--categorical: no column {', '.join(missing)}; it has {', '.join(names)}")
    read = [_read(table, name) for name in names]
    _check_codes("--unknown", codes, read)
    _check_codes("--absent", negative, read)
    columns = []
    for column in read:
        known = _apply(column, codes, negative, kept=KEPT if column.name in forced else frozenset())
        columns.append(_force(known) if column.name in forced else _classify(known))
    if any(column.problem for column in columns):
        raise FormatError(_describe(table.name, columns))
    _log(columns)
    expanded = [_expand(column) if column.has_several else _binarise(column) for column in columns]
    attributes = [attribute for made, _ in expanded for attribute in made]
    values = [labels for _, made in expanded for labels in made]
    empty = np.zeros((len(table.places), 0), np.int8)
    return Labels(tuple(attributes), np.stack(values, axis=1) if values else empty)


def _assign_codes(unknown: Iterable[str], names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The codes of each column, and under the empty name those of all; text applies to all columns."""
    codes: dict[str, set[str]] = {name: set() for name in ("", *names)}
    for entry in unknown:
        name = next((name for name in names if entry.startswith(f"{name}=")), "")
        code = normalise_cell(entry[len(name) + 1 :] if name else entry).lower()
        codes[name].add(code)
        if not name and not _is_general(code):
            for other in names:
                codes[other].add(code)
    return {name: frozenset(values) for name, values in codes.items()}


def _is_general(code: str) -> bool:
    """Whether a code is a number or an empty cell, which may mean something else in another column."""
    return not code or bool(_INTEGER.fullmatch(code))


def _check_codes(option: str, codes: Mapping[str, frozenset[str]], columns: Sequence[_Column]) -> None:
    """Log the codes that no cell has."""
    found = {key for column in columns for key in column.spelling}
    own = {(c.name, code) for c in columns for code in codes[c.name] - codes[""] - set(c.spelling)}
    unused = sorted(codes[""] - found) + sorted(f"{name}={code}" for name, code in own)
    if unused:
        logger.warning("%s %s: no cell of these columns has it", option, ",".join(unused) or '""')


def _apply(
    column: _Column,
    unknown: Mapping[str, frozenset[str]],
    absent: Mapping[str, frozenset[str]],
    *,
    kept: frozenset[str],
) -> _Column:
    """The column with its cells that mean absent and unknown.

    Codes of all columns that are a number or empty only apply if the other values are labels.
    """
    own, general = absent[column.name], frozenset(filter(_is_general, absent[""])) - absent[column.name]
    numbers = frozenset(filter(_is_general, unknown[""])) - general
    others = (UNKNOWN - kept) | unknown[column.name]
    column = column.without(own, ABSENT)
    without = column.without(general, ABSENT).without(others | numbers)
    plain = column.without(others)
    if kept:
        return plain
    if not without.spelling or is_binary(set(without.spelling), has_absent=without.has_absent):
        return without
    for option, meaning, codes in (("--unknown", "unknown", numbers), ("--absent", "absent", general)):
        for key in sorted(codes & set(plain.spelling)):
            logger.warning(
                "%s is a value of column %r, which has several; if it means %s there: %s %s=%s",
                key,
                column.name,
                meaning,
                option,
                column.name,
                key,
            )
    return plain


def _read(table: Table, name: str) -> _Column:
    cells = [cell if isinstance(cell, _SIMPLE) else str(cell) for cell in table.columns[name]]
    distinct = {cell: normalise_cell(cell) for cell in set(cells)}
    counts = Counter(distinct[cell] for cell in cells)
    spelling: dict[str, str] = {}
    for text, _ in counts.most_common():
        spelling.setdefault(text.lower(), text)
    keys = [distinct[cell].lower() for cell in cells]
    return _Column(name, keys, spelling, list(zip(cells, table.places, strict=True)))


def _force(column: _Column) -> _Column:
    if len(column.spelling) + column.has_absent < 2:
        return replace(column, problem="no category, because it has fewer than two values")
    return replace(column, has_several=True)


def _classify(column: _Column) -> _Column:
    values = set(column.spelling)
    if is_binary(values, has_absent=column.has_absent):
        return column
    if values == {"x"}:
        return _ask_about_crosses(column)
    if any(isinstance(cell, date | time) for cell, _ in column.cells) or all(map(_DATE.fullmatch, values)):
        return column.fail("dates or times")
    if all(map(_INTEGER.fullmatch, values)):
        return _classify_integers(column)
    if all(map(_NUMBER.fullmatch, values)):
        fractions = (key for key in column.keys if key in values and not _INTEGER.fullmatch(key))
        return column.fail("numbers", key=next(fractions))
    return _classify_text(column)


def _ask_about_crosses(column: _Column) -> _Column:
    gap = column.gap
    if gap is None:
        return replace(column.fail("only x"), is_label=True)
    problem, what = ("only x and empty cells", "an empty cell") if not gap else (f"only x and {gap}", gap)
    return replace(column.fail(problem, f'--absent "{gap}" if {what} means absent'), is_label=True)


def _ask_about_gaps(column: _Column) -> _Column:
    """The column with a single value, next to cells that count as unknown but may mean absent."""
    gap, name = column.gap, column.name
    if gap is None:
        return column.fail("a single value")
    cure = f"--absent {name}={gap} if {gap or 'an empty cell'} means absent"
    if gap.lower() not in KEPT:
        return column.fail("a single value", cure)
    cure += f", --categorical {name} if it is a value"
    return replace(column.fail(f"a single value and {gap}", cure), is_label=True)


def is_binary(values: set[str], *, has_absent: bool = False) -> bool:
    """Whether all values are labels, and single letters occur only next to their opposite.

    Args:
        values: Values in lower case.
        has_absent: Whether other cells are declared to mean absent.
    """
    if not values <= POSITIVE | NEGATIVE:
        return False
    return not values & LETTERS or bool(values & POSITIVE and (has_absent or values & NEGATIVE))


def _classify_integers(column: _Column) -> _Column:
    """Codes of several values, such as 1 to 4; a single code next to 0 or 1 is ambiguous."""
    keys = sorted(column.spelling, key=int)
    codes = [key for key in keys if int(key) not in (0, 1)]
    if len(codes) == 1 < len(keys):
        return column.ask(f"the numbers {_join(keys)}", codes[0])
    if len(keys) + column.has_absent == 1 or int(keys[0]) < 0 or int(keys[-1]) > MAX_VALUES:
        cure = f"--categorical {column.name} if each is a value" if len(keys) > 1 else ""
        return column.fail("numbers", cure, key=keys[-1])
    return replace(column, has_several=True)


def _classify_text(column: _Column) -> _Column:
    """Values that repeat are a category; text that hardly repeats is a remark."""
    values, known = set(column.spelling), sum(map(bool, column.keys))
    if words := values & ((POSITIVE | NEGATIVE) - LETTERS):
        other = next(key for key in column.keys if key in values - (POSITIVE | NEGATIVE))
        return column.ask(f"{_join(sorted(words))} next to other text", other)
    if len(values) == 1 and not column.has_absent:
        return _ask_about_gaps(column)
    repeats = 2 * len(values) <= known if known >= MAX_VALUES else len(values) < known
    if len(values) > MAX_VALUES or not repeats:
        cure = f"--categorical {column.name} if each is a value" if len(values) < known else ""
        return column.fail(f"text with {len(values)} values", cure)
    return replace(column, has_several=True)


def _binarise(column: _Column) -> tuple[list[Attribute], list[NDArray[np.int8]]]:
    numbers = {"": -1, ABSENT: 0} | dict.fromkeys(POSITIVE, 1) | dict.fromkeys(NEGATIVE, 0)
    attribute = Attribute(column.name, f"has the attribute {column.name!r}")
    return [attribute], [np.array([numbers[key] for key in column.keys], np.int8)]


def _expand(column: _Column) -> tuple[list[Attribute], list[NDArray[np.int8]]]:
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


def _sort_values(column: _Column) -> list[str]:
    if all(map(_INTEGER.fullmatch, column.spelling)):
        return sorted(column.spelling, key=int)
    return sorted(column.spelling)


def _describe(file: str, columns: Sequence[_Column]) -> str:
    """One message for all columns that cannot be read."""
    wrong = [column for column in columns if column.problem]
    lines = [f"  {c.name}: {c.problem}" + (f"; {c.cure}" if c.cure else "") for c in wrong]
    labels = [column.name for column in columns if column.is_label or not column.problem]
    count = (
        f"{len(wrong)} columns are not plain labels" if len(wrong) > 1 else "a column is not a plain label"
    )
    text = [f"{file}: {count} (1 or 0, yes or no, true or false; nothing if unknown):", *lines]
    if rest := [column.name for column in wrong if not column.is_label]:
        keep = f", or name the columns of labels with --attributes {','.join(labels)}" if labels else ""
        text.append(f"leave out columns with --ignore {','.join(rest)}{keep}")
    return "\n".join(text)


def _log(columns: Sequence[_Column]) -> None:
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
            f"; 'none' counts as unknown: --absent {column.name}=none if it means that all are absent, "
            f"--categorical {column.name} if it is a value"
            if lost
            else "",
        )
    binary = [column for column in columns if not column.has_several]
    cells = {normalise_cell(cell) for column in binary for cell in {cell for cell, _ in column.cells}}
    if "-1" in cells and not any({*NEGATIVE, ABSENT} & set(column.keys) for column in binary):
        logger.warning("no label is 0, and -1 counts as unknown; if -1 means absent: --absent -1")


def _join(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
