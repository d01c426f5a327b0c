"""The head with everything on it, from far to near."""

from __future__ import annotations

from passerby.synthetic import face, hair, headwear
from passerby.synthetic.parts import Part
from passerby.synthetic.skull import Head

__all__ = ["draw_behind_head", "draw_head"]

AWAY = 0.25  # a head that faces the viewer less than this shows its hair in front of the trunk


def draw_behind_head(head: Head) -> None:
    """What hangs behind the trunk when the person faces the viewer."""
    if head.facing > AWAY:
        hair.draw_long_hair(head)
        hair.draw_tail(head)
    if head.facing <= 0 and head.identity.wears["Hat"] and head.identity.hat_style == "cap":
        headwear.draw_peak(head)


def draw_head(head: Head) -> None:
    """Head with everything on it."""
    head.canvas.polygon(head.skull.outline(), head.identity.skin, Part.FACE)
    bald = head.identity.hair_style == "bald"
    if not bald or head.facing > AWAY:
        hair.draw_hair(head)
    face.draw_face(head)
    if bald and head.facing <= AWAY:
        hair.draw_ring_of_hair(head)
    face.draw_ear(head)
    if head.facing <= AWAY:
        hair.draw_long_hair(head)
        hair.draw_tail(head)
    elif head.identity.hair_style == "long":
        hair.draw_locks(head)
    if head.identity.wears["Hat"]:
        headwear.draw_hat(head)
    if head.identity.wears["Glasses"]:
        headwear.draw_glasses(head)
