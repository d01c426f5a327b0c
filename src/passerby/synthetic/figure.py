"""A whole person, drawn from far to near."""

from __future__ import annotations

from passerby.synthetic import carried, clothes, lower
from passerby.synthetic.head import draw_behind_head, draw_head
from passerby.synthetic.sketch import Sketch
from passerby.synthetic.skull import Head
from passerby.synthetic.solids import Solid

__all__ = ["draw_figure"]

TURNED = 0.3  # cosine of the yaw beyond which a pack is wholly behind or before the trunk


def draw_figure(sketch: Sketch) -> None:
    """Draw a person; what lies nearer to the viewer covers what lies behind."""
    trunk = clothes.create_trunk(sketch)
    head = Head(sketch, sketch.lens.turned(sketch.view.head_turn))
    arms = sorted(("left", "right"), key=lambda side: _nearness(sketch, side))
    behind = [side for side in arms if _nearness(sketch, side) < -0.045]
    draw_behind_head(head)
    _draw_things_behind(sketch, behind)
    _draw_legs(sketch)
    clothes.draw_neck(sketch)
    if sketch.wears("LongCoat"):
        clothes.draw_coat_tail(sketch)
    clothes.draw_upper(sketch, trunk)
    if sketch.identity.tucked:
        _draw_lower_garment(sketch)
    _draw_things_before(sketch, trunk)
    for side in arms:
        if side not in behind:
            _draw_arm(sketch, side)
    if sketch.wears("Backpack") and sketch.lens.cos <= -TURNED:
        carried.draw_backpack(sketch)
    draw_head(head)


def _draw_things_behind(sketch: Sketch, arms: list[str]) -> None:
    if sketch.wears("Backpack") and sketch.lens.cos > TURNED:
        carried.draw_backpack(sketch)
    if sketch.view.hold and _holds_behind(sketch):
        carried.draw_held(sketch)
    for side in arms:
        _draw_arm(sketch, side)
    if sketch.wears("ShoulderBag") and _bag_is_behind(sketch):
        carried.draw_shoulder_bag(sketch)


def _draw_things_before(sketch: Sketch, trunk: Solid) -> None:
    if sketch.wears("Backpack"):
        carried.draw_backpack_straps(sketch, trunk)
        if -TURNED < sketch.lens.cos <= TURNED:
            carried.draw_backpack(sketch)
    if sketch.wears("ShoulderBag"):
        carried.draw_strap(sketch, trunk)
        if not _bag_is_behind(sketch):
            carried.draw_shoulder_bag(sketch)
    if sketch.identity.scarf:
        clothes.draw_scarf(sketch)
    if sketch.view.hold and not _holds_behind(sketch):
        carried.draw_held(sketch)


def _holds_behind(sketch: Sketch) -> bool:
    return sketch.lens.near(sketch.joints["left_hand"]) < -0.03


def _bag_is_behind(sketch: Sketch) -> bool:
    return sketch.lens.near((float(sketch.identity.side), 0.0, 0.0)) < -0.35


def _nearness(sketch: Sketch, side: str) -> float:
    shoulder, elbow = sketch.joints[f"{side}_shoulder"], sketch.joints[f"{side}_elbow"]
    nearness = 0.5 * (sketch.lens.near(shoulder) + sketch.lens.near(elbow))
    if sketch.view.hold:
        nearness += 0.8 * sketch.lens.near((0.0, 0.0, sketch.joints[f"{side}_hand"][2]))
    return nearness


def _draw_arm(sketch: Sketch, side: str) -> None:
    if sketch.wears("HandBag") and side == ("left" if sketch.identity.side > 0 else "right"):
        carried.draw_hand_bag(sketch, side)
    clothes.draw_arm(sketch, side)


def _draw_legs(sketch: Sketch) -> None:
    def nearness(side: str) -> float:
        return sketch.lens.near(sketch.joints[f"{side}_ankle"]) + sketch.lens.near(
            sketch.joints[f"{side}_hip"]
        )

    for side in sorted(("left", "right"), key=nearness):
        lower.draw_leg(sketch, side)
    if not sketch.identity.tucked:
        _draw_lower_garment(sketch)


def _draw_lower_garment(sketch: Sketch) -> None:
    if sketch.wears("Skirt&Dress"):
        lower.draw_skirt(sketch)
    else:
        lower.draw_hips(sketch)
