"""A map laid over its picture in colour.

The picture under the map is grey and a little dim, so that colour means attention and nothing else. The
colours are matplotlib's inferno: their lightness grows evenly and all the way from black to pale yellow, so
the order is plain to people who confuse colours and on a grey print; and where the map is 0, the black leaves
the person to be seen, where cividis and viridis would tint the whole picture blue or violet.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import DataError
from passerby.inference.attention import enlarge_maps

__all__ = ["compute_scale", "draw_bar", "draw_overlay"]

_COLOUR, _PICTURE, _FADING = 0.82, 0.55, 0.5
"""Shares of the colour, of the picture where the map is 0, and how much of the latter is lost at the peak.

With these the sum stays below 255 and, on black as on white, gets lighter as the map grows.
"""


def compute_scale(values: NDArray[np.float32]) -> float:
    """The value that gets the brightest colour: the peak of the map, but at least three times its mean.

    An even map is the reason for the second: by its peak alone it would be as bright everywhere as a strong
    map is at its strongest, though it says nothing about where. So it gets the colour at a third, violet; and
    a map that hardly prefers a place looks like that. For attention, whose sum is 1, three times the mean is
    3 / (h · w).

    Shape:
        values: (h, w) ≥ 0.

    Example:
        >>> compute_scale(np.full((2, 2), 0.25, np.float32)), compute_scale(np.float32([[1, 0], [0, 0]]))
        (0.75, 1.0)
    """
    return max(float(values.max()), 3 * float(values.mean()))


def draw_overlay(
    picture: NDArray[np.uint8], values: NDArray[np.float32], *, scale: float | None = None
) -> Image.Image:
    """Draw a map over its picture: bilinear to the size of the picture, coloured from 0 to a scale.

    Args:
        scale: The value that gets the brightest colour; by default `compute_scale`.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        values: (h, w) float32 ≥ 0, of any size.

    Raises:
        DataError: If the picture or the map has another shape or type.

    Example:
        >>> draw_overlay(np.zeros((64, 48, 3), np.uint8), np.eye(4, 3, dtype=np.float32)).size
        (48, 64)
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise DataError(f"expected a picture (H, W, 3) of uint8, got {picture.dtype} {picture.shape}")
    if values.ndim != 2 or not values.size:
        raise DataError(f"expected one map (h, w), got shape {values.shape}")
    height, width, _ = picture.shape
    enlarged = enlarge_maps(values[None].astype(np.float32), (height, width))[0]
    scale = compute_scale(values) if scale is None else scale
    shares = enlarged / scale if scale > 0 else np.zeros_like(enlarged)
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    return Image.fromarray(_colour(shares, grey))


def draw_bar(width: int, height: int) -> Image.Image:
    """The colours of `draw_overlay` from 0 (left) to the scale (right), over the grey of a middling picture.

    Example:
        >>> draw_bar(40, 6).size
        (40, 6)
    """
    shares = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    return Image.fromarray(_colour(shares, np.full((height, width), 128, np.float32)))


def _colour(shares: NDArray[np.float32], grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours (H, W, 3) of shares in [0, 1] over a grey picture in 0 … 255."""
    shares = shares.clip(0, 1)
    colours = _colour_table()[(shares * 255).round().astype(np.uint8)]
    faded = (_PICTURE - _FADING * shares) * grey
    mixed: NDArray[np.float32] = _COLOUR * colours + faded[..., None]
    return mixed.round().astype(np.uint8)


@lru_cache(maxsize=1)
def _colour_table() -> NDArray[np.float32]:
    from matplotlib import colormaps  # takes a while, and only figures need it

    table: NDArray[np.float32] = np.asarray(colormaps["inferno"](np.arange(256)), np.float32)[:, :3] * 255
    return table
