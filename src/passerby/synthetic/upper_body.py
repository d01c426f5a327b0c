"""Trunk, arms and the upper garment."""

from __future__ import annotations

from passerby.synthetic import patterns
from passerby.synthetic.canvas import darker, lighter, mix
from passerby.synthetic.parts import Part
from passerby.synthetic.sketch import Sketch, along
from passerby.synthetic.solids import Ring, Solid

__all__ = ["create_trunk", "draw_arm", "draw_coat_tail", "draw_neck", "draw_scarf", "draw_upper"]


def create_trunk(sketch: Sketch) -> Solid:
    """Shape of the upper garment from its hem to the neck."""
    body, joints = sketch.body, sketch.joints
    ease = 1.12 if sketch.has("LongCoat") else 1.04
    pelvis, thorax = joints["pelvis"], joints["thorax"]
    lift = pelvis[1] - body.hip
    shift = thorax[2]
    hem = body.waist - 0.015 if sketch.identity.tucked else body.hip - 0.025
    rings: list[Ring] = []
    if not sketch.identity.tucked:
        rings.append((hem, body.hip_half * ease * 1.02, body.depth * 1.1 * ease, -0.006 + body.belly * 0.4))
    chest = body.waist + 0.55 * (body.shoulder - body.waist)
    rings += [
        (
            body.waist,
            body.waist_half * ease * 1.04,
            body.depth * 0.92 * ease + body.belly * 0.5,
            body.belly * 0.6,
        ),
        (chest, body.chest_half * ease, body.depth * ease + body.bust * 0.5, body.bust * 0.7),
        (body.shoulder - 0.032, body.shoulder_half * 1.07, body.depth * 0.92, 0.0),
        (body.shoulder + 0.004, body.shoulder_half * 0.92, body.depth * 0.72, -0.002),
        (body.shoulder + 0.024, body.shoulder_half * 0.42, body.depth * 0.55, -0.002),
    ]
    top = body.shoulder - pelvis[1] + lift
    placed = []
    for y, a, b, z in rings:
        up = max(0.0, (y - body.hip) / top)
        placed.append((y + lift - 0.12 * body.lean * max(0.0, y - body.hip), a, b, z + shift * up**1.5))
    return Solid(placed, sketch.lens)


def draw_neck(sketch: Sketch) -> None:
    """Draw the neck, in the shadow of the chin."""
    chin, thorax = sketch.joints["chin"], sketch.joints["thorax"]
    skin = darker(sketch.identity.skin, 0.16)
    radius = (0.033 if sketch.has("Female") else 0.04) * (0.9 + 0.1 * sketch.identity.girth)
    radius *= 0.88 if sketch.has("AgeLess18") else 1.0
    top = (chin[0], chin[1] + 0.03, chin[2] - 0.005)
    sketch.canvas.capsule(
        (sketch.lens.point(top), sketch.lens.point((0.0, thorax[1] + 0.012, thorax[2]))),
        (sketch.px(radius), sketch.px(radius * 1.1)),
        skin,
        Part.FACE,
    )


def draw_upper(sketch: Sketch, trunk: Solid) -> None:
    """Draw the upper garment without its sleeves."""
    cloth = patterns.get_cloth(sketch)
    sketch.canvas.polygon(trunk.outline(), cloth, Part.UPPER)
    patterns.draw_upper_pattern(sketch, trunk)
    sketch.canvas.polygon(trunk.outline(0.62, 1.0), darker(cloth, 0.14), Part.UPPER)
    patterns.draw_upper_pattern(sketch, trunk, sides=(0.62, 1.0))
    _draw_collar(sketch)
    if sketch.has("LongCoat"):
        _draw_buttons(sketch, trunk)
    if sketch.has("UpperLogo"):
        patterns.draw_logo(sketch, trunk)


def _draw_collar(sketch: Sketch) -> None:
    cloth = patterns.get_cloth(sketch)
    thorax = sketch.joints["thorax"]
    front = sketch.lens.cos > 0.15
    wide = 0.043 if sketch.has("Female") else 0.046
    middle = sketch.lens.point((0.0, thorax[1] + 0.022, thorax[2] + 0.012))
    if front:
        depth = 0.034 if sketch.has("LongSleeve") else 0.022
        skin = sketch.identity.skin
        shift = sketch.lens.sin * sketch.px(0.03)
        half = sketch.px(wide) * max(0.5, abs(sketch.lens.cos))
        v = [
            (middle[0] - half + shift * 0.4, middle[1]),
            (middle[0] + half + shift * 0.4, middle[1]),
            (middle[0] + shift, middle[1] + sketch.px(depth + 0.016)),
        ]
        inner = (
            mix(sketch.identity.colours["accent"], (255, 255, 255), 0.4) if sketch.has("LongCoat") else None
        )
        sketch.canvas.polygon(v, inner or darker(skin, 0.06), Part.UPPER if inner else Part.FACE)
        sketch.canvas.line([v[0], v[2], v[1]], sketch.px(0.008), darker(cloth, 0.24), Part.UPPER)
    else:
        sketch.canvas.capsule(
            ((middle[0] - sketch.px(wide * 0.7), middle[1]), (middle[0] + sketch.px(wide * 0.7), middle[1])),
            (sketch.px(0.010), sketch.px(0.010)),
            darker(cloth, 0.22),
            Part.UPPER,
        )


def _draw_buttons(sketch: Sketch, trunk: Solid) -> None:
    if trunk.faces(0) < 0.1:
        return
    low, high = patterns.get_span(sketch)
    cloth = patterns.get_cloth(sketch)
    edge = trunk.edge((low, high - 0.03), 6)
    sketch.canvas.line(edge, sketch.px(0.006), darker(cloth, 0.35), Part.UPPER)
    for y in (low + 0.03, 0.5 * (low + high) - 0.015, high - 0.06):
        sketch.canvas.ellipse(
            trunk.surface_point(y, -6), (sketch.px(0.008), sketch.px(0.008)), darker(cloth, 0.5), Part.UPPER
        )


def draw_coat_tail(sketch: Sketch) -> None:
    """Draw the lower half of a long coat, from the waist to the knee."""
    body, joints = sketch.body, sketch.joints
    lift = joints["pelvis"][1] - body.hip
    hem = body.knee + 0.02
    swing = 0.30 * joints.stride * (body.hip - body.knee) / 0.25
    solid = Solid(
        [
            (hem + lift, body.hip_half * 1.3, body.depth * 1.25 + swing, 0.0),
            (body.hip * 0.8 + lift, body.hip_half * 1.2, body.depth * 1.2 + swing * 0.55, 0.0),
            (body.hip + 0.03 + lift, body.hip_half * 1.12, body.depth * 1.12, 0.0),
            (
                body.waist + 0.01 + lift,
                body.waist_half * 1.14,
                body.depth * 1.05 + body.belly * 0.5,
                body.belly * 0.6,
            ),
        ],
        sketch.lens,
    )
    cloth = patterns.get_cloth(sketch)
    sketch.canvas.polygon(solid.outline(), cloth, Part.COAT_TAIL)
    sketch.canvas.polygon(solid.outline(0.5, 1.0), darker(cloth, 0.14), Part.COAT_TAIL)
    patterns.draw_tail_pattern(sketch, solid, (hem + lift, body.hip - 0.02 + lift))
    direction = 6.0 if solid.faces(0) > 0 else 180.0
    edge = solid.edge((hem + lift, body.hip + lift), direction)
    if abs(sketch.lens.cos) > 0.2:
        sketch.canvas.line(edge, sketch.px(0.007), darker(cloth, 0.35), Part.COAT_TAIL)


def draw_scarf(sketch: Sketch) -> None:
    """Draw a scarf around the neck."""
    thorax, colour = sketch.joints["thorax"], sketch.identity.colours["scarf"]
    x, y = sketch.lens.point((0.0, thorax[1] + 0.024, thorax[2] + 0.008))
    wide = sketch.px(0.056)
    if sketch.lens.cos > 0.2:
        sketch.canvas.capsule(
            ((x + wide * 0.3, y), (x + wide * 0.45, y + sketch.px(0.12))),
            (sketch.px(0.017), sketch.px(0.022)),
            darker(colour, 0.15),
            Part.SCARF,
        )
    sketch.canvas.capsule(
        ((x - wide * 0.6, y), (x + wide * 0.6, y)), (sketch.px(0.023), sketch.px(0.023)), colour, Part.SCARF
    )
    sketch.canvas.line(
        [(x - wide * 0.6, y + sketch.px(0.006)), (x + wide * 0.7, y + sketch.px(0.002))],
        sketch.px(0.006),
        lighter(colour, 0.3),
        Part.SCARF,
    )


def draw_arm(sketch: Sketch, side: str) -> None:
    """Draw one arm with its sleeve and hand."""
    joints, thick = sketch.joints, sketch.body.limb
    shoulder, elbow = joints[f"{side}_shoulder"], joints[f"{side}_elbow"]
    wrist, hand = joints[f"{side}_wrist"], joints[f"{side}_hand"]
    skin, cloth = sketch.identity.skin, patterns.get_cloth(sketch)
    if sketch.has("UpperSplice") and sketch.identity.pattern_style == 2:
        cloth = sketch.identity.colours["accent"]
    if sketch.is_far(side):
        skin, cloth = darker(skin, 0.14), darker(cloth, 0.14)
    part = Part.LEFT_ARM if side == "left" else Part.RIGHT_ARM
    sketch.limb((wrist, hand), (0.017 * thick, 0.018 * thick), skin, part)
    if sketch.has("LongSleeve"):
        loose = 1.15 if sketch.has("LongCoat") else 1.0
        sketch.limb((elbow, wrist), (0.031 * thick * loose, 0.024 * thick * loose), cloth, Part.SLEEVE)
        sketch.limb((shoulder, elbow), (0.034 * thick * loose, 0.030 * thick * loose), cloth, Part.SLEEVE)
        patterns.draw_sleeve_pattern(
            sketch, side, ((elbow, wrist), (0.030 * thick, 0.024 * thick)), (0.15, 0.5, 0.85)
        )
        patterns.draw_sleeve_pattern(
            sketch, side, ((shoulder, elbow), (0.033 * thick, 0.030 * thick)), (0.15, 0.4, 0.65, 0.9)
        )
        sketch.cuff(
            (elbow, wrist),
            (0.93, 1.06),
            (0.031 * thick, 0.025 * thick * loose),
            (darker(cloth, 0.25), Part.SLEEVE),
        )
    else:
        sketch.limb((elbow, wrist), (0.026 * thick, 0.019 * thick), skin, part)
        sketch.limb((shoulder, elbow), (0.032 * thick, 0.026 * thick), skin, part)
        end = along(shoulder, elbow, 0.62)
        sketch.limb(
            (shoulder, along(shoulder, elbow, 0.5)), (0.0345 * thick, 0.036 * thick), cloth, Part.SLEEVE
        )
        patterns.draw_sleeve_pattern(
            sketch, side, ((shoulder, end), (0.038 * thick, 0.036 * thick)), (0.2, 0.6)
        )
        sketch.cuff(
            (shoulder, end), (0.94, 1.08), (0.038 * thick, 0.038 * thick), (darker(cloth, 0.22), Part.SLEEVE)
        )
