"""Reference computations in loops over plain floats, shared by tests."""

from __future__ import annotations

import math

import torch
from torch import nn


def loop_bilinear(values: list[list[float]], height: int, width: int) -> list[list[float]]:
    """Bilinear resizing; cell centres are at half-integers, and border values extend outwards."""

    def find(i: int, size: int, cells: int) -> tuple[int, int, float]:
        at = min(max((i + 0.5) * cells / size - 0.5, 0.0), cells - 1.0)
        return int(at), min(int(at) + 1, cells - 1), at - int(at)

    found = []
    for y in range(height):
        top, below, v = find(y, height, len(values))
        row = []
        for x in range(width):
            left, right, u = find(x, width, len(values[0]))
            upper = (1 - u) * values[top][left] + u * values[top][right]
            lower = (1 - u) * values[below][left] + u * values[below][right]
            row.append((1 - v) * upper + v * lower)
        found.append(row)
    return found


def loop_pointwise(layers: nn.Sequential, values: list[float]) -> list[float]:
    """1×1 convolutions, batch normalisation and ReLU at one position."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight[:, :, 0, 0].tolist()
            bias = [0.0] * len(weight) if layer.bias is None else layer.bias.tolist()
            values = [
                b + sum(w * v for w, v in zip(row, values, strict=True))
                for row, b in zip(weight, bias, strict=True)
            ]
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            statistics = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
            rows = zip(values, *(each.tolist() for each in statistics), strict=True)
            values = [(v - m) / math.sqrt(s + layer.eps) * w + b for v, m, s, w, b in rows]
        else:
            assert isinstance(layer, nn.ReLU)
            values = [max(0.0, v) for v in values]
    return values


def randomize(module: nn.Module) -> None:
    """Weights and statistics far from their initial values."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            value.copy_(drawn.abs() + 0.5 if name.endswith("weight") and value.ndim == 1 else drawn * 0.5)
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d) and each.running_mean is not None:
                each.running_mean.normal_(std=0.3, generator=generator)
