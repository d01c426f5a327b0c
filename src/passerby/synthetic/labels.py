"""Labels and boxes from the parts that are visible in the image."""

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

# Parts that show an attribute, and parts of its site: the body region where it would show.
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
"""Attributes of the whole person: their box is that of the person."""

_MIN_PIXELS = {
    "Glasses": 5,
    "UpperLogo": 6,
    "Hat": 8,
    "Backpack": 12,
    "ShoulderBag": 12,
    "HandBag": 10,
    "boots": 12,
}
_DEFAULT_MIN_PIXELS = 16
_MIN_SITE_PIXELS = 24
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


def compute_labels(sketch: Sketch, unoccluded: Image.Image, visible: Image.Image) -> NDArray[np.int8]:
    """Compute the 26 labels.

    An attribute is known if at least half of its site is visible (not occluded, not turned away). A present
    attribute must also have visible pixels, otherwise it is unknown, too.

    Args:
        sketch: The drawn person.
        unoccluded: Part of each pixel (an `L` image) before occluders were drawn.
        visible: Part of each pixel of the final image.

    Shape:
        (26,) int8 in {1, 0, −1}, in the order of `ATTRIBUTES`.
    """
    after = np.array(visible.histogram())
    before = after if unoccluded is visible else np.array(unoccluded.histogram())
    height_px = sketch.lens.scale * visible.size[1] / sketch.canvas.image.size[1]
    area = (height_px / 230.0) ** 2
    site, site_before = _SITES @ after, _SITES @ before
    shown, shown_before = _SHOWS @ after, _SHOWS @ before
    true = np.array([sketch.identity.attributes.get(name, False) for name in ATTRIBUTES])
    for name in ("Front", "Side", "Back"):
        true[ATTRIBUTES.index(name)] = sketch.view.direction == name
    min_pixels = (
        np.array(
            [
                _MIN_PIXELS.get(n, _DEFAULT_MIN_PIXELS)
                * (min(1.0, sketch.object_scale) ** 2 if n in _SMALL else 1.0)
                for n in ATTRIBUTES
            ]
        )
        * area
    )
    known = (site >= np.maximum(_MIN_SITE_PIXELS * area, 2)) & (2 * site >= site_before)
    known &= ~_turned_away(sketch)
    enough = (shown >= np.maximum(min_pixels, 2)) & (4 * shown >= shown_before)
    return np.where(known & (enough | ~true), true, -1).astype(np.int8)


def _turned_away(sketch: Sketch) -> NDArray[np.bool_]:
    """Attributes whose site faces away from the viewer."""
    away = set()
    if sketch.lens.cos < 0.25:
        away.add("UpperLogo")
    if sketch.lens.turned(sketch.view.head_turn).cos < -0.2:
        away.add("Glasses")
    if sketch.lens.cos < -0.6:
        away.add("HoldObjectsInFront")
    return np.array([name in away for name in ATTRIBUTES])


def compute_boxes(labels: NDArray[np.int8], parts: NDArray[np.uint8]) -> dict[str, Box]:
    """Tight box of the pixels that show each attribute with label 1."""
    bits = _BITS[parts]
    rows, columns = np.bitwise_or.reduce(bits, axis=1), np.bitwise_or.reduce(bits, axis=0)
    boxes = {}
    for index in np.flatnonzero(labels == 1):
        flag = np.uint32(1 << int(index))
        ys, xs = np.flatnonzero(rows & flag), np.flatnonzero(columns & flag)
        boxes[ATTRIBUTES[index]] = Box(int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    return boxes
