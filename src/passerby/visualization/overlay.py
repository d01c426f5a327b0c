"""Heat maps over images in colour, and boxes.

The image under a map is dimmed and in greyscale, so that every colour comes from the map. The colours are
matplotlib's inferno: their lightness increases monotonically from black to pale yellow, so their order is
visible with colour vision deficiency and in greyscale print. Where the map is 0, the black leaves the person
visible; cividis and viridis would tint the whole image blue or violet.

Boxes are light blue, which inferno does not contain, or dashed and white. Their black edges make them visible
on light and on dark images, and the dashes distinguish them without colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from passerby.errors import DataError
from passerby.types import Box

__all__ = ["compute_scale", "draw_bar", "draw_boxes", "draw_overlay"]

_LINE, _DASH, _EDGE = "#56c1ff", "#ffffff", "#000000"

_COLOUR, _PICTURE, _DIMMING = 0.82, 0.55, 0.5
"""Weights of the colour and of the image where the map is 0, and the decrease of the latter at the peak.

With these values the sum stays below 255, and its lightness increases with the map on any image.
"""


def compute_scale(values: NDArray[np.float32]) -> float:
    """The value of the brightest colour: the peak of the map, but at least three times its mean.

    The minimum is for uniform maps: scaled by the peak alone, they would be brightest everywhere although
    they localise nothing. With it, a uniform map has the colour at one third of the scale, violet, and a
    nearly uniform map looks similar. For attention, whose sum is 1, three times the mean is 3 / (h · w).

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
    """Draw a map over its image, resized bilinearly and coloured from 0 to a scale.

    Args:
        picture: The image.
        values: The map.
        scale: The value of the brightest colour; by default `compute_scale`.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        values: (h, w) float32 ≥ 0.

    Raises:
        DataError: If the image or the map has a different shape or type.

    Example:
        >>> draw_overlay(np.zeros((64, 48, 3), np.uint8), np.eye(4, 3, dtype=np.float32)).size
        (48, 64)
    """
    import torch

    from passerby.explain.native import enlarge_maps

    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise DataError(f"expected an image (H, W, 3) of uint8, got {picture.dtype} {picture.shape}")
    if values.ndim != 2 or not values.size:
        raise DataError(f"expected a map (h, w), got shape {values.shape}")
    height, width, _ = picture.shape
    batch = torch.from_numpy(values[None, None].astype(np.float32))
    enlarged: NDArray[np.float32] = enlarge_maps(batch, (height, width))[0, 0].numpy()
    scale = compute_scale(values) if scale is None else scale
    shares = enlarged / scale if scale > 0 else np.zeros_like(enlarged)
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    return Image.fromarray(_colour(shares, grey))


def draw_bar(width: int, height: int) -> Image.Image:
    """Draw the colours of `draw_overlay` from 0 (left) to the scale (right), over a medium grey.

    Example:
        >>> draw_bar(40, 6).size
        (40, 6)
    """
    shares = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width))
    return Image.fromarray(_colour(shares, np.full((height, width), 128, np.float32)))


def draw_boxes(
    image: Image.Image, boxes: Iterable[Box], *, width_px: int = 2, dashed: bool = False
) -> Image.Image:
    """Draw boxes on a copy of an image, with lines inside their edges; tiny boxes are enlarged.

    Args:
        image: The image.
        boxes: In pixels of the image.
        width_px: Width of a line, without the black pixel on each side.
        dashed: White dashes, for ground truth, instead of blue lines. Lines of other boxes stay visible in
            the gaps.

    Raises:
        DataError: If `width_px` is below 1.

    Example:
        >>> drawn = draw_boxes(Image.new("RGB", (20, 20), "red"), [Box(4, 4, 16, 16)])
        >>> [drawn.getpixel((x, 10)) for x in (3, 4, 5, 6, 7, 8)]  # red, edge, line, line, edge, red
        [(255, 0, 0), (0, 0, 0), (86, 193, 255), (86, 193, 255), (0, 0, 0), (255, 0, 0)]
    """
    if width_px < 1:
        raise DataError(f"expected a line width of at least 1 pixel, got {width_px}")
    drawn = image.copy()
    draw = ImageDraw.Draw(drawn)
    thick = width_px + 2
    for box in boxes:
        x0, x1 = _widen(box.x0, box.x1, minimum=2 * thick + 1, end=image.width)
        y0, y1 = _widen(box.y0, box.y1, minimum=2 * thick + 1, end=image.height)
        bars = [(x0, y, x1, y + thick) for y in (y0, y1 - thick)]
        bars += [(x, y0, x + thick, y1) for x in (x0, x1 - thick)]
        pieces = [piece for bar in bars for piece in (_cut_dashes(bar, thick) if dashed else [bar])]
        for a, b, c, d in pieces:
            draw.rectangle((a, b, c - 1, d - 1), fill=_EDGE)
        for a, b, c, d in pieces:
            draw.rectangle((a + 1, b + 1, c - 2, d - 2), fill=_DASH if dashed else _LINE)
    return drawn


def _widen(start: float, stop: float, *, minimum: int, end: int) -> tuple[int, int]:
    """Round an extent to pixels within 0 … end, and widen it to the minimum if there is space."""
    first, last = max(0, round(start)), min(end, round(stop))
    if last - first < minimum:
        first = max(0, min((first + last - minimum) // 2, end - minimum))
        last = min(end, first + minimum)
    return first, last


def _cut_dashes(bar: tuple[int, int, int, int], thick: int) -> Iterator[tuple[int, int, int, int]]:
    """Dashes of a horizontal or vertical bar, as long as the gaps between them, with one at each end."""
    x0, y0, x1, y1 = bar
    length = max(x1 - x0, y1 - y0)
    count = 2 * max(1, round(length / (5 * thick))) + 1  # of dashes and gaps
    for i in range(0, count, 2):
        start, stop = (round(length * j / count) for j in (i, i + 1))
        if x1 - x0 > y1 - y0:
            yield x0 + start, y0, x0 + stop, y1
        else:
            yield x0, y0 + start, x1, y0 + stop


def _colour(shares: NDArray[np.float32], grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours (H, W, 3) of shares in [0, 1] over a greyscale image in 0 … 255."""
    shares = shares.clip(0, 1)
    colours = _colour_table()[(shares * 255).round().astype(np.uint8)]
    dimmed = (_PICTURE - _DIMMING * shares) * grey
    mixed: NDArray[np.float32] = _COLOUR * colours + dimmed[..., None]
    return mixed.round().astype(np.uint8)


@lru_cache(maxsize=1)
def _colour_table() -> NDArray[np.float32]:
    from matplotlib import colormaps  # slow to import, and needed for figures only

    table: NDArray[np.float32] = np.asarray(colormaps["inferno"](np.arange(256)), np.float32)[:, :3] * 255
    return table
