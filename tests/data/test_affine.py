"""Each sample of a batch is moved as torchvision moves one alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from passerby.data.affine import Motions, move_batch
from passerby.types import Guidance

COUNT = 8


def draw_motions(**limits: float) -> Motions:
    rng = np.random.default_rng(1)

    def spread(name: str, *shape: int) -> np.ndarray:
        return limits.get(name, 0.0) * rng.uniform(-1, 1, (COUNT, *shape))

    return Motions(spread("angle"), spread("shift", 2), 1 + spread("zoom"), spread("shear", 2))


def draw_samples(height: int, width: int) -> tuple[torch.Tensor, Guidance]:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (COUNT, 3, height, width), np.uint8))
    parsing = torch.from_numpy(rng.integers(0, 20, (COUNT, height, width)))
    points = torch.from_numpy(rng.uniform(0, width, (COUNT, 17, 3)).astype(np.float32))
    points[3] = float("nan")
    return images, Guidance((parsing[:, None] > 9).float(), parsing, points)


@pytest.mark.parametrize("size", [(32, 24), (33, 17)])
@pytest.mark.parametrize(
    "limits",
    [
        {"angle": 90.0},
        {"shift": 9.0},
        {"zoom": 0.5},
        {"shear": 20.0},
        {"angle": 20.0, "shift": 4.0, "zoom": 0.3, "shear": 9.0},
    ],
    ids=lambda limits: "+".join(limits),
)
def test_each_sample_is_moved_as_by_torchvision(limits: dict[str, float], size: tuple[int, int]) -> None:
    motions = draw_motions(**limits)
    images, guidance = draw_samples(*size)
    before, old = draw_samples(*size)
    move_batch(images, guidance, motions)
    for i in range(COUNT):
        options: dict[str, Any] = {
            "angle": float(motions.angle_deg[i]),
            "translate": motions.shift_px[i].tolist(),
            "scale": float(motions.scale[i]),
            "shear": motions.shear_deg[i].tolist(),
            "interpolation": InterpolationMode.BILINEAR,
        }
        expected = v2.affine(tv_tensors.Image(before[i]), **options)
        assert (images[i].int() - expected.int()).abs().max() <= 1
        for moved, source in ((guidance.masks, old.masks), (guidance.parsing, old.parsing)):
            assert (moved[i] != v2.affine(tv_tensors.Mask(source[i]), **options)).float().mean() < 0.01
        points = tv_tensors.KeyPoints(old.keypoints[i, :, :2] + 0.5, canvas_size=size)
        places = v2.affine(points, **options).as_subclass(torch.Tensor) - 0.5
        scores = old.keypoints[i, :, 2:]
        expected = torch.cat([places, scores], 1)
        torch.testing.assert_close(guidance.keypoints[i], expected, equal_nan=True, atol=1e-4, rtol=1e-5)


def test_no_motion_changes_nothing() -> None:
    images, guidance = draw_samples(32, 24)
    before, masks = images.clone(), guidance.masks.clone()
    move_batch(images, guidance, draw_motions())
    assert torch.equal(images, before)
    assert torch.equal(guidance.masks, masks)


def test_no_sample_moves_another() -> None:
    motions = draw_motions(angle=20, shift=4, zoom=0.3, shear=9)
    images, guidance = draw_samples(32, 24)
    alone, others = draw_samples(32, 24)
    move_batch(images, guidance, motions)
    for i in range(COUNT):
        split = slice(i, i + 1)
        one = Guidance(others.masks[split], others.parsing[split], others.keypoints[split])
        values = (motions.angle_deg, motions.shift_px, motions.scale, motions.shear_deg)
        move_batch(alone[split], one, Motions(*(value[split] for value in values)))
    assert torch.equal(alone, images)
    assert torch.equal(others.masks, guidance.masks)
    assert torch.equal(others.parsing, guidance.parsing)
    assert torch.equal(others.keypoints.nan_to_num(), guidance.keypoints.nan_to_num())


def test_what_goes_forth_comes_back() -> None:
    forth, back = draw_motions(angle=90, shift=9, zoom=0.5, shear=20).compute_matrices()
    last = np.tile([[[0.0, 0.0, 1.0]]], (COUNT, 1, 1))
    both = np.concatenate([forth, last], 1) @ np.concatenate([back, last], 1)
    np.testing.assert_allclose(both, np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-12)
