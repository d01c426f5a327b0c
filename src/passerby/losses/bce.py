"""Binary cross-entropy on the final logits, plain or weighted."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.functional import Reduction, compute_binary_cross_entropy, reduce_terms
from passerby.losses.label_weights import Unknown, Weighting, compute_label_weights
from passerby.types import Batch, Output

__all__ = ["BinaryCrossEntropy", "CrossEntropyOptions"]


class CrossEntropyOptions(TypedDict, total=False):
    """Arguments of `BinaryCrossEntropy` that the losses built on it pass on."""

    reduction: Reduction
    weighting: Weighting
    unknown: Unknown


class BinaryCrossEntropy(AttributeLoss):
    """Binary cross-entropy over all attributes, with the weightings and reductions of the literature.

    Paper:
        SB (Jia et al., arXiv 2107.03576); SSPNet (2023), Eq. 10–11; MTMS (2019), Eq. 1–2;
        Da-HAR (AAAI 2020), Eq. 1–2. Departures: see `compute_label_weights`.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split; unknown labels are left
            out, or counted as negative with `unknown: negative`.
        reduction: `sum` over attributes and mean over the batch (SB), or `mean` over all known cells; see
            `reduce_terms` for the divisors.
        weighting: `none`, `sb`, `sb-printed`, `wpal`, `mixed` or `diaa`; see `compute_label_weights`.
        unknown: `ignore` gives unknown labels no loss and no gradient (Da-HAR), `negative` treats them as
            negative (common in the literature).

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If an option has no such value; the message lists the valid ones.
        DataError: If a ratio is out of range.

    Example:
        >>> import torch
        >>> criterion = BinaryCrossEntropy(positive_ratio=torch.tensor([0.5, 0.1]))
        >>> terms = criterion(Output(torch.zeros(4, 2)), torch.tensor([[1, 0]] * 4))
        >>> round(terms["total"].item(), 4)  # 2 log 2
        1.3863
    """

    positive_weights: Tensor
    negative_weights: Tensor

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        reduction: Reduction = "sum",
        weighting: Weighting = "none",
        unknown: Unknown = "ignore",
    ) -> None:
        super().__init__()
        for name, value, valid in (
            ("reduction", reduction, ("sum", "mean")),
            ("unknown", unknown, ("ignore", "negative")),
        ):
            if value not in valid:
                raise ConfigError(f"no {name} {value!r}; choose one of {', '.join(valid)}")
        self.reduction: Reduction = reduction
        self.weighting: Weighting = weighting
        self.unknown: Unknown = unknown
        positive, negative = compute_label_weights(weighting, positive_ratio)
        # Not persistent: they are computed from the arguments, and a checkpoint must not depend on the loss.
        self.register_buffer("positive_weights", positive, persistent=False)
        self.register_buffer("negative_weights", negative, persistent=False)

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); labels: (N, A) in {1, 0, −1}; batch: not used.
            returns: `bce` and `total`, both () float, here equal.

        Raises:
            DataError: If labels and logits do not fit each other or the ratios.
        """
        del batch
        loss = self.compute_scored(output, labels)
        return {"bce": loss, "total": loss}

    def compute_scored(self, output: Output, labels: Tensor, *, factors: Tensor | None = None) -> Tensor:
        """As `compute`, for the logits, or the mean over the candidates if there are any."""
        return torch.stack([self.compute(x, labels, factors=factors) for x in output.scored]).mean()

    def compute(self, logits: Tensor, labels: Tensor, *, factors: Tensor | None = None) -> Tensor:
        """The loss of these logits only.

        Args:
            factors: Factors of the loss of each cell, applied before the reduction.

        Shape:
            logits: (N, A); labels: (N, A) in {1, 0, −1}; factors: (N, A); returns: () float.

        Raises:
            DataError: If labels and logits do not fit each other or the ratios.
        """
        if labels.shape[-1] != len(self.positive_weights):
            raise DataError(
                f"expected labels of {len(self.positive_weights)} attributes, as the positive ratios have, "
                f"got shape {tuple(labels.shape)}"
            )
        if self.unknown == "negative":
            labels = labels.masked_fill(labels == -1, 0)
        weights = None if self.weighting == "none" else (self.positive_weights, self.negative_weights)
        cells = self._compute_cells(logits, labels, weights)
        if factors is not None:
            cells = cells * factors
        return reduce_terms(cells, labels >= 0, reduction=self.reduction)

    def _compute_cells(self, logits: Tensor, labels: Tensor, weights: tuple[Tensor, Tensor] | None) -> Tensor:
        return compute_binary_cross_entropy(logits, labels, weights=weights)

    def extra_repr(self) -> str:
        """The options, for `print(criterion)`."""
        return f"reduction={self.reduction!r}, weighting={self.weighting!r}, unknown={self.unknown!r}"
