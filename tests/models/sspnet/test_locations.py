"""Locations of body parts in SSPNet: Tables A.11 and A.12, in loops over plain floats."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.keypoints import MEAN_POSE_MPII
from passerby.models.sspnet.locations import (
    KeypointLocations,
    Locations,
    RegionLocations,
    SparseLocations,
    place_keypoints,
    pool_pyramid,
)
from passerby.models.sspnet.regions import find_region_rows, select_uniformly
from passerby.schema import BODY_PARTS, BodyPart

SAME_PART: Mapping[str, BodyPart] = {part: part for part in BODY_PARTS}

TABLE_A11: dict[tuple[BodyPart, int], tuple[int, int]] = {
    ("head", 64): (0, 24),
    ("head", 32): (0, 12),
    ("head", 16): (0, 6),
    ("torso", 64): (8, 40),
    ("torso", 32): (4, 20),
    ("torso", 16): (2, 10),
    ("bottom", 64): (32, 63),
    ("bottom", 32): (16, 31),
    ("bottom", 16): (8, 15),
    ("all", 64): (0, 63),
    ("all", 32): (0, 31),
    ("all", 16): (0, 15),
}
"""First and last row, by body part and number of rows of the map, at 256 × 192."""

CELLS: dict[BodyPart, list[set[int]]] = {
    "head": [{7, 8, 9, 12, 13}, {9}, {9}, {7, 8, 12}, {7, 8, 13}],
    "torso": [{2, 3, 6, 10, 11, 12, 13, 14, 15}, {12}, {13}, {2, 6, 10, 11}, {3, 6, 14, 15}],
    "bottom": [{0, 1, 2, 3, 4, 5, 6}, {2, 6}, {3, 6}, {0, 1}, {4, 5}],
    "all": [
        set(range(16)),
        {7, 8, 9, 10, 11, 12},
        {7, 8, 9, 13, 14, 15},
        {0, 1, 2, 6},
        {3, 4, 5, 6},
    ],
}
"""MPII keypoints of each body part (Table A.12), and its upper right, upper left, lower right, lower left."""

Channel = list[list[float]]
"""Row, column."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-5)


def randomize(locations: nn.Module) -> None:
    """Offsets that vary widely from point to point."""
    with torch.no_grad():
        for i, parameter in enumerate(locations.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=20 + i))


def make(kind: str, parts: Mapping[str, BodyPart] = SAME_PART, **options: Any) -> Locations:
    if kind == "regions":
        return RegionLocations(parts)
    locations = {"sparse": SparseLocations, "keypoints": KeypointLocations}[kind](parts, 3, **options)
    randomize(locations)
    return locations.double()


# --- the paper in loops ---


def loop_pool(channel: Channel) -> list[float]:
    """Maxima of a map and of its quarters, divided as in adaptive pooling: rows ⌊i·h/2⌋ … ⌈(i+1)·h/2⌉."""
    height, width = len(channel), len(channel[0])
    found = [max(value for row in channel for value in row)]
    for i in range(2):
        for j in range(2):
            rows = range(math.floor(i * height / 2), math.ceil((i + 1) * height / 2))
            columns = range(math.floor(j * width / 2), math.ceil((j + 1) * width / 2))
            found.append(max(channel[y][x] for y in rows for x in columns))
    return found


def loop_arrange(pooled: list[list[float]]) -> list[float]:
    """The maximum of every channel, then the quarters of the first, of the second …"""
    return [each[0] for each in pooled] + [value for each in pooled for value in each[1:]]


def loop_read(channel: Channel, x: float, y: float) -> float:
    """Bilinear between positions, with border values extended outwards."""
    x, y = min(max(x, 0.0), len(channel[0]) - 1.0), min(max(y, 0.0), len(channel) - 1.0)
    total = 0.0
    for v in range(int(y), min(int(y) + 2, len(channel))):
        for u in range(int(x), min(int(x) + 2, len(channel[0]))):
            total += (1 - abs(x - u)) * (1 - abs(y - v)) * channel[v][u]
    return total


def loop_around(maps: list[Channel], x: float, y: float, sampler: nn.Module | None) -> list[float]:
    """Eq. 6 and 8 at one point: one number per channel."""
    here = [loop_read(channel, x, y) for channel in maps]
    if sampler is None:
        return here
    weights = {name: value.tolist() for name, value in sampler.state_dict().items()}
    number = len(weights["scale"])
    proposed = [
        bias + sum(w[0][0] * value for w, value in zip(row, here, strict=True))
        for row, bias in zip(weights["propose.weight"], weights["propose.bias"], strict=True)
    ]
    total = sum(math.exp(each) for each in proposed[2 * number :])
    found = [0.0 for _ in maps]
    for m in range(number):
        factor = weights["scale"][m] * math.exp(proposed[2 * number + m]) / total
        for c, channel in enumerate(maps):
            found[c] += factor * loop_read(channel, x + proposed[2 * m], y + proposed[2 * m + 1])
    return found


def get_sampler(locations: Locations, group: str) -> nn.Module | None:
    assert isinstance(locations, SparseLocations | KeypointLocations)
    return locations.samplers[group] if locations.samplers else None


# --- regions ---


@pytest.mark.parametrize("part", BODY_PARTS)
@pytest.mark.parametrize("rows", [64, 32, 16])
def test_rows_of_table_a11(part: BodyPart, rows: int) -> None:
    first, end = find_region_rows(part, rows)
    assert (first, end - 1) == TABLE_A11[part, rows]


@pytest.mark.parametrize("part", BODY_PARTS)
def test_rows_of_other_heights_keep_their_fractions(part: BodyPart) -> None:
    low, high = TABLE_A11[part, 64]
    for rows in range(1, 200):
        first, end = find_region_rows(part, rows)
        assert 0 <= first < end <= rows
        assert first == math.floor(low * rows / 64)
        last = rows - 1 if high == 63 else math.floor(high * rows / 64)
        assert end - 1 == last, rows


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (7, 4), (1, 6), (6, 1), (1, 1), (2, 3)])
def test_pooling_in_a_loop(size: tuple[int, int]) -> None:
    features = draw(2, 3, *size)
    pooled = pool_pyramid(features)
    assert pooled.shape == (2, 15)
    for i in range(2):
        assert pooled[i].tolist() == loop_arrange([loop_pool(channel) for channel in features[i].tolist()])


@pytest.mark.parametrize("rows", [64, 32, 16])
def test_regions_in_a_loop(rows: int) -> None:
    features = draw(1, 3, rows, rows * 3 // 4)
    found = make("regions")(features, BODY_PARTS)
    assert list(found) == list(BODY_PARTS)
    for part in BODY_PARTS:
        first, last = TABLE_A11[part, rows]
        expected = [loop_pool(channel[first : last + 1]) for channel in features[0].tolist()]
        assert found[part][0].tolist() == loop_arrange(expected)


@pytest.mark.parametrize("part", ["head", "torso", "bottom"])
@pytest.mark.parametrize(("kind", "rows"), [("regions", 64), ("regions", 16), ("sparse", 32)])
def test_features_outside_of_a_region_have_no_effect(kind: str, rows: int, part: BodyPart) -> None:
    locations = make(kind) if kind == "regions" else make(kind, offsets=0)
    first, last = TABLE_A11[part, rows]
    features = draw(2, 3, rows, 12).requires_grad_()
    pooled = locations(features, [part])[part]
    pooled.sum().backward()
    assert features.grad is not None
    assert not features.grad[:, :, :first].any()
    assert not features.grad[:, :, last + 1 :].any()
    assert features.grad[:, :, first : last + 1].any()
    changed = features.detach().clone()
    changed[:, :, :first] += 100
    changed[:, :, last + 1 :] += 100
    assert torch.equal(locations(changed, [part])[part], pooled)
    if kind == "regions":  # the first and the last row have an effect
        for edge in (first, last):
            changed = features.detach().clone()
            changed[:, :, edge] += 100
            assert not torch.equal(locations(changed, [part])[part], pooled)


@pytest.mark.parametrize("kind", ["regions", "sparse", "keypoints"])
def test_only_the_requested_groups_are_computed_each_independently(kind: str) -> None:
    locations, features = make(kind), draw(2, 3, 16, 12)
    keypoints = place_keypoints(None, images=features, min_score=0).double()
    together = locations(features, ["bottom", "head"], keypoints)
    assert set(together) == {"bottom", "head"}
    for group, pooled in together.items():
        assert pooled.shape == (2, 15)
        torch.testing.assert_close(locations(features, [group], keypoints)[group], pooled)


# --- sparse points ---


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, math.sqrt(0.75), 0.9, 1.0])
def test_points_in_a_row_are_evenly_spaced(ratio: float) -> None:
    for count in range(1, 65):
        chosen = select_uniformly(count, ratio)
        assert len(chosen) == max(1, round(count * ratio))
        assert chosen == sorted(set(chosen))
        assert chosen[0] >= 0
        assert chosen[-1] < count
        gaps = {after - before for before, after in pairwise(chosen)}
        assert not gaps or max(gaps) - min(gaps) <= 1
        # Each point is at the centre of one of the equal intervals.
        for i, index in enumerate(chosen):
            middle = (i + 0.5) * count / len(chosen) - 0.5
            assert abs(index - middle) <= 0.5 + 1e-9, (count, chosen)
    assert select_uniformly(5, 1.0) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("part", BODY_PARTS)
@pytest.mark.parametrize("rows", [64, 32, 16])
def test_three_quarters_of_a_region_are_sampled(rows: int, part: BodyPart) -> None:
    locations = make("sparse")
    assert isinstance(locations, SparseLocations)
    columns = rows * 3 // 4
    y, x = locations.find_points(part, rows, columns)
    first, last = TABLE_A11[part, rows]
    share = len(x) * len(y) / ((last - first + 1) * columns)
    assert 0.65 < share < 0.85
    if rows == 64:
        assert share == pytest.approx(0.75, abs=0.025)
    assert set(y) <= set(range(first, last + 1))
    assert set(x) <= set(range(columns))
    for chosen, low, high in ((y, first, last), (x, 0, columns - 1)):
        assert chosen == sorted(set(chosen))
        assert {after - before for before, after in pairwise(chosen)} <= {1, 2}
        assert chosen[0] - low <= 1
        assert high - chosen[-1] <= 1


@pytest.mark.parametrize("size", [(64, 48), (16, 12), (4, 3), (1, 1)])
def test_all_points_without_offsets_are_the_regions(size: tuple[int, int]) -> None:
    features = draw(2, 3, *size)
    regions = make("regions")(features, BODY_PARTS)
    for part, pooled in make("sparse", ratio=1.0, offsets=0)(features, BODY_PARTS).items():
        assert torch.equal(pooled, regions[part])


@pytest.mark.parametrize("offsets", [1, 2, 3])
def test_all_points_with_offsets_of_zero_are_the_regions(offsets: int) -> None:
    features = draw(2, 3, 16, 12)
    locations = SparseLocations(SAME_PART, 3, ratio=1.0, offsets=offsets).double()
    for sampler in locations.samplers.values():
        for parameter in sampler.get_submodule("propose").parameters():
            nn.init.zeros_(parameter)
    regions = make("regions")(features, BODY_PARTS)
    for part, pooled in locations(features, BODY_PARTS).items():
        torch.testing.assert_close(pooled, regions[part], rtol=0, atol=1e-9)


@pytest.mark.parametrize("offsets", [0, 1, 3])
@pytest.mark.parametrize("size", [(16, 12), (8, 5)])
def test_sparse_points_in_a_loop(size: tuple[int, int], offsets: int) -> None:
    features, locations = draw(2, 3, *size), make("sparse", offsets=offsets, ratio=0.4)
    assert isinstance(locations, SparseLocations)
    found = locations(features, BODY_PARTS)
    for part in BODY_PARTS:
        rows, columns = locations.find_points(part, *size)
        sampler = get_sampler(locations, part)
        assert (sampler is None) == (offsets == 0)
        for i in range(2):
            maps = features[i].tolist()
            grid = [[loop_around(maps, x, y, sampler) for x in columns] for y in rows]
            pooled = [loop_pool([[cell[c] for cell in row] for row in grid]) for c in range(3)]
            assert found[part][i].tolist() == close(loop_arrange(pooled))


# --- keypoints ---


def draw_keypoints(count: int = 2) -> Tensor:
    return torch.rand(count, 16, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


@pytest.mark.parametrize("offsets", [0, 1, 3])
@pytest.mark.parametrize("size", [(16, 12), (4, 3), (1, 1)])
def test_keypoints_in_a_loop(size: tuple[int, int], offsets: int) -> None:
    """Position 0 is the centre of the first cell, so a fraction s of the width w is at s · w − ½."""
    features, positions = draw(2, 3, *size), draw_keypoints()
    locations = make("keypoints", offsets=offsets)
    found = locations(features, BODY_PARTS, positions)
    for part in BODY_PARTS:
        sampler = get_sampler(locations, part)
        assert (sampler is None) == (offsets == 0)
        for i in range(2):
            maps = features[i].tolist()
            read = {
                k: loop_around(maps, x * size[1] - 0.5, y * size[0] - 0.5, sampler)
                for k, (x, y) in enumerate(positions[i].tolist())
            }
            expected = [max(read[k][c] for k in cell) for cell in CELLS[part] for c in range(3)]
            assert found[part][i].tolist() == close(expected), part


@pytest.mark.parametrize("offsets", [0, 2])
@pytest.mark.parametrize("part", BODY_PARTS)
def test_features_of_a_body_part_depend_on_its_keypoints_only(part: BodyPart, offsets: int) -> None:
    """Table A.12: the keypoint is moved to a large value."""
    locations = KeypointLocations(SAME_PART, 3, offsets=offsets).double()
    features = draw(1, 3, 32, 24)
    features[:, :, 0:5, 20:24] = 50
    positions = 0.3 + 0.4 * draw_keypoints(1)
    before = locations(features, [part], positions)[part].detach()
    assert before.max() < 20
    for k in range(16):
        moved = positions.clone()
        moved[0, k] = torch.tensor([22.5 / 24, 2.5 / 32])
        after = locations(features, [part], moved)[part].detach()
        assert torch.equal(before, after) == (k not in CELLS[part][0]), k
        if k in CELLS[part][0]:
            changed = [n for n in range(5) if (after[0, 3 * n : 3 * n + 3] > 40).all()]
            assert changed == [n for n, cell in enumerate(CELLS[part]) if k in cell]


def test_a_group_uses_the_keypoints_and_rows_of_its_body_part() -> None:
    """Without a spatial prior, all groups use the entire map, each with separate offsets."""
    everywhere: dict[str, BodyPart] = {"head": "all", "bottom": "all"}
    features, positions = draw(2, 3, 16, 12), draw_keypoints()
    for kind, options in (("regions", {}), ("sparse", {"offsets": 0}), ("keypoints", {"offsets": 0})):
        found = make(kind, everywhere, **options)(features, ["head", "bottom"], positions)
        expected = make(kind, {"all": "all"}, **options)(features, ["all"], positions)["all"]
        assert torch.equal(found["head"], expected)
        assert torch.equal(found["bottom"], expected)
    for kind in ("sparse", "keypoints"):
        pooled = make(kind, everywhere)(features, ["head", "bottom"], positions)
        assert not torch.allclose(pooled["head"], pooled["bottom"])


def test_keypoints_must_be_given() -> None:
    with pytest.raises(TypeError, match=r"expected keypoints \(N, 16, 2\)"):
        make("keypoints")(draw(1, 3, 4, 4), BODY_PARTS)


def test_checkpoints_do_not_contain_points() -> None:
    assert not make("keypoints", offsets=0).state_dict()
    for kind in ("sparse", "keypoints"):
        names = {name.split(".", 2)[2] for name in make(kind).state_dict()}
        assert names == {"propose.weight", "propose.bias", "scale"}


# --- missing keypoints ---


def standing(height: int, width: int) -> Tensor:
    """COCO keypoints within the image, also the derived ones: (1, 17, 3)."""
    shares = [[0.5, 0.2], *[[0.5, 0.18]] * 4, [0.6, 0.3], [0.4, 0.3], [0.7, 0.4], [0.3, 0.4]]
    shares += [[0.7, 0.5], [0.3, 0.5], [0.6, 0.55], [0.4, 0.55]]
    shares += [[0.6, 0.7], [0.4, 0.7], [0.6, 0.9], [0.4, 0.9]]
    keypoints = torch.ones(1, 17, 3)
    keypoints[0, :, :2] = torch.tensor(shares) * torch.tensor([width, height])
    return keypoints


def test_without_keypoints_the_average_pose_is_used() -> None:
    images = torch.zeros(3, 3, 64, 48)
    positions = place_keypoints(None, images=images, min_score=0.2)
    assert positions.shape == (3, 16, 2)
    for row in positions.tolist():
        for found, usual in zip(row, MEAN_POSE_MPII, strict=True):
            assert found == close(list(usual))


def test_keypoints_become_fractions_of_the_image_size() -> None:
    """The centre of pixel x is at (x + ½) / W."""
    keypoints = standing(64, 48)
    positions = place_keypoints(keypoints, images=torch.zeros(1, 3, 64, 48), min_score=0.2)[0].tolist()
    from_coco = {0: 16, 1: 14, 2: 12, 3: 11, 4: 13, 5: 15, 10: 10, 11: 8, 12: 6, 13: 5, 14: 7, 15: 9}
    for k, c in from_coco.items():
        x, y, _ = keypoints[0, c].tolist()
        assert positions[k] == close([(x + 0.5) / 48, (y + 0.5) / 64])
    half_x, half_y = 0.5 / 48, 0.5 / 64
    assert positions[6] == close([0.5 + half_x, 0.55 + half_y])
    assert positions[7] == close([0.5 + half_x, 0.3 + half_y])
    assert positions[8] == close([0.5 + half_x, 0.3 - 0.1 / 3 + half_y])
    assert positions[9] == close([0.5 + half_x, 0.15 + half_y])


RIGHT_WRIST = 10
"""In COCO and in MPII order."""


@pytest.mark.parametrize(
    ("x", "y", "score", "kept"),
    [
        (20.0, 30.0, 0.9, True),
        (20.0, 30.0, 0.25, True),  # just enough
        (20.0, 30.0, 0.2499, False),
        (20.0, 30.0, 0.0, False),
        (20.0, 30.0, float("nan"), False),
        (-0.5, 30.0, 0.9, True),  # the border of pixel 0
        (-0.6, 30.0, 0.9, False),
        (47.5, 30.0, 0.9, True),
        (47.6, 30.0, 0.9, False),
        (20.0, -0.6, 0.9, False),
        (20.0, 63.5, 0.9, True),
        (20.0, 63.6, 0.9, False),
        (float("nan"), 30.0, 0.9, False),
        (20.0, float("inf"), 0.9, False),
    ],
)
def test_a_missing_keypoint_takes_its_average_position(x: float, y: float, score: float, kept: bool) -> None:
    images, usual = torch.zeros(2, 3, 64, 48), standing(64, 48)
    keypoints = usual.repeat(2, 1, 1)
    keypoints[1, RIGHT_WRIST] = torch.tensor([x, y, score])
    positions = place_keypoints(keypoints, images=images, min_score=0.25).tolist()
    expected = [(x + 0.5) / 48, (y + 0.5) / 64] if kept else list(MEAN_POSE_MPII[RIGHT_WRIST])
    assert positions[1][RIGHT_WRIST] == close(expected)
    for k in set(range(16)) - {RIGHT_WRIST}:  # neither the other keypoints nor the other sample
        assert positions[1][k] == positions[0][k]
    assert positions[0][RIGHT_WRIST] == close([0.3 + 0.5 / 48, 0.5 + 0.5 / 64])


def test_a_nose_with_a_low_score_also_replaces_the_head_keypoints() -> None:
    keypoints = standing(64, 48)
    keypoints[0, 0, 2] = 0.1
    positions = place_keypoints(keypoints, images=torch.zeros(1, 3, 64, 48), min_score=0.2)[0].tolist()
    average = {k for k in range(16) if positions[k] == close(list(MEAN_POSE_MPII[k]))}
    assert average == {8, 9}
