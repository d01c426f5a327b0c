"""Legs, the lower garment, shoes and boots."""

from __future__ import annotations

import math

from passerby.synthetic.canvas import Colour, darker, lighter, mix
from passerby.synthetic.parts import Part
from passerby.synthetic.skeleton import Point3D
from passerby.synthetic.sketch import Sketch, along
from passerby.synthetic.solids import Solid

__all__ = ["draw_hips", "draw_leg", "draw_skirt"]


def _cloth(sketch: Sketch) -> Colour:
    return sketch.identity.colours["upper" if sketch.identity.dress else "lower"]


def _ornament(sketch: Sketch) -> Colour:
    return sketch.identity.colours["accent" if sketch.identity.dress else "trim"]


def draw_leg(sketch: Sketch, side: str) -> None:
    """Draw one leg from hip to toe."""
    joints, thick = sketch.joints, sketch.body.limb
    hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    cloth, skin = _cloth(sketch), sketch.identity.skin
    far = sketch.is_far(side)
    if far:
        cloth, skin = darker(cloth, 0.16), darker(skin, 0.16)
    bare = Part.LEFT_LEG if side == "left" else Part.RIGHT_LEG
    if not sketch.has("Trousers"):
        sketch.limb((knee, ankle), (0.034 * thick, 0.021 * thick), skin, bare)
        sketch.limb((hip, knee), (0.05 * thick, 0.035 * thick), skin, bare)
        if not sketch.has("boots"):
            sock = mix(sketch.identity.colours["trim"], (255, 255, 255), 0.3)
            sketch.limb(
                (along(knee, ankle, 0.74), ankle),
                (0.024 * thick, 0.023 * thick),
                darker(sock, 0.16) if far else sock,
                Part.SOCK,
            )
    _draw_shoe(sketch, side)
    if sketch.has("Trousers"):
        straight = 0.036 if sketch.identity.pattern_style == 1 else 0.030
        sketch.limb((knee, along(knee, ankle, 0.93)), (0.041 * thick, straight * thick), cloth, Part.TROUSERS)
        sketch.limb((hip, knee), (0.056 * thick, 0.041 * thick), cloth, Part.TROUSERS)
        _draw_leg_ornament(sketch, side, ((hip, knee), (0.056 * thick, 0.041 * thick)))
        _draw_leg_ornament(
            sketch, side, ((knee, along(knee, ankle, 0.93)), (0.041 * thick, straight * thick))
        )
    elif sketch.has("Shorts"):
        end = along(hip, knee, 0.74)
        sketch.limb((hip, end), (0.058 * thick, 0.05 * thick), cloth, Part.SHORTS)
        _draw_leg_ornament(sketch, side, ((hip, end), (0.058 * thick, 0.05 * thick)))
        sketch.cuff(
            (hip, end), (1.12, 1.26), (0.058 * thick, 0.05 * thick), (darker(cloth, 0.2), Part.SHORTS)
        )
    if sketch.has("boots"):
        _draw_boot(sketch, side)


def _draw_leg_ornament(
    sketch: Sketch, side: str, limb: tuple[tuple[Point3D, Point3D], tuple[float, float]]
) -> None:
    (start, end), (r0, r1) = limb
    colour = darker(_ornament(sketch), 0.16) if sketch.is_far(side) else _ornament(sketch)
    fine = sketch.object_scale
    outwards = 1.0 if side == "left" else -1.0
    if sketch.has("LowerStripe") and sketch.lens.near((outwards, 0.0, 0.0)) > -0.6:
        p, q = ((x + outwards * r * 0.62, y, z) for (x, y, z), r in ((start, r0), (end, r1)))
        ends = sketch.lens.point(p), sketch.lens.point(q)
        wide = sketch.px(0.3 * fine * 0.5 * (r0 + r1))
        sketch.canvas.capsule(ends, (wide, wide), colour, Part.LOWER_STRIPE)
    if sketch.has("LowerPattern"):
        for i, share in enumerate((0.08, 0.3, 0.52, 0.74, 0.95)):
            x, y = sketch.lens.point(along(start, end, share))
            radius = sketch.px(r0 + (r1 - r0) * share)
            shift = (-0.45, 0.35, -0.05)[(i + sketch.identity.pattern_style) % 3] * radius
            _draw_dot(sketch, (x + shift, y), colour)
            if i % 2 == 0:
                _draw_dot(sketch, (x - shift * 1.1, y + radius * 0.5), colour)


def _draw_dot(sketch: Sketch, spot: tuple[float, float], colour: Colour) -> None:
    size = sketch.px(0.0125) * sketch.object_scale
    x, y = spot
    style = sketch.identity.pattern_style
    if style == 0:
        sketch.canvas.ellipse(spot, (size, size), colour, Part.LOWER_PATTERN)
    elif style == 1:
        sketch.canvas.polygon(
            [(x, y - 1.4 * size), (x + size, y), (x, y + 1.4 * size), (x - size, y)],
            colour,
            Part.LOWER_PATTERN,
        )
    else:
        sketch.canvas.ellipse(spot, (size * 1.25, size * 0.6), colour, Part.LOWER_PATTERN)
        sketch.canvas.ellipse(spot, (size * 0.6, size * 1.25), colour, Part.LOWER_PATTERN)


def draw_hips(sketch: Sketch) -> None:
    """Draw the seat of trousers or shorts, between legs and trunk."""
    body = sketch.body
    lift = sketch.joints["pelvis"][1] - body.hip
    part = Part.TROUSERS if sketch.has("Trousers") else Part.SHORTS
    solid = Solid(
        [
            (body.hip - 0.045 + lift, body.hip_half * 0.55, body.depth * 0.8, -0.006),
            (body.hip - 0.02 + lift, body.hip_half * 1.0, body.depth * 1.08, -0.008),
            (body.hip + 0.03 + lift, body.hip_half * 1.0, body.depth * 1.05, -0.006),
            (
                body.waist + lift,
                body.waist_half * 1.04,
                body.depth * 0.95 + body.belly * 0.5,
                body.belly * 0.6,
            ),
        ],
        sketch.lens,
    )
    cloth = _cloth(sketch)
    sketch.canvas.polygon(solid.outline(), cloth, part)
    sketch.canvas.polygon(solid.outline(0.5, 1.0), darker(cloth, 0.15), part)
    if sketch.identity.tucked:
        belt = solid.band(body.waist - 0.022 + lift, body.waist + lift)
        sketch.canvas.polygon(belt, darker(sketch.identity.colours["bag"], 0.3), part)
    if sketch.has("LowerPattern"):
        _scatter(sketch, solid, (body.hip - 0.01 + lift, body.waist - 0.03 + lift))


def draw_skirt(sketch: Sketch) -> None:
    """Draw a skirt, or the lower half of a dress."""
    body, joints = sketch.body, sketch.joints
    lift = joints["pelvis"][1] - body.hip
    longer = (0.05, -0.02, -0.1)[sketch.identity.logo_style % 3]
    hem = body.knee + longer + lift
    flare = (1.5, 1.25, 1.7)[sketch.identity.pattern_style]
    swing = 0.34 * joints.stride * (body.hip + lift - hem) / 0.24
    solid = Solid(
        [
            (hem, body.hip_half * flare, body.depth * 1.15 * flare**0.5 + swing, 0.0),
            (
                0.5 * (hem + body.hip + lift),
                body.hip_half * (0.5 + 0.5 * flare),
                body.depth * 1.2 + swing * 0.5,
                0.0,
            ),
            (body.hip + 0.01 + lift, body.hip_half * 1.05, body.depth * 1.12, -0.004),
            (body.waist + lift, body.waist_half * 1.04, body.depth * 0.95, body.belly * 0.6),
        ],
        sketch.lens,
    )
    cloth = _cloth(sketch)
    sketch.canvas.polygon(solid.outline(), cloth, Part.SKIRT)
    sketch.canvas.polygon(solid.outline(0.45, 1.0), darker(cloth, 0.14), Part.SKIRT)
    for share in (-0.55, -0.1):
        sketch.canvas.polygon(solid.outline(share, share + 0.07), darker(cloth, 0.1), Part.SKIRT)
    colour = _ornament(sketch)
    if sketch.has("LowerStripe"):
        for k in range(3):
            y = hem + 0.016 + 0.042 * k
            sketch.canvas.polygon(solid.band(y, y + 0.018 * sketch.object_scale), colour, Part.LOWER_STRIPE)
    if sketch.has("LowerPattern"):
        _scatter(sketch, solid, (hem + 0.015, body.waist - 0.03 + lift))
    belt = solid.band(body.waist - 0.02 + lift, body.waist + lift)
    sketch.canvas.polygon(
        belt, sketch.identity.colours["accent"] if sketch.identity.dress else darker(cloth, 0.25), Part.SKIRT
    )


def _scatter(sketch: Sketch, solid: Solid, span: tuple[float, float]) -> None:
    colour = _ornament(sketch)
    for row in range(math.ceil((span[1] - span[0]) / 0.036)):
        y = span[0] + 0.036 * row
        for direction in range(15 * (row % 2), 360, 30):
            if solid.faces(direction) > 0.42:
                _draw_dot(sketch, solid.surface_point(y, direction), colour)


def _draw_shoe(sketch: Sketch, side: str) -> None:
    joints, boots = sketch.joints, sketch.has("boots")
    ankle, heel, toe = (joints[f"{side}_{name}"] for name in ("ankle", "heel", "toe"))
    leather = sketch.identity.colours["boots" if boots else "shoes"]
    if sketch.is_far(side):
        leather = darker(leather, 0.16)
    part = (
        (Part.LEFT_BOOT if side == "left" else Part.RIGHT_BOOT)
        if boots
        else (Part.LEFT_SHOE if side == "left" else Part.RIGHT_SHOE)
    )
    grow = 1.12 if sketch.has("AgeLess18") else 1.0
    sole = lighter(leather, 0.45) if not boots else darker(leather, 0.5)
    below = [(x, y - 0.007, z) for x, y, z in (heel, toe)]
    sketch.canvas.capsule(
        (sketch.lens.point(below[0]), sketch.lens.point(below[1])),
        (sketch.px(0.019 * grow), sketch.px(0.0185 * grow)),
        sole,
        part,
    )
    sketch.limb((ankle, heel), (0.021 * grow, 0.02 * grow), leather, part)
    sketch.limb((along(heel, toe, 0.05), toe), (0.021 * grow, 0.0175 * grow), leather, part)
    x, y = sketch.lens.point(toe)
    if sketch.lens.cos > 0.5:  # the toe cap, broad from the front
        sketch.canvas.ellipse(
            (x, y + sketch.px(0.004)), (sketch.px(0.0265 * grow), sketch.px(0.0175 * grow)), sole, part
        )
        sketch.canvas.ellipse(
            (x, y - sketch.px(0.003)), (sketch.px(0.0255 * grow), sketch.px(0.0185 * grow)), leather, part
        )


def _draw_boot(sketch: Sketch, side: str) -> None:
    joints, thick = sketch.joints, sketch.body.limb
    knee, ankle = joints[f"{side}_knee"], joints[f"{side}_ankle"]
    leather = sketch.identity.colours["boots"]
    if sketch.is_far(side):
        leather = darker(leather, 0.16)
    part = Part.LEFT_BOOT if side == "left" else Part.RIGHT_BOOT
    top = along(knee, ankle, 0.38 if sketch.has("Female") else 0.55)
    wide = 0.046 if sketch.has("Trousers") else 0.04
    sketch.limb((top, ankle), (wide * thick, 0.031 * thick), leather, part)
    sketch.cuff(
        (top, ankle), (-0.22, 0.0), (wide * thick * 1.06, wide * thick), (lighter(leather, 0.28), part)
    )
