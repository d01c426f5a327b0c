"""Bodies made of stacked ellipses (trunk, head, skirt, hat): their outline and patches of their surface.

A ring is an ellipse in a horizontal plane: height `y`, half-width `a` (to the sides), half-depth `b` (front to
back) and the forward offset `z` of its centre. Seen from any side its silhouette is a segment, so a stack of
rings is a polygon; a direction around the body is given in degrees, 0 in front, 90 at the person's left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from passerby.data.synthetic.canvas import Point
from passerby.data.synthetic.skeleton import Lens

__all__ = ["Ring", "Solid"]

Ring = tuple[float, float, float, float]
Points = NDArray[np.float64]
_PIECES = 3


@lru_cache(maxsize=32)
def _smoothing(count: int) -> Points:
    """Matrix (M, K) that draws a smooth curve (Catmull-Rom) through K values."""
    rows = []
    for i in range(count - 1):
        before, after = max(i - 1, 0), min(i + 2, count - 1)
        for t in np.arange(_PIECES) / _PIECES:
            row = np.zeros(count)
            row[before] += -0.5 * t + t**2 - 0.5 * t**3
            row[i] += 1 - 2.5 * t**2 + 1.5 * t**3
            row[i + 1] += 0.5 * t + 2 * t**2 - 1.5 * t**3
            row[after] += -0.5 * t**2 + 0.5 * t**3
            rows.append(row)
    rows.append(np.eye(count)[-1])
    return np.stack(rows)


_FAN = np.linspace(-1.0, 1.0, 9)
_DOME = np.sqrt(np.clip(1.0 - _FAN**2, 0.0, None))


class Solid:
    """A stack of rings before a lens.

    Args:
        rings: From bottom to top, at least two.
        lens: Who looks.
        axis: The spot (x, z) of the stack's axis in body coordinates.
        smooth: Whether the rings are joined by a curve or by straight lines.
    """

    def __init__(
        self, rings: Sequence[Ring], lens: Lens, *, axis: tuple[float, float] = (0.0, 0.0), smooth: bool = True
    ) -> None:
        table = np.asarray(rings, np.float64)
        if smooth:
            table = _smoothing(len(rings)) @ table
        self.lens = lens
        self.axis = axis
        self._heights = table[:, 0]
        self._table = table
        c, s = lens.cos, lens.sin
        offset = table[:, 3] + axis[1]
        self._half = np.sqrt((table[:, 1] * c) ** 2 + (table[:, 2] * s) ** 2) * lens.scale
        self._deep = np.sqrt((table[:, 1] * s) ** 2 + (table[:, 2] * c) ** 2)
        self._near = offset * c - axis[0] * s
        self._mid = lens.x0 + lens.scale * (axis[0] * c + offset * s)
        self._level = lens.y0 - lens.scale * (table[:, 0] - lens.pitch * self._near)

    def outline(self, low: float = -1.0, high: float = 1.0) -> Points:
        """The silhouette, or an upright slice of it between two shares of the half-width in [−1, 1].

        Shape:
            (P, 2) in pixels.
        """
        left = np.stack([self._mid + low * self._half, self._level], 1)
        right = np.stack([self._mid + high * self._half, self._level], 1)
        hem = self._rim(0, low, high)
        return np.concatenate([hem, right, left[::-1]])

    def _rim(self, index: int, low: float, high: float) -> Points:
        """The front edge of one ring, which bulges downwards because the camera looks down."""
        share = 0.5 * (low + high) + 0.5 * (high - low) * _FAN
        sag = np.sqrt(np.clip(1.0 - share**2, 0.0, None)) * self._deep[index]
        return np.stack(
            [self._mid[index] + share * self._half[index],
             self._level[index] + self.lens.scale * self.lens.pitch * sag], 1)

    def _at(self, heights: Points) -> tuple[Points, ...]:
        return tuple(
            np.interp(heights, self._heights, v) for v in (self._mid, self._half, self._level, self._deep)
        )

    def band(self, bottom: float, top: float, sides: tuple[float, float] = (-1.0, 1.0)) -> Points:
        """A belt around the front between two heights (in body units)."""
        low, high = sides
        share = 0.5 * (low + high) + 0.5 * (high - low) * _FAN
        mid, half, level, deep = self._at(np.array([bottom, top]))
        sag = np.sqrt(np.clip(1.0 - share**2, 0.0, None)) * self.lens.scale * self.lens.pitch
        lower = np.stack([mid[0] + share * half[0], level[0] + sag * deep[0]], 1)
        upper = np.stack([mid[1] + share * half[1], level[1] + sag * deep[1]], 1)
        return np.concatenate([lower, upper[::-1]])

    def faces(self, direction: float) -> float:
        """Cosine between a direction around the body and the viewer: positive where it can be seen."""
        return math.cos(math.radians(direction + self.lens.yaw))

    def spot(self, height: float, direction: float) -> Point:
        """Pixel of a spot on the surface."""
        points = self.edge(np.array([height]), direction)
        return (float(points[0, 0]), float(points[0, 1]))

    def edge(self, heights: Points, direction: float) -> Points:
        """Pixels (P, 2) of the surface in one direction at several heights."""
        angle = math.radians(direction)
        a, b, z = (np.interp(heights, self._heights, self._table[:, i]) for i in (1, 2, 3))
        side, front = a * math.sin(angle) + self.axis[0], b * math.cos(angle) + z + self.axis[1]
        c, s, lens = self.lens.cos, self.lens.sin, self.lens
        near = front * c - side * s
        return np.stack(
            [lens.x0 + lens.scale * (side * c + front * s), lens.y0 - lens.scale * (heights - lens.pitch * near)], 1
        )

    def strip(self, span: tuple[float, float], directions: tuple[float, float]) -> Points | None:
        """An upright patch between two heights and two directions, None where it faces away.

        The part that can be seen is within 90° of the viewer; the patch is cut there.
        """
        first, last = directions
        middle = 0.5 * (first + last) + self.lens.yaw
        turns = 360.0 * round(middle / 360.0)
        low = max(first + self.lens.yaw - turns, -90.0)
        high = min(last + self.lens.yaw - turns, 90.0)
        if high <= low:
            return None
        heights = np.linspace(span[0], span[1], 6)
        left = self.edge(heights, low - self.lens.yaw)
        right = self.edge(heights, high - self.lens.yaw)
        return np.concatenate([left, right[::-1]])
