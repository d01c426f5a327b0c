"""Scores with percentile intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.evaluation.localization.samples import SCORES, average_known

__all__ = ["LEVEL", "Estimate", "average_attributes", "estimate", "find_interval", "get_factor"]

LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A score and its percentile interval.

    Args:
        value: In [0, 1], or in [−1, 1] for a correlation; NaN if it cannot be measured.
        low: Lower end of the interval; NaN if there is none.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON, None for NaN."""
        return {name: None if math.isnan(each) else each for name, each in asdict(self).items()}


def get_factor(score: str) -> int:
    """The factor by which a score is displayed: 1 for the correlation, else 100 (per cent).

    Example:
        >>> get_factor("box_iou"), get_factor("pcc")
        (100, 1)
    """
    return 1 if score == "pcc" else 100


def find_interval(resampled: Floats) -> tuple[float, float]:
    """The percentile interval of the resamples that are not NaN; NaN if there is none."""
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def estimate(value: Floats, resampled: Floats, *, interval: bool = True) -> Estimate:
    """A score, with its interval if it is wanted and the score can be measured.

    Shape:
        value: (1,). resampled: (B,).
    """
    measured = float(value[0])
    if interval and math.isfinite(measured):
        return Estimate(measured, *find_interval(resampled))
    return Estimate(measured)


def average_attributes(
    values: Mapping[str, Floats], resampled: Mapping[str, Floats], members: Sequence[int]
) -> dict[str, Estimate]:
    """The mean of each score over some attributes.

    Shape:
        values: (A, 1) each. resampled: (A, B) each.
    """
    rows = list(members)
    return {
        name: estimate(average_known(values[name][rows]), average_known(resampled[name][rows]))
        for name in SCORES
    }
