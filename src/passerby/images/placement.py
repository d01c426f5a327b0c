"""Resize images, masks, parsing maps and keypoints to the input of a network, and maps back to the image.

Coordinates of keypoints refer to pixel centres: (0, 0) is the centre of the top left pixel. Coordinates of
boxes refer to pixel edges: (0, 0, w, h) is the full image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from passerby.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from passerby.types import Preprocess

__all__ = [
    "Placement",
    "clip_box",
    "compute_placement",
    "resize_image",
    "resize_map",
    "restore_heat",
    "restore_map",
]

BoxTuple: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Placement:
    """The region of an image, and the region of the input that it is resized to.

    Args:
        source: Region of the image: left, top, right, bottom in pixels.
        target: Region of the input: left, top, right, bottom in whole pixels.
    """

    source: BoxTuple
    target: tuple[int, int, int, int]

    @property
    def target_size(self) -> tuple[int, int]:
        """Width and height of the target region."""
        return (self.target[2] - self.target[0], self.target[3] - self.target[1])

    def map_keypoints(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert keypoints (…, 3) of x, y, score from pixels of the image to pixels of the input.

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


def clip_box(size: tuple[int, int], box: Sequence[float]) -> BoxTuple:
    """The part of a box that is inside the image.

    Args:
        size: Width and height of the image in pixels.
        box: Left, top, right, bottom in pixels.

    Raises:
        DataError: If the box is outside the image.

    Example:
        >>> clip_box((40, 100), (-3, 10.5, 20.2, 160))
        (0.0, 10.5, 20.2, 100)
    """
    x0, y0, x1, y1 = box
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, size[0]), min(y1, size[1]))
    if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        raise DataError(
            f"box outside the image: expected a box that overlaps the image of {size[0]} × {size[1]} pixels, "
            f"got {tuple(box)}; correct or remove it"
        )
    return clipped


def compute_placement(
    size: tuple[int, int], preprocess: Preprocess, box: BoxTuple | None = None
) -> Placement:
    """Compute the placement of an image, or of a box in it, in the input.

    A box that exceeds the image is clipped to it.

    Args:
        size: Width and height of the image in pixels.
        preprocess: Size of the input; `stretch` fills it, `pad` keeps the aspect ratio, centred.
        box: Left, top, right, bottom in pixels, fractions allowed; None for the full image.

    Raises:
        DataError: If the box is outside the image.

    Example:
        >>> from passerby.types import Preprocess
        >>> compute_placement((100, 100), Preprocess(256, 192, resize="pad")).target
        (0, 32, 192, 224)
    """
    source = clip_box(size, (0.0, 0.0, *size) if box is None else box)
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
    """Crop an image to a box (clipped to the image), and resize it bilinearly with antialiasing.

    Args:
        image: An RGB image, as from `read_image`.
        preprocess: Size of the input, and whether to stretch or to pad with zeros.
        box: Left, top, right, bottom in pixels; None for the full image.

    Raises:
        DataError: If the image is not RGB, or the box is outside of it.

    Shape:
        (H, W, 3) uint8.

    Example:
        >>> from passerby.types import Preprocess
        >>> resize_image(Image.new("RGB", (50, 120), "red"), Preprocess(128, 96)).shape
        (128, 96, 3)
    """
    if image.mode != "RGB":
        raise DataError(f"expected an image of mode RGB, got {image.mode}; use read_image")
    return _resize(image, preprocess, box, Image.Resampling.BILINEAR)


def resize_map(
    values: NDArray[np.uint8], preprocess: Preprocess, box: BoxTuple | None = None
) -> NDArray[np.uint8]:
    """Crop and resize a mask or parsing map like its image, by nearest neighbour, padded with zeros.

    Shape:
        values: (h, w), the size of the image. Returns (H, W).

    Raises:
        DataError: If the box is outside the map.
    """
    return _resize(Image.fromarray(values), preprocess, box, Image.Resampling.NEAREST)


def restore_map(
    values: NDArray[np.uint8], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.uint8]:
    """Resize a mask or parsing map from the input of a network to its image, by nearest neighbour.

    Padding is removed.

    Args:
        size: Width and height of the image in pixels.
        preprocess: Preprocessing of the image.

    Shape:
        values: (H, W) of the input. Returns (h, w) of the image.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.uint8([[0, 1, 2, 0], [0, 3, 4, 0]])
        >>> restore_map(padded, (2, 2), Preprocess(2, 4, resize="pad")).tolist()
        [[1, 2], [3, 4]]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    cropped = Image.fromarray(np.ascontiguousarray(values[top:bottom, left:right]))
    return np.asarray(cropped.resize(size, Image.Resampling.NEAREST))


def restore_heat(
    values: NDArray[np.float32], size: tuple[int, int], preprocess: Preprocess
) -> NDArray[np.float32]:
    """Resize heat maps bilinearly from the input of a network to its image; otherwise as `restore_map`.

    Shape:
        values: (A, H, W) of the input. Returns (A, h, w) of the image.

    Example:
        >>> from passerby.types import Preprocess
        >>> padded = np.float32([[[9, 1, 3, 9]]])
        >>> restore_heat(padded, (4, 2), Preprocess(1, 4, resize="pad"))[0, 0].tolist()
        [1.0, 1.5, 2.5, 3.0]
    """
    left, top, right, bottom = compute_placement(size, preprocess).target
    restored = np.empty((len(values), size[1], size[0]), np.float32)
    for target, source in zip(restored, values, strict=True):
        cropped = Image.fromarray(np.ascontiguousarray(source[top:bottom, left:right], np.float32))
        target[:] = np.asarray(cropped.resize(size, Image.Resampling.BILINEAR))
    return restored


def _resize(
    image: Image.Image, preprocess: Preprocess, box: BoxTuple | None, method: Image.Resampling
) -> NDArray[np.uint8]:
    placement = compute_placement(image.size, preprocess, box)
    return _pad(_crop(image, placement, method), preprocess, placement)


def _crop(image: Image.Image, placement: Placement, method: Image.Resampling) -> NDArray[np.uint8]:
    # Cropping first prevents the resampling filter from including pixels outside the box.
    x0, y0, x1, y1 = placement.source
    left, top = math.floor(x0), math.floor(y0)
    outer = (left, top, math.ceil(x1), math.ceil(y1))
    if outer != (0, 0, *image.size):
        image = image.crop(outer)
    inner = (x0 - left, y0 - top, x1 - left, y1 - top)
    return np.asarray(image.resize(placement.target_size, method, inner))


def _pad(pixels: NDArray[np.uint8], preprocess: Preprocess, placement: Placement) -> NDArray[np.uint8]:
    if placement.target_size == (preprocess.width, preprocess.height):
        return pixels
    out = np.zeros((preprocess.height, preprocess.width, *pixels.shape[2:]), np.uint8)
    left, top, right, bottom = placement.target
    out[top:bottom, left:right] = pixels
    return out
