"""SSPNet's feature pyramid in loops over plain floats."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.models.sspnet.pyramid import FeaturePyramid

CHANNELS = (2, 3, 4, 5)

Maps = list[list[list[float]]]
"""One sample: channel, row, column."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(*, smoothing: bool = True) -> FeaturePyramid:
    pyramid = FeaturePyramid(CHANNELS, 3, smoothing=smoothing).double()
    with torch.no_grad():
        for i, parameter in enumerate(pyramid.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=i))
    return pyramid


def make_stages(sizes: list[tuple[int, int]]) -> list[Tensor]:
    return [draw(2, c, *size, seed=50 + c) for c, size in zip(CHANNELS, sizes, strict=True)]


def loop_convolve(maps: Maps, kernel: list[Any], bias: list[float]) -> Maps:
    """A convolution with an odd kernel and zero padding that keeps the size."""
    height, width, side = len(maps[0]), len(maps[0][0]), len(kernel[0][0])
    out = []
    for row, start in zip(kernel, bias, strict=True):
        plane = [[start for _ in range(width)] for _ in range(height)]
        for y in range(height):
            for x in range(width):
                for channel, weights in zip(maps, row, strict=True):
                    for v in range(side):
                        for u in range(side):
                            t, s = y + v - side // 2, x + u - side // 2
                            if 0 <= t < height and 0 <= s < width:
                                plane[y][x] += weights[v][u] * channel[t][s]
        out.append(plane)
    return out


def loop_upsample(channel: list[list[float]], height: int, width: int) -> list[list[float]]:
    """Bilinear: the centre of pixel i is at (i + ½) · old / new − ½; border values extend outwards."""
    old_height, old_width = len(channel), len(channel[0])
    out = []
    for i in range(height):
        y = min(max((i + 0.5) * old_height / height - 0.5, 0.0), old_height - 1.0)
        row = []
        for j in range(width):
            x = min(max((j + 0.5) * old_width / width - 0.5, 0.0), old_width - 1.0)
            total = 0.0
            for v in range(old_height):
                for u in range(old_width):
                    total += max(0.0, 1 - abs(y - v)) * max(0.0, 1 - abs(x - u)) * channel[v][u]
            row.append(total)
        out.append(row)
    return out


def loop_pyramid(stages: list[Maps], weights: dict[str, Any]) -> dict[int, Maps]:
    lateral = [
        loop_convolve(maps, weights[f"lateral.{i}.weight"], weights[f"lateral.{i}.bias"])
        for i, maps in enumerate(stages)
    ]
    levels, above = {}, lateral[3]
    for scale in (3, 2, 1):
        finer = lateral[scale - 1]
        height, width = len(finer[0]), len(finer[0][0])
        upsampled = [loop_upsample(channel, height, width) for channel in above]
        above = [
            [[p + q for p, q in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]
            for a, b in zip(finer, upsampled, strict=True)
        ]
        name = f"smoothing.{scale - 1}"
        smooth = f"{name}.weight" in weights
        levels[scale] = (
            loop_convolve(above, weights[f"{name}.weight"], weights[f"{name}.bias"]) if smooth else above
        )
    return levels


@pytest.mark.parametrize("smoothing", [True, False])
@pytest.mark.parametrize(
    "sizes",
    [
        [(16, 8), (8, 4), (4, 2), (2, 1)],
        [(9, 7), (5, 4), (3, 2), (2, 1)],  # odd sides: no stage is exactly half of the previous one
    ],
)
def test_levels_in_a_loop(sizes: list[tuple[int, int]], smoothing: bool) -> None:
    pyramid, stages = make(smoothing=smoothing), make_stages(sizes)
    levels = pyramid(stages, (1, 2, 3))
    assert set(levels) == {1, 2, 3}
    weights = {name: value.tolist() for name, value in pyramid.state_dict().items()}
    assert any(name.startswith("smoothing") for name in weights) == smoothing
    for i in range(2):
        expected = loop_pyramid([stage[i].tolist() for stage in stages], weights)
        for scale in (1, 2, 3):
            assert levels[scale].shape == (2, 3, *sizes[scale - 1])
            for c in range(3):
                for y, row in enumerate(levels[scale][i, c].tolist()):
                    assert row == pytest.approx(expected[scale][c][y], abs=1e-5)


def test_upsampling_by_hand() -> None:
    # Columns 0 and 4: the centres of four pixels are at a quarter and three quarters between them.
    pyramid = FeaturePyramid((1, 1, 1, 1), 1, smoothing=False)
    for i, conv in enumerate(pyramid.lateral):
        assert isinstance(conv, nn.Conv2d)
        nn.init.constant_(conv.weight, float(i >= 2))
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    zeros = [torch.zeros(1, 1, 1, width) for width in (16, 8, 4)]
    levels = pyramid([*zeros, torch.tensor([[[[0.0, 4.0]]]])], (3,))
    assert levels[3].flatten().tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("scales", [(1, 2, 3), (1, 2), (1, 3), (1,), (2, 3), (2,), (3,), (3, 2, 1)])
def test_only_the_requested_levels_are_computed(scales: tuple[int, ...]) -> None:
    pyramid = make()
    calls: Counter[str] = Counter()
    for name, module in pyramid.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    stages = make_stages([(8, 4), (4, 2), (2, 1), (1, 1)])
    levels = pyramid(stages, scales)
    assert set(levels) == set(scales)
    needed = {f"lateral.{i}" for i in range(min(scales) - 1, 4)} | {f"smoothing.{s - 1}" for s in scales}
    assert calls == Counter(needed)
    complete = make()(stages, (1, 2, 3))
    for scale, level in levels.items():
        assert torch.equal(level, complete[scale])


def test_parameters_match_table_3() -> None:
    """SSPNet-R has 1×1 convolutions only; smoothing adds the 1.8 million of SSPNet-K and -S."""
    channels = (256, 512, 1024, 2048)
    numbers = {
        smoothing: sum(p.numel() for p in FeaturePyramid(channels, 256, smoothing=smoothing).parameters())
        for smoothing in (False, True)
    }
    assert numbers[False] == sum(channels) * 256 + 4 * 256
    assert numbers[True] - numbers[False] == 3 * (256 * 256 * 9 + 256)
