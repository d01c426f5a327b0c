"""Stored comparisons of either kind: of attribute scores, or of localisation."""

from __future__ import annotations

from pathlib import Path

from passerby.comparison import localization_tables
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.evaluation.score_files import LOCALIZATION_COMPARISON_SUFFIX

__all__ = ["format_comparison", "load_comparison"]


def load_comparison(path: Path) -> Comparison | LocalizationComparison:
    """Read a stored comparison; the suffix of its name states its kind.

    Raises:
        DataError: If it is missing or damaged.
    """
    is_localization = path.name.endswith(LOCALIZATION_COMPARISON_SUFFIX)
    return LocalizationComparison.load(path) if is_localization else Comparison.load(path)


def format_comparison(comparison: Comparison | LocalizationComparison) -> str:
    """The Markdown tables of a comparison, with a line that states data and protocol."""
    if isinstance(comparison, LocalizationComparison):
        return localization_tables.format_markdown(comparison)
    return comparison.format_markdown()
