"""The interface of annotators."""

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
"""For each kind, the field of `Sample` and column of a manifest."""

ALMOST_EMPTY, ALMOST_FULL = 0.02, 0.98
"""Minimum and maximum share of the crop that a plausible mask covers."""


def is_good_mask(mask: NDArray[np.uint8]) -> bool:
    """Whether a mask is plausible: it covers 2 % to 98 % of the crop.

    Shape:
        mask: (h, w), above 0 on the person.

    Example:
        >>> is_good_mask(np.eye(4, dtype=np.uint8)), is_good_mask(np.zeros((4, 4), np.uint8))
        (True, False)
    """
    return ALMOST_EMPTY <= float((mask > 0).mean()) <= ALMOST_FULL


@dataclass(frozen=True, slots=True)
class Sample:
    """The crop of one person, with the annotations that exist so far.

    Args:
        image: The crop, RGB.
        mask: The pixels of the person, or None.
        parsing: Classes of the pixels, or None.
        keypoints: COCO keypoints in pixels of the crop, or None.
        source: Source of the image, a path if it is a file.

    Shape:
        mask: (h, w) uint8, 0 or 1. parsing: (h, w) uint8. keypoints: (17, 3) float32: x, y, score.
    """

    image: Image.Image
    mask: NDArray[np.uint8] | None = None
    parsing: NDArray[np.uint8] | None = None
    keypoints: NDArray[np.float32] | None = None
    source: str = ""


class Annotator(Protocol):
    """Predicts masks, parsing maps or keypoints of persons.

    Attributes:
        kind: The predicted kind.
        name: Name of the method on the command line.
        needs: Annotations of the same sample that it takes as input in addition to the image.
        classes: Class names of its parsing maps; empty for another kind.
    """

    kind: Kind
    name: str
    needs: tuple[Kind, ...]
    classes: tuple[str, ...]

    def describe(self) -> Mapping[str, Any]:
        """All that the results depend on, as plain JSON: method, hash of the weights, thresholds.

        Two annotators with equal descriptions give equal results.
        """
        ...

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Predict the annotations of a batch of samples.

        Returns:
            One array per sample, in the form of the field of `Sample`, in the size of the crop; None if no
            person was found or an input is missing.
        """
        ...
