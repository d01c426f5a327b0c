"""Focal loss on the final logits, weighted by the frequency of each attribute."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from passerby.errors import ConfigError
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.functional import compute_focal_loss
from passerby.types import Batch, Output

__all__ = ["WeightedFocal"]


class WeightedFocal(BinaryCrossEntropy):
    """Focal loss over all attributes: class weights for imbalance, the focal factor for hard samples.

    Paper: DIAA (ECCV 2018), Eq. 4, with γ = 0.5 and w_c = exp(−a_c), where a_c is the fraction of positives
    of the attribute in the training split (its "prior class distribution"). The published code never applies
    it.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split; unknown labels are left
            out, or counted as negative with `unknown: negative`.
        gamma: γ, 0 or larger; 0 gives the weighted binary cross-entropy.
        options: `weighting` (the paper's `diaa` by default), `reduction`, `unknown` as in
            `BinaryCrossEntropy`.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If an option has no such value, or γ is negative.
        DataError: If a ratio is out of range.

    Example:
        >>> import torch
        >>> criterion = WeightedFocal(positive_ratio=torch.tensor([0.0]))
        >>> terms = criterion(Output(torch.zeros(4, 1)), torch.ones(4, 1))
        >>> round(terms["total"].item(), 4)  # √½ · log 2
        0.4901
    """

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        gamma: float = 0.5,
        **options: Unpack[CrossEntropyOptions],
    ) -> None:
        options = {"weighting": "diaa", **options}
        super().__init__(positive_ratio=positive_ratio, **options)
        if not gamma >= 0:
            raise ConfigError(f"expected a gamma of 0 or larger, got {gamma}")
        self.gamma = gamma

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); labels: (N, A) in {1, 0, −1}; batch: not used.
            returns: `focal` and `total`, both () float, here equal.
        """
        del batch
        loss = self.compute_scored(output, labels)
        return {"focal": loss, "total": loss}

    def _compute_cells(self, logits: Tensor, labels: Tensor, weights: tuple[Tensor, Tensor] | None) -> Tensor:
        return compute_focal_loss(logits, labels, gamma=self.gamma, weights=weights)

    def extra_repr(self) -> str:
        """The options, for `print(criterion)`."""
        return f"gamma={self.gamma}, {super().extra_repr()}"
