"""Apply the augmentation to image, mask, parsing map and keypoints together.

Padding, cropping and flipping happen while a batch is gathered from the cache, by one function for all
kinds of data. Resized crops, affine transforms and colour changes follow on the device of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data import colours
from passerby.data.affine import AffineParameters, apply_affine
from passerby.data.augmentation import Augmentation, Draws
from passerby.data.crops import CROP_POSITIONS, Crop, find_inside, locate_crop, resize_crops, scale_side
from passerby.types import Guidance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COCO_MIRROR", "gather_keypoints", "gather_pixels", "hide_outside", "transform_batch"]

COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""The COCO keypoint that each keypoint becomes in a mirror: left and right are swapped, the nose stays."""


def gather_pixels(source: NDArray[np.uint8], rows: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
    """Gather rows of a cache, and crop and flip them.

    Shape:
        source: (M, H, W, 3) or (M, H, W). Returns (N, 3, H, W) or (N, H, W), contiguous.

    Example:
        >>> from passerby.data.augmentation import draw_parameters
        >>> still = draw_parameters(None, np.array([1]), seed=0, epoch=0)
        >>> gather_pixels(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.array([1]), still).tolist()
        [[[6, 7, 8], [9, 10, 11]]]
    """
    height, width = source.shape[1:3]
    out = np.zeros((len(rows), *source.shape[3:], height, width), np.uint8)
    for i, (row, (dy, dx), flip) in enumerate(zip(rows, draws.shift_px.tolist(), draws.flip, strict=True)):
        top, bottom = max(0, -dy), min(height, height - dy)
        left, right = max(0, -dx), min(width, width - dx)
        if bottom <= top or right <= left:
            continue  # the crop contains nothing but padding
        pixels = source[row, top + dy : bottom + dy, left + dx : right + dx]
        target = out[i, ..., ::-1] if flip else out[i]
        if pixels.ndim == 2:
            target[top:bottom, left:right] = pixels
            continue
        for channel in range(pixels.shape[2]):
            target[channel, top:bottom, left:right] = pixels[..., channel]
    return out


def gather_keypoints(
    source: NDArray[np.float32], rows: NDArray[np.int64], draws: Draws, *, width_px: int
) -> NDArray[np.float32]:
    """Gather keypoints, and move and mirror them as `gather_pixels` does with pixels.

    Shape:
        source: (M, 17, 3): x, y, score. Returns (N, 17, 3).
    """
    points = source[rows]
    points[..., 0] -= draws.shift_px[:, None, 1]
    points[..., 1] -= draws.shift_px[:, None, 0]
    mirrored = points[:, COCO_MIRROR]
    mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
    return np.where(draws.flip[:, None, None], mirrored, points)


def hide_outside(keypoints: Tensor, size: Sequence[int]) -> None:
    """Set the score of keypoints outside the input to 0, and missing ones to 0, 0, 0; in place.

    Shape:
        keypoints: (N, 17, 3); size: H and W.
    """
    import torch

    keypoints.nan_to_num_(nan=0.0)
    score = keypoints[..., 2]
    score.copy_(torch.where(find_inside(keypoints, size), score, 0.0))


def transform_batch(
    augmentation: Augmentation, draws: Draws, images: Tensor, guidance: Guidance
) -> tuple[Tensor, Guidance]:
    """Crop and resize, rotate, translate, scale, shear and recolour each sample by its own draws.

    Crops and affine transforms apply to images and auxiliary inputs, colour changes to images only.

    Shape:
        images: (N, 3, H, W) uint8, on any device; returns (N, 3, H · crop_to, W · crop_to), rounded, and
        auxiliary inputs of this size. Without crops, the tensors are changed in place.
    """
    if augmentation.crop_sides:
        height, width = images.shape[-2:]
        size = scale_side(height, augmentation.crop_to), scale_side(width, augmentation.crop_to)
        crops = _choose_crops(augmentation, draws, (height, width))
        images, guidance = resize_crops(images, guidance, crops, size=size)
    # On a CPU, one image at a time stays in its caches; a GPU is faster with all of them at once.
    step = 1 if images.device.type == "cpu" else len(images)
    for start in range(0, len(images), step):
        samples = slice(start, start + step)
        tensors = (guidance.masks, guidance.parsing, guidance.keypoints)
        views = Guidance(*(None if values is None else values[samples] for values in tensors))
        _transform(augmentation, draws.take(samples), images[samples], views)
    return images, guidance


def _transform(augmentation: Augmentation, draws: Draws, images: Tensor, guidance: Guidance) -> None:
    """Apply the changes that keep the size of the images, in place."""
    if augmentation.is_affine:
        apply_affine(images, guidance, _choose_affine(augmentation, draws, images.shape[-2:]))
    if amount := augmentation.brightness:
        colours.adjust_brightness(images, 1 + amount * draws.spread("brightness"))
    if amount := augmentation.contrast:
        colours.adjust_contrast(images, 1 + amount * draws.spread("contrast"))
    if amount := augmentation.saturation:
        colours.adjust_saturation(images, 1 + amount * draws.spread("saturation"))


def _choose_crops(augmentation: Augmentation, draws: Draws, size: tuple[int, int]) -> list[Crop]:
    sides = augmentation.crop_sides
    second = "crop_height" if augmentation.crop_keep_ratio else "crop_width"
    columns = [(draws.fraction(name) * len(sides)).astype(int) for name in ("crop_height", second)]
    positions = (draws.fraction("crop_position") * len(CROP_POSITIONS)).astype(int)
    crops = []
    for position, *numbers in zip(positions.tolist(), *(c.tolist() for c in columns), strict=True):
        crop_size = [scale_side(side, sides[k]) for side, k in zip(size, numbers, strict=True)]
        crops.append(locate_crop(position, size, crop_size))
    return crops


def _choose_affine(augmentation: Augmentation, draws: Draws, size: Sequence[int]) -> AffineParameters:
    height, width = size
    return AffineParameters(
        angle_deg=augmentation.rotation_deg * draws.spread("rotation"),
        shift_px=np.stack(
            [
                augmentation.shift * width * draws.spread("shift_x"),
                augmentation.shift * height * draws.spread("shift_y"),
            ],
            axis=1,
        ),
        scale=1 + augmentation.zoom * draws.spread("zoom"),
        shear_deg=augmentation.shear_deg
        * np.stack([draws.spread("shear_x"), draws.spread("shear_y")], axis=1),
    )
