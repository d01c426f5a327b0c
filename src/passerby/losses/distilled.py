"""Knowledge distillation: a loss of labels and of teacher predictions."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ConfigError, DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy
from passerby.types import Batch, Output

__all__ = ["Distilled"]


class Distilled(AttributeLoss):
    """A criterion plus the cross-entropy to the probabilities of teachers.

    total = (1 − weight) · the criterion's total + weight · the binary cross-entropy between the probabilities
    of the model and of the teachers, summed over attributes, mean over the batch. In validation, only the
    criterion is computed.

    The cross-entropy to a teacher probability p is p times the loss of a positive label plus 1 − p times that
    of a negative one. With `as_labels`, the criterion computes both, with its weights and its reduction, so
    that teacher predictions are weighted like labels.

    Paper:
        Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network* (2015), at temperature 1, as
        sigmoids are soft already. The teachers predict on the original images, the model on augmented ones.
        `as_labels` is not from the paper.

    Args:
        criterion: The loss of the labels.
        rows: Manifest rows of the training samples.
        soft: Teacher predictions of these rows, used also where the label is unknown.
        weight: Weight of the teacher predictions; with 0.5 they count as much as the labels.
        as_labels: Compute the loss of the teacher predictions by the criterion, a `BinaryCrossEntropy`.

    Shape:
        rows: (S,) int64, ascending. soft: (S, A) in [0, 1].

    Raises:
        ConfigError: If the weight is out of (0, 1], or the criterion does not support `as_labels`.
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
            raise ConfigError(f"expected a weight of the teachers above 0 and at most 1, got {weight:g}")
        if len(rows) != len(soft) or not bool(((soft >= 0) & (soft <= 1)).all()):
            raise DataError(
                f"expected probabilities of {len(rows)} rows, got {len(soft)}, {soft.min()} to {soft.max()}"
            )
        if as_labels and type(criterion) is not BinaryCrossEntropy:
            raise ConfigError(
                "as_labels needs the loss bce: expected a BinaryCrossEntropy, got a "
                f"{type(criterion).__name__}; leave as_labels out"
            )
        self.criterion, self.weight, self.as_labels = criterion, weight, as_labels
        self.first_epochs: int = getattr(criterion, "first_epochs", 0)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("soft", soft.float(), persistent=False)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to a criterion that depends on it."""
        if (set_epoch := getattr(self.criterion, "set_epoch", None)) is not None:
            set_epoch(epoch)

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """The criterion's terms, `teachers`, and their weighted `total`.

        Raises:
            DataError: If the batch is missing in training.
        """
        terms: dict[str, Tensor] = self.criterion(output, labels, batch)
        if not self.training:
            return terms
        if batch is None:
            raise DataError(
                "distillation finds the teacher predictions by the rows of the batch; call the loss with it"
            )
        soft = self.soft[torch.searchsorted(self.rows, batch.rows)]
        distance = self._compute_distance(output, soft)
        total = (1 - self.weight) * terms["total"] + self.weight * distance
        return {**terms, "teachers": distance, "total": total}

    def _compute_distance(self, output: Output, soft: Tensor) -> Tensor:
        """The cross-entropy to the teachers' probabilities `soft`, (N, A); returns () float."""
        if self.as_labels:
            compute = cast("BinaryCrossEntropy", self.criterion).compute_scored
            positive = compute(output, torch.ones_like(soft), factors=soft)
            return positive + compute(output, torch.zeros_like(soft), factors=1 - soft)
        logits = output.logits.float()
        return F.binary_cross_entropy_with_logits(logits, soft, reduction="sum") / len(soft)
