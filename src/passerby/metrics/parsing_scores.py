"""How well parsing maps agree with the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from passerby.parsing import MASK_CLASSES, UNKNOWN_CLASS, check_classes

__all__ = ["ParsingScores", "count_parsing"]


@dataclass(frozen=True, slots=True)
class ParsingScores:
    """Intersection over union of each parsing class, over the pixels of all pictures together.

    Args:
        iou: By class in [0, 1]; NaN for a class that the truth has nowhere.

    Example:
        >>> predicted, truth = torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 255]])
        >>> counts = count_parsing(predicted, truth, classes=3)
        >>> ParsingScores.from_counts(counts, ("background", "head", "feet")).iou
        {'background': 1.0, 'head': 1.0, 'feet': nan}
    """

    iou: Mapping[str, float]

    @classmethod
    def from_counts(cls, counts: Tensor, classes: Sequence[str]) -> ParsingScores:
        """Scores from counts of pixels.

        Shape:
            counts: (K, K), true class by predicted class.
        """
        pixels = counts.double()
        hits, true = pixels.diagonal(), pixels.sum(1)
        iou = hits / (true + pixels.sum(0) - hits)
        return cls(dict(zip(classes, iou.where(true > 0, torch.nan).tolist(), strict=True)))

    @property
    def score(self) -> float:
        """The one number to tell: of masks the IoU of the person, of more classes the mean IoU.

        Example:
            >>> ParsingScores({"background": 0.9, "person": 0.8}).score
            0.8
        """
        return self.iou["person"] if tuple(self.iou) == MASK_CLASSES else self.mean_iou

    @property
    def mean_iou(self) -> float:
        """The mean of the classes that the truth has; NaN if it has none."""
        known = [value for value in self.iou.values() if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan


def count_parsing(predicted: Tensor, truth: Tensor, *, classes: int) -> Tensor:
    """Count pixels by true and predicted class; those whose class is not known do not count.

    Shape:
        predicted: (N, H, W) of numbers 0 … K − 1. truth: likewise, 255 where not known. Returns (K, K) int64.

    Raises:
        DataError: If the truth has a class beyond K.
    """
    check_classes(truth, classes)
    return multiclass_confusion_matrix(
        predicted.long(), truth.long(), num_classes=classes, ignore_index=UNKNOWN_CLASS, validate_args=False
    )
