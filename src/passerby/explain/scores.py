"""Scores of heat maps and boxes: against boxes, against masks, and against the model itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from passerby.errors import DataError
from passerby.explain.boxes import check_heat
from passerby.types import Box

__all__ = [
    "compute_box_iou",
    "compute_correlation",
    "compute_energy_pointing",
    "compute_insertion_deletion",
    "compute_mask_iou",
    "hits_peak",
]

_TIES_SEED = 0


def compute_box_iou(found: Sequence[Box], truth: Sequence[Box]) -> float:
    """Intersection over union of the areas that two sets of boxes cover.

    With one box on either side it is the IoU of the paper (SSPNet, section 4.5). With several boxes, overlaps
    count once; single boxes are not matched.

    Returns:
        A number in [0, 1]; 0 if one side has no box.

    Raises:
        DataError: If neither side has a box: the score is undefined.

    Example:
        >>> compute_box_iou([Box(0, 0, 2, 2)], [Box(1, 0, 3, 2)])
        0.3333333333333333
        >>> compute_box_iou([Box(0, 0, 1, 1), Box(3, 0, 4, 1)], [Box(0, 0, 4, 1)])
        0.5
    """
    if not found and not truth:
        raise DataError("expected boxes to compare, got none on either side; leave out such samples")
    edges_x = sorted({edge for box in (*found, *truth) for edge in (box.x0, box.x1)})
    edges_y = sorted({edge for box in (*found, *truth) for edge in (box.y0, box.y1)})
    areas = np.outer(np.diff(edges_y), np.diff(edges_x))
    ours, theirs = (_cover(boxes, edges_x, edges_y) for boxes in (found, truth))
    return float(areas[ours & theirs].sum() / areas[ours | theirs].sum())


def _cover(boxes: Sequence[Box], edges_x: list[float], edges_y: list[float]) -> NDArray[np.bool_]:
    """Which cells of the grid of all edges lie in a box."""
    covered = np.zeros((len(edges_y) - 1, len(edges_x) - 1), np.bool_)
    for box in boxes:
        rows = slice(edges_y.index(box.y0), edges_y.index(box.y1))
        covered[rows, edges_x.index(box.x0) : edges_x.index(box.x1)] = True
    return covered


def compute_mask_iou(foreground: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks.

    Shape:
        foreground, truth: (H, W); returns a number in [0, 1].

    Raises:
        DataError: If the shapes differ, or both are empty.

    Example:
        >>> compute_mask_iou(np.array([[True, True]]), np.array([[False, True]]))
        0.5
    """
    if foreground.shape != truth.shape:
        raise DataError(f"expected masks of one size, got {foreground.shape} and {truth.shape}")
    union = int((foreground | truth).sum())
    if not union:
        raise DataError("expected a mask, got none on either side; leave out such samples")
    return int((foreground & truth).sum()) / union


def hits_peak(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> bool:
    """The pointing game: whether the maximum of the map lies on the ground truth.

    Of several equal maxima the first in row-major order counts; a map that is 0 everywhere is a miss. (Zhang
    et al., 2016, allow a margin of 15 pixels in large photos; there is no margin here.)

    Shape:
        heat: (H, W) ≥ 0; truth: (H, W).

    Example:
        >>> hits_peak(np.float32([[0, 3], [1, 2]]), np.array([[False, True], [False, False]]))
        True
    """
    _check(heat, truth)
    return bool(heat.max() > 0 and truth.flat[int(heat.argmax())])


def compute_energy_pointing(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Share of the heat that lies on the ground truth (Wang et al., 2020); 0 for a map that is 0 everywhere.

    Shape:
        heat: (H, W) ≥ 0; truth: (H, W), a mask or the inside of a box.

    Example:
        >>> compute_energy_pointing(np.float32([[1, 3]]), np.array([[False, True]]))
        0.75
    """
    _check(heat, truth)
    total = float(heat.sum(dtype=np.float64))
    return float(heat[truth].sum(dtype=np.float64)) / total if total > 0 else 0.0


def _check(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> None:
    check_heat(heat)
    if heat.shape != truth.shape:
        raise DataError(f"expected a heat map and a mask of one size, got {heat.shape} and {truth.shape}")


def compute_correlation(iou: NDArray[np.float64], confidence: NDArray[np.float64]) -> float:
    """Pearson correlation of IoU and confidence over the samples of an attribute (SSPNet, section 4.5).

    Shape:
        iou, confidence: (N,); returns a number in [−1, 1]; NaN for fewer than two samples or a constant.

    Example:
        >>> compute_correlation(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7]))
        1.0
    """
    if iou.shape != confidence.shape or iou.ndim != 1:
        raise DataError(f"expected two lists of one length, got {iou.shape} and {confidence.shape}")
    if len(iou) < 2:
        return float("nan")
    a, b = iou - iou.mean(), confidence - confidence.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / spread, 12) if spread > 1e-12 else float("nan")


def compute_insertion_deletion(
    score: Callable[[Tensor], Tensor], image: Tensor, heat: Tensor, *, steps: int = 20
) -> tuple[float, float]:
    """Insertion and deletion: the score while pixels are inserted into, or deleted from, the image by heat.

    Paper: Petsiuk et al., RISE, BMVC 2018. Missing pixels are 0, the mean colour after the usual
    normalisation, instead of blurred as in the paper. Areas are computed by the trapezoidal rule over the
    steps. Pixels of equal heat come in a random order, which is fixed for an image size: in row-major order,
    a map with many zeros would profit from the typical position of objects.

    Args:
        score: From images (K, 3, H, W) to the probability (K,) of the attribute.
        steps: Number of equal portions.

    Shape:
        image: (3, H, W), normalised; heat: (H, W) ≥ 0.

    Returns:
        Areas in [0, 1] under the curves of insertion (higher is better) and deletion (lower is better); both
        NaN for a map that is 0 everywhere, which gives no order.

    Raises:
        DataError: If `steps` is below 1, or sizes differ.

    Example:
        >>> image, heat = torch.ones(3, 2, 2), torch.tensor([[3.0, 2.0], [1.0, 0.0]])
        >>> compute_insertion_deletion(lambda images: images[:, 0, 0, 0], image, heat, steps=4)
        (0.875, 0.125)
    """
    if steps < 1 or image.shape[1:] != heat.shape:
        raise DataError(
            f"expected steps ≥ 1 and a heat map of the image's size, got {steps} and {tuple(heat.shape)}"
        )
    if not (heat > 0).any():
        return math.nan, math.nan
    drawn = torch.randperm(heat.numel(), generator=torch.Generator().manual_seed(_TIES_SEED)).to(heat.device)
    order = drawn[heat.flatten()[drawn].argsort(descending=True, stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    rank = rank.view_as(heat)  # (H, W), 0 for the hottest
    counts = torch.linspace(0, rank.numel(), steps + 1, device=rank.device).round()
    shown = (rank < counts[:, None, None]).unsqueeze(1).to(image.dtype)  # (steps + 1, 1, H, W)
    curves = [score(image * mask).double() for mask in (shown, 1 - shown)]
    inserted, deleted = (float(torch.trapezoid(curve, dx=1 / steps)) for curve in curves)
    return inserted, deleted
