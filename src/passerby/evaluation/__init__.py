"""Scores of a model on a split, and the protocols under which they are computed."""

from __future__ import annotations

from passerby.evaluation.evaluate import evaluate
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.loading import Loading
from passerby.evaluation.protocols import PROTOCOLS, Protocol, load_protocol
from passerby.evaluation.results import Result
from passerby.evaluation.score_files import load_results

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "Loading",
    "Protocol",
    "Result",
    "evaluate",
    "load_protocol",
    "load_results",
]
