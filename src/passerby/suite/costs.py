"""What each model of a suite costs: size, work and time beside the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from passerby.bundle import Bundle
from passerby.inference.timing import compare_speed, prepare_forward
from passerby.models.complexity import compute_complexity

__all__ = ["measure_costs"]

BATCHES = (1, 32)
"""Pictures at a time: a camera's and a gallery's."""


def measure_costs(
    bundles: Mapping[str, Bundle], baseline: str, *, seconds: float
) -> dict[str, dict[str, float]]:
    """Parameters, multiply-accumulates, and the time of a forward pass as a ratio to the baseline's.

    Args:
        bundles: By name, the baseline among them.
        baseline: Its name.
        seconds: How long each is timed at each batch size; 0 leaves times out.

    Returns:
        By name: `parameters`, `macs`, and for each number of pictures at a time, such as 32,
        `inference_32`, the median of the ratios; of all but the baseline also its quartiles
        `inference_32_low` and `inference_32_high`, and `inference_32_s`, the seconds of its own pass.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found: dict[str, dict[str, float]] = {}
    for name, bundle in bundles.items():
        size = (bundle.preprocess.height, bundle.preprocess.width)
        complexity = compute_complexity(bundle.model, size_px=size)
        found[name] = {"parameters": complexity.parameters, "macs": complexity.macs}
        for count in BATCHES if seconds > 0 else ():
            found[name] |= _time(bundles[baseline], bundle, count=count, seconds=seconds, device=device)
    return found


def _time(baseline: Bundle, bundle: Bundle, *, count: int, seconds: float, device: str) -> dict[str, float]:
    if bundle is baseline:
        return {f"inference_{count}": 1.0}
    sides = []
    for each in (baseline, bundle):
        size = (each.preprocess.height, each.preprocess.width)
        sides.append(prepare_forward(each.model.to(device), torch.randn(count, 3, *size, device=device)))
    speed = compare_speed(sides[0], sides[1], seconds=seconds, device=device)
    low, high = speed.quartiles
    name = f"inference_{count}"
    return {name: speed.ratio, f"{name}_low": low, f"{name}_high": high, f"{name}_s": speed.other_s}
