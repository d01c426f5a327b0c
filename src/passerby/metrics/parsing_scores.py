"""Agreement of parsing maps with the ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from passerby.io import replace_nan
from passerby.metrics.arrays import convert_to_tensor, convert_to_tensors
from passerby.parsing import MASK_CLASSES, UNKNOWN_CLASS, check_classes

__all__ = ["ParsingScores", "count_parsing"]


@dataclass(frozen=True, slots=True)
class ParsingScores:
    """Intersection over union of each parsing class over the pixels of all images.

    Args:
        iou: By class in [0, 1]; NaN for a class that is not in the ground truth.

    Example:
        >>> counts = count_parsing([[0, 1, 1]], [[0, 1, 255]], classes=3)
        >>> ParsingScores.from_counts(counts, ("background", "head", "feet")).iou
        {'background': 1.0, 'head': 1.0, 'feet': nan}
    """

    iou: Mapping[str, float]

    @classmethod
    def from_counts(cls, counts: Tensor | ArrayLike, classes: Sequence[str]) -> ParsingScores:
        """Scores from counts of pixels.

        Args:
            counts: From `count_parsing`: tensor, array or nested lists.
            classes: Names of the classes.

        Shape:
            counts: (K, K), true class by predicted class.
        """
        pixels = convert_to_tensor(counts, name="counts").double()
        hits, true = pixels.diagonal(), pixels.sum(1)
        iou = hits / (true + pixels.sum(0) - hits)
        return cls(dict(zip(classes, iou.where(true > 0, torch.nan).tolist(), strict=True)))

    @property
    def score(self) -> float:
        """The summary: for masks the IoU of the person, for more classes the mean IoU.

        Example:
            >>> ParsingScores({"background": 0.9, "person": 0.8}).score
            0.8
        """
        return self.iou["person"] if tuple(self.iou) == MASK_CLASSES else self.mean_iou

    @property
    def mean_iou(self) -> float:
        """The mean over the classes in the ground truth; NaN if there is none."""
        known = [value for value in self.iou.values() if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `mIoU`, and `IoU` by class; None for NaN."""
        return {
            "mIoU": replace_nan(self.mean_iou),
            "IoU": {name: replace_nan(value) for name, value in self.iou.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ParsingScores:
        """Create scores from the output of `to_dict`."""
        return cls({k: math.nan if v is None else float(v) for k, v in values["IoU"].items()})


def count_parsing(predicted: Tensor | ArrayLike, truth: Tensor | ArrayLike, *, classes: int) -> Tensor:
    """Count pixels by true and predicted class, without those of unknown class.

    Args:
        predicted: Tensor, array or nested lists.
        truth: Likewise.
        classes: K.

    Shape:
        predicted: (N, H, W) of numbers 0 … K − 1. truth: likewise, 255 if unknown. Returns (K, K) int64.

    Raises:
        DataError: If the ground truth has a class of K or more.
    """
    predicted, truth = convert_to_tensors(predicted, truth, names=("predicted", "truth"))
    check_classes(truth, classes)
    return multiclass_confusion_matrix(
        predicted.long(), truth.long(), num_classes=classes, ignore_index=UNKNOWN_CLASS, validate_args=False
    )
