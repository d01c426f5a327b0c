"""Crops at the corners and the centre of images and their masks, parsing maps and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from passerby.data.transfer import send
from passerby.types import Guidance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CROP_POSITIONS",
    "Crop",
    "crop_batch",
    "find_inside",
    "locate_crop",
    "resize_crops",
    "scale_side",
]

CROP_POSITIONS = ("top left", "top right", "bottom left", "bottom right", "centre")
"""Possible positions of a crop."""

Crop: TypeAlias = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""


def scale_side(side_px: int, share: float) -> int:
    """A fraction of a side in whole pixels, at least 1.

    Example:
        >>> scale_side(256, 0.65625), scale_side(3, 0.1)
        (168, 1)
    """
    return max(1, round(share * side_px))


def locate_crop(position: int, size: Sequence[int], crop_size: Sequence[int]) -> Crop:
    """The crop of a given size at one of `CROP_POSITIONS`.

    Args:
        position: Index in `CROP_POSITIONS`. If an odd number of pixels remains, the centre is rounded
            towards the top left.

    Shape:
        size, crop_size: H and W in pixels; the crop is not larger than the image.

    Example:
        >>> [locate_crop(position, (256, 256), (224, 128))[:2] for position in range(5)]
        [(0, 0), (0, 128), (32, 0), (32, 128), (16, 64)]
    """
    height, width = crop_size
    down, right = size[0] - height, size[1] - width
    tops, lefts = (0, 0, down, down, down // 2), (0, right, 0, right, right // 2)
    return tops[position], lefts[position], height, width


def crop_batch(images: Tensor, guidance: Guidance, crop: Crop) -> tuple[Tensor, Guidance]:
    """Crop all images and their auxiliary inputs at the same position.

    Shape:
        images: (N, 3, H, W); returns (N, 3, h, w), a view. Keypoints are relative to the corner of the crop;
        those outside have score 0.
    """
    masks, parsing, keypoints = guidance.masks, guidance.parsing, guidance.keypoints
    return _cut(images, crop), Guidance(
        None if masks is None else _cut(masks, crop),
        None if parsing is None else _cut(parsing, crop),
        None if keypoints is None else _move_keypoints(keypoints, [crop], crop[2:]),
    )


def _cut(values: Tensor, crop: Crop) -> Tensor:
    top, left, height, width = crop
    return values[..., top : top + height, left : left + width]


def resize_crops(
    images: Tensor, guidance: Guidance, crops: Sequence[Crop], *, size: tuple[int, int]
) -> tuple[Tensor, Guidance]:
    """Crop each image separately, and resize all crops and their auxiliary inputs to one size.

    Images are resized bilinearly with antialiasing, masks and parsing maps to the nearest pixel, as by affine
    transforms: a binary mask stays binary, and unknown classes stay unknown.

    Args:
        crops: One for each image.
        size: Height and width of the result in pixels.

    Shape:
        images: (N, 3, H, W) uint8; returns (N, 3, *size).
    """
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as v2

    sizes = sorted({crop[2:] for crop in crops})
    groups = [[i for i, crop in enumerate(crops) if crop[2:] == crop_size] for crop_size in sizes]
    original_order = send(np.argsort([i for group in groups for i in group]), images.device)

    def resize(values: Tensor, mode: Any) -> Tensor:
        """Resize crops of one size at a time."""
        stacks = (torch.stack([_cut(values[i], crops[i]) for i in group]) for group in groups)
        resized = [v2.resize(s, list(size), interpolation=mode, antialias=True) for s in stacks]
        return torch.cat(resized)[original_order]

    nearest = InterpolationMode.NEAREST_EXACT  # NEAREST would shift the result by up to half a pixel
    masks, parsing, keypoints = guidance.masks, guidance.parsing, guidance.keypoints
    return resize(images, InterpolationMode.BILINEAR), Guidance(
        None if masks is None else resize(masks, nearest),
        None if parsing is None else resize(parsing[:, None], nearest)[:, 0],  # resized as (N, 1, H, W)
        None if keypoints is None else _move_keypoints(keypoints, crops, size),
    )


def _move_keypoints(keypoints: Tensor, crops: Sequence[Crop], size: Sequence[int]) -> Tensor:
    """Keypoints (N, 17, 3) relative to crops (one per sample, or one for all) that were resized to `size`."""
    import torch

    numbers = np.array([(left, top, width, height, *size[::-1]) for top, left, height, width in crops])
    boxes = send(numbers, keypoints.device).to(keypoints.dtype)[:, None]  # (N or 1, 1, 6)
    corner, factor = boxes[..., :2], boxes[..., 4:] / boxes[..., 2:4]
    moved = keypoints.clone()
    moved[..., :2] = (keypoints[..., :2] + 0.5 - corner) * factor - 0.5  # pixel 0 has its centre at 0
    moved[..., 2] = torch.where(find_inside(moved, size), moved[..., 2], 0.0)
    return moved


def find_inside(keypoints: Tensor, size: Sequence[int]) -> Tensor:
    """Whether keypoints lie on a pixel of the image; False for missing ones (NaN).

    Shape:
        keypoints: (N, 17, 3); size: H and W; returns (N, 17) bool.
    """
    x, y, _ = keypoints.unbind(-1)
    inside: Tensor = (x >= -0.5) & (x < size[1] - 0.5) & (y >= -0.5) & (y < size[0] - 0.5)
    return inside
