"""Tables on the terminal: no number is cut, whatever the width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from passerby.cli.output import create_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from passerby.comparison.score_table import Cell, ScoreTable

__all__ = ["Line", "print_lines", "print_table"]

_NAME_WIDTH = 28
"""The narrowest first column, whose names wrap."""
_BOLD = ("mA", "F1", "IoU")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table.

    Args:
        name: First cell.
        cells: The parts of the cell of each column: on one line if there is room, else one per line.
        ends_section: Whether a gap follows.
    """

    name: str
    cells: Sequence[tuple[str, ...]]
    ends_section: bool = False

    @classmethod
    def of(cls, name: str, cells: Sequence[str], *, ends_section: bool = False) -> Line:
        """A line whose cells have one part each."""
        return cls(name, [(cell,) for cell in cells], ends_section)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a table is drawn: parts of a cell below each other, columns close to each other."""

    stacked: bool = False
    close: bool = False


def print_lines(
    lines: Sequence[Line], heads: Sequence[str], *, above: Sequence[str] = (), below: Sequence[str] = ()
) -> None:
    """Print paragraphs, then a table in the widest form that fits.

    A narrow terminal gets the parts of a cell below each other, then less space between the columns, at last
    several tables below each other, each with the names and some of the columns.

    Args:
        heads: Headings of the names and of each column.
        above: The paragraphs.
        below: Paragraphs below the table.
    """
    console = create_console()
    for text in above:
        console.print(text, markup=False)
    for table in _draw_all(console, lines, heads):
        console.print(table)
    for text in below:
        console.print(text, markup=False)


def print_table(table: ScoreTable, *, above: Sequence[str], below: Sequence[str] = (), level: float) -> None:
    """Print runs with their differences to one of them.

    Args:
        above, below: As for `print_lines`.
        level: Of the intervals, such as 0.95.
    """
    lines = [line for name, cells in table.rows for line in _create_lines(name, cells, level)]
    print_lines(lines, table.heads, above=above, below=below)


def _create_lines(name: str, cells: Sequence[Cell], level: float) -> list[Line]:
    """The lines of a row, without empty ones."""
    lines = [
        Line(name, [cell.value for cell in cells]),
        Line("  difference", [(cell.difference,) for cell in cells]),
        Line(f"  {100 * level:g} % interval", [tuple(cell.interval.split()) for cell in cells]),
        Line("  share ≤ 0, in %", [(cell.share,) for cell in cells]),
    ]
    *others, last = (line for line in lines if any(map("".join, line.cells)))
    return [*others, replace(last, ends_section=True)]


def _draw_all(console: Console, lines: Sequence[Line], heads: Sequence[str]) -> Iterator[Table]:
    """One table, or several with some of the columns each."""
    for form in (_Form(), _Form(stacked=True), _Form(stacked=True, close=True)):
        table = _draw(lines, heads, form)
        if _fits(console, table, lines):
            yield table
            return
    start = 1
    while start < len(heads):
        stop = start + 1
        while stop < len(heads) and _fits(console, _draw_columns(lines, heads, start, stop + 1), lines):
            stop += 1
        yield _draw_columns(lines, heads, start, stop)
        start = stop


def _draw_columns(lines: Sequence[Line], heads: Sequence[str], start: int, stop: int) -> Table:
    """The table of the names and the columns from `start` to `stop`."""
    chosen = [replace(line, cells=line.cells[start - 1 : stop - 1]) for line in lines]
    return _draw(chosen, (heads[0], *heads[start:stop]), _Form(stacked=True, close=True))


def _fits(console: Console, table: Table, lines: Sequence[Line]) -> bool:
    from rich.measure import Measurement

    names = max(map(len, (line.name for line in lines)), default=0)
    wide = Measurement.get(console, console.options.update(max_width=100_000), table).maximum
    return wide - names + min(_NAME_WIDTH, names) <= console.width


def _draw(lines: Sequence[Line], heads: Sequence[str], form: _Form) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    padding = (0, 1, 0, 0) if form.close else (0, 1)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
    table.add_column(Text(heads[0]), overflow="fold")
    for head in heads[1:]:
        bold = "bold" if head in _BOLD else None
        table.add_column(Text(head), justify="right", no_wrap=True, style=bold)
    for line in lines:
        cells = (Text(_join(cell, form.stacked)) for cell in line.cells)
        table.add_row(Text(line.name), *cells, end_section=line.ends_section)
    return table


def _join(parts: Sequence[str], stacked: bool) -> str:
    """`82.00 ± 1.41` and `[+0.40, +2.10]`; below each other only the numbers."""
    if not stacked:
        return " ".join(part for part in parts if part)
    return "\n".join(part.strip("[],").replace(" ", "") for part in parts if part)
