"""Draw a person, from the farthest part to the nearest."""

from __future__ import annotations

from passerby.synthetic import bags, lower_body, upper_body
from passerby.synthetic.head import draw_behind_head, draw_head
from passerby.synthetic.head_shape import Head
from passerby.synthetic.held_objects import draw_held_object
from passerby.synthetic.sketch import Sketch
from passerby.synthetic.solids import Solid

__all__ = ["draw_figure"]

TURNED = (
    0.3  # cosine of the yaw above which a backpack is entirely behind (or, negated, in front of) the trunk
)


def draw_figure(sketch: Sketch) -> None:
    """Draw a person; nearer parts cover farther ones."""
    trunk = upper_body.create_trunk(sketch)
    head = Head(sketch, sketch.lens.turned(sketch.view.head_turn))
    arms = sorted(("left", "right"), key=lambda side: _nearness(sketch, side))
    behind = [side for side in arms if _nearness(sketch, side) < -0.045]
    draw_behind_head(head)
    _draw_objects_behind(sketch, behind)
    _draw_legs(sketch)
    upper_body.draw_neck(sketch)
    if sketch.has("LongCoat"):
        upper_body.draw_coat_tail(sketch)
    upper_body.draw_upper(sketch, trunk)
    if sketch.identity.tucked:
        _draw_lower_garment(sketch)
    _draw_objects_in_front(sketch, trunk)
    for side in arms:
        if side not in behind:
            _draw_arm(sketch, side)
    if sketch.has("Backpack") and sketch.lens.cos <= -TURNED:
        bags.draw_backpack(sketch)
    draw_head(head)


def _draw_objects_behind(sketch: Sketch, arms: list[str]) -> None:
    if sketch.has("Backpack") and sketch.lens.cos > TURNED:
        bags.draw_backpack(sketch)
    if sketch.view.hold and _holds_behind(sketch):
        draw_held_object(sketch)
    for side in arms:
        _draw_arm(sketch, side)
    if sketch.has("ShoulderBag") and _bag_is_behind(sketch):
        bags.draw_shoulder_bag(sketch)


def _draw_objects_in_front(sketch: Sketch, trunk: Solid) -> None:
    if sketch.has("Backpack"):
        bags.draw_backpack_straps(sketch, trunk)
        if -TURNED < sketch.lens.cos <= TURNED:
            bags.draw_backpack(sketch)
    if sketch.has("ShoulderBag"):
        bags.draw_strap(sketch, trunk)
        if not _bag_is_behind(sketch):
            bags.draw_shoulder_bag(sketch)
    if sketch.identity.scarf:
        upper_body.draw_scarf(sketch)
    if sketch.view.hold and not _holds_behind(sketch):
        draw_held_object(sketch)


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
    if sketch.has("HandBag") and side == ("left" if sketch.identity.side > 0 else "right"):
        bags.draw_hand_bag(sketch, side)
    upper_body.draw_arm(sketch, side)


def _draw_legs(sketch: Sketch) -> None:
    def nearness(side: str) -> float:
        return sketch.lens.near(sketch.joints[f"{side}_ankle"]) + sketch.lens.near(
            sketch.joints[f"{side}_hip"]
        )

    for side in sorted(("left", "right"), key=nearness):
        lower_body.draw_leg(sketch, side)
    if not sketch.identity.tucked:
        _draw_lower_garment(sketch)


def _draw_lower_garment(sketch: Sketch) -> None:
    if sketch.has("Skirt&Dress"):
        lower_body.draw_skirt(sketch)
    else:
        lower_body.draw_hips(sketch)
