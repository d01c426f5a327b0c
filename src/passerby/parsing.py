"""Parsing maps: the names of their classes, and from one list of classes to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError

__all__ = [
    "CLASS_LISTS",
    "COARSE_CLASSES",
    "LIP_CLASSES",
    "LIP_TO_COARSE",
    "MASK_CLASSES",
    "UNKNOWN_CLASS",
    "convert_parsing",
    "find_unnamed",
    "mirror_classes",
]

UNKNOWN_CLASS = 255
"""Value of a pixel whose class is not known; losses ignore it."""

LIP_CLASSES = (
    "Background",
    "Hat",
    "Hair",
    "Glove",
    "Sunglasses",
    "UpperClothes",
    "Dress",
    "Coat",
    "Socks",
    "Pants",
    "Jumpsuits",
    "Scarf",
    "Skirt",
    "Face",
    "Left-arm",
    "Right-arm",
    "Left-leg",
    "Right-leg",
    "Left-shoe",
    "Right-shoe",
)
"""Look-Into-Person's classes in order; left and right are the person's own. Neck and ears count as face,
any glasses as sunglasses, hands as arms."""

COARSE_CLASSES = ("background", "head", "upper", "lower", "feet", "carried")
"""Six classes that most sources of parsing maps can tell apart, in order."""

MASK_CLASSES = ("background", "person")
"""What a mask is as a parsing map."""

CLASS_LISTS = {"lip": LIP_CLASSES, "coarse": COARSE_CLASSES}
"""The lists by the names that commands have for them."""

LIP_TO_COARSE: tuple[int, ...] = (0, 1, 1, 2, 1, 2, 2, 2, 3, 3, 2, 2, 3, 1, 2, 2, 3, 3, 4, 4)
"""The number in `COARSE_CLASSES` of each of `LIP_CLASSES`.

Bare limbs go with what would cover them: arms and gloves to upper, legs to lower. A dress, a coat and a
jumpsuit are upper down to their hem. A scarf is upper, as it lies on the chest more than on the head. Socks
are lower: what shows of them is above the shoe. Shoes alone are feet. Nothing is carried: such things are
background in Look-Into-Person."""


def convert_parsing(values: NDArray[np.uint8], table: Sequence[int]) -> NDArray[np.uint8]:
    """Look up the class of each pixel in another list of classes.

    Args:
        values: A parsing map.
        table: The new number of each old one; `UNKNOWN_CLASS` where there is none. Pixels that are
            `UNKNOWN_CLASS` stay so, unless the table has 256 numbers.

    Shape:
        values: (H, W) uint8; returns the same shape.

    Raises:
        DataError: If the map is no (H, W) of uint8, has a value beyond the table, or the table has a number
            beyond 0 … 255.

    Example:
        >>> convert_parsing(np.array([[0, 2], [9, 255]], np.uint8), LIP_TO_COARSE).tolist()
        [[0, 1], [3, 255]]
    """
    if values.ndim != 2 or values.dtype != np.uint8:
        raise DataError(f"expected a parsing map (H, W) of uint8, got {values.dtype} {values.shape}")
    if not 0 < len(table) <= 256 or min(table) < 0 or max(table) > 255:
        raise DataError(f"expected a table of 1 to 256 numbers in 0 … 255, got {len(table)}: {tuple(table)}")
    known = np.arange(256) < len(table)
    known[UNKNOWN_CLASS] = True
    if not known[values].all():
        raise DataError(
            f"expected classes 0 … {len(table) - 1} (or {UNKNOWN_CLASS} for unknown) in the parsing map, "
            f"got {int(values[~known[values]].min())}; is the table for another list of classes?"
        )
    lookup = np.full(256, UNKNOWN_CLASS, np.uint8)
    lookup[: len(table)] = table
    return lookup[values]


def find_unnamed(values: NDArray[np.uint8], classes: Sequence[str]) -> int | None:
    """The largest number in a parsing map that has no name and does not mean unknown; None if all have.

    Example:
        >>> find_unnamed(np.array([[0, 6, 255]], np.uint8), COARSE_CLASSES)
        6
    """
    wrong = values[(values >= len(classes)) & (values != UNKNOWN_CLASS)]
    return int(wrong.max()) if wrong.size else None


def mirror_classes(classes: Sequence[str]) -> tuple[int, ...]:
    """The number that each class becomes in a mirror: of names that begin with left or right, the other.

    Example:
        >>> mirror_classes(("Background", "Left-arm", "Right-arm", "Left-over"))
        (0, 2, 1, 3)
    """
    numbers = {name.lower(): number for number, name in enumerate(classes)}
    sides = {"left": "right", "right": "left"}
    return tuple(
        next(
            (
                numbers.get(other + name[len(side) :].lower(), number)
                for side, other in sides.items()
                if name.lower().startswith(side)
            ),
            number,
        )
        for number, name in enumerate(classes)
    )
