"""`passerby results`: score files as one table, seeds averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from passerby.cli.tables import Line, print_scores
    from passerby.evaluation.results import METRICS
    from passerby.evaluation.tables import describe_facts, name_rows

    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    lines = []
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        last = i + 1 == len(rows) or rows[i + 1].first.dataset != row.first.dataset
        lines.append(Line(name, [row.format_parts(metric) for metric in METRICS], last))
    print_scores(lines, above=(shared, "In per cent, mean ± standard deviation over seeds."))
