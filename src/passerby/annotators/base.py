"""What every annotator promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["ALMOST_EMPTY", "ALMOST_FULL", "FIELDS", "Annotator", "Kind", "Sample", "is_good_mask"]

Kind = Literal["masks", "parsing", "keypoints"]

FIELDS: Mapping[str, str] = MappingProxyType(
    {"masks": "mask", "parsing": "parsing", "keypoints": "keypoints"}
)
"""Of each kind the field of `Sample`, and the column of a manifest."""

ALMOST_EMPTY, ALMOST_FULL = 0.02, 0.98
"""Shares of the crop between which a mask can be a person's."""


def is_good_mask(mask: NDArray[np.uint8]) -> bool:
    """Whether a mask can be a person's: it covers 2 % to 98 % of the crop.

    Shape:
        mask: (h, w), above 0 on the person.

    Example:
        >>> is_good_mask(np.eye(4, dtype=np.uint8)), is_good_mask(np.zeros((4, 4), np.uint8))
        (True, False)
    """
    return ALMOST_EMPTY <= float((mask > 0).mean()) <= ALMOST_FULL


@dataclass(frozen=True, slots=True)
class Sample:
    """One person, cut out of the picture, with what is known of them so far.

    Args:
        image: The crop, RGB.
        mask: The person's pixels, or None.
        parsing: Classes of the pixels, or None.
        keypoints: Those of COCO in pixels of the crop, or None.
        source: Where the picture came from, a path if it was a file.

    Shape:
        mask: (h, w) uint8, 0 or 1. parsing: (h, w) uint8. keypoints: (17, 3) float32: x, y, score.
    """

    image: Image.Image
    mask: NDArray[np.uint8] | None = None
    parsing: NDArray[np.uint8] | None = None
    keypoints: NDArray[np.float32] | None = None
    source: str = ""


class Annotator(Protocol):
    """Finds masks, parsing maps or keypoints of persons.

    Attributes:
        kind: What it finds.
        name: Of the method, as the command line has it.
        needs: What it must be given of the same sample beside the picture.
        classes: Names of the numbers in its parsing maps; empty for another kind.
    """

    kind: Kind
    name: str
    needs: tuple[Kind, ...]
    classes: tuple[str, ...]

    def describe(self) -> Mapping[str, Any]:
        """All that its answers depend on, as plain JSON: method, hash of the weights, thresholds.

        Two annotators with equal descriptions give equal answers.
        """
        ...

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Find it in a batch of samples.

        Returns:
            One array a sample, of the form that `Sample` has it in, the crop's size; None where no person
            was found or what is needed is missing.
        """
        ...
