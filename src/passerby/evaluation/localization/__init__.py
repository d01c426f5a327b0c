"""Evaluation of how well heat maps and boxes localise attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerby.lazy import load_lazily

if TYPE_CHECKING:
    from passerby.evaluation.localization.cases import Case, LocalizationCases
    from passerby.evaluation.localization.estimates import Estimate
    from passerby.evaluation.localization.evaluator import evaluate_localization
    from passerby.evaluation.localization.ground_truth import PAPER_CLASSES
    from passerby.evaluation.localization.protocol import LocalizationProtocol
    from passerby.evaluation.localization.samples import MEASURES, SCORES, LocalizationSamples
    from passerby.evaluation.localization.scores import LocalizationScores, check_localization_path
    from passerby.evaluation.localization.settings import HeatMapSettings, SamplingSettings

__all__ = [
    "MEASURES",
    "PAPER_CLASSES",
    "SCORES",
    "Case",
    "Estimate",
    "HeatMapSettings",
    "LocalizationCases",
    "LocalizationProtocol",
    "LocalizationSamples",
    "LocalizationScores",
    "SamplingSettings",
    "check_localization_path",
    "evaluate_localization",
]

__getattr__ = load_lazily(
    __name__,
    {
        "MEASURES": "samples",
        "PAPER_CLASSES": "ground_truth",
        "SCORES": "samples",
        "Case": "cases",
        "Estimate": "estimates",
        "HeatMapSettings": "settings",
        "LocalizationCases": "cases",
        "LocalizationProtocol": "protocol",
        "LocalizationSamples": "samples",
        "LocalizationScores": "scores",
        "SamplingSettings": "settings",
        "check_localization_path": "scores",
        "evaluate_localization": "evaluator",
    },
)
