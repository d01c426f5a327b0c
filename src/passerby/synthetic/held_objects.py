"""Objects held in front of the body with both hands: a parcel, flowers, a folder, books."""

from __future__ import annotations

from passerby.synthetic.canvas import Point, darker, lighter
from passerby.synthetic.parts import Part
from passerby.synthetic.sketch import Sketch, along

__all__ = ["draw_held_object"]


def draw_held_object(sketch: Sketch) -> None:
    """Draw the object held in front of the body with both hands."""
    size, joints = sketch.object_scale, sketch.joints
    spot = along(joints["left_hand"], joints["right_hand"], 0.5)
    x, y = sketch.lens.point((spot[0], spot[1] + 0.012, spot[2] + 0.01))
    wide = sketch.px(0.085 * abs(sketch.lens.cos) + 0.06 * abs(sketch.lens.sin)) * size
    tall = sketch.px(0.066) * size
    draw = (_draw_parcel, _draw_flowers, _draw_folder, _draw_books)[sketch.view.held_style]
    draw(sketch, (x, y), (wide, tall))


def _draw_folder(sketch: Sketch, spot: Point, radii: Point) -> None:
    (x, y), (wide, tall) = spot, radii
    sketch.canvas.polygon(
        [
            (x - wide, y - tall * 1.1),
            (x + wide * 0.9, y - tall * 1.25),
            (x + wide, y + tall * 0.7),
            (x - wide * 0.9, y + tall * 0.85),
        ],
        darker(sketch.identity.colours["held"], 0.35),
        Part.HELD,
    )
    sketch.canvas.polygon(
        [
            (x - wide * 0.85, y - tall * 0.9),
            (x + wide * 0.75, y - tall * 1.05),
            (x + wide * 0.85, y + tall * 0.5),
            (x - wide * 0.75, y + tall * 0.65),
        ],
        (248, 246, 240),
        Part.HELD,
    )
    for k in range(3):
        top = y - tall * (0.55 - 0.35 * k)
        sketch.canvas.line(
            [(x - wide * 0.55, top), (x + wide * 0.5, top - tall * 0.1)],
            tall * 0.11,
            (150, 158, 176),
            Part.HELD,
        )


def _draw_books(sketch: Sketch, spot: Point, radii: Point) -> None:
    (x, y), (wide, tall) = spot, radii
    for k, name in enumerate(("held", "accent", "scarf")):
        top = y + tall * (0.35 - 0.55 * k)
        narrow = wide * (1.0, 0.88, 0.94)[k]
        sketch.canvas.rectangle(
            (x - narrow, top, x + narrow, top + tall * 0.5),
            darker(sketch.identity.colours[name], 0.1),
            Part.HELD,
        )
        sketch.canvas.rectangle(
            (x - narrow * 0.94, top + tall * 0.32, x + narrow, top + tall * 0.44),
            (246, 240, 226),
            Part.HELD,
        )


def _draw_parcel(sketch: Sketch, spot: Point, radii: Point) -> None:
    (x, y), (wide, tall) = spot, radii
    board = (205, 158, 104)
    sketch.canvas.rectangle((x - wide, y - tall, x + wide, y + tall), board, Part.HELD)
    sketch.canvas.polygon(
        [
            (x - wide, y - tall),
            (x + wide, y - tall),
            (x + wide * 0.86, y - tall * 1.32),
            (x - wide * 0.86, y - tall * 1.32),
        ],
        lighter(board, 0.3),
        Part.HELD,
    )
    sketch.canvas.rectangle((x + wide * 0.45, y - tall, x + wide, y + tall), darker(board, 0.14), Part.HELD)
    sketch.canvas.rectangle(
        (x - wide * 0.14, y - tall * 1.25, x + wide * 0.14, y + tall), (238, 216, 168), Part.HELD
    )


def _draw_flowers(sketch: Sketch, spot: Point, radii: Point) -> None:
    (x, y), (_, tall) = spot, radii
    sketch.canvas.polygon(
        [
            (x - tall * 0.75, y - tall * 0.6),
            (x + tall * 0.75, y - tall * 0.6),
            (x + tall * 0.14, y + tall * 1.1),
            (x - tall * 0.14, y + tall * 1.1),
        ],
        (244, 236, 220),
        Part.HELD,
    )
    colours = ((224, 82, 99), (246, 178, 70), (238, 130, 150), (250, 226, 140), (205, 70, 105))
    for k, (dx, dy) in enumerate(((-0.75, -0.75), (0.75, -0.8), (0.0, -1.25), (-0.3, -0.65), (0.35, -0.6))):
        sketch.canvas.ellipse(
            (x + dx * tall * 0.8, y + dy * tall),
            (tall * 0.42, tall * 0.42),
            (96, 142, 92) if k == 2 else colours[k],
            Part.HELD,
        )
        sketch.canvas.ellipse(
            (x + dx * tall * 0.8 - tall * 0.08, y + dy * tall - tall * 0.08),
            (tall * 0.2, tall * 0.2),
            lighter(colours[k], 0.3),
            Part.HELD,
        )
