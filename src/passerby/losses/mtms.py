"""MTMS's loss: attributes and parsing of both stages, stage I first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ConfigError, DataError
from passerby.losses.bce import BinaryCrossEntropy
from passerby.losses.functional import Reduction, Unknown, Weighting
from passerby.parsing import UNKNOWN_CLASS
from passerby.types import Batch, Guidance, Output

__all__ = ["StagedMultiTask", "compute_parsing_loss"]


class StagedMultiTask(nn.Module):
    """J = Σ over the stages of λ_a · attributes + λ_p · parsing; stage I alone in the first epochs.

    Paper: MTMS (2019), Eq. 1–3 and 5, λ_a = 1, λ_p = 1.5e-4; Eq. 1–3 lack their minus. "Then, the subnetwork
    in stage I is optimized … at last … jointly": `first_epochs` says for how long; the paper doesn't. What
    has no loss gets no gradient, and stays as it is. In evaluation mode only the attributes of the prediction
    count, so that validation losses of all epochs are of one kind.

    Args:
        positive_ratio: Share of positives of each attribute in the training split.
        attributes: λ of the attributes.
        parsing: λ of the parsing, whose loss is a sum over the pixels.
        first_epochs: Epochs that train stage I alone.
        weighting: `none` (Eq. 1) or `wpal` (Eq. 2), and others as in `BinaryCrossEntropy`.
        reduction, unknown: As in `BinaryCrossEntropy`.

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
        weighting: Weighting = "none",
        reduction: Reduction = "sum",
        unknown: Unknown = "ignore",
    ) -> None:
        super().__init__()
        if not (attributes > 0 and parsing >= 0 and first_epochs >= 0):
            raise ConfigError(
                "expected attributes above 0, parsing and first_epochs of 0 or more, got "
                f"{attributes}, {parsing} and {first_epochs}"
            )
        self.factors = {"attributes": attributes, "parsing": parsing}
        self.first_epochs = first_epochs
        self.criterion = BinaryCrossEntropy(
            positive_ratio=positive_ratio, reduction=reduction, weighting=weighting, unknown=unknown
        )

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch, from 0, is being trained."""
        self.epoch = epoch

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); branches `stage1`, `stage2` (N, A); parsing of the same names (N, K, H, W).
            labels: (N, A) in {1, 0, −1}; batch: its guidance has what the model's `supervision` names.
            returns: a term an item, already with its factor, and `total`, () float each.

        Raises:
            DataError: If labels and logits do not fit each other, or there is nothing to parse by.
        """
        if not self.training:
            loss = self.criterion.compute(output.logits, labels)
            return {"attributes": loss, "total": loss}
        terms: dict[str, Tensor] = {}
        for stage, logits in output.branches.items():
            if stage == "stage2" and self.epoch < self.first_epochs:
                continue
            terms[f"attributes/{stage}"] = self.factors["attributes"] * self.criterion.compute(logits, labels)
            if stage in output.parsing and self.factors["parsing"]:
                found = output.parsing[stage]
                truth = _choose_truth(batch)
                terms[f"parsing/{stage}"] = self.factors["parsing"] * compute_parsing_loss(found, truth)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}


def compute_parsing_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Softmax cross-entropy summed over the pixels, the mean over the pictures.

    Paper: MTMS, Eq. 3.

    Shape:
        logits: (N, K, H, W). classes: (N, H, W) int64 in 0 … K − 1, or 255 where the class is not known.
        returns: () float.

    Raises:
        DataError: If the sizes differ or a class is beyond K.

    Example:
        >>> classes = torch.tensor([[[0, 1], [1, 255]]])
        >>> round(compute_parsing_loss(torch.zeros(1, 2, 2, 2), classes).item(), 4)  # 3 · log 2
        2.0794
    """
    if logits.shape[2:] != classes.shape[1:] or len(logits) != len(classes):
        raise DataError(
            f"expected parsing maps of {tuple(logits.shape[2:])} pixels, got {tuple(classes.shape[1:])}"
        )
    known = classes[classes != UNKNOWN_CLASS]
    if known.numel() and int(known.max()) >= logits.shape[1]:
        raise DataError(
            f"expected parsing classes 0 … {logits.shape[1] - 1}, got {int(known.max())}; set the model's "
            "parsing_classes, or bring the maps to its classes by `passerby annotate --parsing-from relabel`"
        )
    return F.cross_entropy(logits, classes, ignore_index=UNKNOWN_CLASS, reduction="sum") / len(logits)


def _choose_truth(batch: Batch | None) -> Tensor:
    guidance = Guidance() if batch is None else batch.guidance
    if guidance.parsing is not None:
        return guidance.parsing
    if guidance.masks is not None:
        return (guidance.masks[:, 0] >= 0.5).long()
    raise DataError("expected parsing maps or masks to train on, got none; `passerby annotate` makes them")
