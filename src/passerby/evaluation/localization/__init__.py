"""How right a model is about *where* in a picture an attribute is."""

from __future__ import annotations

from passerby.evaluation.localization.cases import Case, LocalizationCases
from passerby.evaluation.localization.compare import (
    COMPARABLE,
    DEFAULT_SCORES,
    compare_localization,
)
from passerby.evaluation.localization.comparison import (
    ComparedLocalization,
    LocalizationComparison,
    LocalizationDifferences,
)
from passerby.evaluation.localization.evaluate import evaluate_localization
from passerby.evaluation.localization.names import MAPPINGS, PAPER_CLASSES, load_names, match_names
from passerby.evaluation.localization.runs import load_localizations
from passerby.evaluation.localization.samples import MEASURES, SCORES, LocalizationSamples
from passerby.evaluation.localization.scores import (
    Estimate,
    LocalizationProtocol,
    LocalizationScores,
    check_localization_path,
)

__all__ = [
    "COMPARABLE",
    "DEFAULT_SCORES",
    "MAPPINGS",
    "MEASURES",
    "PAPER_CLASSES",
    "SCORES",
    "Case",
    "ComparedLocalization",
    "Estimate",
    "LocalizationCases",
    "LocalizationComparison",
    "LocalizationDifferences",
    "LocalizationProtocol",
    "LocalizationSamples",
    "LocalizationScores",
    "check_localization_path",
    "compare_localization",
    "evaluate_localization",
    "load_localizations",
    "load_names",
    "match_names",
]
