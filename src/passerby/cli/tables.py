"""Tables of scores on the terminal; on a narrow one, the parts of a cell are on several lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from passerby.comparison.score_table import Cell, ScoreTable

__all__ = ["Line", "print_scores", "print_table"]

_NAME_WIDTH = 28  # the narrowest column for a name that wraps
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


def print_scores(
    lines: Sequence[Line], *, above: Sequence[str], columns: Sequence[str] | None = None, first: str = "run"
) -> None:
    """Print paragraphs, then a table.

    Args:
        above: The paragraphs.
        columns: Headings of the cells; by default those of the metrics.
        first: Heading of the names.
    """
    from rich.console import Console
    from rich.measure import Measurement

    from passerby.comparison.run_names import SHORT_NAMES

    console = Console()
    for text in above:
        console.print(text, highlight=False, markup=False)
    heads = (first, *(SHORT_NAMES.values() if columns is None else columns))
    table = _draw(lines, heads, narrow=False)
    names = max(len(line.name) for line in lines)
    wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    fits = wide - names + min(_NAME_WIDTH, names) <= console.width
    console.print(table if fits else _draw(lines, heads, narrow=True))


def print_table(table: ScoreTable, *, above: Sequence[str], level: float) -> None:
    """Print paragraphs, then runs with their differences to one of them.

    Args:
        above: The paragraphs.
        level: Of the intervals, such as 0.95.
    """
    first, *columns = table.heads
    lines = [line for name, cells in table.rows for line in _create_lines(name, cells, level)]
    print_scores(lines, above=above, columns=columns, first=first)


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


def _draw(lines: Sequence[Line], heads: Sequence[str], *, narrow: bool) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heads[0], overflow="fold")
    for head in heads[1:]:
        bold = "bold" if head in _BOLD else None
        table.add_column(head, justify="right", no_wrap=True, style=bold)
    for line in lines:
        cells = (_join(cell, narrow) for cell in line.cells)
        table.add_row(escape(line.name), *cells, end_section=line.ends_section)
    return table


def _join(parts: Sequence[str], narrow: bool) -> str:
    """`82.00 ± 1.41` and `[+0.40, +2.10]`; in narrow columns only the numbers, one per line."""
    if not narrow:
        return " ".join(part for part in parts if part)
    return "\n".join(part.strip("[],").replace(" ", "") for part in parts if part)
