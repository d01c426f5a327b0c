"""Rotation, shift, zoom and shear of a batch, each sample by amounts of its own.

The arithmetic is that of torchvision's `affine`, which takes one set of amounts for all pictures: about the
centre, bilinear for pictures, the nearest pixel for masks and parsing maps, zeros where nothing was.
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

__all__ = ["Motions", "move_batch"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motions:
    """What happens to the samples of a batch about their centres: shear, rotation, scale; then a shift.

    Shape:
        angle_deg: (N,), clockwise as it is seen. shift_px: (N, 2), x and y. scale: (N,), above 0.
        shear_deg: (N, 2), along x and y.
    """

    angle_deg: Floats
    shift_px: Floats
    scale: Floats
    shear_deg: Floats

    def compute_matrices(self) -> tuple[Floats, Floats]:
        """From where a pixel was to where it goes, and back; x and y count from the centre.

        Shape:
            Returns twice (N, 2, 3): `matrix @ (x, y, 1)`.
        """
        angle, (shear_x, shear_y) = np.radians(self.angle_deg), np.radians(self.shear_deg).T
        a = np.cos(angle - shear_y) / np.cos(shear_y)
        b = -(a * np.tan(shear_x) + np.sin(angle))
        c = np.sin(angle - shear_y) / np.cos(shear_y)
        d = np.cos(angle) - c * np.tan(shear_x)  # a · d − b · c = 1
        x, y = self.shift_px.T
        e, f, g, h = d / self.scale, -b / self.scale, -c / self.scale, a / self.scale
        forth = [[a * self.scale, b * self.scale, x], [c * self.scale, d * self.scale, y]]
        back = [[e, f, -e * x - f * y], [g, h, -g * x - h * y]]
        return np.moveaxis(np.array(forth), 2, 0), np.moveaxis(np.array(back), 2, 0)


def move_batch(images: Tensor, guidance: Guidance, motions: Motions) -> None:
    """Move pictures and the guidance over them, in place.

    Shape:
        images: (N, 3, H, W) uint8.
    """
    height, width = images.shape[-2:]
    forth, back = motions.compute_matrices()
    grid = _compute_grid(back, (height, width), images)
    images.copy_(_sample(images, grid, "bilinear"))
    if guidance.masks is not None:
        guidance.masks.copy_(_sample(guidance.masks, grid, "nearest"))
    if guidance.parsing is not None:
        guidance.parsing.copy_(_sample(guidance.parsing[:, None], grid, "nearest")[:, 0])
    if guidance.keypoints is not None:
        _move_keypoints(guidance.keypoints, forth, (height, width))


def _compute_grid(back: Floats, size: tuple[int, int], like: Tensor) -> Tensor:
    """Where each pixel comes from, (N, H, W, 2): x and y in [-1, 1]."""
    import torch

    height, width = size
    half = np.array([[0.5 * width], [0.5 * height]], np.float32)
    matrices = send(back.astype(np.float32) / half, like.device)[..., None, None]  # (N, 2, 3, 1, 1)
    x = torch.linspace((1 - width) * 0.5, (width - 1) * 0.5, width, device=like.device)
    y = torch.linspace((1 - height) * 0.5, (height - 1) * 0.5, height, device=like.device)[:, None]
    return torch.stack([_apply(row, x, y) for row in matrices.unbind(1)], dim=-1)


def _apply(row: Tensor, x: Tensor, y: Tensor) -> Tensor:
    a, b, c = row.unbind(1)
    return (x * a).addcmul(y, b).add_(c)


def _sample(values: Tensor, grid: Tensor, mode: Literal["bilinear", "nearest"]) -> Tensor:
    from torch.nn.functional import grid_sample

    moved = grid_sample(values.float(), grid, mode=mode, padding_mode="zeros", align_corners=False)
    return moved if values.is_floating_point() else moved.round_()


def _move_keypoints(keypoints: Tensor, forth: Floats, size: tuple[int, int]) -> None:
    """Pixel 0 has its middle at 0, and the centre lies between the sides."""
    import torch

    centre = np.array([0.5 * size[1], 0.5 * size[0]])
    forth = forth.copy()
    forth[..., 2] += centre - forth[..., :2] @ centre
    rows = send(forth.astype(np.float32), keypoints.device)[..., None].unbind(1)  # twice (N, 3, 1)
    x, y = (keypoints[..., :2] + 0.5).unbind(-1)
    keypoints[..., :2] = torch.stack([_apply(row, x, y) for row in rows], dim=-1) - 0.5
