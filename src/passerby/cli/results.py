"""`passerby results`: score files as one table, seeds averaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.comparison.aggregate import Aggregate

__all__ = ["results"]


def results(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Score files or folders [default: results].")
    ] = None,
    by_attribute: Annotated[
        bool, typer.Option("--by-attribute", help="A line an attribute: share of right answers, and mA.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Print score files as one table, seeds averaged.

    One line a recipe, mean ± standard deviation over its seeds.
    """
    from passerby.comparison.aggregate import aggregate, format_markdown
    from passerby.evaluation.score_files import load_results

    rows = aggregate(load_results(paths or [Path("results")]))
    if by_attribute:
        _print_by_attribute(rows, markdown=markdown)
        return
    if markdown:
        typer.echo(format_markdown(rows), nl=False)
        return
    from passerby.cli.tables import Line, print_scores
    from passerby.comparison.run_names import describe_facts, name_rows
    from passerby.metrics.functional import METRICS

    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    lines = []
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        last = i + 1 == len(rows) or rows[i + 1].first.dataset != row.first.dataset
        lines.append(Line(name, [row.format_parts(metric) for metric in METRICS], last))
    print_scores(lines, above=(shared, "In per cent, mean ± standard deviation over seeds."))


def _print_by_attribute(rows: Sequence[Aggregate], *, markdown: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from passerby.comparison.attribute_table import create_attribute_table

    found = create_attribute_table(rows)
    if markdown:
        typer.echo(found.format_markdown(), nl=False)
        return
    title = " · ".join((*found.runs, found.shared) if len(found.runs) == 1 else (found.shared,))
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "In per cent. Always no: the accuracy of denying everything, whose mA is 50."
    for i, head in enumerate(found.header):
        table.add_column(Text(head), justify="right" if i else "left", overflow="fold")
    *lines, mean = found.lines()
    for line in lines:
        table.add_row(*map(Text, line))
    table.add_section()
    table.add_row(*map(Text, mean), style="bold")
    Console().print(table)
