"""The data that all parts of a figure are drawn from, and limbs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from passerby.synthetic.canvas import Canvas, Colour, Point, darker
from passerby.synthetic.identities import Identity
from passerby.synthetic.skeleton import Body, Joints, Lens, Point3D
from passerby.synthetic.views import View

__all__ = ["Limb", "Sketch", "along"]

Limb = tuple[tuple[Point3D, Point3D], tuple[float, float]]
"""The two ends of a limb and its radius at each, in body heights."""


def along(start: Point3D, end: Point3D, share: float) -> Point3D:
    """Interpolate between two points.

    Example:
        >>> along((0.0, 0.0, 0.0), (1.0, 2.0, 4.0), 0.5)
        (0.5, 1.0, 2.0)
    """
    return (
        start[0] + share * (end[0] - start[0]),
        start[1] + share * (end[1] - start[1]),
        start[2] + share * (end[2] - start[2]),
    )


@dataclass(frozen=True)
class Sketch:
    """One person in one view on one canvas."""

    canvas: Canvas
    identity: Identity
    view: View
    body: Body
    joints: Joints
    lens: Lens
    object_scale: float

    def has(self, attribute: str) -> bool:
        """Whether the person has an attribute."""
        return self.identity.attributes[attribute]

    def px(self, length: float) -> float:
        """Convert a length from body heights to pixels."""
        return length * self.lens.scale

    def is_far(self, side: str) -> bool:
        """Whether a leg or arm is on the far side of the body."""
        return (-self.lens.sin if side == "left" else self.lens.sin) < -0.35

    def limb(
        self, bones: tuple[Point3D, Point3D], radii: tuple[float, float], colour: Colour, part: int
    ) -> None:
        """Draw a tapered limb, lit from the upper left; lengths in body heights."""
        ends = (self.lens.point(bones[0]), self.lens.point(bones[1]))
        wide = (self.px(radii[0]), self.px(radii[1]))
        self.canvas.capsule(ends, wide, colour, part)
        nx, ny = self._shaded_side(ends)
        first, last = wide[0] * 0.46, wide[1] * 0.46
        self.canvas.capsule(
            (
                (ends[0][0] + nx * first, ends[0][1] + ny * first),
                (ends[1][0] + nx * last, ends[1][1] + ny * last),
            ),
            (wide[0] * 0.54, wide[1] * 0.54),
            darker(colour, 0.15),
            part,
        )

    def cuff(
        self,
        bones: tuple[Point3D, Point3D],
        shares: tuple[float, float],
        radii: tuple[float, float],
        paint: tuple[Colour, int],
    ) -> None:
        """Draw a band around a limb between two fractions of its length."""
        a, b = self.lens.point(bones[0]), self.lens.point(bones[1])
        nx, ny = self._shaded_side((a, b))
        p = (a[0] + (b[0] - a[0]) * shares[0], a[1] + (b[1] - a[1]) * shares[0])
        q = (a[0] + (b[0] - a[0]) * shares[1], a[1] + (b[1] - a[1]) * shares[1])
        r0, r1 = (self.px(radii[0] + (radii[1] - radii[0]) * s) for s in shares)
        self.canvas.polygon(
            [
                (p[0] - nx * r0, p[1] - ny * r0),
                (p[0] + nx * r0, p[1] + ny * r0),
                (q[0] + nx * r1, q[1] + ny * r1),
                (q[0] - nx * r1, q[1] - ny * r1),
            ],
            *paint,
        )

    def _shaded_side(self, ends: tuple[Point, Point]) -> Point:
        dx, dy = ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]
        length = math.hypot(dx, dy)
        if length < 1e-6:
            return (1.0, 0.0)
        nx, ny = -dy / length, dx / length
        return (nx, ny) if nx + 0.25 * ny > 0 else (-nx, -ny)
