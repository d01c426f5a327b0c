"""Eq. 6 and 8 of SSPNet: weighted sums of samples near reference points, in loops over plain floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.models.sspnet.sampling import OffsetSampling, sample_around, sample_weighted

SIZES = [(5, 4), (1, 4), (5, 1), (1, 1), (2, 2), (3, 7)]

Channel = list[list[float]]
"""Row, column."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_points(batch: int, count: int, each: int, size: tuple[int, int], *, seed: int = 1) -> Tensor:
    """Points between positions, up to two positions beyond the border: (N, P, M, 2), x then y."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(batch, count, each, 2, generator=generator, dtype=torch.float64)
    return shares * (torch.tensor([size[1], size[0]]) + 3) - 2


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-5)


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make torch report an export in progress."""
    return lambda: monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)


# --- the paper in loops ---


def loop_read(channel: Channel, x: float, y: float) -> float:
    """Bilinear: weights decrease to zero at a distance of one; border values extend outwards."""
    x, y = min(max(x, 0.0), len(channel[0]) - 1.0), min(max(y, 0.0), len(channel) - 1.0)
    total = 0.0
    for v, row in enumerate(channel):
        for u, value in enumerate(row):
            total += max(0.0, 1 - abs(x - u)) * max(0.0, 1 - abs(y - v)) * value
    return total


def loop_sample(maps: list[Channel], points: list[list[list[float]]], weights: list[list[float]]) -> Any:
    """Σ_m weight_m · x(P_m) of one sample: channel, point."""
    return [
        [
            sum(w * loop_read(channel, x, y) for (x, y), w in zip(positions, shares, strict=True))
            for positions, shares in zip(points, weights, strict=True)
        ]
        for channel in maps
    ]


def loop_around(maps: list[Channel], points: list[list[float]], sampler: dict[str, Any]) -> Any:
    """Φ(P) = Σ_m A_m · W_m · x(P + ΔP_m) of one sample, ΔP and W from a 1×1 convolution sampled at P."""
    scale = sampler["scale"]
    number = len(scale)
    found: list[list[float]] = [[] for _ in maps]
    for x, y in points:
        here = [loop_read(channel, x, y) for channel in maps]
        proposed = [
            bias + sum(w[0][0] * value for w, value in zip(row, here, strict=True))
            for row, bias in zip(sampler["propose.weight"], sampler["propose.bias"], strict=True)
        ]
        total = sum(math.exp(each) for each in proposed[2 * number :])
        for c, channel in enumerate(maps):
            value = 0.0
            for m in range(number):
                share = math.exp(proposed[2 * number + m]) / total
                moved = x + proposed[2 * m], y + proposed[2 * m + 1]
                value += scale[m] * share * loop_read(channel, *moved)
            found[c].append(value)
    return found


def differentiate(compute: Callable[[], float], values: list[Any], index: tuple[int, ...]) -> float:
    """Central difference of a computation with respect to one number in nested lists."""
    *path, last = index
    inner = values
    for index in path:
        inner = inner[index]
    step, kept = 1e-6, inner[last]
    found = []
    for sign in (1, -1):
        inner[last] = kept + sign * step
        found.append(compute())
    inner[last] = kept
    return (found[0] - found[1]) / (2 * step)


def indices_of(tensor: Tensor) -> list[tuple[int, ...]]:
    return [tuple(index) for index in torch.ones(tensor.shape).nonzero().tolist()]


# --- sums at given points ---


@pytest.mark.parametrize("exporting", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_weighted_sums_in_a_loop(size: tuple[int, int], exporting: bool, export: Callable[[], None]) -> None:
    if exporting:
        export()
    features, points = draw(2, 3, *size), draw_points(2, 6, 3, size)
    weights = draw(2, 6, 3, seed=2)
    found = sample_weighted(features, points, weights)
    assert found.shape == (2, 3, 6)
    for i in range(2):
        expected = loop_sample(features[i].tolist(), points[i].tolist(), weights[i].tolist())
        for c in range(3):
            assert found[i, c].tolist() == close(expected[c])


def test_a_nan_point_gives_nan_instead_of_an_invalid_index() -> None:
    points = torch.tensor([[[[float("nan"), 1.0]], [[float("inf"), -float("inf")]]]])
    read = sample_weighted(torch.ones(1, 2, 3, 4), points, torch.tensor([[[float("nan")], [1.0]]]))
    assert read[..., 0].isnan().all()  # by its weight
    assert (read[..., 1] == 1).all()


def test_integer_points_return_the_features() -> None:
    """Bit-exact, including the last row and column, which have no next neighbour."""
    features = draw(2, 3, 4, 5).float()
    positions = torch.tensor([[x, y] for y in range(4) for x in range(5)]).float()
    points = positions.view(1, 20, 1, 2).expand(2, -1, -1, -1)
    found = sample_weighted(features, points, torch.ones(2, 20, 1))
    assert torch.equal(found, features.flatten(2))


@pytest.mark.parametrize("exporting", [False, True])
def test_points_outside_return_the_border(exporting: bool, export: Callable[[], None]) -> None:
    if exporting:
        export()
    features = draw(1, 1, 3, 4)
    outside = [(-7.0, 1.0), (9.0, 1.0), (2.0, -0.5), (2.0, 2.5), (-1.0, -1.0), (99.0, 99.0), (3.2, -4.0)]
    nearest = [(0, 1), (3, 1), (2, 0), (2, 2), (0, 0), (3, 2), (3, 0)]
    points = torch.tensor(outside, dtype=torch.float64).view(1, -1, 1, 2)
    found = sample_weighted(features, points, torch.ones(1, len(outside), 1, dtype=torch.float64))
    assert found[0, 0].tolist() == close([features[0, 0, y, x].item() for x, y in nearest])


@pytest.mark.parametrize("size", [(4, 3), (1, 4), (4, 1)])
def test_gradients_are_those_of_finite_differences(size: tuple[int, int]) -> None:
    features, points = draw(2, 2, *size), draw_points(2, 3, 2, size)
    weights, heights = draw(2, 3, 2, seed=2), draw(2, 2, 3, seed=3).tolist()
    given = [each.requires_grad_() for each in (features, points, weights)]
    found = sample_weighted(*given)
    (found * torch.tensor(heights, dtype=torch.float64)).sum().backward()
    lists = [each.tolist() for each in given]

    def compute() -> float:
        total = 0.0
        for i in range(2):
            rows = loop_sample(*(each[i] for each in lists))
            total += sum(
                a * b for p, q in zip(rows, heights[i], strict=True) for a, b in zip(p, q, strict=True)
            )
        return total

    for tensor, values in zip(given, lists, strict=True):
        assert tensor.grad is not None
        for index in indices_of(tensor):
            assert tensor.grad[index].item() == close(differentiate(compute, values, index)), index
    assert points.grad is not None
    outside = (points < 0) | (points > torch.tensor([size[1], size[0]]) - 1)
    assert outside.any()
    assert not points.grad[outside].any()
    assert points.grad[~outside].all()


@pytest.mark.parametrize("size", SIZES)
def test_the_exported_computation_has_the_same_values_and_gradients(
    size: tuple[int, int], export: Callable[[], None]
) -> None:
    heights, gradients, values = draw(2, 3, 5, seed=3), [], []
    for exporting in (False, True):
        if exporting:
            export()
        given = [draw(2, 3, *size), draw_points(2, 5, 4, size), draw(2, 5, 4, seed=2)]
        given = [each.requires_grad_() for each in given]
        found = sample_weighted(*given)
        (found * heights).sum().backward()
        values.append(found.detach())
        gradients.append([each.grad for each in given])
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-5)
    for actual, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, theirs, rtol=0, atol=1e-5)


def test_exporting_uses_grid_sample_only(export: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX has no embedding bag."""
    given = draw(1, 2, 3, 3), draw_points(1, 2, 2, (3, 3)), draw(1, 2, 2)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("reached")

    monkeypatch.setattr(nn.functional, "embedding_bag", refuse)
    with pytest.raises(AssertionError, match="reached"):
        sample_weighted(*given)
    export()
    sample_weighted(*given)


def test_points_keep_their_precision_with_half_features() -> None:
    """Between 32 and 64, a bfloat16 has a resolution of a quarter."""
    features = torch.arange(64.0).repeat(1, 1, 2, 1).bfloat16()
    points = torch.tensor([[63.0, 0.0], [45.0, 1.0], [33.0, 0.0], [40.5, 0.5]]).view(1, 4, 1, 2)
    found = sample_weighted(features, points + torch.tensor([0.0625, 0.0]), torch.ones(1, 4, 1))
    assert found.dtype == torch.bfloat16
    assert found[0, 0].tolist() == pytest.approx([63.0, 45.0625, 33.0625, 40.5625], abs=0.15)
    exact = sample_weighted(features, points[:, :3], torch.ones(1, 3, 1))
    assert exact[0, 0].tolist() == [63.0, 45.0, 33.0]


# --- learned offsets ---


def make(channels: int, offsets: int, seed: int) -> OffsetSampling:
    """Offsets that vary widely from point to point."""
    sampler = OffsetSampling(channels, offsets).double()
    with torch.no_grad():
        for i, parameter in enumerate(sampler.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=10 * seed + i))
    return sampler


def to_lists(module: nn.Module) -> dict[str, Any]:
    return {name: value.tolist() for name, value in module.state_dict().items()}


def make_sets(size: tuple[int, int], counts: tuple[int, ...], offsets: int) -> Any:
    samplers = [make(3, offsets, seed) for seed in range(len(counts))]
    points = [draw_points(2, count, 1, size, seed=5 + count)[:, :, 0] for count in counts]
    return samplers, points


@pytest.mark.parametrize("exporting", [False, True])
@pytest.mark.parametrize("offsets", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(5, 4), (1, 4), (5, 1)])
def test_equation_6_for_several_groups_in_a_loop(
    size: tuple[int, int], offsets: int, exporting: bool, export: Callable[[], None]
) -> None:
    if exporting:
        export()
    features, counts = draw(2, 3, *size), (2, 4, 1)
    samplers, points = make_sets(size, counts, offsets)
    found = sample_around(features, samplers, points)
    assert [each.shape for each in found] == [(2, 3, count) for count in counts]
    for sampler, group, result in zip(samplers, points, found, strict=True):
        for i in range(2):
            expected = loop_around(features[i].tolist(), group[i].tolist(), to_lists(sampler))
            for c in range(3):
                assert result[i, c].tolist() == close(expected[c])


def test_gradients_of_offsets_and_weights_are_those_of_finite_differences() -> None:
    features, counts = draw(2, 3, 4, 5).requires_grad_(), (2, 3)
    samplers, points = make_sets((4, 5), counts, 3)
    heights = [draw(2, 3, count, seed=7 + count) for count in counts]
    found = sample_around(features, samplers, points)
    sum((a * b).sum() for a, b in zip(found, heights, strict=True)).backward()  # type: ignore[union-attr]
    maps, weights = features.tolist(), [to_lists(sampler) for sampler in samplers]

    def compute() -> float:
        total = 0.0
        for group, lists, height in zip(points, weights, heights, strict=True):
            for i in range(2):
                rows = loop_around(maps[i], group[i].tolist(), lists)
                factors = height[i].tolist()
                total += sum(
                    a * b for p, q in zip(rows, factors, strict=True) for a, b in zip(p, q, strict=True)
                )
        return total

    for sampler, lists in zip(samplers, weights, strict=True):
        for name, parameter in sampler.named_parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().sum() > 0
            for index in indices_of(parameter):
                slope = differentiate(compute, lists[name], index)
                assert parameter.grad[index].item() == close(slope), (name, index)
    assert features.grad is not None
    for index in indices_of(features):
        assert features.grad[index].item() == close(differentiate(compute, maps, index)), index


@pytest.mark.parametrize("offsets", [1, 2, 3, 4])
def test_zero_offsets_sample_the_points_themselves(offsets: int) -> None:
    features = draw(2, 3, 4, 5).float()
    sampler = OffsetSampling(3, offsets)
    for parameter in sampler.propose.parameters():
        nn.init.zeros_(parameter)
    assert sampler.scale.tolist() == [1] * offsets
    positions = torch.tensor([[x, y] for y in range(4) for x in range(5)]).float().expand(2, -1, -1)
    (found,) = sample_around(features, [sampler], [positions])
    if offsets == 3:  # three thirds
        torch.testing.assert_close(found, features.flatten(2), rtol=0, atol=1e-6)
    else:
        assert torch.equal(found, features.flatten(2))
    between = draw_points(2, 6, 1, (4, 5))[:, :, 0]
    (found,) = sample_around(features, [sampler], [between.float()])
    for i in range(2):
        for c in range(3):
            channel = features[i, c].tolist()
            assert found[i, c].tolist() == close([loop_read(channel, x, y) for x, y in between[i].tolist()])


@pytest.mark.parametrize("offsets", range(1, 7))
def test_offsets_start_at_the_point_and_on_a_circle_around_it(offsets: int) -> None:
    sampler = OffsetSampling(8, offsets)
    assert sampler.propose.bias is not None
    bias = sampler.propose.bias.tolist()
    assert len(bias) == 3 * offsets
    positions = [(bias[2 * m], bias[2 * m + 1]) for m in range(offsets)]
    assert positions[0] == (0, 0)
    for m, (x, y) in enumerate(positions[1:]):
        angle = 2 * math.pi * m / (offsets - 1)
        assert (x, y) == close((math.cos(angle), math.sin(angle)))
    assert bias[2 * offsets :] == [0] * offsets
    assert sampler.scale.tolist() == [1] * offsets
    assert (
        0 < sampler.propose.weight.abs().max() < 0.1
    )  # initially close to these positions, with gradients for all


def test_groups_and_samples_are_independent() -> None:
    features = draw(2, 3, 4, 5).requires_grad_()
    samplers, points = make_sets((4, 5), (3, 2), 3)
    first, second = sample_around(features, samplers, points)
    first[1].sum().backward()
    assert features.grad is not None
    assert not features.grad[0].any()
    assert features.grad[1].any()
    for parameter in samplers[1].parameters():
        assert parameter.grad is None or not parameter.grad.any()
    for sampler, group, together in zip(samplers, points, (first, second), strict=True):
        (alone,) = sample_around(features, [sampler], [group])
        torch.testing.assert_close(alone, together)
