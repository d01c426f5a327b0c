"""Differences with intervals, and means over seeds, as text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Interval", "compute_deviation", "format_mean"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The difference between a run and the baseline in one metric.

    Args:
        difference: Mean of the run over its seeds minus that of the baseline, in [−1, 1].
        low: Lower end of the percentile interval.
        high: Upper end.
        share_not_above: Share of the resamples in which the difference is 0 or less, in [0, 1].
    """

    difference: float
    low: float
    high: float
    share_not_above: float

    def format(self, *, factor: float = 100, digits: int = 2) -> tuple[str, str, str]:
        """Difference and interval, by default in per cent, and the share in per cent.

        Example:
            >>> Interval(0.0123, 0.004, 0.021, 0.003).format()
            ('+1.23', '[+0.40, +2.10]', '0.3')
        """
        difference, low, high = (
            f"{round(factor * value, digits) + 0.0:+.{digits}f}"  # adding 0 turns −0 into 0
            for value in (self.difference, self.low, self.high)
        )
        return difference, f"[{low}, {high}]", f"{100 * self.share_not_above:.1f}"


def format_mean(values: Sequence[float], *, factor: float = 100, digits: int = 2) -> tuple[str, str]:
    """Mean and standard deviation, by default in per cent; the latter is empty for a single value.

    Values that cannot be measured give a dash.

    Example:
        >>> format_mean([0.12, 0.14]), format_mean([0.5], factor=1, digits=3)
        (('13.00', '± 1.41'), ('0.500', ''))
    """
    mean, deviation = statistics.fmean(values), compute_deviation(values)
    spread = "" if math.isnan(deviation) else f"± {factor * deviation:.{digits}f}"
    return "–" if math.isnan(mean) else f"{factor * mean:.{digits}f}", spread


def compute_deviation(values: Sequence[float]) -> float:
    """The standard deviation (n − 1 in the denominator); NaN for a single value, and if one is NaN.

    Example:
        >>> compute_deviation([0.25, 0.75]), compute_deviation([0.5])
        (0.3535533905932738, nan)
    """
    return statistics.stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else math.nan
