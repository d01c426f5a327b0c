"""Scores that can be trusted, and the pages that show them."""

from __future__ import annotations

from passerby.evaluation.compare import compare
from passerby.evaluation.comparison import Comparison
from passerby.evaluation.evaluate import evaluate
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import PROTOCOLS, Protocol, load_protocol
from passerby.evaluation.results import Aggregate, Result, aggregate, format_markdown, load_results
from passerby.evaluation.translation import TRANSLATIONS, Translation, load_translation

__all__ = [
    "PROTOCOLS",
    "TRANSLATIONS",
    "Aggregate",
    "Comparison",
    "Evaluation",
    "Protocol",
    "Result",
    "Translation",
    "aggregate",
    "compare",
    "evaluate",
    "format_markdown",
    "load_protocol",
    "load_results",
    "load_translation",
]
