"""Costs of the models of a suite: size, operations, and inference time relative to the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from passerby.bundle import Bundle
from passerby.inference.timing import compare_speed, prepare_forward
from passerby.models.complexity import compute_complexity

__all__ = ["measure_costs"]

BATCH_SIZES = (1, 32)
"""A single image, as from a camera, and a batch, as from a gallery."""


def measure_costs(
    bundles: Mapping[str, Bundle], baseline: str, *, seconds: float
) -> dict[str, dict[str, float]]:
    """Parameters, multiply-accumulates, and the time of a forward pass as a ratio to the baseline's.

    Args:
        bundles: By name, including the baseline.
        baseline: Name of the baseline.
        seconds: Duration of the timing of each model at each batch size; 0 for no timing.

    Returns:
        By name: `parameters`, `macs`, and for each batch size, such as 32, `inference_32`, the median of the
        ratios. For all models but the baseline also the quartiles `inference_32_low` and `inference_32_high`,
        and `inference_32_s`, the seconds of the model's forward pass.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    costs: dict[str, dict[str, float]] = {}
    for name, bundle in bundles.items():
        size = (bundle.preprocess.height, bundle.preprocess.width)
        complexity = compute_complexity(bundle.model, size_px=size)
        costs[name] = {"parameters": complexity.parameters, "macs": complexity.macs}
        for batch_size in BATCH_SIZES if seconds > 0 else ():
            costs[name] |= _time(
                bundles[baseline], bundle, batch_size=batch_size, seconds=seconds, device=device
            )
    return costs


def _time(
    baseline: Bundle, bundle: Bundle, *, batch_size: int, seconds: float, device: str
) -> dict[str, float]:
    if bundle is baseline:
        return {f"inference_{batch_size}": 1.0}
    passes = []
    for each in (baseline, bundle):
        size = (each.preprocess.height, each.preprocess.width)
        passes.append(
            prepare_forward(each.model.to(device), torch.randn(batch_size, 3, *size, device=device))
        )
    speed = compare_speed(passes[0], passes[1], seconds=seconds, device=device)
    low, high = speed.quartiles
    name = f"inference_{batch_size}"
    return {name: speed.ratio, f"{name}_low": low, f"{name}_high": high, f"{name}_s": speed.other_s}
