"""Tables of scores that fit the screen: where it is narrow, the parts of a cell stand below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Line", "print_scores"]

_NAME_WIDTH = 28  # a name may wrap, but not to shreds


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table.

    Args:
        name: What stands at its beginning.
        cells: The parts of the cell of each metric: beside each other where there is room, else below.
        ends_section: Whether a gap follows.
    """

    name: str
    cells: Sequence[tuple[str, ...]]
    ends_section: bool = False


def print_scores(lines: Sequence[Line], *, above: Sequence[str]) -> None:
    """Print paragraphs, then a table with a column a metric."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    for text in above:
        console.print(text, highlight=False, markup=False)
    table = _draw(lines, narrow=False)
    names = max(len(line.name) for line in lines)
    wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    fits = wide - names + min(_NAME_WIDTH, names) <= console.width
    console.print(table if fits else _draw(lines, narrow=True))


def _draw(lines: Sequence[Line], *, narrow: bool) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from passerby.evaluation.tables import SHORT_NAMES

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    for metric, heading in SHORT_NAMES.items():
        bold = "bold" if metric in ("mA", "f1") else None
        table.add_column(heading, justify="right", no_wrap=True, style=bold)
    for line in lines:
        cells = (_join(cell, narrow) for cell in line.cells)
        table.add_row(escape(line.name), *cells, end_section=line.ends_section)
    return table


def _join(parts: Sequence[str], narrow: bool) -> str:
    """`82.00 ± 1.41` and `[+0.40, +2.10]`; in narrow columns the bare numbers, one a line."""
    if not narrow:
        return " ".join(part for part in parts if part)
    return "\n".join(part.strip("[],").replace(" ", "") for part in parts if part)
