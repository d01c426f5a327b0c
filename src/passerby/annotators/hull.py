"""A mask from keypoints: their dilated convex hull."""

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
_TORSO_SHARE = 0.33  # torso as a fraction of the height from nose to ankles when standing, see MEAN_POSE
_MIN_KEYPOINTS = 3


def draw_keypoint_hull(
    keypoints: NDArray[np.float32],
    size: tuple[int, int],
    *,
    min_score: float = 0.3,
    margin: float = 0.15,
) -> NDArray[np.uint8] | None:
    """Fill the convex hull of the confident keypoints, with a margin.

    Keypoints are inside the body: without a margin, the hull would lack the top of the head, the toes and
    half of each arm. The hull contains background between the limbs, so it is not a silhouette. The margin
    is wide, because missing pixels of the person lose information and additional background does not.

    Args:
        keypoints: COCO keypoints: x, y, score; (0, 0) is the centre of the top left pixel.
        size: Width and height of the mask in pixels.
        min_score: Minimum score of a keypoint; one without finite coordinates is ignored.
        margin: Distance that the mask extends beyond the hull, as a fraction of the torso length from the
            centre of the shoulders to that of the hips. One keypoint of a pair is enough; if both of a pair
            are missing, a third of the longer side of the bounding box of the keypoints replaces the torso
            length.

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
    present = np.isfinite(keypoints).all(axis=1) & (keypoints[:, 2] >= min_score)
    points = np.where(present[:, None], keypoints[:, :2], np.nan).astype(np.float64)
    if present.sum() < _MIN_KEYPOINTS:
        return None
    reach = margin * _measure_torso(points)
    pad = math.ceil(reach) + 1  # a hull outside the image may extend into it
    canvas = Image.new("1", (width + 2 * pad, height + 2 * pad))
    outline = [(float(x) + pad, float(y) + pad) for x, y in _find_hull(points[present])]
    ImageDraw.Draw(canvas).polygon(outline, fill=1, outline=1)
    hull = np.asarray(canvas)
    if not hull.any():  # far outside the image; scipy's distance to an empty set is not infinite
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
    """Corners in order; for collinear points, the two ends."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points[np.lexsort((points[:, 1], points[:, 0]))[[0, -1]]]
