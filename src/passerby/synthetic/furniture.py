"""Street furniture behind the person."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from passerby.synthetic.canvas import Canvas, Colour, Point, darker, lighter, mix
from passerby.synthetic.shadows import cast_shadow

__all__ = ["LEAF", "METAL", "MUTED", "Anchor", "StreetObject", "draw_clutter"]

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

Anchor = tuple[Point, float]
"""Foot of the object in pixels, and pixels per image height."""

StreetObject = Callable[[Canvas, Anchor, Colour], None]
"""Function that draws an object of the street."""


def draw_clutter(canvas: Canvas, rng: random.Random, amount: float) -> None:
    """Draw street furniture behind the person; `amount` in [0, 1] sets the expected number."""
    width, height = canvas.image.size
    objects = []
    for _ in range(8):  # always eight draws, so that a larger amount only adds objects
        kind, x, y = rng.choice(_FURNITURE), rng.random(), rng.uniform(0.78, 0.95)
        objects.append((rng.random(), y, x, kind, rng.random(), rng.choice(MUTED)))
    chosen = sorted(o[1:] for o in objects if o[0] < 0.75 * amount) if amount > 0 else []
    for y, x, kind, share, colour in chosen:
        size = height * (0.55 + 0.9 * (y - 0.7)) * (0.85 + 0.3 * share)
        kind(canvas, ((x * width, y * height), size), colour)


def _bollard(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    del colour
    cast_shadow(canvas, (x, y), (0.06 * u, 0.014 * u))
    canvas.capsule(((x, y - 0.21 * u), (x, y)), (0.018 * u, 0.02 * u), METAL)
    canvas.capsule(
        ((x + 0.007 * u, y - 0.21 * u), (x + 0.008 * u, y)), (0.01 * u, 0.011 * u), darker(METAL, 0.25)
    )
    canvas.rectangle((x - 0.019 * u, y - 0.19 * u, x + 0.019 * u, y - 0.165 * u), (232, 222, 200))


def _bin(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
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


def _planter(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
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


def _lamp(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    post = mix(METAL, colour, 0.15)
    cast_shadow(canvas, (x, y), (0.07 * u, 0.014 * u))
    canvas.capsule(((x, y - 0.95 * u), (x, y)), (0.009 * u, 0.013 * u), post)
    canvas.capsule(((x, y - 0.03 * u), (x, y)), (0.02 * u, 0.024 * u), darker(post, 0.2))
    canvas.ellipse((x, y - 0.97 * u), (0.045 * u, 0.05 * u), (250, 240, 210))
    canvas.capsule(
        ((x - 0.035 * u, y - 1.015 * u), (x + 0.035 * u, y - 1.015 * u)), (0.01 * u, 0.01 * u), post
    )


def _sign(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    canvas.capsule(((x, y - 0.62 * u), (x, y)), (0.008 * u, 0.01 * u), METAL)
    canvas.ellipse((x, y - 0.64 * u), (0.062 * u, 0.062 * u), lighter(colour, 0.75))
    canvas.ellipse((x, y - 0.64 * u), (0.05 * u, 0.05 * u), colour)
    canvas.rectangle((x - 0.032 * u, y - 0.65 * u, x + 0.032 * u, y - 0.63 * u), lighter(colour, 0.8))


def _bench(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
    wood = mix(colour, (158, 112, 78), 0.6)
    cast_shadow(canvas, (x, y), (0.22 * u, 0.02 * u))
    for dx in (-0.15, 0.15):
        canvas.capsule(((x + dx * u, y - 0.1 * u), (x + dx * u, y)), (0.009 * u, 0.009 * u), METAL)
    for top in (0.2, 0.165, 0.13):
        canvas.rectangle((x - 0.19 * u, y - top * u, x + 0.19 * u, y - (top - 0.025) * u), lighter(wood, 0.1))
    canvas.rectangle((x - 0.2 * u, y - 0.1 * u, x + 0.2 * u, y - 0.078 * u), darker(wood, 0.12))


def _bicycle(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
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


def _board(canvas: Canvas, anchor: Anchor, colour: Colour) -> None:
    (x, y), u = anchor
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


_FURNITURE: tuple[StreetObject, ...] = (_bollard, _bin, _planter, _lamp, _sign, _bench, _bicycle, _board)
