"""The part that each drawn pixel belongs to.

Every shape is drawn with a part in addition to its colour, so masks, parsing maps, boxes and labels follow
from the image itself. Carried objects (bags with their straps, held objects) have no class among the twenty
of Look-Into-Person: they are background (0) in the parsing map and in the mask, as in that data set.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from passerby.parsing import LIP_CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LIP_CLASSES", "Part", "compute_parsing_table"]


class Part(IntEnum):
    """Parts of an image; 0 is everything that does not belong to the person."""

    NONE = 0
    FACE = 1
    HAIR = 2
    HAT = 3
    GLASSES = 4
    LEFT_ARM = 5
    RIGHT_ARM = 6
    UPPER = 7
    SLEEVE = 8
    UPPER_STRIPE = 9
    UPPER_LOGO = 10
    UPPER_PLAID = 11
    UPPER_SPLICE = 12
    COAT_TAIL = 13
    TROUSERS = 14
    SHORTS = 15
    SKIRT = 16
    LOWER_STRIPE = 17
    LOWER_PATTERN = 18
    LEFT_LEG = 19
    RIGHT_LEG = 20
    SOCK = 21
    LEFT_SHOE = 22
    RIGHT_SHOE = 23
    LEFT_BOOT = 24
    RIGHT_BOOT = 25
    SCARF = 26
    BACKPACK = 27
    HAND_BAG = 28
    SHOULDER_BAG = 29
    HELD = 30


_FIXED = {
    Part.FACE: 13,
    Part.HAIR: 2,
    Part.HAT: 1,
    Part.GLASSES: 4,
    Part.LEFT_ARM: 14,
    Part.RIGHT_ARM: 15,
    Part.LEFT_LEG: 16,
    Part.RIGHT_LEG: 17,
    Part.SOCK: 8,
    Part.LEFT_SHOE: 18,
    Part.RIGHT_SHOE: 19,
    Part.LEFT_BOOT: 18,
    Part.RIGHT_BOOT: 19,
    Part.SCARF: 11,
    Part.TROUSERS: 9,
    Part.SHORTS: 9,
    Part.COAT_TAIL: 7,
}
_UPPER = (Part.UPPER, Part.SLEEVE, Part.UPPER_STRIPE, Part.UPPER_LOGO, Part.UPPER_PLAID, Part.UPPER_SPLICE)
_LOWER = (Part.LOWER_STRIPE, Part.LOWER_PATTERN)


def compute_parsing_table(*, coat: bool, dress: bool, skirt: bool) -> NDArray[np.uint8]:
    """Look-Into-Person class of each part.

    Args:
        coat: The upper garment is a coat.
        dress: Upper and lower garment are one dress.
        skirt: The lower garment is a skirt, or the lower half of a dress.

    Shape:
        (256,) uint8 in 0 … 19, indexed by part.
    """
    table = np.zeros(256, np.uint8)
    for part, lip in _FIXED.items():
        table[part] = lip
    table[list(_UPPER)] = 7 if coat else 6 if dress else 5
    table[Part.SKIRT] = 6 if dress else 12
    table[list(_LOWER)] = table[Part.SKIRT] if skirt else 9
    return table
