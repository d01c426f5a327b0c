"""The face and the ears."""

from __future__ import annotations

from passerby.synthetic.canvas import Point, darker, mix
from passerby.synthetic.head_shape import FACE_ANGLES, FACE_HEIGHTS, Head
from passerby.synthetic.parts import Part

__all__ = ["draw_ear", "draw_face"]


def draw_face(head: Head) -> None:
    """Draw the visible parts of skin, eyes, nose, mouth and beard."""
    skin = head.identity.skin
    patch = _face_patch(head)
    if patch is None:
        return
    head.canvas.polygon(patch, skin, Part.FACE)
    nose = head.skull.surface_point(head.height(0.40), 0)
    sideways = head.lens.sin
    if head.facing > -0.35:
        tip = (nose[0] + sideways * head.px(0.12), nose[1] + head.px(0.03))
        root = head.skull.surface_point(head.height(0.56), 0)
        base = head.skull.surface_point(head.height(0.33), 0)
        if abs(sideways) > 0.35:
            head.canvas.polygon([root, tip, base], skin, Part.FACE)
        else:
            head.canvas.capsule((nose, base), (head.px(0.035), head.px(0.055)), darker(skin, 0.12), Part.FACE)
    if head.identity.beard:
        _draw_beard(head)
    _draw_features(head)


def _face_patch(head: Head) -> list[Point] | None:
    left: list[Point] = []
    right: list[Point] = []
    bald = head.identity.hair_style == "bald"
    for t, angle in zip(FACE_HEIGHTS, FACE_ANGLES, strict=True):
        wide = max(angle, 95.0) if bald and t > 0.6 else angle
        low, high = max(-wide, -90.0 - head.lens.yaw), min(wide, 90.0 - head.lens.yaw)
        if high <= low:
            continue
        left.append(head.skull.surface_point(head.height(t), low))
        right.append(head.skull.surface_point(head.height(t), high))
    return left + right[::-1] if len(left) > 1 else None


def _draw_features(head: Head) -> None:
    skin, old = head.identity.skin, head.identity.attributes["AgeOver60"]
    ink = mix(head.identity.hair, (30, 22, 34), 0.55)
    for side in (-1, 1):
        cheek = head.skull.faces(side * 38)
        if cheek > 0.2:
            spot = head.skull.surface_point(head.height(0.31), side * 38)
            head.canvas.ellipse(
                spot,
                (head.px(0.075) * cheek, head.px(0.05)),
                mix(skin, (232, 92, 84), 0.22),
                Part.FACE,
            )
        seen = head.skull.faces(side * 25)
        if seen < 0.12:
            continue
        eye = head.skull.surface_point(head.height(0.50), side * 25)
        brow = (eye[0], eye[1] - head.px(0.11))
        head.canvas.ellipse(eye, (head.px(0.042) * max(0.6, seen), head.px(0.055)), (38, 28, 38), Part.FACE)
        half = head.px(0.085) * seen
        head.canvas.line(
            [(brow[0] - half, brow[1]), (brow[0] + half, brow[1])],
            head.px(0.045),
            ink if not old else head.identity.hair,
            Part.FACE,
        )
        if old:
            line = darker(skin, 0.3)
            fold = head.skull.surface_point(head.height(0.27), side * 22)
            head.canvas.line(
                [(fold[0], fold[1] - head.px(0.09)), (fold[0] + side * 2, fold[1])],
                2,
                line,
                Part.FACE,
            )
    if head.skull.faces(0) > 0.1:
        mouth = head.skull.surface_point(head.height(0.19), 0)
        half = head.px(0.10) * max(0.35, head.skull.faces(0))
        lips = mix(skin, (190, 60, 66), 0.55 if head.identity.attributes["Female"] else 0.3)
        thick = head.px(0.05 if head.identity.attributes["Female"] else 0.035)
        x, y = mouth[0] - head.lens.sin * head.px(0.04), mouth[1]
        smile = [
            (x - half, y - thick * 0.7),
            (x - half * 0.5, y + thick * 0.2),
            (x + half * 0.5, y + thick * 0.2),
            (x + half, y - thick * 0.7),
        ]
        head.canvas.line(smile, thick, darker(lips, 0.1), Part.FACE)


def _draw_beard(head: Head) -> None:
    patch = head.skull.strip((head.height(0.01), head.height(0.3)), (-100, 100))
    if patch is not None:
        head.canvas.polygon(patch, mix(head.identity.hair, head.identity.skin, 0.25), Part.FACE)
        gap = head.skull.strip((head.height(0.22), head.height(0.34)), (-32, 32))
        if gap is not None:
            head.canvas.polygon(gap, head.identity.skin, Part.FACE)


def draw_ear(head: Head) -> None:
    """Draw the ears unless hair covers them."""
    if head.identity.hair_style in ("long", "bob", "curly"):
        return
    for side in (-1, 1):
        seen = head.skull.faces(side * 95)
        if seen > -0.25:
            spot = head.skull.surface_point(head.height(0.44), side * 95)
            head.canvas.ellipse(
                spot, (head.px(0.07), head.px(0.1)), darker(head.identity.skin, 0.1), Part.FACE
            )
