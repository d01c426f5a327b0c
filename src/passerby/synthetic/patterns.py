"""Patterns of the upper garment: stripes, plaid, blocks of colour, a print."""

from __future__ import annotations

import math

from passerby.synthetic.canvas import Colour, darker, mix
from passerby.synthetic.parts import Part
from passerby.synthetic.sketch import Limb, Sketch
from passerby.synthetic.solids import Solid

__all__ = [
    "draw_logo",
    "draw_sleeve_pattern",
    "draw_tail_pattern",
    "draw_upper_pattern",
    "get_cloth",
    "get_span",
]


def get_cloth(sketch: Sketch) -> Colour:
    """Colour of the upper garment."""
    return sketch.identity.colours["coat" if sketch.has("LongCoat") else "upper"]


def get_span(sketch: Sketch) -> tuple[float, float]:
    """Lower and upper height of the pattern of the upper garment."""
    lift = sketch.joints["pelvis"][1] - sketch.body.hip
    low = sketch.body.waist - 0.01 if sketch.identity.tucked else sketch.body.hip - 0.02
    return low + lift, sketch.body.shoulder + lift - 0.006


def draw_upper_pattern(sketch: Sketch, trunk: Solid, sides: tuple[float, float] = (-1.0, 1.0)) -> None:
    """Draw stripes, plaid or blocks of colour on the trunk, or on its shaded side only."""
    accent = sketch.identity.colours["accent"]
    shaded = sides[0] > 0
    low, high = get_span(sketch)
    fine = sketch.object_scale
    if sketch.has("UpperStride"):
        paint = (darker(accent, 0.12) if shaded else accent), Part.UPPER_STRIPE
        step = 0.044
        for i in range(int((high - low) / step)):
            y = low + 0.012 + i * step
            sketch.canvas.polygon(trunk.band(y, y + 0.019 * fine, sides), *paint)
    elif sketch.has("UpperPlaid"):
        _draw_plaid(sketch, trunk, sides)
    elif sketch.has("UpperSplice"):
        _draw_splice(sketch, trunk, sides)


def _draw_plaid(sketch: Sketch, trunk: Solid, sides: tuple[float, float]) -> None:
    accent, cloth = sketch.identity.colours["accent"], get_cloth(sketch)
    low, high = get_span(sketch)
    fine = sketch.object_scale
    first, second = mix(cloth, accent, 0.55), mix(cloth, (20, 20, 40), 0.45)
    if sides[0] > 0:
        first, second = darker(first, 0.12), darker(second, 0.12)
    step = 0.05
    for i in range(int((high - low) / step) + 1):
        y = low + 0.004 + i * step
        if y + 0.02 < high:
            sketch.canvas.polygon(trunk.band(y, y + 0.02 * fine, sides), first, Part.UPPER_PLAID)
            if y + 0.035 < high:
                sketch.canvas.polygon(
                    trunk.band(y + 0.03, y + 0.03 + 0.008 * fine, sides), second, Part.UPPER_PLAID
                )
    if sides[0] > 0:
        return
    heights = (low, high)
    for direction in range(0, 360, 30):
        strip = trunk.strip(heights, (direction - 7.0 * fine, direction + 7.0 * fine))
        if strip is not None:
            sketch.canvas.polygon(strip, first, Part.UPPER_PLAID)
        strip = trunk.strip(heights, (direction + 13.0, direction + 13.0 + 6.0 * fine))
        if strip is not None:
            sketch.canvas.polygon(strip, second, Part.UPPER_PLAID)


def _draw_splice(sketch: Sketch, trunk: Solid, sides: tuple[float, float]) -> None:
    low, high = get_span(sketch)
    accent = sketch.identity.colours["accent"]
    colour = darker(accent, 0.14) if sides[0] > 0 else accent
    middle = 0.5 * (low + high)
    reach = (high - low) * 0.5 * min(1.0, sketch.object_scale)
    style = sketch.identity.pattern_style
    if style == 0:  # lower half in the other colour
        span = (low, low + reach)
    elif style == 1:  # a wide chest band
        span = (middle - 0.1 * reach, middle + 0.75 * reach)
    else:  # shoulders in the other colour
        span = (high - reach * 0.85, high)
    sketch.canvas.polygon(trunk.band(*span, sides), colour, Part.UPPER_SPLICE)


def draw_logo(sketch: Sketch, trunk: Solid) -> None:
    """Draw a print on the chest, if the chest is visible."""
    seen = trunk.faces(0)
    if seen < 0.25:
        return
    low, high = get_span(sketch)
    colour, back = sketch.identity.colours["logo"], sketch.identity.colours["logo_ground"]
    x, y = trunk.surface_point(low + 0.62 * (high - low), 0)
    size = sketch.px(0.052) * sketch.object_scale
    wide = size * seen
    style = sketch.identity.logo_style
    if style == 0:
        sketch.canvas.ellipse((x, y), (wide, size), back, Part.UPPER_LOGO)
        points = [
            (x + wide * 0.78 * r * math.sin(k * math.pi / 5), y - size * 0.78 * r * math.cos(k * math.pi / 5))
            for k in range(10)
            for r in ((1.0, 0.42)[k % 2],)
        ]
        sketch.canvas.polygon(points, colour, Part.UPPER_LOGO)
    elif style == 1:
        sketch.canvas.rectangle((x - wide, y - size, x + wide, y + size), back, Part.UPPER_LOGO)
        sketch.canvas.polygon(
            [
                (x - wide * 0.9, y + size * 0.8),
                (x - wide * 0.1, y - size * 0.5),
                (x + wide * 0.25, y),
                (x + wide * 0.5, y - size * 0.25),
                (x + wide * 0.9, y + size * 0.8),
            ],
            colour,
            Part.UPPER_LOGO,
        )
        sketch.canvas.ellipse(
            (x + wide * 0.4, y - size * 0.5), (wide * 0.22, size * 0.22), colour, Part.UPPER_LOGO
        )
    elif style == 2:
        sketch.canvas.polygon(
            [
                (x + wide * 0.2, y - size),
                (x - wide * 0.8, y + size * 0.15),
                (x - wide * 0.05, y + size * 0.15),
                (x - wide * 0.3, y + size),
                (x + wide * 0.8, y - size * 0.25),
                (x + wide * 0.1, y - size * 0.25),
            ],
            colour,
            Part.UPPER_LOGO,
        )
    else:
        for k, share in enumerate((1.0, 0.7, 0.9)):
            top = y - size * 0.7 + k * size * 0.55
            sketch.canvas.rectangle(
                (x - wide * 1.2 * share, top, x + wide * 1.2 * share, top + size * 0.32),
                colour,
                Part.UPPER_LOGO,
            )


def draw_tail_pattern(sketch: Sketch, solid: Solid, span: tuple[float, float]) -> None:
    """Draw stripes or plaid on the lower half of a coat."""
    accent, cloth, fine = sketch.identity.colours["accent"], get_cloth(sketch), sketch.object_scale
    plaid = sketch.has("UpperPlaid")
    if not (plaid or sketch.has("UpperStride")):
        return
    colour, part = (mix(cloth, accent, 0.55), Part.UPPER_PLAID) if plaid else (accent, Part.UPPER_STRIPE)
    for k in range(int((span[1] - span[0]) / 0.05)):
        y = span[1] - 0.05 * (k + 1)
        for sides, tone in (((-1.0, 0.5), colour), ((0.5, 1.0), darker(colour, 0.12))):
            sketch.canvas.polygon(solid.band(y, y + 0.02 * fine, sides), tone, part)
    for direction in range(0, 360 if plaid else 0, 45):
        strip = solid.strip(span, (direction - 7.0 * fine, direction + 7.0 * fine))
        if strip is not None:
            sketch.canvas.polygon(strip, mix(cloth, (20, 20, 40), 0.3), part)


def draw_sleeve_pattern(sketch: Sketch, side: str, limb: Limb, shares: tuple[float, ...]) -> None:
    """Draw stripes or plaid around a part of a sleeve."""
    bones, radii = limb
    accent = sketch.identity.colours["accent"]
    if sketch.has("UpperStride"):
        paint = accent, Part.UPPER_STRIPE
    elif sketch.has("UpperPlaid"):
        paint = mix(get_cloth(sketch), accent, 0.55), Part.UPPER_PLAID
    else:
        return
    if sketch.is_far(side):
        paint = darker(paint[0], 0.14), paint[1]
    for share in shares:
        sketch.cuff(
            bones, (share - 0.06 * sketch.object_scale, share + 0.06 * sketch.object_scale), radii, paint
        )
