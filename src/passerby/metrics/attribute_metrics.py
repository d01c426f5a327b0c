"""mA, accuracy, precision, recall and F1 of a stream of batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from passerby.metrics.counting import Counts, Unknown, check_unknown, compute_counts, create_thresholds
from passerby.metrics.functional import AttributeScores, EmptyRows, Unmeasured, check_choice, compute_scores
from passerby.metrics.streaming import StreamingMetric

__all__ = ["AttributeMetrics"]


class AttributeMetrics(StreamingMetric):
    """All metrics that need a threshold, in O(A) memory.

    The state is integers only, so the result is bit-identical however the rows are divided into batches or
    among processes.

    Paper:
        See `compute_scores`; with `unmeasured="zero"` the edge cases are those of SB (Jia et al., arXiv
        2107.03576).

    Args:
        num_attributes: A.
        thresholds: A positive is strictly above it; one for all attributes, or one each.
        unknown: `ignore` leaves unknown labels out, `negative` counts them as no.
        empty_rows: See `compute_scores`.
        unmeasured: See `compute_scores`.
        kwargs: Options of `torchmetrics.Metric`.

    Raises:
        ConfigError: If an option is not valid.
        DataError: From `update` for shapes or values out of range, from `compute` before the first `update`.

    Example:
        >>> import torch
        >>> metric = AttributeMetrics(2)
        >>> metric.update(torch.tensor([[0.9, 0.2]]), torch.tensor([[1, 0]]))
        >>> metric.update([[0.3, 0.6]], [[False, True]])
        >>> metric.compute().summary()
        {'mA': 1.0, 'accuracy': 1.0, 'precision': 1.0, 'recall': 1.0, 'f1': 1.0}
    """

    def __init__(
        self,
        num_attributes: int,
        *,
        thresholds: float | Sequence[float] = 0.5,
        unknown: Unknown = "ignore",
        empty_rows: EmptyRows = "zero",
        unmeasured: Unmeasured = "drop",
        **kwargs: Any,
    ) -> None:
        super().__init__(num_attributes, **kwargs)
        check_unknown(unknown)
        check_choice("empty_rows", empty_rows)
        check_choice("unmeasured", unmeasured)
        self.unknown: Unknown = unknown
        self.empty_rows: EmptyRows = empty_rows
        self.unmeasured: Unmeasured = unmeasured
        self.thresholds: tuple[float, ...] = tuple(create_thresholds(thresholds, num_attributes).tolist())
        empty = Counts.create_empty(num_attributes)
        for f in fields(Counts):
            self.add_state(f.name, getattr(empty, f.name), dist_reduce_fx="sum")

    @property
    def counts(self) -> Counts:
        """The counts so far, of this process."""
        return Counts(*(getattr(self, f.name) for f in fields(Counts)))

    def update(self, probs: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> None:
        """Add a batch.

        Args:
            probs: Tensor, array or nested lists.
            labels: Likewise.

        Shape:
            probs: (N, A) float in [0, 1]; labels: (N, A) integers in {1 yes, 0 no, −1 unknown}, or booleans.
        """
        probs, labels = self._convert(probs, labels)
        total = self.counts + compute_counts(probs, labels, thresholds=self.thresholds, unknown=self.unknown)
        for f in fields(Counts):
            setattr(self, f.name, getattr(total, f.name))

    def compute(self) -> AttributeScores:
        """The scores of all rows, of all processes."""
        return compute_scores(self.counts, empty_rows=self.empty_rows, unmeasured=self.unmeasured)
