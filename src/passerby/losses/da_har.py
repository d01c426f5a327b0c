"""Da-HAR's loss: attributes, and the supervised mask of the side branch."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.mtms import compute_parsing_loss
from passerby.parsing import read_masks
from passerby.types import Batch, Output

__all__ = ["DaHARLoss"]


class DaHARLoss(AttributeLoss):
    """Binary cross-entropy of the averaged prediction, and of the mask of the side branch.

    Paper: Da-HAR (AAAI 2020), Eq. 1 (`weighting: none`, the *o* of its Table 2) and Eq. 2 (`wpal`, its *w*).
    It does not define its mixed loss *m*; here it is the mean of both (`mixed`). Nor does it state the loss
    of the mask: here it is the binary cross-entropy of each pixel, averaged over the known pixels, with a
    factor of 1. Its predicted result ŷ_p is here the mean of the main and the side prediction. For a network
    without mask, such as the baseline, the loss has the attributes only; in evaluation mode it always has, so
    that validation losses are comparable.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split.
        mask: Factor of the mask's loss.
        options: `weighting`, `reduction`, `unknown` as in `BinaryCrossEntropy`; the paper proposes
            `unknown: ignore` for unspecified labels.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If the factor is negative, or an option has no such value.

    Example:
        >>> criterion = DaHARLoss(positive_ratio=torch.tensor([0.5]))
        >>> terms = criterion(Output(torch.zeros(4, 1)), torch.tensor([[1]] * 4))
        >>> round(terms["total"].item(), 4)  # log 2
        0.6931
    """

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        mask: float = 1.0,
        **options: Unpack[CrossEntropyOptions],
    ) -> None:
        super().__init__()
        if not mask >= 0:
            raise ConfigError(f"expected a mask factor of 0 or more, got {mask}")
        self.factor = mask
        self.criterion = BinaryCrossEntropy(positive_ratio=positive_ratio, **options)

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); parsing `mask` (N, 2, H, W) if the mask is supervised.
            labels: (N, A) in {1, 0, −1}; batch: its guidance has masks if the output has this parsing.
            returns: `attributes`, `mask` (with its factor) if there is one, and `total`, () float each.

        Raises:
            DataError: If labels and logits do not fit each other, or there are no masks for the supervision.
        """
        terms = {"attributes": self.criterion.compute(output.logits, labels)}
        if self.training and self.factor and "mask" in output.parsing:
            if batch is None or batch.guidance.masks is None:
                raise DataError(
                    "expected masks to train on, got none; create them with `passerby annotate --masks`, or "
                    "set the model's mask_supervision: false"
                )
            classes = read_masks(batch.guidance.masks)
            loss = compute_parsing_loss(output.parsing["mask"], classes, reduction="mean")
            terms["mask"] = self.factor * loss
        return {**terms, "total": torch.stack(list(terms.values())).sum()}
