"""Stored comparisons of either kind: of scores, or of localisation."""

from __future__ import annotations

from pathlib import Path

from passerby.comparison import localization_tables
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.evaluation.results import LOCALIZATION_COMPARISON_SUFFIX

__all__ = ["format_comparison", "load_comparison"]


def load_comparison(path: Path) -> Comparison | LocalizationComparison:
    """A stored comparison, of the kind that its name says.

    Raises:
        DataError: If it is missing or damaged.
    """
    where = path.name.endswith(LOCALIZATION_COMPARISON_SUFFIX)
    return LocalizationComparison.load(path) if where else Comparison.load(path)


def format_comparison(comparison: Comparison | LocalizationComparison) -> str:
    """Markdown tables of a comparison, with a line above them that states data and protocol."""
    if isinstance(comparison, LocalizationComparison):
        return localization_tables.format_markdown(comparison)
    return comparison.format_markdown()
