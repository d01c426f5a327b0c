"""Draw a head with hair, face, hat and glasses, from the farthest part to the nearest."""

from __future__ import annotations

from passerby.synthetic import face, hair, headwear
from passerby.synthetic.head_shape import Head
from passerby.synthetic.parts import Part

__all__ = ["draw_behind_head", "draw_head"]

AWAY = 0.25  # below this cosine of the head's yaw, long hair is in front of the trunk


def draw_behind_head(head: Head) -> None:
    """Draw hair and cap peak that are behind the trunk."""
    if head.facing > AWAY:
        hair.draw_long_hair(head)
        hair.draw_ponytail(head)
    if head.facing <= 0 and head.identity.attributes["Hat"] and head.identity.hat_style == "cap":
        headwear.draw_cap_peak(head)


def draw_head(head: Head) -> None:
    """Draw the head with hair, face, hat and glasses."""
    head.canvas.polygon(head.skull.outline(), head.identity.skin, Part.FACE)
    bald = head.identity.hair_style == "bald"
    if not bald or head.facing > AWAY:
        hair.draw_hair(head)
    face.draw_face(head)
    if bald and head.facing <= AWAY:
        hair.draw_bald_hair(head)
    face.draw_ear(head)
    if head.facing <= AWAY:
        hair.draw_long_hair(head)
        hair.draw_ponytail(head)
    elif head.identity.hair_style == "long":
        hair.draw_side_hair(head)
    if head.identity.attributes["Hat"]:
        headwear.draw_hat(head)
    if head.identity.attributes["Glasses"]:
        headwear.draw_glasses(head)
