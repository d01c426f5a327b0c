"""The values of a column of a table: which cells mean present, absent or unknown."""

from __future__ import annotations

import logging
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from difflib import get_close_matches
from typing import Any

from passerby.data.formats.table.files import Table, normalise_cell

__all__ = [
    "ABSENT",
    "INTEGER",
    "KEPT",
    "LETTERS",
    "NEGATIVE",
    "POSITIVE",
    "UNKNOWN",
    "Column",
    "apply_codes",
    "assign_codes",
    "check_codes",
    "is_binary",
    "propose",
    "read_column",
    "suggest",
]

POSITIVE = frozenset({"1", "yes", "y", "true", "t", "present", "x"})
NEGATIVE = frozenset({"0", "no", "n", "false", "f", "absent"})
LETTERS = frozenset({"y", "n", "t", "f", "x"})
"""Labels that also have other meanings, such as f for female: read only next to the opposite label."""

UNKNOWN = frozenset({"", "-1", "nan", "null", "none", "n/a", "#n/a", "na", "?", "-", "–", "unknown"})

KEPT = frozenset({"none"})
"""The text among `UNKNOWN` that is a value of a column for which values are requested."""

ABSENT = "\0"
"""Key of cells that are declared to mean absent."""

INTEGER = re.compile(r"[+-]?\d+")

_SIMPLE = (str, int, float, bool, date, time, type(None))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Column:
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

    def fail(self, problem: str, cure: str = "", *, key: str | None = None) -> Column:
        """The column with a problem, which the first known cell or the first one of a key shows."""
        row = next(i for i, k in enumerate(self.keys) if k in self.spelling and key in (None, k))
        cell, place = self.cells[row]
        return replace(self, problem=f"{problem}, such as {normalise_cell(cell)!r} in {place}", cure=cure)

    def ask(self, problem: str, key: str) -> Column:
        """The column with a value that is either an unknown label or a value of a category."""
        cure = (
            f"{suggest('--unknown', key)} if that means unknown, {suggest('--categorical', self.name)} if it "
            f"is a value"
        )
        if not (self.has_absent or set(self.spelling) & NEGATIVE):
            cure = f"{suggest('--absent', key)} if that means absent, {cure}"
        return replace(self.fail(problem, cure, key=key), is_label=True)

    def without(self, codes: frozenset[str], instead: str = "") -> Column:
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


def suggest(option: str, *items: str) -> str:
    """An option with its items, quoted for a shell where needed.

    Example:
        >>> print(suggest("--ignore", "notes", "Sun glasses"), suggest("--absent", ""))
        --ignore 'notes,Sun glasses' --absent ""
    """
    text = ",".join(items)
    return f"{option} {shlex.quote(text)}" if text else f'{option} ""'


def propose(missing: Iterable[str], names: Iterable[str]) -> str:
    """The names that are like missing ones, as the end of a message; empty without any.

    Example:
        >>> propose(["notes", "Cap"], ["Hat", "Notes"]), propose(["Cap"], ["Hat"])
        ('; did you mean Notes?', '')
    """
    lower = {name.lower(): name for name in names}
    near = (get_close_matches(name.lower(), lower, n=1, cutoff=0.7) for name in missing)
    found = [lower[match] for matches in near for match in matches]
    return f"; did you mean {', '.join(found)}?" if found else ""


def is_binary(values: set[str], *, has_absent: bool = False) -> bool:
    """Whether all values are labels, and single letters occur only next to their opposite.

    Args:
        values: Values in lower case.
        has_absent: Whether other cells are declared to mean absent.

    Example:
        >>> is_binary({"yes", "no"}), is_binary({"x"}), is_binary({"x"}, has_absent=True)
        (True, False, True)
    """
    if not values <= POSITIVE | NEGATIVE:
        return False
    return not values & LETTERS or bool(values & POSITIVE and (has_absent or values & NEGATIVE))


def read_column(table: Table, name: str) -> Column:
    """Read the values of a column, not yet interpreted."""
    cells = [cell if isinstance(cell, _SIMPLE) else str(cell) for cell in table.columns[name]]
    distinct = {cell: normalise_cell(cell) for cell in set(cells)}
    counts = Counter(distinct[cell] for cell in cells)
    spelling: dict[str, str] = {}
    for text, _ in counts.most_common():
        spelling.setdefault(text.lower(), text)
    keys = [distinct[cell].lower() for cell in cells]
    return Column(name, keys, spelling, list(zip(cells, table.places, strict=True)))


def assign_codes(entries: Iterable[str], names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The codes of each column, and under the empty name those of all; text applies to all columns.

    Example:
        >>> codes = assign_codes(["2", "unsure", "age=9"], ["Hat", "age"])
        >>> [sorted(codes[name]) for name in ("", "Hat", "age")]
        [['2', 'unsure'], ['unsure'], ['9', 'unsure']]
    """
    codes: dict[str, set[str]] = {name: set() for name in ("", *names)}
    for entry in entries:
        name = next((name for name in names if entry.startswith(f"{name}=")), "")
        code = normalise_cell(entry[len(name) + 1 :] if name else entry).lower()
        codes[name].add(code)
        if not name and not _is_general(code):
            for other in names:
                codes[other].add(code)
    return {name: frozenset(values) for name, values in codes.items()}


def _is_general(code: str) -> bool:
    """Whether a code is a number or an empty cell, which may mean something else in another column."""
    return not code or bool(INTEGER.fullmatch(code))


def check_codes(option: str, codes: Mapping[str, frozenset[str]], columns: Sequence[Column]) -> None:
    """Log the codes that no cell has."""
    found = {key for column in columns for key in column.spelling}
    own = {(c.name, code) for c in columns for code in codes[c.name] - codes[""] - set(c.spelling)}
    unused = sorted(codes[""] - found) + sorted(f"{name}={code}" for name, code in own)
    if unused:
        logger.warning("%s: no cell of these columns has it", suggest(option, *unused))


def apply_codes(
    column: Column,
    unknown: Mapping[str, frozenset[str]],
    absent: Mapping[str, frozenset[str]],
    *,
    kept: frozenset[str],
) -> Column:
    """The column with its cells that mean absent and unknown.

    Args:
        column: The column.
        unknown, absent: Codes by name of the column, as from `assign_codes`. Those of all columns that are a
            number or empty only apply if the other values are labels; that they do not is logged.
        kept: Text among `UNKNOWN` that is a value. If there is any, values are requested: codes of all
            columns that are a number or empty do not apply.
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
                "%s is a value of column %r, which has several; if it means %s there: %s",
                key,
                column.name,
                meaning,
                suggest(option, f"{column.name}={key}"),
            )
    return plain
