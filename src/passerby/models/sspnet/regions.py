"""Prior regions: the rows in which a body part is expected, and points within them."""

from __future__ import annotations

import math

from passerby.schema import BodyPart

__all__ = ["find_region_rows", "select_uniformly"]

_REGIONS: dict[BodyPart, tuple[float, float]] = {
    "head": (0, 24 / 64),
    "torso": (8 / 64, 40 / 64),
    "bottom": (32 / 64, 1),
    "all": (0, 1),
}
"""First and last row of each body part, as fractions of the rows: Table A.11, P1 with 64 rows."""


def find_region_rows(body_part: BodyPart, rows: int) -> tuple[int, int]:
    """The rows of a map where a body part is expected: the first, and the one after the last.

    Paper: Shen et al., 2023, Table A.11, whose last row belongs to the region (0 to 63 are all 64 rows). The
    result equals the table for 64, 32 and 16 rows; other heights use the same fractions, rounded down.

    Example:
        >>> [find_region_rows("torso", rows) for rows in (64, 32, 16)]
        [(8, 41), (4, 21), (2, 11)]
    """
    first, last = (math.floor(share * rows) for share in _REGIONS[body_part])
    return first, min(last, rows - 1) + 1


def select_uniformly(count: int, ratio: float) -> list[int]:
    """Indices of a fraction of `count` positions in a row, evenly spaced; at least one.

    Example:
        >>> select_uniformly(8, 0.5), select_uniformly(4, 1.0)
        ([1, 3, 5, 7], [0, 1, 2, 3])
    """
    chosen = max(1, round(count * ratio))
    return [int((i + 0.5) * count / chosen) for i in range(chosen)]
