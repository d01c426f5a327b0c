"""The chapter on runs beside each other: scores, differences with intervals, sizes and times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from passerby.evaluation.comparison import ComparedRun, Comparison
from passerby.evaluation.report.charts import Chart, draw_differences, draw_tradeoff
from passerby.evaluation.results import METRICS
from passerby.evaluation.tables import SHORT_NAMES

__all__ = ["ComparisonSection", "create_comparison_section"]


@dataclass(frozen=True)
class ComparisonRow:
    """One run: its scores in per cent and, below, how far each is from the baseline's; its costs in words."""

    name: str
    scores: Sequence[tuple[str, str, str]]
    costs: Sequence[str]


@dataclass(frozen=True)
class ComparisonSection:
    """Everything the template shows about one comparison."""

    anchor: str
    title: str
    shared: str
    note: str
    metrics: Sequence[str]
    costs: Sequence[str]
    rows: Sequence[ComparisonRow]
    charts: Sequence[Chart]


def create_comparison_section(comparison: Comparison, *, anchor: str) -> ComparisonSection:
    """The chapter of one comparison.

    Args:
        anchor: Prefix of the ids, unique on the page.
    """
    shared, names = comparison.name_runs()
    first = comparison.runs[0]
    return ComparisonSection(
        anchor=anchor,
        title=f"{first.dataset}, {first.split}",
        shared=shared,
        note=comparison.describe(),
        metrics=[SHORT_NAMES[metric] for metric in METRICS],
        costs=comparison.cost_names,
        rows=[
            ComparisonRow(
                name, [_create_cell(run, metric) for metric in METRICS], comparison.format_costs(run)
            )
            for name, run in zip(names, comparison.runs, strict=True)
        ],
        charts=_draw_charts(comparison, names, anchor),
    )


def _create_cell(run: ComparedRun, metric: str) -> tuple[str, str, str]:
    """Score, difference with interval, share not above 0; the latter two empty where not measured."""
    score = " ".join(run.format_score(metric)).strip()
    if not run.differences or metric not in run.differences:
        return score, "", ""
    difference, interval, share = run.differences[metric].format()
    return score, f"{difference} {interval}", f"≤ 0: {share} %"


def _draw_charts(comparison: Comparison, names: Sequence[str], anchor: str) -> list[Chart]:
    names = _shorten(names)
    charts = []
    for metric in comparison.metrics:
        rows = [
            (name, found.difference, found.low, found.high)
            for name, run in zip(names[1:], comparison.runs[1:], strict=True)
            if run.differences and (found := run.differences[metric])
        ]
        short = SHORT_NAMES[metric]
        charts.append(draw_differences(f"{anchor}-{metric}", rows, metric=short))
    for count in (1, 32):
        key = f"inference_{count}"
        if all(key in run.costs for run in comparison.runs):
            points = [
                (name, run.costs[key], sum(run.scores["mA"]) / len(run.seeds))
                for name, run in zip(names, comparison.runs, strict=True)
            ]
            charts.append(draw_tradeoff(f"{anchor}-{key}", points, metric="mA", at_once=count))
    return charts


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
