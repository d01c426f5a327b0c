"""Parsing maps: class lists, and conversions between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from passerby.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CLASS_LISTS",
    "COARSE_CLASSES",
    "LIP_CLASSES",
    "LIP_TO_COARSE",
    "MASK_CLASSES",
    "UNKNOWN_CLASS",
    "are_within",
    "check_classes",
    "convert_parsing",
    "find_unnamed",
    "get_class_colour",
    "get_palette",
    "mirror_classes",
    "read_masks",
]

UNKNOWN_CLASS = 255
"""Value of a pixel with unknown class; losses ignore it."""

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
"""Classes of Look-Into-Person in order; left and right are those of the person. Neck and ears count as face,
all glasses as sunglasses, hands as arms."""

COARSE_CLASSES = ("background", "head", "upper", "lower", "feet", "carried")
"""Six classes that most sources of parsing maps distinguish, in order."""

MASK_CLASSES = ("background", "person")
"""Classes of a mask as a parsing map."""

CLASS_LISTS = {"lip": LIP_CLASSES, "coarse": COARSE_CLASSES}
"""Class lists by their name on the command line."""

_CLASS_COLOURS = (
    *("#262b33", "#f0e442", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#0000ff", "#aaffaa", "#882211"),
    *("#7766ff", "#ddeeee", "#ddaaff", "#2233aa", "#00cc55", "#880077", "#445544", "#ff99aa", "#aa88ff"),
    *("#aaff77", "#1122cc"),
)
"""Colours of classes 0 … 19: a dark background, five of Okabe and Ito, then greedily the colour of a grid
with the largest minimum distance in Lab to the previous ones, for normal vision, protanopia and deuteranopia
(Machado, Oliveira and Fernandes, 2009)."""

_UNKNOWN_COLOUR = "#c3c9d2"

LIP_TO_COARSE: tuple[int, ...] = (0, 1, 1, 2, 1, 2, 2, 2, 3, 3, 2, 2, 3, 1, 2, 2, 3, 3, 4, 4)
"""The number in `COARSE_CLASSES` of each of `LIP_CLASSES`.

Bare limbs have the class of the clothes that would cover them: arms and gloves are upper, legs are lower. A
dress, a coat and a jumpsuit are upper down to their hem. A scarf is upper, because more of it is on the chest
than on the head. Socks are lower, because their visible part is above the shoe. Only shoes are feet. No
class is carried: carried objects are background in Look-Into-Person."""


def convert_parsing(values: NDArray[np.uint8], table: Sequence[int]) -> NDArray[np.uint8]:
    """Convert a parsing map to another class list.

    Args:
        values: A parsing map.
        table: The new number of each old one; `UNKNOWN_CLASS` if there is none. Pixels of `UNKNOWN_CLASS`
            stay unknown, unless the table has 256 numbers.

    Shape:
        values: (H, W) uint8; returns the same shape.

    Raises:
        DataError: If the map is not (H, W) uint8, has a value outside the table, or the table has a number
            outside 0 … 255.

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
            f"got {int(values[~known[values]].min())}; the table belongs to another class list"
        )
    lookup = np.full(256, UNKNOWN_CLASS, np.uint8)
    lookup[: len(table)] = table
    return lookup[values]


def find_unnamed(values: NDArray[np.uint8], classes: Sequence[str]) -> int | None:
    """The largest class in a parsing map without a name, except for unknown; None if all have names.

    Example:
        >>> find_unnamed(np.array([[0, 6, 255]], np.uint8), COARSE_CLASSES)
        6
    """
    wrong = values[(values >= len(classes)) & (values != UNKNOWN_CLASS)]
    return int(wrong.max()) if wrong.size else None


def are_within(names: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether maps of some classes are also valid maps of others: the other list begins with them.

    Example:
        >>> are_within(("background", "head"), COARSE_CLASSES), are_within(("head",), COARSE_CLASSES)
        (True, False)
    """
    return len(names) > 0 and tuple(classes[: len(names)]) == tuple(names)


def mirror_classes(classes: Sequence[str]) -> tuple[int, ...]:
    """The number of each class in a mirrored image: names that begin with left or right are swapped.

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


def check_classes(values: NDArray[Any] | Tensor, count: int) -> None:
    """Check that the classes in parsing maps are 0 … `count` − 1 or unknown.

    Raises:
        DataError: If not; the message explains how to convert maps to other classes.
    """
    known = values[values != UNKNOWN_CLASS]
    largest = int(known.max()) if len(known) else 0
    if largest >= count:
        raise DataError(
            f"expected parsing classes 0 … {count - 1}, or {UNKNOWN_CLASS} for unknown, got {largest}; set "
            "parsing_classes of the model, or convert the maps to its classes with `passerby annotate "
            "--parsing-from relabel`"
        )


def read_masks(masks: Tensor) -> Tensor:
    """Convert masks to parsing maps of `MASK_CLASSES`; an empty mask is missing, its pixels are unknown.

    Shape:
        masks: (N, 1, H, W) float in [0, 1]. Returns (N, H, W) int64 in {0, 1, 255}.

    Example:
        >>> import torch
        >>> read_masks(torch.tensor([[[[0.0, 0.7]]], [[[0.0, 0.0]]]])).tolist()
        [[[0, 1]], [[255, 255]]]
    """
    person = masks[:, 0] >= 0.5  # (N, H, W)
    missing = ~person.flatten(1).any(1)
    return person.long().masked_fill(missing[:, None, None], UNKNOWN_CLASS)


def get_class_colour(number: int) -> str:
    """Colour of a parsing class; from 20 on, paler versions of the colours repeat.

    Example:
        >>> get_class_colour(0), get_class_colour(20) == get_class_colour(1)
        ('#262b33', False)
    """
    if number == UNKNOWN_CLASS:
        return _UNKNOWN_COLOUR
    if number < len(_CLASS_COLOURS):
        return _CLASS_COLOURS[number]
    base = _CLASS_COLOURS[1 + (number - 1) % (len(_CLASS_COLOURS) - 1)]
    parts = (int(base[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{(2 * part + 255) // 3:02x}" for part in parts)


@lru_cache(maxsize=1)
def get_palette() -> NDArray[np.uint8]:
    """The colours of classes 0 … 255, (256, 3) uint8 RGB."""
    colours = (get_class_colour(number) for number in range(256))
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], np.uint8)
