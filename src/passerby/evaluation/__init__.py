"""Scores of a model on a split, and the protocols they are computed under."""

from __future__ import annotations

from passerby.evaluation.evaluate import evaluate
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import PROTOCOLS, Protocol, load_protocol
from passerby.evaluation.results import Aggregate, Result, aggregate, format_markdown, load_results
from passerby.evaluation.translation import TRANSLATIONS, Translation, load_translation

__all__ = [
    "PROTOCOLS",
    "TRANSLATIONS",
    "Aggregate",
    "Evaluation",
    "Protocol",
    "Result",
    "Translation",
    "aggregate",
    "evaluate",
    "format_markdown",
    "load_protocol",
    "load_results",
    "load_translation",
]
