"""Learning from labels and from what teachers said of the same people."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ConfigError, DataError
from passerby.losses.bce import BinaryCrossEntropy
from passerby.types import Batch, Output

__all__ = ["Distilled"]


class Distilled(nn.Module):
    """A criterion, and beside it the cross-entropy to the probabilities of teachers.

    total = (1 − weight) · the criterion's total + weight · the binary cross-entropy between the model's
    probability and the teachers', summed over attributes, mean over the batch. In validation it is the
    criterion alone.

    The cross-entropy to a teacher that says p is p times that to a yes and 1 − p times that to a no. With
    `as_labels` the criterion itself computes both, with its weights and its reduction: a rare yes of a
    teacher then counts as much more as one of the labels.

    Paper:
        Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network* (2015), at temperature 1, as
        sigmoids are soft already. The teachers saw each picture as it is, the model sees it augmented.
        `as_labels` is ours.

    Args:
        criterion: Of the labels.
        rows: Rows of the manifest that train.
        soft: What the teachers said of each.
        weight: Of the teachers; 0.5 believes them as much as the labels.
        as_labels: Learn what they said by the criterion itself, which then is a `BinaryCrossEntropy`.

    Shape:
        rows: (S,) int64, ascending. soft: (S, A) in [0, 1]; what they said counts also where the label is
        unknown.

    Raises:
        ConfigError: If the weight is out of (0, 1], or the criterion cannot take what teachers say as labels.
        DataError: If rows and soft differ in number, or soft is out of [0, 1].

    Example:
        >>> from passerby.losses import create_loss
        >>> base = create_loss("bce", positive_ratio=torch.tensor([0.5]))
        >>> criterion = Distilled(base, rows=torch.tensor([3, 7]), soft=torch.tensor([[0.9], [0.2]]))
        >>> batch = Batch(torch.zeros(1, 3, 2, 2), torch.tensor([[1]]), torch.tensor([7]))
        >>> terms = criterion(Output(torch.zeros(1, 1)), batch.labels, batch)
        >>> round(float(terms["total"]), 4)  # log 2 of both
        0.6931
    """

    rows: Tensor
    soft: Tensor

    def __init__(
        self,
        criterion: nn.Module,
        *,
        rows: Tensor,
        soft: Tensor,
        weight: float = 0.5,
        as_labels: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < weight <= 1:
            raise ConfigError(f"expected a weight of the teachers above 0 and up to 1, got {weight:g}")
        if len(rows) != len(soft) or not bool(((soft >= 0) & (soft <= 1)).all()):
            raise DataError(
                f"expected probabilities of {len(rows)} rows, got {len(soft)}, {soft.min()} to {soft.max()}"
            )
        if as_labels and type(criterion) is not BinaryCrossEntropy:
            raise ConfigError(
                "expected a BinaryCrossEntropy, which can learn what teachers say as labels, got a "
                f"{type(criterion).__name__}; leave as_labels out"
            )
        self.criterion, self.weight, self.as_labels = criterion, weight, as_labels
        self.first_epochs: int = getattr(criterion, "first_epochs", 0)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("soft", soft.float(), persistent=False)

    def set_epoch(self, epoch: int) -> None:
        """Tell a criterion that goes by epochs which one this is."""
        if (set_epoch := getattr(self.criterion, "set_epoch", None)) is not None:
            set_epoch(epoch)

    def forward(self, output: Output, labels: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The criterion's terms, `teachers`, and their weighted `total`."""
        terms: dict[str, Tensor] = self.criterion(output, labels, batch)
        if not self.training:
            return terms
        soft = self.soft[torch.searchsorted(self.rows, batch.rows)]
        far = self._compute_far(output, soft)
        total = (1 - self.weight) * terms["total"] + self.weight * far
        return {**terms, "teachers": far, "total": total}

    def _compute_far(self, output: Output, soft: Tensor) -> Tensor:
        """The cross-entropy to the teachers' probabilities, (N, A); returns ()."""
        if self.as_labels:
            compute = cast("BinaryCrossEntropy", self.criterion).compute_scored
            yes = compute(output, torch.ones_like(soft), factors=soft)
            return yes + compute(output, torch.zeros_like(soft), factors=1 - soft)
        logits = output.logits.float()
        return F.binary_cross_entropy_with_logits(logits, soft, reduction="sum") / len(soft)
