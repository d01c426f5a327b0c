"""Metrics: pure functions, and torchmetrics classes that accumulate batches and merge across processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerby.lazy import load_lazily

if TYPE_CHECKING:
    from passerby.metrics.attribute_metrics import AttributeMetrics
    from passerby.metrics.average_precision import MeanAveragePrecision
    from passerby.metrics.functional import (
        AttributeScores,
        Counts,
        compute_average_precision,
        compute_counts,
        compute_scores,
    )
    from passerby.metrics.parsing_scores import ParsingScores, count_parsing

__all__ = [
    "AttributeMetrics",
    "AttributeScores",
    "Counts",
    "MeanAveragePrecision",
    "ParsingScores",
    "compute_average_precision",
    "compute_counts",
    "compute_scores",
    "count_parsing",
]

__getattr__ = load_lazily(
    __name__,
    {
        "AttributeMetrics": "attribute_metrics",
        "AttributeScores": "functional",
        "Counts": "functional",
        "MeanAveragePrecision": "average_precision",
        "ParsingScores": "parsing_scores",
        "compute_average_precision": "functional",
        "compute_counts": "functional",
        "compute_scores": "functional",
        "count_parsing": "parsing_scores",
    },
)
