"""A whole person, drawn from far to near."""

from __future__ import annotations

from passerby.data.synthetic import carried, clothes, lower
from passerby.data.synthetic.head import Head
from passerby.data.synthetic.sketch import Sketch

__all__ = ["draw_figure"]


def draw_figure(sketch: Sketch) -> None:
    """Draw a person; what lies nearer to the viewer covers what lies behind."""
    facing = sketch.lens.cos
    trunk = clothes.create_trunk(sketch)
    head = Head(sketch, sketch.lens.turned(sketch.view.head_turn))
    arms = sorted(("left", "right"), key=lambda side: _nearness(sketch, side))
    behind = [side for side in arms if _nearness(sketch, side) < -0.045]
    held_behind = sketch.view.hold and sketch.lens.near(sketch.joints["left_hand"]) < -0.03
    bag_side = "left" if sketch.identity.side > 0 else "right"
    bag_behind = sketch.lens.near((float(sketch.identity.side), 0.0, 0.0)) < -0.35

    head.draw_behind()
    if facing > 0.3 and sketch.wears("Backpack"):
        carried.draw_backpack(sketch)
    if held_behind:
        carried.draw_held(sketch)
    for side in behind:
        _draw_arm(sketch, side, bag_side)
    if sketch.wears("ShoulderBag") and bag_behind:
        carried.draw_shoulder_bag(sketch)
    _draw_lower_half(sketch)
    clothes.draw_neck(sketch)
    if sketch.wears("LongCoat"):
        clothes.draw_coat_tail(sketch)
    clothes.draw_upper(sketch, trunk)
    if sketch.identity.tucked and not sketch.wears("Skirt&Dress"):
        lower.draw_hips(sketch)
    elif sketch.identity.tucked:
        lower.draw_skirt(sketch)
    if sketch.wears("Backpack"):
        carried.draw_backpack_straps(sketch, trunk)
        if -0.3 < facing <= 0.3:
            carried.draw_backpack(sketch)
    if sketch.wears("ShoulderBag"):
        carried.draw_strap(sketch, trunk)
        if not bag_behind:
            carried.draw_shoulder_bag(sketch)
    if sketch.identity.scarf:
        clothes.draw_scarf(sketch)
    if sketch.view.hold and not held_behind:
        carried.draw_held(sketch)
    for side in arms:
        if side not in behind:
            _draw_arm(sketch, side, bag_side)
    if facing <= -0.3 and sketch.wears("Backpack"):
        carried.draw_backpack(sketch)
    head.draw()


def _nearness(sketch: Sketch, side: str) -> float:
    shoulder, elbow = sketch.joints[f"{side}_shoulder"], sketch.joints[f"{side}_elbow"]
    nearness = 0.5 * (sketch.lens.near(shoulder) + sketch.lens.near(elbow))
    if sketch.view.hold:
        nearness += 0.8 * sketch.lens.near((0.0, 0.0, sketch.joints[f"{side}_hand"][2]))
    return nearness


def _draw_arm(sketch: Sketch, side: str, bag_side: str) -> None:
    if sketch.wears("HandBag") and side == bag_side:
        carried.draw_hand_bag(sketch, side)
    clothes.draw_arm(sketch, side)


def _draw_lower_half(sketch: Sketch) -> None:
    legs = sorted(
        ("left", "right"),
        key=lambda side: sketch.lens.near(
            tuple(
                a + b
                for a, b in zip(sketch.joints[f"{side}_ankle"], sketch.joints[f"{side}_hip"], strict=True)
            )
        ),
    )
    for side in legs:
        lower.draw_leg(sketch, side)
    if sketch.wears("Skirt&Dress"):
        lower.draw_skirt(sketch)
    else:
        lower.draw_hips(sketch)
