"""Settings of an evaluation of localisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from passerby.errors import ConfigError
from passerby.explain.boxes import Binarization, BoxMode

if TYPE_CHECKING:
    from passerby.explain.heat import Method

__all__ = ["HeatMapSettings", "SamplingSettings"]


@dataclass(frozen=True)
class HeatMapSettings:
    """How heat maps are computed, and how they become boxes.

    Args:
        method: See `passerby.explain.compute_heat_maps`; None takes the model's `heat_method`.
        binarization: Foreground of a heat map; by default half of the maximum.
        boxes: `outer` (as in the paper), or `components`: the union of one box around each connected piece
            of the foreground against the union of those around each piece of the true region (two boots).
    """

    method: Method | None = None
    binarization: Binarization = field(default_factory=Binarization)
    boxes: BoxMode = "outer"


@dataclass(frozen=True)
class SamplingSettings:
    """Which samples count, and how they are averaged and resampled.

    Args:
        min_area_px: Smallest true area of a sample in pixels of the input. 9 by default (3 × 3): a smaller
            region has lost its shape in the resizing, and a shift of one pixel costs more than half of its
            IoU.
        min_samples: Attributes with fewer samples have no interval and are left out of the means.
        only_predicted: Count only samples that the model predicts (above the bundle's threshold).
        insertion_deletion: Number of samples per attribute, drawn with `seed`, for which insertion and
            deletion are computed; 0 for none. Each takes two passes of 21 images. Masks and keypoints that
            a model takes as input stay unchanged.
        exclude_from_mean: Attributes that are scored and left out of the means. None excludes, for synthetic
            images, the attributes of the whole person (sex, age, view).
        resamples: Number of resamples for the intervals.
        seed: Seed of the draws.

    Raises:
        ConfigError: If a number is out of range.
    """

    min_area_px: int = 9
    min_samples: int = 10
    only_predicted: bool = False
    insertion_deletion: int = 0
    exclude_from_mean: Sequence[str] | None = None
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        minima = {"min_area_px": 1, "resamples": 1, "insertion_deletion": 0, "min_samples": 2}
        for name, minimum in minima.items():
            if (value := getattr(self, name)) < minimum:
                raise ConfigError(f"expected {name} of at least {minimum}, got {value}")
