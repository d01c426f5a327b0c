"""Street furniture behind the person, and things that stand in front."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from passerby.synthetic.canvas import Canvas, Colour, Point, darker, lighter, mix

__all__ = ["cast_shadow", "draw_clutter", "draw_occluder"]

METAL: Colour = (92, 98, 112)
MUTED: tuple[Colour, ...] = (
    (176, 104, 86),
    (96, 128, 138),
    (198, 164, 104),
    (122, 118, 142),
    (140, 158, 132),
    (168, 148, 136),
)
LEAF: tuple[Colour, ...] = ((104, 142, 104), (128, 158, 108), (92, 130, 116))

Spot = tuple[Point, float]  # foot of the thing in pixels, pixels per picture height


@lru_cache(maxsize=1)
def _soft_disc() -> Image.Image:
    axis = np.linspace(-1, 1, 48, dtype=np.float32)
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)
    return Image.fromarray((np.clip(1.0 - distance, 0, 1) ** 0.8 * 150).astype(np.uint8))


def cast_shadow(canvas: Canvas, centre: Point, radii: Point) -> None:
    """A soft shadow on the ground; the light comes from the upper left."""
    width, height = max(2, round(2 * radii[0])), max(2, round(2 * radii[1]))
    mask = _soft_disc().resize((width, height), Image.Resampling.BILINEAR)
    left, top = round(centre[0] - radii[0] * 0.75), round(centre[1] - radii[1])
    canvas.image.paste((44, 36, 70, 0), (left, top, left + width, top + height), mask)


def draw_clutter(canvas: Canvas, dice: random.Random, amount: float) -> None:
    """Furniture of the street, behind the person, more of it for a larger `amount` in [0, 1]."""
    width, height = canvas.image.size
    places = []
    for _ in range(8):  # drawn from the stream whatever the amount, so that a larger one only adds
        kind, x, y = dice.choice(_FURNITURE), dice.random(), dice.uniform(0.78, 0.95)
        places.append((dice.random(), y, x, kind, dice.random(), dice.choice(MUTED)))
    chosen = sorted(p[1:] for p in places if p[0] < 0.75 * amount) if amount > 0 else []
    for y, x, kind, share, colour in chosen:
        size = height * (0.55 + 0.9 * (y - 0.7)) * (0.85 + 0.3 * share)
        kind(canvas, ((x * width, y * height), size), colour)


def draw_occluder(canvas: Canvas, dice: random.Random, reach: float) -> None:
    """Something in front of the person; `reach` in [0, 1] says how much it may hide."""
    width, height = canvas.image.size
    kind, x = dice.choice(_IN_FRONT), dice.uniform(0.25, 0.75)
    kind(canvas, ((x * width, height * 1.0), height * (0.7 + 0.6 * reach)), dice.choice(MUTED))


# ---------------------------------------------------------------------- behind


def _bollard(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    del colour
    cast_shadow(canvas, (x, y), (0.06 * u, 0.014 * u))
    canvas.capsule(((x, y - 0.21 * u), (x, y)), (0.018 * u, 0.02 * u), METAL)
    canvas.capsule(
        ((x + 0.007 * u, y - 0.21 * u), (x + 0.008 * u, y)), (0.01 * u, 0.011 * u), darker(METAL, 0.25)
    )
    canvas.rectangle((x - 0.019 * u, y - 0.19 * u, x + 0.019 * u, y - 0.165 * u), (232, 222, 200))


def _bin(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    cast_shadow(canvas, (x, y), (0.1 * u, 0.02 * u))
    body = mix(colour, METAL, 0.4)
    canvas.polygon(
        [
            (x - 0.055 * u, y - 0.19 * u),
            (x + 0.055 * u, y - 0.19 * u),
            (x + 0.046 * u, y),
            (x - 0.046 * u, y),
        ],
        body,
    )
    canvas.polygon(
        [
            (x + 0.018 * u, y - 0.19 * u),
            (x + 0.055 * u, y - 0.19 * u),
            (x + 0.046 * u, y),
            (x + 0.016 * u, y),
        ],
        darker(body, 0.18),
    )
    canvas.capsule(
        ((x - 0.05 * u, y - 0.195 * u), (x + 0.05 * u, y - 0.195 * u)),
        (0.013 * u, 0.013 * u),
        darker(body, 0.3),
    )


def _planter(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    cast_shadow(canvas, (x, y), (0.15 * u, 0.024 * u))
    leaf = LEAF[sum(colour) % len(LEAF)]
    for k, (dx, dy, r) in enumerate(
        (
            (-0.07, -0.15, 0.05),
            (0.07, -0.15, 0.05),
            (0.0, -0.2, 0.062),
            (-0.03, -0.14, 0.05),
            (0.04, -0.17, 0.045),
        )
    ):
        canvas.ellipse((x + dx * u, y + dy * u), (r * u, r * u), lighter(leaf, 0.18) if k in (2, 3) else leaf)
    canvas.polygon(
        [(x - 0.11 * u, y - 0.11 * u), (x + 0.11 * u, y - 0.11 * u), (x + 0.09 * u, y), (x - 0.09 * u, y)],
        lighter(colour, 0.12),
    )
    canvas.polygon(
        [(x + 0.03 * u, y - 0.11 * u), (x + 0.11 * u, y - 0.11 * u), (x + 0.09 * u, y), (x + 0.025 * u, y)],
        darker(colour, 0.1),
    )


def _lamp(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    post = mix(METAL, colour, 0.15)
    cast_shadow(canvas, (x, y), (0.07 * u, 0.014 * u))
    canvas.capsule(((x, y - 0.95 * u), (x, y)), (0.009 * u, 0.013 * u), post)
    canvas.capsule(((x, y - 0.03 * u), (x, y)), (0.02 * u, 0.024 * u), darker(post, 0.2))
    canvas.ellipse((x, y - 0.97 * u), (0.045 * u, 0.05 * u), (250, 240, 210))
    canvas.capsule(
        ((x - 0.035 * u, y - 1.015 * u), (x + 0.035 * u, y - 1.015 * u)), (0.01 * u, 0.01 * u), post
    )


def _sign(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    canvas.capsule(((x, y - 0.62 * u), (x, y)), (0.008 * u, 0.01 * u), METAL)
    canvas.ellipse((x, y - 0.64 * u), (0.062 * u, 0.062 * u), lighter(colour, 0.75))
    canvas.ellipse((x, y - 0.64 * u), (0.05 * u, 0.05 * u), colour)
    canvas.rectangle((x - 0.032 * u, y - 0.65 * u, x + 0.032 * u, y - 0.63 * u), lighter(colour, 0.8))


def _bench(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    wood = mix(colour, (158, 112, 78), 0.6)
    cast_shadow(canvas, (x, y), (0.22 * u, 0.02 * u))
    for dx in (-0.15, 0.15):
        canvas.capsule(((x + dx * u, y - 0.1 * u), (x + dx * u, y)), (0.009 * u, 0.009 * u), METAL)
    for top in (0.2, 0.165, 0.13):
        canvas.rectangle((x - 0.19 * u, y - top * u, x + 0.19 * u, y - (top - 0.025) * u), lighter(wood, 0.1))
    canvas.rectangle((x - 0.2 * u, y - 0.1 * u, x + 0.2 * u, y - 0.078 * u), darker(wood, 0.12))


def _bicycle(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    cast_shadow(canvas, (x, y), (0.22 * u, 0.016 * u))
    r, ink = 0.085 * u, (66, 66, 80)
    rim = 0.007 * u
    for dx in (-0.13 * u, 0.13 * u):
        for k in range(16):
            a, b = k * np.pi / 8, (k + 1) * np.pi / 8
            canvas.line(
                [
                    (x + dx + r * float(np.cos(a)), y - r + r * float(np.sin(a))),
                    (x + dx + r * float(np.cos(b)), y - r + r * float(np.sin(b))),
                ],
                rim * 2,
                ink,
            )
    back, front, crank = (x - 0.13 * u, y - r), (x + 0.13 * u, y - r), (x - 0.02 * u, y - r * 0.95)
    seat, bar = (x - 0.06 * u, y - 0.2 * u), (x + 0.09 * u, y - 0.2 * u)
    for pair in ((back, seat), (back, crank), (crank, seat), (seat, bar), (crank, bar), (bar, front)):
        canvas.line(list(pair), 0.016 * u, colour)
    canvas.capsule(
        ((seat[0] - 0.025 * u, seat[1] - 0.022 * u), (seat[0] + 0.025 * u, seat[1] - 0.024 * u)),
        (0.01 * u, 0.007 * u),
        ink,
    )
    canvas.line(
        [bar, (bar[0] - 0.008 * u, bar[1] - 0.04 * u), (bar[0] + 0.03 * u, bar[1] - 0.045 * u)],
        0.014 * u,
        ink,
    )


def _board(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
    cast_shadow(canvas, (x, y), (0.12 * u, 0.018 * u))
    canvas.polygon(
        [
            (x - 0.065 * u, y - 0.23 * u),
            (x + 0.065 * u, y - 0.23 * u),
            (x + 0.085 * u, y),
            (x - 0.085 * u, y),
        ],
        mix(colour, (150, 110, 80), 0.5),
    )
    canvas.polygon(
        [
            (x - 0.052 * u, y - 0.212 * u),
            (x + 0.052 * u, y - 0.212 * u),
            (x + 0.068 * u, y - 0.03 * u),
            (x - 0.068 * u, y - 0.03 * u),
        ],
        (70, 78, 84),
    )
    for k in range(3):
        canvas.line(
            [
                (x - 0.035 * u, y - (0.17 - 0.04 * k) * u),
                (x + (0.035 - 0.012 * k) * u, y - (0.17 - 0.04 * k) * u),
            ],
            0.008 * u,
            (226, 222, 206),
        )


# ---------------------------------------------------------------------- in front


def _bush(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
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


def _post(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, _), u = spot
    _, height = canvas.image.size
    stone = lighter(mix(colour, (150, 146, 146), 0.65), 0.1)
    half = 0.055 * u
    canvas.rectangle((x - half, -1, x + half, height), stone)
    canvas.rectangle((x + half * 0.25, -1, x + half, height), darker(stone, 0.16))
    canvas.rectangle((x - half, height * 0.33, x + half, height * 0.335), darker(stone, 0.3))


def _railing(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (_, y), u = spot
    width, _ = canvas.image.size
    paint = darker(mix(colour, METAL, 0.6), 0.15)
    top = y - 0.3 * u
    step = 0.1 * u
    for k in range(int(width / step) + 2):
        x = spot[0][0] % step + (k - 1) * step
        canvas.rectangle((x - 0.009 * u, top, x + 0.009 * u, y), paint)
    for level in (top, y - 0.06 * u):
        canvas.rectangle((-1, level - 0.014 * u, width, level + 0.014 * u), lighter(paint, 0.15))


def _car(canvas: Canvas, spot: Spot, colour: Colour) -> None:
    (x, y), u = spot
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


Furniture = Callable[[Canvas, Spot, Colour], None]
_FURNITURE: tuple[Furniture, ...] = (_bollard, _bin, _planter, _lamp, _sign, _bench, _bicycle, _board)
_IN_FRONT: tuple[Furniture, ...] = (_bush, _post, _railing, _car)
