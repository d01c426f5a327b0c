"""The true region of an attribute in one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.explain.boxes import BoxMode, find_boxes
from passerby.types import Box

__all__ = ["TrueRegion", "TruthKind", "fill_boxes"]

TruthKind = Literal["parsing", "boxes"]
"""Origin of the true regions: parsing maps, or `boxes.json`."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TrueRegion:
    """The true region of an attribute in an image, at the size of the network's input.

    Args:
        boxes: The outer rectangle, or one rectangle around each connected piece.
        inside: The pixels whose centre lies in one of the boxes.
        mask: The pixels of the attribute; None if only boxes are known.

    Shape:
        inside, mask: (H, W) bool.
    """

    boxes: tuple[Box, ...]
    inside: Flags
    mask: Flags | None = None

    @classmethod
    def of_mask(cls, mask: Flags, mode: BoxMode) -> TrueRegion:
        """Create the region of a mask.

        Example:
            >>> region = TrueRegion.of_mask(np.array([[1, 0, 1], [0, 0, 1]], bool), "components")
            >>> [box.as_xyxy() for box in region.boxes], region.inside.tolist()
            ([(2.0, 0.0, 3.0, 2.0), (0.0, 0.0, 1.0, 1.0)], [[True, False, True], [False, False, True]])
        """
        boxes = find_boxes(mask.astype(np.float32), mode=mode)
        return cls(boxes, fill_boxes(boxes, (mask.shape[0], mask.shape[1])), mask)


def fill_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Flags:
    """Find the pixels whose centre lies in one of the boxes.

    Shape:
        size: H and W; returns (H, W).

    Example:
        >>> fill_boxes([Box(0.6, 0, 2.4, 1)], (1, 3)).tolist()
        [[False, True, False]]
    """
    inside = np.zeros(size, np.bool_)
    for box in boxes:
        x0, y0, x1, y1 = (max(0, ceil(edge - 0.5)) for edge in box.as_xyxy())
        inside[y0:y1, x0:x1] = True
    return inside
