"""`passerby results`: score files as one table, seeds averaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.compare import check_exist, check_form
from passerby.cli.options import split_list
from passerby.cli.output import JsonOption, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.comparison.aggregate import Aggregate

__all__ = ["results"]


def results(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Score files, evaluation folders, run folders, or folders of these [default: results]."
        ),
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
    as_json: JsonOption = False,
) -> None:
    """Print score files as one table, averaged over seeds.

    One line per recipe, mean ± standard deviation over its seeds.
    """
    check_exist(paths or [])

    from passerby.comparison.aggregate import aggregate, format_markdown, list_remarks, select_variants
    from passerby.evaluation.score_files import load_results

    if columns is not None and (by_attribute or not markdown):
        raise typer.BadParameter("--columns needs --markdown, without --by-attribute")
    check_form(markdown, as_json)
    rows = aggregate(load_results(paths or [Path("results")]))
    if variants is not None:
        rows = select_variants(rows, split_list(variants) or [])
    if by_attribute:
        _print_by_attribute(rows, markdown=markdown, as_json=as_json)
        return
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    if markdown:
        chosen = split_list(columns)
        typer.echo(format_markdown(rows) if chosen is None else format_markdown(rows, chosen), nl=False)
        return
    from passerby.cli.tables import Line, print_lines
    from passerby.comparison.run_names import SHORT_NAMES, describe_facts, name_rows

    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    lines = []
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        last = i + 1 == len(rows) or rows[i + 1].first.dataset != row.first.dataset
        lines.append(Line(name, [row.format_parts(metric) for metric in SHORT_NAMES], last))
    above = (shared, "In per cent, mean ± standard deviation over seeds.")
    print_lines(lines, ("run", *SHORT_NAMES.values()), above=above, below=list_remarks(rows))


def _print_by_attribute(rows: Sequence[Aggregate], *, markdown: bool, as_json: bool) -> None:
    from passerby.cli.tables import Line, print_lines
    from passerby.comparison.attribute_table import create_attribute_table

    found = create_attribute_table(rows)
    if as_json:
        print_json(found.to_dict())
        return
    if markdown:
        typer.echo(found.format_markdown(), nl=False)
        return
    lines = [Line.of(name, cells) for name, *cells in found.lines()]
    lines[-2] = replace(lines[-2], ends_section=True)
    print_lines(
        lines,
        found.header,
        above=(" · ".join((*found.runs, found.shared) if len(found.runs) == 1 else (found.shared,)),),
        below=(
            "In per cent. Always no: accuracy of predicting every attribute as absent, whose mA is 50.",
            *found.remarks,
        ),
    )
