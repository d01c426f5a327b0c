"""The chapter of a comparison: scores, differences with intervals, sizes and times of all runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from passerby.comparison.intervals import Interval
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.localization_tables import (
    create_attribute_table,
    create_mean_table,
    describe,
    name_runs,
    name_score,
)
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.run_names import SHORT_NAMES
from passerby.comparison.score_table import ScoreTable
from passerby.evaluation.localization.estimates import get_factor
from passerby.report.charts import draw_differences, draw_tradeoff
from passerby.report.svg import Chart

__all__ = ["ComparisonSection", "create_comparison_section"]

_Differences = tuple[str, int, Sequence[Interval | None]]
"""A score, its factor, and the difference of each run but the first."""


@dataclass(frozen=True)
class ComparisonSection:
    """The content of the chapter of one comparison.

    Args:
        anchor: Prefix of the ids.
        heading: Heading of the chapter.
        title: Data set, partition, split and thresholds.
        shared: The facts that all runs share.
        note: Explanation of the table.
        label: Alternative text of the table.
        table: The scores of all runs.
        charts: Differences and costs.
        by_attribute: Tables by attribute, each with its title.
    """

    anchor: str
    heading: str
    title: str
    shared: str
    note: str
    label: str
    table: ScoreTable
    charts: Sequence[Chart]
    by_attribute: Sequence[tuple[str, ScoreTable]] = ()


def create_comparison_section(
    comparison: Comparison | LocalizationComparison, *, anchor: str
) -> ComparisonSection:
    """Create the chapter of one comparison.

    Args:
        comparison: The comparison.
        anchor: Prefix of the ids, unique on the page.
    """
    if isinstance(comparison, LocalizationComparison):
        return _create_localization_section(comparison, anchor)
    shared, names = comparison.name_runs()
    differences: list[_Differences] = [
        (SHORT_NAMES[metric], 100, [(run.differences or {}).get(metric) for run in comparison.runs[1:]])
        for metric in comparison.metrics
    ]
    return ComparisonSection(
        anchor,
        heading="Comparison of scores",
        title=_name_data(comparison),
        shared=shared,
        note=comparison.describe(),
        label="Scores of all runs",
        table=comparison.create_table(names),
        charts=[*_draw_differences(names, differences, anchor), *_draw_costs(comparison, names, anchor)],
    )


def _create_localization_section(comparison: LocalizationComparison, anchor: str) -> ComparisonSection:
    shared, names = name_runs(comparison)
    means = [run.differences.mean if run.differences else {} for run in comparison.runs[1:]]
    differences: list[_Differences] = []
    tables = []
    for score in comparison.scores:
        name = name_score(score)
        differences.append((name, get_factor(score), [mean.get(score) for mean in means]))
        tables.append((f"{name} by attribute", create_attribute_table(comparison, score, names)))
    return ComparisonSection(
        anchor,
        heading="Comparison of localisation",
        title=_name_data(comparison),
        shared=shared,
        note=describe(comparison),
        label="Localisation scores of all runs, means over attributes",
        table=create_mean_table(comparison, names),
        charts=list(_draw_differences(names, differences, anchor)),
        by_attribute=tables,
    )


def _name_data(comparison: Comparison | LocalizationComparison) -> str:
    first = comparison.runs[0]
    calibration: Any = first.protocol.get("calibration")
    return ", ".join(filter(None, (first.dataset, f"{first.partition}/{first.split}", calibration)))


def _draw_differences(
    names: Sequence[str], differences: Sequence[_Differences], anchor: str
) -> Iterator[Chart]:
    """A chart per score with the runs whose difference to the first run is known."""
    for i, (score, factor, column) in enumerate(differences):
        rows = [
            (name, found.difference, found.low, found.high)
            for name, found in zip(_shorten(names[1:]), column, strict=True)
            if found
        ]
        if rows:
            yield draw_differences(f"{anchor}-d{i}", rows, metric=score, factor=factor)


def _draw_costs(comparison: Comparison, names: Sequence[str], anchor: str) -> Iterator[Chart]:
    for count in (1, 32):
        key = f"inference_{count}"
        if all(key in run.costs for run in comparison.runs):
            points = [
                (name, run.costs[key], sum(run.scores["mA"]) / len(run.seeds))
                for name, run in zip(_shorten(names), comparison.runs, strict=True)
            ]
            yield draw_tradeoff(f"{anchor}-{key}", points, metric="mA", batch_size=count)


def _shorten(names: Sequence[str]) -> list[str]:
    """Remove the words that all names start with, except a name's last word.

    Example:
        >>> _shorten(["man · 8-epochs-full", "man · 8-epochs-shared"])
        ['full', 'shared']
    """
    words = [re.split(r"(?<=[- ])", name) for name in names]
    shared = 0
    while all(len(each) > shared + 1 for each in words) and len({each[shared] for each in words}) == 1:
        shared += 1
    return ["".join(each[shared:]) for each in words]
