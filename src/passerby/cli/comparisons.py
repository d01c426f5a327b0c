"""Print comparisons of either kind: of attribute scores, or of localisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from passerby.cli.output import print_json
from passerby.cli.tables import print_table

if TYPE_CHECKING:
    from passerby.comparison.localization_comparison import LocalizationComparison
    from passerby.comparison.run_comparison import Comparison

__all__ = ["print_comparison"]


def print_comparison(
    comparison: Comparison | LocalizationComparison, *, markdown: bool = False, as_json: bool = False
) -> None:
    """Print tables for the terminal, Markdown, or JSON."""
    from passerby.comparison.localization_comparison import LocalizationComparison
    from passerby.comparison.stored import format_comparison

    if as_json:
        print_json(comparison.to_dict())
    elif markdown:
        typer.echo(format_comparison(comparison), nl=False)
    elif isinstance(comparison, LocalizationComparison):
        _print_localization(comparison)
    else:
        _print_scores(comparison)


def _print_scores(comparison: Comparison) -> None:
    shared, names = comparison.name_runs()
    table = comparison.create_table(names, with_costs=False)
    below = []
    for name, run in zip(names, comparison.runs, strict=True):
        if run.parsing:
            found = ", ".join(run.format_parsing())
            below.append(
                f"IoU of the parsing maps (mean; of masks, the person's), in per cent: {name}: {found}"
            )
    for name, run in zip(names, comparison.runs, strict=True):
        if run.costs:
            pairs = zip(comparison.cost_names, comparison.format_costs(run), strict=True)
            below.append(f"{name}: {', '.join(' '.join(pair) for pair in pairs)}")
    print_table(table, above=(shared, comparison.describe()), below=below, level=comparison.level)


def _print_localization(comparison: LocalizationComparison) -> None:
    from passerby.comparison.localization_tables import (
        create_attribute_table,
        create_mean_table,
        describe,
        name_runs,
        name_score,
    )
    from passerby.evaluation.localization.estimates import LEVEL

    shared, names = name_runs(comparison)
    numbers = [str(i) for i in range(1, len(names) + 1)]
    numbered = [f"{number} · {name}" for number, name in zip(numbers, names, strict=True)]
    print_table(create_mean_table(comparison, numbered), above=(shared, describe(comparison)), level=LEVEL)
    for score in comparison.scores:
        above = (f"{name_score(score)} by attribute of the runs above:",)
        print_table(create_attribute_table(comparison, score, numbers), above=above, level=LEVEL)
