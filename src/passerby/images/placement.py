"""Pictures, masks, parsing maps and keypoints at the size of a network's input, and heat maps back from it.

Keypoints count pixels by their centres: (0, 0) is the middle of the top left pixel. A box counts pixels by
their sides: (0, 0, w, h) is the whole picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from passerby.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from passerby.types import Preprocess

__all__ = [
    "Placement",
    "compute_placement",
    "resize_image",
    "resize_map",
    "restore_heat",
    "restore_map",
]

BoxTuple: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Placement:
    """Which part of a picture goes to which part of the input.

    Args:
        source: The part of the picture: left, top, right, bottom in pixels.
        target: The rectangle of the input that it fills: left, top, right, bottom in whole pixels.
    """

    source: BoxTuple
    target: tuple[int, int, int, int]

    @property
    def target_size(self) -> tuple[int, int]:
        """Width and height of the filled rectangle."""
        return (self.target[2] - self.target[0], self.target[3] - self.target[1])

    def map_keypoints(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints (…, 3) of x, y in pixels of the picture and score, as pixels of the input.

        Example:
            >>> Placement((0, 0, 10, 10), (0, 0, 20, 20)).map_keypoints(np.float32([[4.5, 4.5, 1]])).tolist()
            [[9.5, 9.5, 1.0]]
        """
        x0, y0, x1, y1 = self.source
        width, height = self.target_size
        scale = np.array([width / (x1 - x0), height / (y1 - y0)])
        mapped = np.array(keypoints, dtype=np.float32)
        mapped[..., :2] = (keypoints[..., :2] + 0.5 - (x0, y0)) * scale + self.target[:2] - 0.5
        return mapped


def compute_placement(
    size: tuple[int, int], preprocess: Preprocess, box: BoxTuple | None = None
) -> Placement:
    """Where a picture, or a box of it, comes to lie in the input.

    A box that leaves the picture is clipped to it: no pixels are invented around the person.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: Size of the input; `stretch` fills it, `pad` keeps the aspect ratio, centred.
        box: Left, top, right, bottom in pixels, fractions allowed; None for the whole picture.

    Raises:
        DataError: If the box lies outside of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> compute_placement((100, 100), Preprocess(256, 192, resize="pad")).target
        (0, 32, 192, 224)
    """
    width, height = size
    x0, y0, x1, y1 = (0.0, 0.0, width, height) if box is None else box
    source = (max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
    if not (source[2] > source[0] and source[3] > source[1]):
        raise DataError(f"expected a box that overlaps the picture of {width} × {height} pixels, got {box}")
    if preprocess.resize == "stretch":
        return Placement(source, (0, 0, preprocess.width, preprocess.height))
    w, h = source[2] - source[0], source[3] - source[1]
    scale = min(preprocess.width / w, preprocess.height / h)
    w_px = min(max(round(w * scale), 1), preprocess.width)
    h_px = min(max(round(h * scale), 1), preprocess.height)
    left, top = (preprocess.width - w_px) // 2, (preprocess.height - h_px) // 2
    return Placement(source, (left, top, left + w_px, top + h_px))


def resize_image(
    image: Image.Image, preprocess: Preprocess, box: BoxTuple | None = None
) -> NDArray[np.uint8]:
    """Cut out a box (clipped to the picture) and resize it, bilinear with antialiasing.

    Args:
        image: An RGB picture, as from `read_image`.
        preprocess: Size of the input and whether to stretch or to pad with zeros.
        box: Left, top, right, bottom in pixels; None for the whole picture.

    Raises:
        DataError: If the picture is not RGB, or the box lies outside of it.

    Shape:
        (H, W, 3) uint8.

    Example:
        >>> from passerby.types import Preprocess
        >>> resize_image(Image.new("RGB", (50, 120), "red"), Preprocess(128, 96)).shape
        (128, 96, 3)
    """
    if image.mode != "RGB":
        raise DataError(f"expected a picture of mode RGB, got {image.mode}; use read_image")
    placement = compute_placement(image.size, preprocess, box)
    pixels = _cut(image, placement, Image.Resampling.BILINEAR)
    return _placed(pixels, preprocess, placement)


def resize_map(
    values: NDArray[np.uint8], preprocess: Preprocess, box: BoxTuple | None = None
) -> NDArray[np.uint8]:
    """Put a mask or parsing map through the same way as its picture, nearest neighbour, zero around it.

    Shape:
        values: (h, w), of the size of the picture. Returns (H, W).

    Raises:
        DataError: If the box lies outside of the map.
    """
    image = Image.fromarray(values)
    placement = compute_placement(image.size, preprocess, box)
    pixels = _cut(image, placement, Image.Resampling.NEAREST)
    return _placed(pixels, preprocess, placement)


def restore_map(
    values: NDArray[np.uint8], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.uint8]:
    """Bring a mask or parsing map from the input of a network back to its picture, nearest neighbour.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: How the picture became the input.

    Shape:
        values: (H, W), as `preprocess` says. Returns (h, w) of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.uint8([[0, 1, 2, 0], [0, 3, 4, 0]])
        >>> restore_map(padded, (2, 2), Preprocess(2, 4, resize="pad")).tolist()
        [[1, 2], [3, 4]]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    part = Image.fromarray(np.ascontiguousarray(values[top:bottom, left:right]))
    return np.asarray(part.resize(size, Image.Resampling.NEAREST))


def restore_heat(
    values: NDArray[np.float32], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.float32]:
    """Bring heat maps from the input of a network back to its picture, bilinear; padding is cut off.

    Args:
        size: Width and height of the picture in pixels.
        preprocess: How the picture became the input.

    Shape:
        values: (A, H, W), as `preprocess` says. Returns (A, h, w) of the picture.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.float32([[[9, 1, 3, 9]]])
        >>> restore_heat(padded, (4, 2), Preprocess(1, 4, resize="pad"))[0, 0].tolist()
        [1.0, 1.5, 2.5, 3.0]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    restored = np.empty((len(values), size[1], size[0]), np.float32)
    for heat, given in zip(restored, values, strict=True):
        part = Image.fromarray(np.ascontiguousarray(given[top:bottom, left:right], np.float32))
        heat[:] = np.asarray(part.resize(size, Image.Resampling.BILINEAR))
    return restored


def _cut(image: Image.Image, placement: Placement, how: Image.Resampling) -> NDArray[np.uint8]:
    # Cropping first keeps the filter from reaching over the side of the box into what lies beside the person.
    x0, y0, x1, y1 = placement.source
    left, top = math.floor(x0), math.floor(y0)
    outer = (left, top, math.ceil(x1), math.ceil(y1))
    if outer != (0, 0, *image.size):
        image = image.crop(outer)
    inner = (x0 - left, y0 - top, x1 - left, y1 - top)
    return np.asarray(image.resize(placement.target_size, how, inner))


def _placed(pixels: NDArray[np.uint8], preprocess: Preprocess, placement: Placement) -> NDArray[np.uint8]:
    if placement.target_size == (preprocess.width, preprocess.height):
        return pixels
    out = np.zeros((preprocess.height, preprocess.width, *pixels.shape[2:]), np.uint8)
    left, top, right, bottom = placement.target
    out[top:bottom, left:right] = pixels
    return out
