"""Keypoints in pixels, with a visibility score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from passerby.synthetic.parts import Part
from passerby.synthetic.skeleton import Point3D
from passerby.synthetic.sketch import Sketch

__all__ = ["COCO_NAMES", "MPII_NAMES", "compute_keypoints"]

MPII_NAMES = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "neck",
    "crown",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
COCO_NAMES = (
    "nose",
    *(
        f"{side}_{name}"
        for name in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)

_CARRIED = (Part.BACKPACK, Part.HAND_BAG, Part.SHOULDER_BAG, Part.HELD)
_BODY = tuple(p for p in Part if p and p not in _CARRIED)
_HEAD = (Part.FACE, Part.HAIR, Part.HAT, Part.GLASSES, Part.SCARF)
_UPPER = (Part.UPPER, Part.UPPER_STRIPE, Part.UPPER_PLAID, Part.UPPER_SPLICE, Part.SLEEVE)
_LEG = (
    Part.TROUSERS,
    Part.SHORTS,
    Part.SKIRT,
    Part.LOWER_STRIPE,
    Part.LOWER_PATTERN,
    Part.COAT_TAIL,
    Part.SOCK,
)
_LEFT = (Part.LEFT_LEG, Part.LEFT_SHOE, Part.LEFT_BOOT)
_RIGHT = (Part.RIGHT_LEG, Part.RIGHT_SHOE, Part.RIGHT_BOOT)


def _list_showing_parts(name: str) -> tuple[Part, ...]:
    side, _, joint = name.partition("_")
    if joint in ("elbow", "wrist", "shoulder"):
        return (
            *_UPPER,
            Part.LEFT_ARM if side == "left" else Part.RIGHT_ARM,
            *((Part.HAIR,) if joint == "shoulder" else ()),
        )
    if joint in ("knee", "ankle"):
        return (*_LEG, *(_LEFT if side == "left" else _RIGHT))
    return _HEAD if name in ("nose", "neck", "crown") or joint in ("eye", "ear") else _BODY


def _create_table() -> NDArray[np.bool_]:
    table = np.zeros((33, 256), np.bool_)
    for row, name in enumerate((*MPII_NAMES, *COCO_NAMES)):
        table[row, list(_list_showing_parts(name))] = True
    return table


_TABLE = _create_table()
"""(33, 256): whether a part shows a keypoint."""


def compute_keypoints(
    sketch: Sketch, parts: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints in MPII and in COCO order.

    Score: 1 visible (also under clothes), 0.5 hidden by the person's own body or carried objects, 0 occluded
    by another object or outside the image.

    Shape:
        (16, 3) and (17, 3) float32: x px, y px, score.
    """
    height, width = parts.shape
    shrink = height / sketch.canvas.image.size[1]
    turned = sketch.lens.turned(sketch.view.head_turn)
    face = _locate_face(sketch)
    points = np.zeros((33, 3), np.float32)
    for row, name in enumerate((*MPII_NAMES, *COCO_NAMES)):
        lens, spot = (turned, face[name]) if name in face else (sketch.lens, sketch.joints[name])
        x, y = lens.point(spot)
        x, y = x * shrink, y * shrink
        points[row] = (x, y, 0.0)
        column, line = int(x), int(y)
        if not (0 <= x < width and 0 <= y < height):
            continue
        around = parts[max(0, line - 1) : line + 2, max(0, column - 1) : column + 2]
        shown = _TABLE[row, around].any() and _faces_viewer(sketch, name)
        points[row, 2] = 1.0 if shown else 0.5 if around.any() else 0.0
    return points[:16], points[16:]


def _locate_face(sketch: Sketch) -> dict[str, Point3D]:
    size, (_, y, z) = sketch.body.head, sketch.joints["chin"]
    points: dict[str, Point3D] = {"nose": (0.0, y + 0.4 * size, z + 0.5 * size)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        points[f"{side}_eye"] = (sign * 0.165 * size, y + 0.5 * size, z + 0.41 * size)
        points[f"{side}_ear"] = (sign * 0.39 * size, y + 0.44 * size, z - 0.03 * size)
    return points


def _faces_viewer(sketch: Sketch, name: str) -> bool:
    """Whether a joint is on the visible side of the body."""
    turned = sketch.lens.turned(sketch.view.head_turn)
    side, _, joint = name.partition("_")
    outwards = 1.0 if side == "left" else -1.0
    if name == "nose":
        return turned.cos > -0.1
    if joint == "eye":
        return turned.near((0.38 * outwards, 0.0, 0.92)) > 0
    if joint == "ear":
        return turned.near((outwards, 0.0, 0.0)) > -0.2
    if joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        return sketch.lens.near((outwards, 0.0, 0.0)) > -0.8
    return True
