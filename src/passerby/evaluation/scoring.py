"""Scores of predictions under a protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from passerby.evaluation.protocols import Protocol
from passerby.io import replace_nan

if TYPE_CHECKING:
    from passerby.metrics import AttributeScores

__all__ = [
    "are_close",
    "compute_scores",
    "describe_attributes",
    "format_percent",
    "restore_nan",
]

PER_ATTRIBUTE = ("mA", "tpr", "tnr", "accuracy", "precision", "recall", "f1")


def compute_scores(
    probs: NDArray[np.float32], labels: NDArray[np.int8], *, thresholds: Sequence[float], protocol: Protocol
) -> tuple[AttributeScores, NDArray[np.float64], float]:
    """Compute the scores, the average precision of each attribute and its mean.

    Shape:
        probs: (N, A) in [0, 1]; labels: (N, A) in {1, 0, −1}; thresholds: A numbers.
    """
    import torch

    from passerby.metrics import AttributeMetrics, MeanAveragePrecision

    metrics = AttributeMetrics(
        probs.shape[1],
        thresholds=list(thresholds),
        unknown=protocol.unknown,
        unmeasured=protocol.unmeasured,
    )
    precision = MeanAveragePrecision(probs.shape[1], unknown=protocol.unknown)
    tensors = torch.from_numpy(np.ascontiguousarray(probs)), torch.from_numpy(np.ascontiguousarray(labels))
    metrics.update(*tensors)
    precision.update(*tensors)
    mean, each = precision.compute()
    return metrics.compute(), each.double().numpy(), float(mean)


def describe_attributes(
    names: Sequence[str],
    scores: AttributeScores,
    average_precision: NDArray[np.float64],
    thresholds: Sequence[float],
) -> dict[str, dict[str, Any]]:
    """The scores of each attribute as JSON values, None for those that cannot be measured."""
    columns: dict[str, list[float]] = {
        metric: getattr(scores, f"per_attribute_{metric}").tolist() for metric in PER_ATTRIBUTE
    }
    return {
        name: {
            **{metric: replace_nan(column[i]) for metric, column in columns.items()},
            "AP": replace_nan(float(average_precision[i])),
            "positives": int(scores.positives[i]),
            "negatives": int(scores.negatives[i]),
            "threshold": thresholds[i],
        }
        for i, name in enumerate(names)
    }


def restore_nan(value: float | None) -> float:
    """The inverse of `passerby.io.replace_nan`."""
    return math.nan if value is None else float(value)


def are_close(stored: float, found: float, *, tolerance: float) -> bool:
    """Whether two scores agree; two that cannot be measured do."""
    return abs(stored - found) <= tolerance or (math.isnan(stored) and math.isnan(found))


def format_percent(value: float, *, digits: int = 2, unit: str = "%") -> str:
    """A score in per cent, or a dash for one that cannot be measured.

    Example:
        >>> format_percent(0.8152), format_percent(0.8152, digits=1, unit=""), format_percent(math.nan)
        ('81.52%', '81.5', '–')
    """
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f}{unit}"
