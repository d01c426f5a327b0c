"""Comparisons of runs on the same samples, with paired bootstrap intervals."""

from __future__ import annotations

from passerby.comparison.aggregate import Aggregate, aggregate, format_markdown
from passerby.comparison.localization_comparison import (
    ComparedLocalization,
    LocalizationComparison,
    LocalizationDifferences,
)
from passerby.comparison.localization_runs import load_localizations
from passerby.comparison.paired_localization import COMPARABLE, DEFAULT_SCORES, compare_localization
from passerby.comparison.paired_scores import compare
from passerby.comparison.run_comparison import Comparison

__all__ = [
    "COMPARABLE",
    "DEFAULT_SCORES",
    "Aggregate",
    "ComparedLocalization",
    "Comparison",
    "LocalizationComparison",
    "LocalizationDifferences",
    "aggregate",
    "compare",
    "compare_localization",
    "format_markdown",
    "load_localizations",
]
