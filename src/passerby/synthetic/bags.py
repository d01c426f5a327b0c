"""Backpacks, shoulder bags and hand bags."""

from __future__ import annotations

import math

from passerby.synthetic.canvas import Point, darker, lighter, mix
from passerby.synthetic.parts import Part
from passerby.synthetic.sketch import Sketch, along
from passerby.synthetic.solids import Solid

__all__ = [
    "draw_backpack",
    "draw_backpack_straps",
    "draw_hand_bag",
    "draw_shoulder_bag",
    "draw_strap",
]


def draw_backpack(sketch: Sketch) -> None:
    """Draw the pack without its straps."""
    body, thorax = sketch.body, sketch.joints["thorax"]
    size, colour = sketch.object_scale, sketch.identity.colours["pack"]
    high = thorax[1] + 0.005
    low = high - (0.255 if not sketch.has("AgeLess18") else 0.22) * (0.35 + 0.65 * size)
    half, deep = max(body.shoulder_half * 0.98, 0.09) * size, 0.058 * size
    back = thorax[2] * 0.6 - body.depth - deep * 0.75
    pack = Solid(
        [
            (low, half * 0.86, deep * 0.8, 0.0),
            (low + 0.025, half, deep * 1.1, 0.0),
            (0.5 * (low + high), half * 0.98, deep, 0.0),
            (high - 0.02, half * 0.86, deep * 0.8, 0.01),
            (high + 0.012, half * 0.45, deep * 0.4, 0.015),
        ],
        sketch.lens,
        axis=(0.0, back),
    )
    sketch.canvas.polygon(pack.outline(), colour, Part.BACKPACK)
    sketch.canvas.polygon(pack.outline(0.4, 1.0), darker(colour, 0.18), Part.BACKPACK)
    if sketch.lens.cos > 0.3:
        return
    pocket = pack.band(low + 0.02, low + 0.42 * (high - low), (-0.68, 0.68))
    sketch.canvas.polygon(pocket, lighter(colour, 0.16), Part.BACKPACK)
    flap = pack.band(high - 0.085 * size, high - 0.075 * size, (-0.8, 0.8))
    sketch.canvas.polygon(flap, darker(colour, 0.4), Part.BACKPACK)
    if sketch.lens.cos < -0.3:
        x, y = pack.surface_point(low + 0.3 * (high - low), 180)
        sketch.canvas.ellipse(
            (x, y),
            (sketch.px(0.014) * size, sketch.px(0.014) * size),
            sketch.identity.colours["accent"],
            Part.BACKPACK,
        )


def draw_backpack_straps(sketch: Sketch, trunk: Solid) -> None:
    """Draw the two straps over the shoulders, in front and side views."""
    if sketch.lens.cos < -0.3:
        return
    colour = darker(sketch.identity.colours["pack"], 0.12)
    thorax = sketch.joints["thorax"]
    size = 0.35 + 0.65 * sketch.object_scale
    for side in (-1.0, 1.0):
        if sketch.lens.cos < 0.35 and side * sketch.lens.sin > 0:
            continue
        if sketch.lens.cos < 0.35:
            start = sketch.lens.point((side * 0.05, thorax[1] + 0.012, thorax[2]))
            middle = sketch.lens.point((side * 0.08, thorax[1] - 0.06, thorax[2] + 0.055))
            end = sketch.lens.point((side * 0.09, thorax[1] - 0.15, thorax[2] - 0.03))
        else:
            start = sketch.lens.point((side * 0.058, thorax[1] + 0.018, thorax[2] + 0.01))
            middle = trunk.surface_point(thorax[1] - 0.08, side * 42)
            end = trunk.surface_point(thorax[1] - 0.17, side * 68)
        wide = sketch.px(0.0125) * size
        for pair in ((start, middle), (middle, end)):
            sketch.canvas.capsule(pair, (wide, wide), colour, Part.BACKPACK)


def draw_strap(sketch: Sketch, trunk: Solid) -> None:
    """Draw the strap of a shoulder bag across the trunk."""
    side = float(sketch.identity.side)
    colour = darker(sketch.identity.colours["bag"], 0.28)
    thorax = sketch.joints["thorax"]
    front = 1.0 if sketch.lens.cos > 0 else -1.0
    top = sketch.lens.point((-side * 0.052, thorax[1] + 0.018, thorax[2] + 0.01 * front))
    low = sketch.joints["pelvis"][1] + 0.02
    turn = 60.0 if front > 0 else 120.0
    end = trunk.surface_point(max(low, float(sketch.body.waist)), side * turn)
    if abs(sketch.lens.cos) < 0.4:
        end = _bag_spot(sketch)
    wide = sketch.px(0.0085) * (0.4 + 0.6 * sketch.object_scale)
    bend = ((top[0] + end[0]) / 2 - (end[0] - top[0]) * 0.04, (top[1] + end[1]) / 2 + sketch.px(0.008))
    for pair in ((top, bend), (bend, end)):
        sketch.canvas.capsule(pair, (wide, wide), colour, Part.SHOULDER_BAG)


def _bag_spot(sketch: Sketch) -> Point:
    side = float(sketch.identity.side)
    pelvis = sketch.joints["pelvis"]
    return sketch.lens.point((side * (sketch.body.hip_half + 0.03), pelvis[1] + 0.03, 0.005))


def draw_shoulder_bag(sketch: Sketch) -> None:
    """Draw a shoulder bag at the hip."""
    size, colour = sketch.object_scale, sketch.identity.colours["bag"]
    x, y = _bag_spot(sketch)
    half = sketch.px(0.045 + 0.038 * abs(sketch.lens.sin)) * size
    deep = sketch.px(0.115) * size
    body = [
        (x - half, y),
        (x + half, y),
        (x + half * 1.08, y + deep * 0.85),
        (x + half * 0.9, y + deep),
        (x - half * 0.9, y + deep),
        (x - half * 1.08, y + deep * 0.85),
    ]
    sketch.canvas.polygon(body, colour, Part.SHOULDER_BAG)
    sketch.canvas.polygon(
        [(x + half * 0.35, y), body[1], body[2], body[3], (x + half * 0.3, y + deep)],
        darker(colour, 0.16),
        Part.SHOULDER_BAG,
    )
    flap = [
        (x - half, y),
        (x + half, y),
        (x + half * 0.92, y + deep * 0.45),
        (x, y + deep * 0.58),
        (x - half * 0.92, y + deep * 0.45),
    ]
    sketch.canvas.polygon(flap, darker(colour, 0.26), Part.SHOULDER_BAG)
    sketch.canvas.ellipse(
        (x, y + deep * 0.52),
        (sketch.px(0.008) * size, sketch.px(0.008) * size),
        (236, 200, 120),
        Part.SHOULDER_BAG,
    )


def draw_hand_bag(sketch: Sketch, side: str) -> None:
    """Draw a bag that hangs from the hand, or from the forearm if both hands hold an object."""
    size, colour = (
        sketch.object_scale,
        mix(sketch.identity.colours["bag"], sketch.identity.colours["scarf"], 0.55),
    )
    joints = sketch.joints
    hand = (
        along(joints[f"{side}_elbow"], joints[f"{side}_wrist"], 0.55)
        if sketch.view.hold
        else joints[f"{side}_hand"]
    )
    x, y = sketch.lens.point(hand)
    half = sketch.px(0.046 + 0.024 * abs(sketch.lens.sin)) * size
    drop, deep = sketch.px(0.055) * size, sketch.px(0.1) * size
    handle = [
        (x - half * 0.55, y + drop),
        (x - half * 0.4, y + drop * 0.3),
        (x, y),
        (x + half * 0.4, y + drop * 0.3),
        (x + half * 0.55, y + drop),
    ]
    sketch.canvas.line(handle, sketch.px(0.011) * math.sqrt(size), darker(colour, 0.35), Part.HAND_BAG)
    top, low = y + drop, y + drop + deep
    sketch.canvas.polygon(
        [(x - half * 0.82, top), (x + half * 0.82, top), (x + half * 1.05, low), (x - half * 1.05, low)],
        colour,
        Part.HAND_BAG,
    )
    sketch.canvas.polygon(
        [(x + half * 0.25, top), (x + half * 0.82, top), (x + half * 1.05, low), (x + half * 0.35, low)],
        darker(colour, 0.16),
        Part.HAND_BAG,
    )
    sketch.canvas.polygon(
        [
            (x - half * 0.84, top + deep * 0.12),
            (x + half * 0.84, top + deep * 0.12),
            (x + half * 0.88, top + deep * 0.28),
            (x - half * 0.88, top + deep * 0.28),
        ],
        lighter(colour, 0.35),
        Part.HAND_BAG,
    )
