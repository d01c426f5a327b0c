"""The chapter on runs beside each other: scores, differences with intervals, sizes and times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from passerby.report.charts import Chart, draw_differences, draw_tradeoff

__all__ = ["ComparisonSection", "create_comparison_section"]


@dataclass(frozen=True)
class ComparisonSection:
    """Everything the template shows about one comparison; tables by attribute have titles."""

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
    """The chapter of one comparison.

    Args:
        anchor: Prefix of the ids, unique on the page.
    """
    if isinstance(comparison, LocalizationComparison):
        return _create_localization_section(comparison, anchor)
    shared, names = comparison.name_runs()
    differences = [
        (SHORT_NAMES[metric], 100, [(run.differences or {}).get(metric) for run in comparison.runs[1:]])
        for metric in comparison.metrics
    ]
    return ComparisonSection(
        anchor=anchor,
        heading="Beside each other",
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
    differences = [
        (name_score(score), get_factor(score), [mean.get(score) for mean in means])
        for score in comparison.scores
    ]
    return ComparisonSection(
        anchor=anchor,
        heading="Where they look, beside each other",
        title=_name_data(comparison),
        shared=shared,
        note=describe(comparison),
        label="Where all runs look, means over attributes",
        table=create_mean_table(comparison, names),
        charts=list(_draw_differences(names, differences, anchor)),
        by_attribute=[
            (f"{name_score(score)} by attribute", create_attribute_table(comparison, score, names))
            for score in comparison.scores
        ],
    )


def _name_data(comparison: Comparison | LocalizationComparison) -> str:
    first = comparison.runs[0]
    return ", ".join((first.dataset, f"{first.partition}/{first.split}", *_name_thresholds(first.protocol)))


def _name_thresholds(protocol: Mapping[str, Any]) -> list[str]:
    return [protocol["calibration"]] if "calibration" in protocol else []


def _draw_differences(
    names: Sequence[str], differences: Sequence[tuple[str, int, Sequence[Interval | None]]], anchor: str
) -> Iterator[Chart]:
    """A chart a score, with its factor: every run but the first, those of unknown difference missing."""
    for i, (score, factor, column) in enumerate(differences):
        rows = [
            (name, found.difference, found.low, found.high)
            for name, found in zip(_shorten(names)[1:], column, strict=True)
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
