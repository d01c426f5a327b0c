"""A mask from keypoints alone: their convex hull, made wider."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt
from scipy.spatial import ConvexHull, QhullError

from passerby.errors import DataError

__all__ = ["draw_keypoint_hull"]

_SHOULDERS, _HIPS = slice(5, 7), slice(11, 13)
_TORSO_SHARE = 0.33  # of the height from nose to ankles when standing, see MEAN_POSE
_FEWEST = 3


def draw_keypoint_hull(
    keypoints: NDArray[np.float32],
    size: tuple[int, int],
    *,
    min_score: float = 0.3,
    margin: float = 0.15,
) -> NDArray[np.uint8] | None:
    """Fill the convex hull of the confident keypoints and all that is near it.

    Keypoints lie inside of the body: without a margin, the hull would lack the top of the head, the toes and
    half of each arm. Between the limbs there is background in it, so it is no silhouette; the margin is
    rather wide, as what a mask lacks of the person is lost, and what it has too much is not.

    Args:
        keypoints: Those of COCO: x, y, score; (0, 0) is the middle of the top left pixel.
        size: Width and height of the mask in pixels.
        min_score: Lowest score with which a keypoint counts; one without a finite place never does.
        margin: How far the mask reaches beyond the hull, as a share of the length from the middle of the
            shoulders to that of the hips. Of a pair one is enough; if both of either are missing, a third of
            the longer side of the keypoints' box stands for that length.

    Returns:
        0 or 1; None with fewer than three confident keypoints.

    Shape:
        keypoints: (17, 3); returns (h, w) uint8.

    Raises:
        DataError: If there are not 17 keypoints of three numbers each, the size is not positive, or the
            margin is negative.

    Example:
        >>> square = np.zeros((17, 3), np.float32)
        >>> square[[5, 6, 11, 12]] = [(6, 4, 1), (4, 4, 1), (6, 8, 1), (4, 8, 1)]
        >>> mask = draw_keypoint_hull(square, (11, 13), margin=0.25)
        >>> mask.sum(axis=1).tolist()  # 3 × 5 pixels and one more on each side
        [0, 0, 0, 3, 5, 5, 5, 5, 5, 3, 0, 0, 0]
    """
    width, height = size
    if keypoints.shape != (17, 3):
        raise DataError(f"expected keypoints of shape (17, 3), in COCO order, got {keypoints.shape}")
    if width < 1 or height < 1 or not margin >= 0:
        raise DataError(f"expected a size of at least 1 × 1 and a margin of at least 0, got {size}, {margin}")
    there = np.isfinite(keypoints).all(axis=1) & (keypoints[:, 2] >= min_score)
    points = np.where(there[:, None], keypoints[:, :2], np.nan).astype(np.float64)
    if there.sum() < _FEWEST:
        return None
    reach = margin * _measure_torso(points)
    pad = math.ceil(reach) + 1  # what lies out of the picture still reaches into it
    canvas = Image.new("1", (width + 2 * pad, height + 2 * pad))
    outline = [(float(x) + pad, float(y) + pad) for x, y in _find_hull(points[there])]
    ImageDraw.Draw(canvas).polygon(outline, fill=1, outline=1)
    hull = np.asarray(canvas)
    if not hull.any():  # far outside of the picture; to scipy the distance to nothing is not infinite
        return np.zeros((height, width), np.uint8)
    distance = np.asarray(distance_transform_edt(~hull))
    return (distance[pad : pad + height, pad : pad + width] <= reach).astype(np.uint8)


def _measure_torso(points: NDArray[np.float64]) -> float:
    """Length from shoulders to hips; missing keypoints are NaN."""
    ends = [pair[np.isfinite(pair[:, 0])] for pair in (points[_SHOULDERS], points[_HIPS])]
    if all(len(end) for end in ends):
        return float(np.hypot(*(ends[0].mean(axis=0) - ends[1].mean(axis=0))))
    return _TORSO_SHARE * float(np.ptp(points[np.isfinite(points[:, 0])], axis=0).max())


def _find_hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners in order; of points on one line, its two ends."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points[np.lexsort((points[:, 1], points[:, 0]))[[0, -1]]]
