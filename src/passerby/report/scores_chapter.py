"""The chapter of score files without predictions: one table, seeds averaged."""

from __future__ import annotations

from collections.abc import Sequence

from passerby.comparison.aggregate import aggregate, list_remarks
from passerby.comparison.run_names import SHORT_NAMES, describe_facts, name_rows
from passerby.comparison.score_table import Cell, ScoreTable
from passerby.evaluation.results import Result
from passerby.report.comparison_chapter import ComparisonSection

__all__ = ["create_scores_section"]


def create_scores_section(results: Sequence[Result], *, anchor: str) -> ComparisonSection:
    """Create the chapter of score files.

    Args:
        results: At least one.
        anchor: Prefix of the ids, unique on the page.

    Raises:
        DataError: If there are different scores of one seed of a recipe.
    """
    rows = aggregate(results)
    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    cells = (tuple(Cell(row.format_parts(metric)) for metric in SHORT_NAMES) for row in rows)
    note = (
        "In per cent, mean ± standard deviation over seeds. There are no predictions of these scores to show."
    )
    return ComparisonSection(
        anchor,
        heading="Score files",
        title="; ".join(dict.fromkeys(f"{r.dataset}, {r.partition}/{r.split}" for r in results)),
        shared=shared,
        note=" ".join([note, *list_remarks(rows)]),
        label="Scores of all score files",
        table=ScoreTable(("run", *SHORT_NAMES.values()), tuple(zip(names, cells, strict=True))),
        charts=(),
    )
