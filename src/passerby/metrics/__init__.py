"""Metrics: pure functions, and torchmetrics classes that accumulate batches and merge across processes."""

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
