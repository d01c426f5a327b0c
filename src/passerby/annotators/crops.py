"""Cutting persons out of pictures and putting what was found in them back.

A crop is cut at whole pixels: the box, clipped to the picture and widened to the next pixel side. So nothing
is resampled, and a pixel of the crop is a pixel of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError, ImageError
from passerby.images.decode import load_map

__all__ = ["Crop", "compute_crop", "cut_map", "load_cut_map", "paste_map", "shift_keypoints"]

Crop: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are exclusive."""


def compute_crop(size: tuple[int, int], box: Sequence[float] | None) -> Crop:
    """The part of a picture of `size` (width, height) that a box covers, all of it without a box.

    Raises:
        DataError: If the box lies outside of the picture.

    Example:
        >>> compute_crop((40, 100), (-3, 10.5, 20.2, 60)), compute_crop((40, 100), None)
        ((0, 10, 21, 60), (0, 0, 40, 100))
    """
    width, height = size
    if box is None:
        return (0, 0, width, height)
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
    if not (x1 > x0 and y1 > y0):
        raise DataError(
            f"expected a box that overlaps the picture of {width} × {height} pixels, got {list(box)}"
        )
    return (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))


def cut_map(values: NDArray[Any], crop: Crop) -> NDArray[Any]:
    """The part of a map (h, w) that a crop covers."""
    return values[crop[1] : crop[3], crop[0] : crop[2]]


def load_cut_map(path: Path, size: tuple[int, int], crop: Crop) -> NDArray[np.uint8]:
    """Load a mask or parsing map of a picture of `size` (width, height) and cut out a crop.

    Raises:
        ImageError: If the file is damaged, or has another size than the picture.
    """
    values = load_map(path)
    if values.shape[::-1] != size:
        expected, got = f"{size[0]} × {size[1]}", f"{values.shape[1]} × {values.shape[0]}"
        raise ImageError(f"{path}: expected {expected} pixels as in its picture, got {got}; make it anew")
    cut: NDArray[np.uint8] = cut_map(values, crop)
    return cut


def paste_map(values: NDArray[np.uint8], crop: Crop, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A map of the whole picture, 0 outside of the crop.

    Example:
        >>> paste_map(np.ones((1, 2), np.uint8), (1, 0, 3, 1), (4, 2)).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    whole = np.zeros((size[1], size[0]), np.uint8)
    whole[crop[1] : crop[3], crop[0] : crop[2]] = values
    return whole


def shift_keypoints(keypoints: NDArray[np.float32], left: float, top: float) -> NDArray[np.float32]:
    """Keypoints (17, 3) moved by some pixels; the scores stay.

    Example:
        >>> shift_keypoints(np.float32([[1, 2, 0.5]]), 10, -1).tolist()
        [[11.0, 1.0, 0.5]]
    """
    moved = np.array(keypoints, np.float32)
    moved[:, :2] += np.array([left, top], np.float32)
    return moved
