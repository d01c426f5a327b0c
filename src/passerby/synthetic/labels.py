"""Labels and boxes, read off the parts that are really in the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.synthetic.config import ATTRIBUTES
from passerby.synthetic.parts import Part
from passerby.synthetic.sketch import Sketch
from passerby.types import Box

__all__ = ["WHOLE_PERSON", "compute_boxes", "compute_labels"]

_HEAD = (Part.FACE, Part.HAIR, Part.HAT, Part.GLASSES)
_ARMS = (Part.LEFT_ARM, Part.RIGHT_ARM)
_TORSO = (Part.UPPER, Part.UPPER_STRIPE, Part.UPPER_LOGO, Part.UPPER_PLAID, Part.UPPER_SPLICE)
_LOWER = (Part.TROUSERS, Part.SHORTS, Part.SKIRT, Part.LOWER_STRIPE, Part.LOWER_PATTERN)
_LEGS = (*_LOWER, Part.LEFT_LEG, Part.RIGHT_LEG, Part.SOCK)
_FEET = (Part.LEFT_SHOE, Part.RIGHT_SHOE, Part.LEFT_BOOT, Part.RIGHT_BOOT)
_BAGS = (Part.BACKPACK, Part.HAND_BAG, Part.SHOULDER_BAG, Part.HELD)
_BODY = tuple(p for p in Part if p and p not in _BAGS)
_MIDDLE = (*_TORSO, Part.SLEEVE, *_ARMS, *_LOWER, Part.COAT_TAIL, *_BAGS)

# What shows an attribute, and where it is looked for (its site).
_EVIDENCE: Mapping[str, tuple[tuple[Part, ...], tuple[Part, ...]]] = {
    "Female": (_BODY, _BODY),
    "AgeOver60": (_BODY, _BODY),
    "Age18-60": (_BODY, _BODY),
    "AgeLess18": (_BODY, _BODY),
    "Front": (_BODY, _BODY),
    "Side": (_BODY, _BODY),
    "Back": (_BODY, _BODY),
    "Hat": ((Part.HAT,), _HEAD),
    "Glasses": ((Part.GLASSES,), (Part.FACE, Part.GLASSES)),
    "HandBag": ((Part.HAND_BAG,), _MIDDLE),
    "ShoulderBag": ((Part.SHOULDER_BAG,), _MIDDLE),
    "Backpack": ((Part.BACKPACK,), (*_TORSO, Part.SLEEVE, Part.BACKPACK)),
    "HoldObjectsInFront": ((Part.HELD,), _MIDDLE),
    "ShortSleeve": ((Part.SLEEVE, *_ARMS), (Part.SLEEVE, *_ARMS)),
    "LongSleeve": ((Part.SLEEVE,), (Part.SLEEVE, *_ARMS)),
    "UpperStride": ((Part.UPPER_STRIPE,), (*_TORSO, Part.SLEEVE)),
    "UpperLogo": ((Part.UPPER_LOGO,), _TORSO),
    "UpperPlaid": ((Part.UPPER_PLAID,), (*_TORSO, Part.SLEEVE)),
    "UpperSplice": ((Part.UPPER_SPLICE,), (*_TORSO, Part.SLEEVE)),
    "LowerStripe": ((Part.LOWER_STRIPE,), _LOWER),
    "LowerPattern": ((Part.LOWER_PATTERN,), _LOWER),
    "LongCoat": ((Part.COAT_TAIL,), (Part.COAT_TAIL, *_LEGS)),
    "Trousers": ((Part.TROUSERS,), _LEGS),
    "Shorts": ((Part.SHORTS,), _LEGS),
    "Skirt&Dress": ((Part.SKIRT,), _LEGS),
    "boots": ((Part.LEFT_BOOT, Part.RIGHT_BOOT), _FEET),
}
WHOLE_PERSON = tuple(name for name, (shows, _) in _EVIDENCE.items() if shows is _BODY)
"""The attributes that the whole person shows: their box is the person's."""

_LEAST = {
    "Glasses": 5,
    "UpperLogo": 6,
    "Hat": 8,
    "Backpack": 12,
    "ShoulderBag": 12,
    "HandBag": 10,
    "boots": 12,
}
_LEAST_OTHERWISE = 16
_LEAST_SITE = 24
_SMALL = frozenset(
    {
        "Glasses",
        "UpperLogo",
        "Hat",
        "Backpack",
        "ShoulderBag",
        "HandBag",
        "HoldObjectsInFront",
        "UpperStride",
        "UpperPlaid",
        "UpperSplice",
        "LowerStripe",
        "LowerPattern",
    }
)


def _matrix(column: int) -> NDArray[np.int64]:
    table = np.zeros((len(ATTRIBUTES), 256), np.int64)
    for row, name in enumerate(ATTRIBUTES):
        table[row, list(_EVIDENCE[name][column])] = 1
    return table


_SHOWS, _SITES = _matrix(0), _matrix(1)
_BITS = (_SHOWS * (1 << np.arange(len(ATTRIBUTES)))[:, None]).sum(axis=0).astype(np.uint32)


def compute_labels(sketch: Sketch, whole: Image.Image, seen: Image.Image) -> NDArray[np.int8]:
    """The 26 labels.

    An attribute is known when at least half of the place where it would show is in the picture (not behind an
    occluder, not turned away); present and known, it needs pixels of its own, or it becomes unknown too.

    Args:
        sketch: Who is drawn.
        whole: Part of each pixel (an `L` picture) before anything was put in front.
        seen: Part of each pixel of the finished picture.

    Shape:
        (26,) int8 in {1, 0, −1}, in the order of `ATTRIBUTES`.
    """
    after = np.array(seen.histogram())
    before = after if whole is seen else np.array(whole.histogram())
    height_px = sketch.lens.scale * seen.size[1] / sketch.canvas.image.size[1]
    area = (height_px / 230.0) ** 2
    site, site_before = _SITES @ after, _SITES @ before
    own, own_before = _SHOWS @ after, _SHOWS @ before
    true = np.array([sketch.wears(name) if name in sketch.identity.wears else False for name in ATTRIBUTES])
    for name in ("Front", "Side", "Back"):
        true[ATTRIBUTES.index(name)] = sketch.view.direction == name
    least = (
        np.array(
            [
                _LEAST.get(n, _LEAST_OTHERWISE) * (min(1.0, sketch.object_scale) ** 2 if n in _SMALL else 1.0)
                for n in ATTRIBUTES
            ]
        )
        * area
    )
    known = (site >= np.maximum(_LEAST_SITE * area, 2)) & (2 * site >= site_before)
    known &= ~_turned_away(sketch)
    enough = (own >= np.maximum(least, 2)) & (4 * own >= own_before)
    return np.where(known & (enough | ~true), true, -1).astype(np.int8)


def _turned_away(sketch: Sketch) -> NDArray[np.bool_]:
    """Attributes whose place looks away from the viewer, present or not."""
    away = set()
    if sketch.lens.cos < 0.25:
        away.add("UpperLogo")
    if sketch.lens.turned(sketch.view.head_turn).cos < -0.2:
        away.add("Glasses")
    if sketch.lens.cos < -0.6:
        away.add("HoldObjectsInFront")
    return np.array([name in away for name in ATTRIBUTES])


def compute_boxes(labels: NDArray[np.int8], seen: NDArray[np.uint8]) -> dict[str, Box]:
    """The tight box of the pixels that show each attribute whose label is 1."""
    bits = _BITS[seen]
    rows, columns = np.bitwise_or.reduce(bits, axis=1), np.bitwise_or.reduce(bits, axis=0)
    boxes = {}
    for index in np.flatnonzero(labels == 1):
        flag = np.uint32(1 << int(index))
        ys, xs = np.flatnonzero(rows & flag), np.flatnonzero(columns & flag)
        boxes[ATTRIBUTES[index]] = Box(int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    return boxes
