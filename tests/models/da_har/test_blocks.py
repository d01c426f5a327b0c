"""Layers of Da-HAR against the paper's text, in loops."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from loops import loop_pointwise, randomize
from passerby.models.da_har.blocks import Fusion, MaskBlock, ResidualBlock


def sample_bilinear(values: list[list[float]], y: float, x: float) -> float:
    """Bilinear between the centres of cells; beyond the outermost centres, their values."""
    rows, columns = len(values), len(values[0])
    y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
    top, left = int(y), int(x)
    below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    dy, dx = y - top, x - left
    upper = values[top][left] * (1 - dx) + values[top][right] * dx
    lower = values[below][left] * (1 - dx) + values[below][right] * dx
    return upper * (1 - dy) + lower * dy


def test_mask_block_in_a_loop() -> None:
    """Three 1×1 convolutions at each position separately."""
    block = MaskBlock(8).double().eval()
    randomize(block)
    features = torch.randn(2, 8, 3, 2, dtype=torch.float64)
    found = block(features)
    assert found.shape == (2, 1, 3, 2)
    assert [type(layer).__name__ for layer in block.layers] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + [
        "Conv2d"
    ]
    for n in range(2):
        for y in range(3):
            for x in range(2):
                expected = loop_pointwise(block.layers, features[n, :, y, x].tolist())
                assert found[n, 0, y, x].item() == pytest.approx(expected[0], abs=1e-5)


def test_fusion_at_unequal_sizes_in_a_loop() -> None:
    """Reduce, resample, sum; the residual blocks are tested separately."""
    fuse = Fusion((3, 2, 4), 2).double().eval()
    randomize(fuse)
    levels = [torch.randn(1, c, h, w).double() for c, h, w in ((3, 7, 5), (2, 4, 3), (4, 2, 2))]
    size = (4, 3)
    total = torch.zeros(1, 2, *size, dtype=torch.float64)
    for reduce, features in zip(fuse.reduce, levels, strict=True):
        assert isinstance(reduce, nn.Conv2d)
        h, w = features.shape[2:]
        for k in range(2):
            reduced = [
                [
                    reduce.bias[k].item()  # type: ignore[index]
                    + sum(
                        reduce.weight[k, c, 0, 0].item() * features[0, c, y, x].item()
                        for c in range(features.shape[1])
                    )
                    for x in range(w)
                ]
                for y in range(h)
            ]
            for y in range(size[0]):
                for x in range(size[1]):
                    position = ((y + 0.5) * h / size[0] - 0.5, (x + 0.5) * w / size[1] - 0.5)
                    total[0, k, y, x] += sample_bilinear(reduced, *position)
    torch.testing.assert_close(fuse(levels, size), fuse.smooth(total), atol=1e-5, rtol=0)


def test_residual_block() -> None:
    block = ResidualBlock(3).double().eval()
    randomize(block)
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    first, norm1, _, second, norm2 = block.layers
    expected = (features + norm2(second(norm1(first(features)).relu()))).relu()
    torch.testing.assert_close(block(features), expected)
