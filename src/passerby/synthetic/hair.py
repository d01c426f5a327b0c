"""Hair styles."""

from __future__ import annotations

from passerby.synthetic.canvas import Colour, darker, lighter
from passerby.synthetic.head_shape import SKULL, Head
from passerby.synthetic.parts import Part
from passerby.synthetic.solids import Solid

__all__ = ["draw_bald_hair", "draw_hair", "draw_long_hair", "draw_ponytail", "draw_side_hair"]


def draw_hair(head: Head) -> None:
    """Draw the hair on the skull."""
    hair = head.identity.hair
    style = head.identity.hair_style
    if style == "bald":
        draw_bald_hair(head)
        return
    grow = {"crew": 1.03, "curly": 1.12, "bob": 1.12, "long": 1.1}.get(style, 1.07)
    low = 0.2 if style in ("crew", "short", "quiff", "pony", "bun") else 0.02
    cap = tuple(
        (max(t, low) if t < 0.3 else t + (t - 0.3) * (grow - 1.0) * 0.9, a, b, z - 0.02)
        for t, a, b, z in SKULL
        if t >= 0.12 or low < 0.1
    )
    solid = head.stack(cap, grow=grow)
    if style == "curly":
        _draw_curls(head, solid, hair)
    head.canvas.polygon(solid.outline(), hair, Part.HAIR)
    head.canvas.polygon(solid.outline(0.25, 1.0), darker(hair, 0.16), Part.HAIR)
    if style == "quiff":
        front = head.skull.surface_point(head.height(0.95), 0)
        head.canvas.ellipse(
            (front[0], front[1] - head.px(0.03)),
            (head.px(0.26), head.px(0.13)),
            hair,
            Part.HAIR,
        )
    if not head.identity.attributes["Hat"]:
        shine = solid.band(head.height(0.84), head.height(0.9), (-0.6, 0.1))
        head.canvas.polygon(shine, lighter(hair, 0.22), Part.HAIR)


def _draw_curls(head: Head, solid: Solid, hair: Colour) -> None:
    low = 0.35 if not head.identity.attributes["Female"] else 0.1
    for t, radius in ((1.0, 0.15), (0.9, 0.15), (0.7, 0.14), (0.5, 0.13), (low, 0.12)):
        edge = solid.band(head.height(t - 0.01), head.height(t))
        for share, colour in ((0, hair), (8, darker(hair, 0.16))):
            head.canvas.ellipse(edge[share], (head.px(radius), head.px(radius)), colour, Part.HAIR)


def draw_bald_hair(head: Head) -> None:
    """Draw the hair at the sides and back of a bald head."""
    for first, last in ((78.0, 150.0), (150.0, 210.0), (210.0, 282.0)):
        patch = head.skull.strip((head.height(0.14), head.height(0.54)), (first, last))
        if patch is not None:
            head.canvas.polygon(patch, head.identity.hair, Part.HAIR)


def draw_long_hair(head: Head) -> None:
    """Draw long hair and bobs behind the neck."""
    style = head.identity.hair_style
    if style not in ("long", "bob"):
        return
    hair, low = head.identity.hair, -0.62 if style == "long" else -0.1
    rings = (
        (low, 0.24, 0.10, -0.26),
        (low * 0.6, 0.40, 0.18, -0.26),
        (0.1, 0.44, 0.27, -0.2),
        (0.5, 0.45, 0.34, -0.14),
        (0.7, 0.40, 0.32, -0.12),
    )
    solid = head.stack(rings)
    head.canvas.polygon(solid.outline(), hair, Part.HAIR)
    head.canvas.polygon(solid.outline(0.3, 1.0), darker(hair, 0.16), Part.HAIR)
    if head.facing <= 0.25:
        head.canvas.polygon(solid.outline(-0.5, -0.32), lighter(hair, 0.12), Part.HAIR)


def draw_side_hair(head: Head) -> None:
    """Draw long hair next to the face, in front of the shoulders."""
    for side in (-1, 1):
        if head.skull.faces(side * 80) < -0.1:
            continue
        start = head.skull.surface_point(head.height(0.62), side * 82)
        end = (
            start[0] + (start[0] - head.skull.surface_point(head.height(0.6), 0)[0]) * 0.12,
            start[1] + head.px(0.95),
        )
        head.canvas.capsule(
            (start, end),
            (head.px(0.08), head.px(0.10)),
            head.identity.hair
            if start[0] < head.skull.surface_point(head.height(0.6), 0)[0]
            else darker(head.identity.hair, 0.16),
            Part.HAIR,
        )


def draw_ponytail(head: Head) -> None:
    """Draw a ponytail or a bun."""
    hair, size = head.identity.hair, head.body.head
    chin = head.joints["chin"]
    if head.identity.hair_style == "pony":
        knot = head.lens.point((0.0, chin[1] + 0.72 * size, chin[2] - 0.5 * size))
        middle = head.lens.point((0.0, chin[1] + 0.35 * size, chin[2] - 0.82 * size))
        end = head.lens.point((0.0, chin[1] - 0.35 * size, chin[2] - 0.72 * size))
        head.canvas.capsule((knot, middle), (head.px(0.10), head.px(0.17)), hair, Part.HAIR)
        head.canvas.capsule((middle, end), (head.px(0.17), head.px(0.05)), darker(hair, 0.12), Part.HAIR)
        head.canvas.ellipse(knot, (head.px(0.09), head.px(0.07)), head.identity.colours["accent"], Part.HAIR)
    elif head.identity.hair_style == "bun":
        knot = head.lens.point((0.0, chin[1] + 0.92 * size, chin[2] - 0.36 * size))
        head.canvas.ellipse(knot, (head.px(0.2), head.px(0.19)), darker(hair, 0.08), Part.HAIR)
        head.canvas.ellipse(
            (knot[0] - head.px(0.05), knot[1] - head.px(0.06)),
            (head.px(0.1), head.px(0.07)),
            lighter(hair, 0.14),
            Part.HAIR,
        )
