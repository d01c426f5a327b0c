"""MTMS's loss: attributes and parsing of both stages."""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.functional import Reduction
from passerby.parsing import MASK_CLASSES, UNKNOWN_CLASS, check_classes, read_masks
from passerby.types import Batch, Guidance, Output

__all__ = ["StagedMultiTask", "compute_parsing_loss"]


class StagedMultiTask(AttributeLoss):
    """J = Σ over the stages of λ_a · attributes + λ_p · parsing; only stage I in the first epochs.

    Paper: MTMS (2019), Eq. 1–3 and 5, λ_a = 1, λ_p = 1.5e-4; Eq. 1–3 lack their minus. "Then, the subnetwork
    in stage I is optimized … at last … jointly": the paper does not state for how long; here for
    `first_epochs`. Layers without a loss get no gradient: their weights stay unchanged, but the statistics of
    their batch normalisation do not. In evaluation mode, the loss has the attributes of the prediction only,
    so that validation losses of all epochs are comparable.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split.
        attributes: λ_a of the attributes.
        parsing: λ_p of the parsing, whose loss is a sum over the pixels.
        first_epochs: Number of epochs that train stage I only.
        options: `weighting` (`none` for Eq. 1, `wpal` for Eq. 2), `reduction`, `unknown` as in
            `BinaryCrossEntropy`.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If a number is out of its range.
    """

    epoch = 0

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        attributes: float = 1.0,
        parsing: float = 1.5e-4,
        first_epochs: int = 0,
        **options: Unpack[CrossEntropyOptions],
    ) -> None:
        super().__init__()
        if not (attributes > 0 and parsing >= 0 and isinstance(first_epochs, int) and first_epochs >= 0):
            raise ConfigError(
                "expected attributes above 0, parsing of 0 or more and a first_epochs of 0, 1, 2, …, got "
                f"{attributes}, {parsing} and {first_epochs}"
            )
        self.factors = {"attributes": attributes, "parsing": parsing}
        self.first_epochs = first_epochs
        self.criterion = BinaryCrossEntropy(positive_ratio=positive_ratio, **options)

    def set_epoch(self, epoch: int) -> None:
        """Set the current epoch, starting at 0."""
        self.epoch = epoch

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); branches `stage1`, `stage2` (N, A), without stages only the latter; parsing
                of the same names (N, K, H, W).
            labels: (N, A) in {1, 0, −1}; batch: its guidance has the fields of the model's `supervision`.
            returns: one term per stage and task, including its factor, and `total`, () float each.

        Raises:
            ConfigError: If the model has no such branches, or one stage and `first_epochs` above 0.
            DataError: If labels and logits do not fit each other, or there are no parsing maps.
        """
        if not self.training:
            loss = self.criterion.compute(output.logits, labels)
            return {"attributes": loss, "total": loss}
        stages = ("stage1",) if self.epoch < self.first_epochs else ("stage1", "stage2")
        trained = {stage: logits for stage, logits in output.branches.items() if stage in stages}
        if not trained or "stage2" not in output.branches:
            raise ConfigError(
                f"expected a model with the branches stage1 and stage2, now training {' and '.join(stages)}, "
                f"got {', '.join(output.branches) or 'none'}; use the model mtms and pass its Output, not "
                "its logits alone, and first_epochs: 0 for one stage"
            )
        truth = None
        if self.factors["parsing"] and output.parsing:
            truth = _select_parsing(batch, classes=next(iter(output.parsing.values())).shape[1])
        terms: dict[str, Tensor] = {}
        for stage, logits in trained.items():
            terms[f"attributes/{stage}"] = self.factors["attributes"] * self.criterion.compute(logits, labels)
            if truth is not None:
                loss = compute_parsing_loss(output.parsing[stage], truth)
                terms[f"parsing/{stage}"] = self.factors["parsing"] * loss
        return {**terms, "total": torch.stack(list(terms.values())).sum()}


def compute_parsing_loss(logits: Tensor, classes: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """Softmax cross-entropy over the pixels.

    Paper: MTMS, Eq. 3, with `sum`.

    Args:
        reduction: `sum` over the pixels and mean over the images, or `mean` over all known pixels (0 without
            any).

    Shape:
        logits: (N, K, H, W). classes: (N, H, W) int64 in 0 … K − 1, or 255 where the class is unknown.
        returns: () float.

    Raises:
        DataError: If the sizes differ, or a class is not below K.

    Example:
        >>> classes = torch.tensor([[[0, 1], [1, 255]]])
        >>> round(compute_parsing_loss(torch.zeros(1, 2, 2, 2), classes).item(), 4)  # 3 · log 2
        2.0794
    """
    expected = (len(logits), *logits.shape[2:])
    if tuple(classes.shape) != expected:
        raise DataError(f"expected parsing maps {expected} for these logits, got {tuple(classes.shape)}")
    if classes.device.type == "cpu":  # elsewhere, the check would stall every step
        check_classes(classes, logits.shape[1])
    computed = logits if logits.dtype == torch.float64 else logits.float()
    loss = F.cross_entropy(computed, classes, ignore_index=UNKNOWN_CLASS, reduction="sum")
    if reduction == "sum":
        return loss / len(logits)
    return loss / (classes != UNKNOWN_CLASS).sum().clamp(min=1)


def _select_parsing(batch: Batch | None, *, classes: int) -> Tensor:
    guidance = Guidance() if batch is None else batch.guidance
    if guidance.parsing is not None:
        return guidance.parsing
    if guidance.masks is not None and classes == len(MASK_CLASSES):
        return read_masks(guidance.masks)
    raise DataError(
        f"expected parsing maps of {classes} classes to train on, got "
        f"{'none' if guidance.masks is None else 'masks'}; create them with `passerby annotate --parsing`"
    )
