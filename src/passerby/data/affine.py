"""Rotate, translate, scale and shear a batch, with separate parameters for each sample.

The arithmetic is that of torchvision's `affine`, which takes one set of parameters for all images: about the
centre, bilinear for images, nearest pixel for masks and parsing maps, zeros outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.transfer import send

if TYPE_CHECKING:
    from torch import Tensor

    from passerby.types import Guidance

__all__ = ["AffineParameters", "apply_affine"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AffineParameters:
    """Affine transform of each sample about its centre: shear, rotation, scale; then translation.

    Shape:
        angle_deg: (N,), clockwise in the image. shift_px: (N, 2), x and y. scale: (N,), above 0.
        shear_deg: (N, 2), along x and y.
    """

    angle_deg: Floats
    shift_px: Floats
    scale: Floats
    shear_deg: Floats

    def compute_matrices(self) -> tuple[Floats, Floats]:
        """The forward transform of pixel positions, and its inverse; x and y are relative to the centre.

        Shape:
            Returns two matrices (N, 2, 3): `matrix @ (x, y, 1)`.
        """
        angle, (shear_x, shear_y) = np.radians(self.angle_deg), np.radians(self.shear_deg).T
        a = np.cos(angle - shear_y) / np.cos(shear_y)
        b = -(a * np.tan(shear_x) + np.sin(angle))
        c = np.sin(angle - shear_y) / np.cos(shear_y)
        d = np.cos(angle) - c * np.tan(shear_x)  # a · d − b · c = 1
        x, y = self.shift_px.T
        e, f, g, h = d / self.scale, -b / self.scale, -c / self.scale, a / self.scale
        forward = [[a * self.scale, b * self.scale, x], [c * self.scale, d * self.scale, y]]
        inverse = [[e, f, -e * x - f * y], [g, h, -g * x - h * y]]
        return np.moveaxis(np.array(forward), 2, 0), np.moveaxis(np.array(inverse), 2, 0)


def apply_affine(images: Tensor, guidance: Guidance, parameters: AffineParameters) -> None:
    """Transform images and their auxiliary inputs in place.

    Shape:
        images: (N, 3, H, W) uint8.
    """
    height, width = images.shape[-2:]
    forward, inverse = parameters.compute_matrices()
    grid = _compute_grid(inverse, (height, width), images)
    images.copy_(_sample(images, grid, "bilinear"))
    if guidance.masks is not None:
        guidance.masks.copy_(_sample(guidance.masks, grid, "nearest"))
    if guidance.parsing is not None:
        guidance.parsing.copy_(_sample(guidance.parsing[:, None], grid, "nearest")[:, 0])
    if guidance.keypoints is not None:
        _transform_keypoints(guidance.keypoints, forward, (height, width))


def _compute_grid(inverse: Floats, size: tuple[int, int], like: Tensor) -> Tensor:
    """Source position of each pixel, (N, H, W, 2): x and y in [-1, 1]."""
    import torch

    height, width = size
    half = np.array([[0.5 * width], [0.5 * height]], np.float32)
    matrices = send(inverse.astype(np.float32) / half, like.device)[..., None, None]  # (N, 2, 3, 1, 1)
    x = torch.linspace((1 - width) * 0.5, (width - 1) * 0.5, width, device=like.device)
    y = torch.linspace((1 - height) * 0.5, (height - 1) * 0.5, height, device=like.device)[:, None]
    return torch.stack([_apply(row, x, y) for row in matrices.unbind(1)], dim=-1)


def _apply(row: Tensor, x: Tensor, y: Tensor) -> Tensor:
    a, b, c = row.unbind(1)
    return (x * a).addcmul(y, b).add_(c)


def _sample(values: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    from torch.nn.functional import grid_sample

    sampled = grid_sample(values.float(), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return sampled if values.is_floating_point() else sampled.round_()


def _transform_keypoints(keypoints: Tensor, forward: Floats, size: tuple[int, int]) -> None:
    """Keypoint coordinate 0 is the centre of pixel 0; the transform is about the centre of the image."""
    import torch

    centre = np.array([0.5 * size[1], 0.5 * size[0]])
    forward = forward.copy()
    forward[..., 2] += centre - forward[..., :2] @ centre
    rows = send(forward.astype(np.float32), keypoints.device)[..., None].unbind(1)  # twice (N, 3, 1)
    x, y = (keypoints[..., :2] + 0.5).unbind(-1)
    keypoints[..., :2] = torch.stack([_apply(row, x, y) for row in rows], dim=-1) - 0.5
