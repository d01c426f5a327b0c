"""`passerby results`: score files as one table, seeds averaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from passerby.evaluation.results import Aggregate

__all__ = ["results"]


def results(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Score files or folders [default: results].")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Print score files as one table, seeds averaged.

    One line a recipe, mean ± standard deviation over its seeds.
    """
    from passerby.evaluation.results import aggregate, format_markdown, load_results

    rows = aggregate(load_results(paths or [Path("results")]))
    if markdown:
        typer.echo(format_markdown(rows), nl=False)
        return
    from rich.console import Console

    Console().print(_draw_table(rows))


def _draw_table(rows: Sequence[Aggregate]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from passerby.evaluation.results import HEADINGS, METRICS, describe_cells

    table = Table(title="Scores in per cent, mean ± standard deviation over seeds", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold")
    for metric in METRICS:
        table.add_column(
            metric, justify="right", no_wrap=True, style="bold" if metric in ("mA", "f1") else None
        )
    for i, row in enumerate(rows):
        last = i + 1 == len(rows) or rows[i + 1].first.dataset != row.first.dataset
        cells = (*map(escape, describe_cells(row)), *(row.format(metric) for metric in METRICS))
        table.add_row(*cells, end_section=last)
    return table
