"""Hats and glasses."""

from __future__ import annotations

import math

from passerby.synthetic.canvas import Colour, darker, lighter, mix
from passerby.synthetic.head_shape import Head
from passerby.synthetic.parts import Part
from passerby.synthetic.solids import Ring

__all__ = ["draw_cap_peak", "draw_glasses", "draw_hat"]


def draw_hat(head: Head) -> None:
    """Draw a cap, a beanie or a hat with a brim."""
    colour, size, style = head.identity.colours["hat"], head.scale, head.identity.hat_style
    low = _rim(size)
    top = low + (0.5 if style == "beanie" else 0.44) * size
    grow = (1.22 if head.identity.hair_style == "curly" else 1.14) * (0.4 + 0.6 * size)
    tall = top - low
    crown: tuple[Ring, ...] = (
        (low, 0.39, 0.46, -0.02),
        (low + 0.45 * tall, 0.385, 0.45, -0.03),
        (low + 0.82 * tall, 0.27, 0.32, -0.04),
        (top, 0.07, 0.08, -0.04),
    )
    if style == "brim":
        crown = (*crown[:2], (low + 0.85 * tall, 0.33, 0.38, -0.03), (top, 0.24, 0.28, -0.03))
        _draw_brim(head, low)
    solid = head.stack(crown, grow=grow)
    head.canvas.polygon(solid.outline(), colour, Part.HAT)
    head.canvas.polygon(solid.outline(0.3, 1.0), darker(colour, 0.18), Part.HAT)
    if style != "cap":
        band = solid.band(head.height(low), head.height(low + 0.13 * size))
        ribbon = head.identity.colours["accent"] if style == "brim" else darker(colour, 0.3)
        head.canvas.polygon(band, ribbon, Part.HAT)
    if style == "beanie":
        chin = head.joints["chin"]
        tip = head.lens.point((0.0, head.height(top + 0.03), chin[2] - 0.04 * head.body.head))
        head.canvas.ellipse(
            tip, (head.px(0.12) * size, head.px(0.11) * size), lighter(colour, 0.35), Part.HAT
        )
    if style == "cap" and head.facing > 0:
        draw_cap_peak(head)


def _rim(size: float) -> float:
    """Height of the rim of a hat of this size, in head heights above the chin."""
    return 0.66 + 0.2 * (1.0 - min(1.0, size))


def _draw_brim(head: Head, low: float) -> None:
    colour = head.identity.colours["hat"]
    middle = head.lens.point((0.0, head.height(low + 0.03), head.joints["chin"][2]))
    radius = head.px(0.72) * (0.4 + 0.6 * head.scale)
    head.canvas.ellipse(middle, (radius, radius * 0.26), darker(colour, 0.28), Part.HAT)
    head.canvas.ellipse((middle[0], middle[1] - head.px(0.03)), (radius, radius * 0.22), colour, Part.HAT)


def draw_cap_peak(head: Head) -> None:
    """Draw the peak of a cap."""
    size, long = head.scale, head.body.head
    low, (_, _, z) = _rim(size), head.joints["chin"]
    angles = [math.radians(17.0 * k - 68.0) for k in range(9)]
    outer = [
        head.lens.point(
            (
                math.sin(a) * 0.42 * long * size,
                head.height(low - 0.02),
                z + (0.2 + math.cos(a) * 0.66 * size) * long,
            )
        )
        for a in angles
    ]
    inner = [
        head.lens.point(
            (math.sin(a) * 0.42 * long * size, head.height(low + 0.07), z + math.cos(a) * 0.46 * long)
        )
        for a in reversed(angles)
    ]
    head.canvas.polygon(outer + inner, darker(head.identity.colours["hat"], 0.34), Part.HAT)


def draw_glasses(head: Head) -> None:
    """Draw clear or dark glasses with their temples."""
    frame: Colour = (34, 30, 42)
    lens: Colour = (
        (52, 46, 64) if head.identity.glasses_dark else mix(head.identity.skin, (226, 240, 248), 0.5)
    )
    size, level = head.scale, head.height(0.49)
    for side in (-1, 1):
        ear, hinge = (
            head.skull.surface_point(head.height(0.5), side * 90),
            head.skull.surface_point(head.height(0.51), side * 48),
        )
        if head.skull.faces(side * 88) > 0.05 and head.skull.faces(side * 40) > -0.1:
            head.canvas.line([ear, hinge], head.px(0.06) * size, frame, Part.GLASSES)
    if head.facing > 0.2:
        left, right = head.skull.surface_point(level, -24), head.skull.surface_point(level, 24)
        head.canvas.line([left, right], head.px(0.05) * size, frame, Part.GLASSES)
    for side in (-1, 1):
        seen = head.skull.faces(side * 24)
        if seen < 0.1:
            continue
        spot = head.skull.surface_point(level, side * 24)
        radius = head.px(0.155) * size
        head.canvas.ellipse(spot, (radius * max(0.45, seen), radius * 0.92), frame, Part.GLASSES)
        inner = (
            radius * max(0.45, seen) - head.px(0.045) * size,
            radius * 0.92 - head.px(0.045) * size,
        )
        head.canvas.ellipse(spot, inner, lens, Part.GLASSES)
        if not head.identity.glasses_dark:
            head.canvas.ellipse(spot, (head.px(0.04), head.px(0.05)), (38, 28, 38), Part.GLASSES)
