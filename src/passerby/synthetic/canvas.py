"""A canvas whose pixels store a colour and a part; shapes write both at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["Canvas", "Colour", "Point", "darker", "lighter", "mix"]

Colour = tuple[int, int, int]
Point = tuple[float, float]

SHADOW: Colour = (38, 28, 74)
SUNLIGHT: Colour = (255, 246, 224)
_STEPS = 6
_ARC = tuple((math.cos(math.pi * i / _STEPS), math.sin(math.pi * i / _STEPS)) for i in range(_STEPS + 1))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours; `share` is the weight of the second.

    Example:
        >>> mix((0, 0, 0), (100, 200, 50), 0.5)
        (50, 100, 25)
    """
    keep = 1.0 - share
    return (
        int(first[0] * keep + second[0] * share),
        int(first[1] * keep + second[1] * share),
        int(first[2] * keep + second[2] * share),
    )


def darker(colour: Colour, share: float = 0.22) -> Colour:
    """The colour in the shade, which is slightly violet outdoors."""
    return mix(colour, SHADOW, share)


def lighter(colour: Colour, share: float = 0.25) -> Colour:
    """The colour in sunlight."""
    return mix(colour, SUNLIGHT, share)


class Canvas:
    """Four bytes per pixel: red, green, blue and the part; Pillow writes all four in one pass.

    Args:
        image: An `RGBX` image to draw on.
        tagged: Whether parts are written. Everything but the annotated person is drawn with `tagged=False`
            and sets part 0, which excludes occluded pixels from the mask.
    """

    def __init__(self, image: Image.Image, *, tagged: bool = True) -> None:
        self.image = image
        self.tagged = tagged
        self._draw = ImageDraw.Draw(image)

    def polygon(self, points: Sequence[Point] | NDArray[np.float64], colour: Colour, part: int = 0) -> None:
        """Fill a polygon."""
        if isinstance(points, np.ndarray):
            flat = points.ravel().tolist()
        else:
            flat = [c for point in points for c in point]
        self._draw.polygon(flat, fill=(*colour, part if self.tagged else 0))

    def ellipse(self, centre: Point, radii: Point, colour: Colour, part: int = 0) -> None:
        """Fill an axis-aligned ellipse."""
        (x, y), (rx, ry) = centre, (max(radii[0], 0.5), max(radii[1], 0.5))
        self._draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=(*colour, part if self.tagged else 0))

    def rectangle(self, box: tuple[float, float, float, float], colour: Colour, part: int = 0) -> None:
        """Fill a rectangle: left, top, right, bottom."""
        x0, y0, x1, y1 = box
        if x1 > x0 and y1 > y0:
            self._draw.rectangle(box, fill=(*colour, part if self.tagged else 0))

    def capsule(self, ends: tuple[Point, Point], radii: Point, colour: Colour, part: int = 0) -> None:
        """Fill a limb: two circles and the area between their outer tangents."""
        self.polygon(_capsule(ends, radii), colour, part)

    def line(self, points: Sequence[Point], width: float, colour: Colour, part: int = 0) -> None:
        """Draw a polyline with bevelled joints."""
        flat = [c for point in points for c in point]
        self._draw.line(flat, fill=(*colour, part if self.tagged else 0), width=max(1, round(width)))


def _capsule(ends: tuple[Point, Point], radii: Point) -> list[Point]:
    (px, py), (qx, qy) = ends
    r0, r1 = radii
    dx, dy = qx - px, qy - py
    length = math.hypot(dx, dy)
    if length < 1e-6:
        dx, dy, length = 0.0, 1.0, 1.0
    ux, uy = dx / length, dy / length  # along the limb
    vx, vy = -uy, ux  # to its side
    first = [(px + r0 * (vx * c - ux * s), py + r0 * (vy * c - uy * s)) for c, s in _ARC]
    second = [(qx - r1 * (vx * c - ux * s), qy - r1 * (vy * c - uy * s)) for c, s in _ARC]
    return first + second
