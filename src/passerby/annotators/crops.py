"""Crop persons from images, and paste results back into the full image.

A crop has integer coordinates: the box, clipped to the image and enlarged to whole pixels. Nothing is
resampled, so a pixel of the crop is a pixel of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ImageError
from passerby.images.decode import load_map
from passerby.images.placement import clip_box

__all__ = ["Crop", "compute_crop", "cut_map", "load_cut_map", "paste_map", "shift_keypoints"]

Crop: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are exclusive."""


def compute_crop(size: tuple[int, int], box: Sequence[float] | None) -> Crop:
    """The crop of an image of `size` (width, height) that covers a box; the full image without a box.

    Raises:
        DataError: If the box lies outside of the image.

    Example:
        >>> compute_crop((40, 100), (-3, 10.5, 20.2, 60)), compute_crop((40, 100), None)
        ((0, 10, 21, 60), (0, 0, 40, 100))
    """
    if box is None:
        return (0, 0, *size)
    x0, y0, x1, y1 = clip_box(size, box)
    return (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))


def cut_map(values: NDArray[Any], crop: Crop) -> NDArray[Any]:
    """Crop a map (h, w)."""
    return values[crop[1] : crop[3], crop[0] : crop[2]]


def load_cut_map(path: Path, size: tuple[int, int], crop: Crop) -> NDArray[np.uint8]:
    """Load a mask or parsing map of an image of `size` (width, height), and crop it.

    Raises:
        ImageError: If the file is damaged, or its size differs from that of the image.
    """
    values = load_map(path)
    if values.shape[::-1] != size:
        expected, got = f"{size[0]} × {size[1]}", f"{values.shape[1]} × {values.shape[0]}"
        raise ImageError(f"{path}: expected {expected} pixels as in its image, got {got}; create it again")
    cut: NDArray[np.uint8] = cut_map(values, crop)
    return cut


def paste_map(values: NDArray[np.uint8], crop: Crop, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Paste a map of a crop into a map of the full image, 0 outside the crop.

    Example:
        >>> paste_map(np.ones((1, 2), np.uint8), (1, 0, 3, 1), (4, 2)).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    whole = np.zeros((size[1], size[0]), np.uint8)
    whole[crop[1] : crop[3], crop[0] : crop[2]] = values
    return whole


def shift_keypoints(keypoints: NDArray[np.float32], left: float, top: float) -> NDArray[np.float32]:
    """Translate keypoints (17, 3); the scores stay.

    Example:
        >>> shift_keypoints(np.float32([[1, 2, 0.5]]), 10, -1).tolist()
        [[11.0, 1.0, 0.5]]
    """
    moved = np.array(keypoints, np.float32)
    moved[:, :2] += np.array([left, top], np.float32)
    return moved
