"""Objects of the street that occlude the person."""

from __future__ import annotations

import random

from passerby.synthetic.canvas import Canvas, Colour, darker, lighter, mix
from passerby.synthetic.furniture import LEAF, METAL, MUTED, Anchor, StreetObject

__all__ = ["draw_occluder"]


def draw_occluder(canvas: Canvas, rng: random.Random, reach: float) -> None:
    """Draw an object in front of the person; `reach` in [0, 1] sets its size."""
    width, height = canvas.image.size
    kind, x = rng.choice(_IN_FRONT), rng.uniform(0.25, 0.75)
    kind(canvas, ((x * width, height * 1.0), height * (0.7 + 0.6 * reach)), rng.choice(MUTED))


def _bush(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    leaf = LEAF[sum(colour) % len(LEAF)]
    for dx, dy, r, light in (
        (0.0, 0.0, 0.2, 0.0),
        (-0.2, 0.05, 0.16, 0.0),
        (0.2, 0.06, 0.16, -1),
        (-0.1, -0.1, 0.12, 0.12),
        (0.1, -0.12, 0.12, 0.0),
        (-0.17, -0.02, 0.08, 0.2),
        (0.0, -0.14, 0.07, 0.2),
    ):
        tone = darker(leaf, 0.12) if light < 0 else lighter(leaf, light)
        canvas.ellipse((x + dx * u, y + dy * u), (r * u, r * u), tone)


def _post(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, _), u = anchor
    _, height = canvas.image.size
    stone = lighter(mix(colour, (150, 146, 146), 0.65), 0.1)
    half = 0.055 * u
    canvas.rectangle((x - half, -1, x + half, height), stone)
    canvas.rectangle((x + half * 0.25, -1, x + half, height), darker(stone, 0.16))
    canvas.rectangle((x - half, height * 0.33, x + half, height * 0.335), darker(stone, 0.3))


def _railing(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (_, y), u = anchor
    width, _ = canvas.image.size
    paint = darker(mix(colour, METAL, 0.6), 0.15)
    top = y - 0.3 * u
    step = 0.1 * u
    for k in range(int(width / step) + 2):
        x = anchor[0][0] % step + (k - 1) * step
        canvas.rectangle((x - 0.009 * u, top, x + 0.009 * u, y), paint)
    for level in (top, y - 0.06 * u):
        canvas.rectangle((-1, level - 0.014 * u, width, level + 0.014 * u), lighter(paint, 0.15))


def _car(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    width, _ = canvas.image.size
    left = x < width / 2
    sign = 1.0 if left else -1.0
    edge = -0.05 * u if left else width + 0.05 * u
    nose = x + sign * 0.05 * u
    canvas.polygon(
        [
            (edge, y - 0.3 * u),
            (nose - sign * 0.14 * u, y - 0.27 * u),
            (nose - sign * 0.02 * u, y - 0.22 * u),
            (nose, y - 0.1 * u),
            (nose, y),
            (edge, y),
        ],
        colour,
    )
    canvas.polygon([(edge, y - 0.12 * u), (nose, y - 0.11 * u), (nose, y), (edge, y)], darker(colour, 0.2))
    canvas.ellipse((nose - sign * 0.035 * u, y - 0.175 * u), (0.024 * u, 0.03 * u), (252, 242, 208))
    canvas.ellipse((nose - sign * 0.16 * u, y), (0.085 * u, 0.085 * u), (56, 54, 66))
    canvas.ellipse((nose - sign * 0.16 * u, y), (0.045 * u, 0.045 * u), (190, 192, 200))


_IN_FRONT: tuple[StreetObject, ...] = (_bush, _post, _railing, _car)
