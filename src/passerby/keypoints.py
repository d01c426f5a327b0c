"""Convert keypoints from the 17 of COCO, which detectors predict, to the 16 of MPII, which papers use."""

from __future__ import annotations

import torch
from torch import Tensor

from passerby.errors import DataError

__all__ = ["MEAN_POSE_MPII", "convert_coco_to_mpii"]

_FROM_COCO = (16, 14, 12, 11, 13, 15, -1, -1, -1, -1, 10, 8, 6, 5, 7, 9)
"""COCO index of each MPII keypoint: ankle, knee, hip (right), hip, knee, ankle (left), four derived ones
(pelvis, thorax, upper neck, head top), wrist, elbow, shoulder (right), shoulder, elbow, wrist (left)."""

_NOSE, _SHOULDERS, _HIPS = 0, [5, 6], [11, 12]

MEAN_POSE_MPII: tuple[tuple[float, float], ...] = (
    *((0.48, 0.88), (0.48, 0.70), (0.48, 0.50), (0.52, 0.50), (0.52, 0.70), (0.52, 0.88)),
    *((0.50, 0.50), (0.50, 0.23), (0.50, 0.20), (0.50, 0.09)),
    *((0.41, 0.47), (0.44, 0.37), (0.46, 0.23), (0.54, 0.23), (0.56, 0.37), (0.59, 0.47)),
)
"""Mean position of each MPII keypoint in a crop of a pedestrian: x and y as fractions of width and height.

Means over all images of PETA, including its test splits (keypoints with a score of at least 0.5), made
symmetric and rounded."""


def convert_coco_to_mpii(keypoints: Tensor) -> Tensor:
    """Convert the 17 keypoints of COCO to the 16 of MPII.

    Limbs are the same in both. The pelvis is the centre of the hips, and the thorax that of the shoulders.
    The upper neck is at a third of the distance from the thorax to the nose; the top of the head is beyond
    the nose, by half of this distance. A derived keypoint has the lowest score of its source keypoints.

    Shape:
        keypoints: (N, 17, 3), x, y, score; returns: (N, 16, 3), in the same units.

    Raises:
        DataError: If there are not 17 keypoints of three numbers each.

    Example:
        >>> standing = torch.zeros(1, 17, 3)
        >>> standing[0, [0, 5, 6], :2] = torch.tensor([[10.0, 10.0], [16.0, 22.0], [4.0, 22.0]])
        >>> convert_coco_to_mpii(standing)[0, 7:10, :2].tolist()  # thorax, upper neck, head top
        [[10.0, 22.0], [10.0, 18.0], [10.0, 4.0]]
    """
    if keypoints.ndim != 3 or keypoints.shape[1:] != (17, 3):
        raise DataError(
            f"expected keypoints of shape (N, 17, 3), in COCO order, got {tuple(keypoints.shape)}"
        )
    nose, score = keypoints[:, _NOSE, :2], keypoints[..., 2]
    pelvis = keypoints[:, _HIPS, :2].mean(1)
    thorax = keypoints[:, _SHOULDERS, :2].mean(1)
    hips, shoulders = score[:, _HIPS].amin(1), score[:, _SHOULDERS].amin(1)
    head = torch.minimum(shoulders, score[:, _NOSE])
    derived = (
        (pelvis, hips),
        (thorax, shoulders),
        (thorax + (nose - thorax) / 3, head),
        (nose + (nose - thorax) / 2, head),
    )
    points = [torch.cat((point, lowest.unsqueeze(1)), dim=1) for point, lowest in derived]
    return torch.stack(
        [keypoints[:, index] if index >= 0 else points[i - 6] for i, index in enumerate(_FROM_COCO)], dim=1
    )
