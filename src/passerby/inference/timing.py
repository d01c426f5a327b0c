"""Relative speed of two models, measured in alternating rounds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from passerby.models import AttributeModel
from passerby.types import Guidance

__all__ = ["SpeedRatio", "compare_speed", "create_guidance", "measure", "prepare_forward"]

SHORTEST_ROUND_S = 0.03


@dataclass(frozen=True, slots=True)
class SpeedRatio:
    """Time of a function relative to a baseline.

    Args:
        pairs: Number of rounds of each.
        baseline_s: Median time of the baseline, in seconds.
        other_s: Median time of the other function, in seconds.
        ratio: Median over the pairs of other / baseline.
        quartiles: Lower and upper quartile of these ratios.
    """

    pairs: int
    baseline_s: float
    other_s: float
    ratio: float
    quartiles: tuple[float, float]


def compare_speed(
    baseline: Callable[[], None], other: Callable[[], None], *, seconds: float, device: str | torch.device
) -> SpeedRatio:
    """Compare two functions in alternating short rounds, at least 8 pairs.

    Other load on the machine thus affects both. The order within a pair alternates.

    Args:
        seconds: Duration of the measurement.
        device: Device to synchronise after each round.

    Example:
        >>> found = compare_speed(lambda: None, lambda: None, seconds=0, device="cpu")
        >>> found.pairs
        8
    """
    sides = (baseline, other)
    for side in sides:
        measure(side, 1, device)  # warm-up: the first calls choose algorithms and fill caches
    fastest = min(measure(side, 1, device) for side in sides)
    repeats = max(1, math.ceil(SHORTEST_ROUND_S / max(fastest, 1e-6)))
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(pairs) < 8 or time.perf_counter() < end:
        order = (0, 1) if len(pairs) % 2 == 0 else (1, 0)
        found = {i: measure(sides[i], repeats, device) for i in order}
        pairs.append((found[0], found[1]))
    low, ratio, high = statistics.quantiles((b / a for a, b in pairs), n=4, method="inclusive")
    return SpeedRatio(
        len(pairs),
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        ratio,
        (low, high),
    )


def measure(side: Callable[[], None], repeats: int, device: str | torch.device) -> float:
    """Mean duration of a call in seconds.

    Args:
        device: Device to synchronise before the first call and after the last.

    Example:
        >>> measure(lambda: None, 3, "cpu") < 1
        True
    """
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        side()
    if on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def create_guidance(images: torch.Tensor) -> Guidance:
    """Auxiliary inputs for timing: keypoints at random positions, masks of the left halves.

    Shape:
        images: (N, 3, H, W).
    """
    count, _, height, width = images.shape
    size = torch.tensor([width, height, 1.0], device=images.device)
    masks = torch.zeros(count, 1, height, width, device=images.device)
    masks[..., : width // 2] = 1
    return Guidance(masks=masks, keypoints=torch.rand(count, 17, 3, device=images.device) * size)


def prepare_forward(model: AttributeModel, images: torch.Tensor) -> Callable[[], None]:
    """A forward pass in evaluation mode, to be timed."""
    model.eval()
    guidance = create_guidance(images)

    def forward() -> None:
        with torch.inference_mode():
            model(images, guidance)

    return forward
