"""Scores of heat maps and boxes against loops over pixels."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from passerby.errors import DataError
from passerby.explain.scores import (
    compute_box_iou,
    compute_correlation,
    compute_energy_pointing,
    compute_insertion_deletion,
    compute_mask_iou,
    hits_peak,
)
from passerby.types import Box


def raster(boxes: list[Box], size: int = 30) -> set[tuple[int, int]]:
    return {
        (y, x)
        for box in boxes
        for y in range(int(box.y0), int(box.y1))
        for x in range(int(box.x0), int(box.x1))
        if y < size and x < size
    }


def draw_boxes(rng: np.random.Generator, count: int) -> list[Box]:
    boxes = []
    for _ in range(count):
        x, y, w, h = (int(v) for v in rng.integers(1, 14, 4))
        boxes.append(Box(x, y, x + w, y + h))
    return boxes


def test_box_iou_in_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        found, truth = draw_boxes(rng, rng.integers(1, 4)), draw_boxes(rng, rng.integers(1, 4))
        ours, theirs = raster(found), raster(truth)
        assert compute_box_iou(found, truth) == pytest.approx(len(ours & theirs) / len(ours | theirs))


def test_a_side_without_boxes() -> None:
    assert compute_box_iou([], [Box(0, 0, 1, 1)]) == 0
    with pytest.raises(DataError, match="got none on either side"):
        compute_box_iou([], [])


def test_mask_iou() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((6, 7)) < 0.4, rng.random((6, 7)) < 0.4
    both = sum(bool(a[y, x] and b[y, x]) for y in range(6) for x in range(7))
    either = sum(bool(a[y, x] or b[y, x]) for y in range(6) for x in range(7))
    assert compute_mask_iou(a, b) == pytest.approx(both / either)
    with pytest.raises(DataError, match="masks of one size"):
        compute_mask_iou(a, b[:3])
    with pytest.raises(DataError, match="expected a mask"):
        compute_mask_iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool))


def test_pointing_and_energy() -> None:
    rng = np.random.default_rng(2)
    heat, truth = rng.random((5, 4)).astype(np.float32), rng.random((5, 4)) < 0.3
    peak = max((heat[y, x], bool(truth[y, x])) for y in range(5) for x in range(4))
    assert hits_peak(heat, truth) == peak[1]
    inside = sum(float(heat[y, x]) for y in range(5) for x in range(4) if truth[y, x])
    assert compute_energy_pointing(heat, truth) == pytest.approx(inside / float(heat.sum()), rel=1e-5)


def test_a_map_of_zeros_is_a_miss() -> None:
    assert not hits_peak(np.zeros((2, 2), np.float32), np.ones((2, 2), bool))
    assert compute_energy_pointing(np.zeros((2, 2), np.float32), np.ones((2, 2), bool)) == 0


def test_correlation_is_pearsons() -> None:
    rng = np.random.default_rng(3)
    iou, confidence = rng.random(20), rng.random(20)
    assert compute_correlation(iou, confidence) == pytest.approx(pearsonr(iou, confidence).statistic)
    assert math.isnan(compute_correlation(np.ones(4), rng.random(4)))
    assert math.isnan(compute_correlation(np.ones(1), np.ones(1)))
    with pytest.raises(DataError, match="two lists of one length"):
        compute_correlation(np.ones(2), np.ones(3))


def test_insertion_deletion_in_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 4, 5, generator=generator, dtype=torch.float64)
    heat = torch.rand(4, 5, generator=generator)
    order = sorted(((float(heat[y, x]), y, x) for y in range(4) for x in range(5)), reverse=True)

    def score(images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))

    areas = []
    for keep in (True, False):
        curve = []
        for step in range(5):
            picture = torch.zeros_like(image) if keep else image.clone()
            for _, y, x in order[: 5 * step]:
                picture[:, y, x] = image[:, y, x] if keep else 0
            curve.append(float(picture.mean()))
        areas.append(sum((a + b) / 2 / 4 for a, b in pairwise(curve)))
    assert compute_insertion_deletion(score, image, heat, steps=4) == pytest.approx(tuple(areas))


def test_insertion_deletion_of_ties_does_not_depend_on_position() -> None:
    """One pixel is hot, and not on the object: all that is on it ties with the rest."""

    def score(images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3)) * 64  # the share of the object, 1/64 of the image, that is there

    areas = []
    for row in (0, 31):
        image, heat = torch.zeros(3, 32, 32), torch.zeros(32, 32)
        image[:, row, 8:24] = 1
        heat[16, 16] = 1
        areas.append(compute_insertion_deletion(score, image, heat, steps=32))
    for inserted, deleted in areas:
        assert inserted == pytest.approx(0.5, abs=0.15)  # reading order gives 0.98 and 0.02
        assert deleted == pytest.approx(0.5, abs=0.15)
        assert inserted + deleted == pytest.approx(1)  # of a score that is a sum


def test_insertion_deletion_of_ties_is_reproducible() -> None:
    torch.manual_seed(0)
    image, heat = torch.rand(3, 9, 7), (torch.rand(9, 7) * 3).floor()
    first = compute_insertion_deletion(lambda x: x.mean((1, 2, 3)), image, heat)
    state = torch.random.get_rng_state()
    assert compute_insertion_deletion(lambda x: x.mean((1, 2, 3)), image, heat) == first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_insertion_deletion_of_an_empty_map_is_nan() -> None:
    found = compute_insertion_deletion(lambda x: x[:, 0, 0, 0], torch.ones(3, 4, 4), torch.zeros(4, 4))
    assert np.isnan(found).all()


def test_insertion_deletion_of_different_sizes_is_refused() -> None:
    with pytest.raises(DataError, match="a heat map of the image's size"):
        compute_insertion_deletion(lambda x: x[:, 0, 0, 0], torch.ones(3, 4, 4), torch.ones(2, 2))
