"""The chapter on runs beside each other: scores, differences with intervals, sizes and times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from passerby.evaluation.comparison import ComparedRun, Comparison, Interval
from passerby.evaluation.localization import LocalizationComparison
from passerby.evaluation.localization.comparison_tables import (
    ScoreTable,
    create_attribute_table,
    create_mean_table,
    describe,
    name_runs,
    name_score,
)
from passerby.evaluation.report.charts import Chart, draw_differences, draw_tradeoff
from passerby.evaluation.results import METRICS
from passerby.evaluation.tables import SHORT_NAMES

__all__ = ["ComparisonSection", "create_comparison_section"]


@dataclass(frozen=True)
class ComparisonCell:
    """A score or cost as text, and the lines below it: how far it is from the baseline's, how surely."""

    value: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparisonTable:
    """A table with a name a line; `heads` are those of the cells."""

    title: str
    first: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[ComparisonCell]]]


@dataclass(frozen=True)
class ComparisonSection:
    """Everything the template shows about one comparison."""

    anchor: str
    heading: str
    title: str
    shared: str
    note: str
    table: ComparisonTable
    charts: Sequence[Chart]
    by_attribute: Sequence[ComparisonTable] = ()


def create_comparison_section(
    comparison: Comparison | LocalizationComparison, *, anchor: str
) -> ComparisonSection:
    """The chapter of one comparison.

    Args:
        anchor: Prefix of the ids, unique on the page.
    """
    if isinstance(comparison, LocalizationComparison):
        return _create_localization_section(comparison, anchor)
    shared, names = comparison.name_runs()
    rows = [
        (
            name,
            [
                *(_create_cell(run, metric) for metric in METRICS),
                *map(ComparisonCell, comparison.format_costs(run)),
            ],
        )
        for name, run in zip(names, comparison.runs, strict=True)
    ]
    heads = [*(SHORT_NAMES[metric] for metric in METRICS), *comparison.cost_names]
    return ComparisonSection(
        anchor=anchor,
        heading="Beside each other",
        title=_name_data(comparison),
        shared=shared,
        note=comparison.describe(),
        table=ComparisonTable("Scores of all runs", "Run", heads, rows),
        charts=[
            *_draw_differences(
                names,
                {
                    SHORT_NAMES[m]: [(run.differences or {}).get(m) for run in comparison.runs[1:]]
                    for m in comparison.metrics
                },
                anchor,
            ),
            *_draw_costs(comparison, names, anchor),
        ],
    )


def _create_localization_section(comparison: LocalizationComparison, anchor: str) -> ComparisonSection:
    shared, names = name_runs(comparison)
    differences = {
        name_score(score): [
            run.differences.mean.get(score) if run.differences else None for run in comparison.runs[1:]
        ]
        for score in comparison.scores
    }
    return ComparisonSection(
        anchor=anchor,
        heading="Where they look, beside each other",
        title=_name_data(comparison),
        shared=shared,
        note=describe(comparison),
        table=_convert("Where all runs look, means over attributes", create_mean_table(comparison, names)),
        charts=list(_draw_differences(names, differences, anchor)),
        by_attribute=[
            _convert(f"{name_score(score)} by attribute", create_attribute_table(comparison, score, names))
            for score in comparison.scores
        ],
    )


def _name_data(comparison: Comparison | LocalizationComparison) -> str:
    first = comparison.runs[0]
    return f"{first.dataset}, {first.split}"


def _convert(title: str, table: ScoreTable) -> ComparisonTable:
    first, *heads = table.heads
    rows = [(name, [ComparisonCell(*cell.to_lines()) for cell in cells]) for name, cells in table.rows]
    return ComparisonTable(title, first.capitalize(), heads, rows)


def _create_cell(run: ComparedRun, metric: str) -> ComparisonCell:
    """Score, difference with interval, share not above 0; the latter two are missing where not measured."""
    score = " ".join(run.format_score(metric)).strip()
    if not run.differences or metric not in run.differences:
        return ComparisonCell(score)
    difference, interval, share = run.differences[metric].format()
    return ComparisonCell(score, (f"{difference} {interval}", f"≤ 0: {share} %"))


def _draw_differences(
    names: Sequence[str], differences: Mapping[str, Sequence[Interval | None]], anchor: str
) -> Iterator[Chart]:
    """A chart a score: every run but the first; those whose difference is not known are missing."""
    for i, (score, column) in enumerate(differences.items()):
        rows = [
            (name, found.difference, found.low, found.high)
            for name, found in zip(_shorten(names)[1:], column, strict=True)
            if found
        ]
        if rows:
            yield draw_differences(f"{anchor}-d{i}", rows, metric=score, factor=1 if score == "PCC" else 100)


def _draw_costs(comparison: Comparison, names: Sequence[str], anchor: str) -> Iterator[Chart]:
    for count in (1, 32):
        key = f"inference_{count}"
        if all(key in run.costs for run in comparison.runs):
            points = [
                (name, run.costs[key], sum(run.scores["mA"]) / len(run.seeds))
                for name, run in zip(_shorten(names), comparison.runs, strict=True)
            ]
            yield draw_tradeoff(f"{anchor}-{key}", points, metric="mA", at_once=count)


def _shorten(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin with, but for the last word.

    Example:
        >>> _shorten(["man · 8-epochs-full", "man · 8-epochs-shared"])
        ['full', 'shared']
    """
    words = [re.split(r"(?<=[- ])", name) for name in names]
    shared = 0
    while all(len(each) > shared + 1 for each in words) and len({each[shared] for each in words}) == 1:
        shared += 1
    return ["".join(each[shared:]) for each in words]
