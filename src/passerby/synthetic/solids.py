"""Solids of stacked ellipses (trunk, head, skirt, hat): their outline and patches of their surface.

A ring is an ellipse in a horizontal plane: height `y`, half-width `a` (to the sides), half-depth `b` (front
to back) and the forward offset `z` of its centre. Its projection to any side is a segment, so that of a stack
of rings is a polygon. Directions around the body are in degrees: 0 in front, 90 at the person's left.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from passerby.synthetic.canvas import Point
from passerby.synthetic.skeleton import Lens

__all__ = ["Ring", "Solid"]

Ring = tuple[float, float, float, float]
Points = NDArray[np.float64]
_PIECES = 3


@lru_cache(maxsize=32)
def _smoothing(count: int) -> Points:
    """Matrix (M, K) that interpolates K values smoothly (Catmull-Rom)."""
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
_STEPS: list[float] = _FAN.tolist()


class Solid:
    """A stack of rings in front of a camera.

    Args:
        rings: From bottom to top, at least two.
        lens: The camera.
        axis: Position (x, z) of the vertical axis in body coordinates.
    """

    def __init__(self, rings: Sequence[Ring], lens: Lens, *, axis: tuple[float, float] = (0.0, 0.0)) -> None:
        table = _smoothing(len(rings)) @ np.asarray(rings, np.float64)
        self.lens = lens
        self.axis = axis
        c, s = lens.cos, lens.sin
        offset = table[:, 3] + axis[1]
        across, along = table[:, 1] ** 2, table[:, 2] ** 2
        self._table = table
        self._half = np.sqrt(across * c**2 + along * s**2) * lens.scale
        self._deep = np.sqrt(across * s**2 + along * c**2)
        self._mid = lens.x0 + lens.scale * (axis[0] * c + offset * s)
        self._level = lens.y0 - lens.scale * (table[:, 0] - lens.pitch * (offset * c - axis[0] * s))

    @cached_property
    def _rows(self) -> list[list[float]]:
        """For each ring: height, half-width, half-depth, offset; then its projection."""
        seen = np.stack([self._mid, self._half, self._level, self._deep], 1)
        rows: list[list[float]] = np.concatenate([self._table, seen], 1).tolist()
        return rows

    @cached_property
    def _heights(self) -> list[float]:
        return [row[0] for row in self._rows]

    def _at(self, height: float) -> list[float]:
        """The ring at a height, clamped to the stack."""
        rows = self._rows
        index = bisect_right(self._heights, height)
        if index <= 0 or index >= len(rows):
            return rows[0 if index <= 0 else -1]
        low, high = rows[index - 1], rows[index]
        share = (height - low[0]) / (high[0] - low[0])
        return [a + share * (b - a) for a, b in zip(low, high, strict=True)]

    def outline(self, low: float = -1.0, high: float = 1.0) -> Points:
        """The silhouette, or a vertical slice of it between two fractions of the half-width in [−1, 1].

        The lower edge bulges downwards, because the camera is tilted down.

        Shape:
            (P, 2) in pixels.
        """
        count = len(self._mid)
        points = np.empty((9 + 2 * count, 2))
        share = 0.5 * (low + high) + 0.5 * (high - low) * _FAN
        sag = np.sqrt(1.0 - np.minimum(share**2, 1.0)) * self._deep[0]
        points[:9, 0] = self._mid[0] + share * self._half[0]
        points[:9, 1] = self._level[0] + self.lens.scale * self.lens.pitch * sag
        points[9 : 9 + count, 0] = self._mid + high * self._half
        points[9 : 9 + count, 1] = self._level
        points[9 + count :, 0] = (self._mid + low * self._half)[::-1]
        points[9 + count :, 1] = self._level[::-1]
        return points

    def band(self, bottom: float, top: float, sides: tuple[float, float] = (-1.0, 1.0)) -> list[Point]:
        """A band around the front between two heights (in body heights)."""
        low, high = sides
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        pitch = self.lens.scale * self.lens.pitch
        edges = []
        for height in (bottom, top):
            *_, mid, wide, level, deep = self._at(height)
            edge = []
            for step in _STEPS:
                share = middle + half * step
                sag = math.sqrt(max(0.0, 1.0 - share * share)) * deep * pitch
                edge.append((mid + share * wide, level + sag))
            edges.append(edge)
        return edges[0] + edges[1][::-1]

    def faces(self, direction: float) -> float:
        """Cosine between a direction around the body and the viewer: positive where visible."""
        return math.cos(math.radians(direction + self.lens.yaw))

    def surface_point(self, height: float, direction: float) -> Point:
        """Pixel position of a point on the surface."""
        angle = math.radians(direction)
        _, a, b, z, *_ = self._at(height)
        side, front = a * math.sin(angle) + self.axis[0], b * math.cos(angle) + z + self.axis[1]
        return self.lens.point((side, height, front))

    def edge(self, span: tuple[float, float], direction: float, count: int = 6) -> list[Point]:
        """Pixel positions on the surface in one direction, from one height to another."""
        low, high = span
        return [self.surface_point(low + (high - low) * i / (count - 1), direction) for i in range(count)]

    def strip(self, span: tuple[float, float], directions: tuple[float, float]) -> list[Point] | None:
        """A vertical patch between two heights and two directions, None if it faces away.

        Only directions within 90° of the viewer are visible; the patch is clipped to them.
        """
        first, last = directions
        turns = 360.0 * round((0.5 * (first + last) + self.lens.yaw) / 360.0)
        low = max(first + self.lens.yaw - turns, -90.0)
        high = min(last + self.lens.yaw - turns, 90.0)
        if high <= low:
            return None
        return self.edge(span, low - self.lens.yaw) + self.edge(span, high - self.lens.yaw)[::-1]
