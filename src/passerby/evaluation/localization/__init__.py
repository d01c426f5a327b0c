"""Scores of how well heat maps and boxes locate attributes."""

from __future__ import annotations

from passerby.evaluation.localization.cases import Case, LocalizationCases
from passerby.evaluation.localization.evaluator import evaluate_localization
from passerby.evaluation.localization.names import MAPPINGS, PAPER_CLASSES, load_names, match_names
from passerby.evaluation.localization.samples import MEASURES, SCORES, LocalizationSamples
from passerby.evaluation.localization.scores import (
    Estimate,
    LocalizationProtocol,
    LocalizationScores,
    check_localization_path,
)

__all__ = [
    "MAPPINGS",
    "MEASURES",
    "PAPER_CLASSES",
    "SCORES",
    "Case",
    "Estimate",
    "LocalizationCases",
    "LocalizationProtocol",
    "LocalizationSamples",
    "LocalizationScores",
    "check_localization_path",
    "evaluate_localization",
    "load_names",
    "match_names",
]
