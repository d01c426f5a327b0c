"""`passerby results`: score files as one table, seeds averaged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.options import split_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.comparison.aggregate import Aggregate

__all__ = ["results"]


def results(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Score files, evaluation folders, or folders of either [default: results]."),
    ] = None,
    variants: Annotated[
        str | None, typer.Option(help="Only these variants, in this order, separated by commas.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the Markdown table, such as model,variant,seeds,mA.")
    ] = None,
    by_attribute: Annotated[
        bool, typer.Option("--by-attribute", help="One line per attribute: accuracy and mA.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """Print score files as one table, averaged over seeds.

    One line per recipe, mean ± standard deviation over its seeds.
    """
    from passerby.comparison.aggregate import aggregate, format_markdown, select_variants
    from passerby.evaluation.score_files import load_results

    if columns is not None and (by_attribute or not markdown):
        raise typer.BadParameter("--columns needs --markdown, without --by-attribute")
    rows = aggregate(load_results(paths or [Path("results")]))
    if variants is not None:
        rows = select_variants(rows, split_list(variants) or [])
    if by_attribute:
        _print_by_attribute(rows, markdown=markdown)
        return
    if markdown:
        chosen = split_list(columns)
        typer.echo(format_markdown(rows) if chosen is None else format_markdown(rows, chosen), nl=False)
        return
    from passerby.cli.tables import Line, print_scores
    from passerby.comparison.run_names import describe_facts, name_rows
    from passerby.metrics.names import METRICS

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
    table.caption = (
        "In per cent. Always no: accuracy of predicting every attribute as absent, whose mA is 50."
    )
    for i, head in enumerate(found.header):
        table.add_column(Text(head), justify="right" if i else "left", overflow="fold")
    *lines, mean = found.lines()
    for line in lines:
        table.add_row(*map(Text, line))
    table.add_section()
    table.add_row(*map(Text, mean), style="bold")
    Console().print(table)
