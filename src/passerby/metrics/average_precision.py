"""Mean average precision of a stream of batches."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from passerby.metrics.counting import Unknown, check_unknown, check_values
from passerby.metrics.functional import compute_average_precision
from passerby.metrics.streaming import StreamingMetric

__all__ = ["MeanAveragePrecision"]


class MeanAveragePrecision(StreamingMetric):
    """Average precision of each attribute and its mean, as WIDER-Attribute is scored.

    Needs all scores, so it stores 5 bytes per cell (float32 and int8) on the device of the metric.

    Paper:
        See `compute_average_precision`.

    Args:
        num_attributes: A.
        unknown: `ignore` leaves unknown cells out (WIDER's label 0), `negative` counts them as no.
        interpolated: All-points interpolation of PASCAL VOC; False gives scikit-learn's plain sum.
        kwargs: Options of `torchmetrics.Metric`.

    Raises:
        ConfigError: If an option is not valid.
        DataError: From `update` for shapes or values out of range, from `compute` before the first `update`.

    Example:
        >>> metric = MeanAveragePrecision(1)
        >>> metric.update([[0.9], [0.8]], [[0], [1]])
        >>> metric.compute()
        (0.5, tensor([0.5000], dtype=torch.float64))
    """

    probs: list[Tensor] | Tensor
    labels: list[Tensor] | Tensor

    def __init__(
        self, num_attributes: int, *, unknown: Unknown = "ignore", interpolated: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(num_attributes, **kwargs)
        check_unknown(unknown)
        self.unknown: Unknown = unknown
        self.interpolated = interpolated
        self.add_state("probs", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, probs: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> None:
        """Add a batch.

        Args:
            probs: Tensor, array or nested lists.
            labels: Likewise.

        Shape:
            probs: (N, A) float in [0, 1]; labels: (N, A) integers in {1 yes, 0 no, −1 unknown}, or booleans.
        """
        probs, labels = self._convert(probs, labels)
        check_values(probs, labels)
        self._append(probs.detach().float(), labels.to(torch.int8))

    def compute(self) -> tuple[float, Tensor]:
        """The mean over the attributes with a positive (NaN if there is none), and that of each attribute.

        Shape:
            returns: a number in [0, 1] and (A,) float64, NaN for an attribute without a positive.
        """
        each = compute_average_precision(
            dim_zero_cat(self.probs),
            dim_zero_cat(self.labels),
            unknown=self.unknown,
            interpolated=self.interpolated,
        )
        return float(each.nanmean()), each

    def _append(self, probs: Tensor, labels: Tensor) -> None:
        # After a merge of processes a state is one tensor; before, a list.
        self.probs = [*self.probs, probs] if isinstance(self.probs, list) else [self.probs, probs]
        self.labels = [*self.labels, labels] if isinstance(self.labels, list) else [self.labels, labels]

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A process without rows would contribute a tensor of another shape and type, and all would block.
        if not len(self.probs):
            empty = torch.empty(0, self.num_attributes, device=self.device)
            self._append(empty, empty.to(torch.int8))
        super()._sync_dist(*args, **kwargs)
