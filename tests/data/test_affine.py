"""Each sample of a batch is transformed as by torchvision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from passerby.data.affine import AffineParameters, apply_affine
from passerby.types import Guidance

COUNT = 8


def draw_parameters(**limits: float) -> AffineParameters:
    rng = np.random.default_rng(1)

    def spread(name: str, *shape: int) -> np.ndarray:
        return limits.get(name, 0.0) * rng.uniform(-1, 1, (COUNT, *shape))

    return AffineParameters(spread("angle"), spread("shift", 2), 1 + spread("zoom"), spread("shear", 2))


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
def test_each_sample_equals_torchvision(limits: dict[str, float], size: tuple[int, int]) -> None:
    parameters = draw_parameters(**limits)
    images, guidance = draw_samples(*size)
    before, old = draw_samples(*size)
    apply_affine(images, guidance, parameters)
    for i in range(COUNT):
        options: dict[str, Any] = {
            "angle": float(parameters.angle_deg[i]),
            "translate": parameters.shift_px[i].tolist(),
            "scale": float(parameters.scale[i]),
            "shear": parameters.shear_deg[i].tolist(),
            "interpolation": InterpolationMode.BILINEAR,
        }
        expected = v2.affine(tv_tensors.Image(before[i]), **options)
        assert (images[i].int() - expected.int()).abs().max() <= 1
        for moved, source in ((guidance.masks, old.masks), (guidance.parsing, old.parsing)):
            assert (moved[i] != v2.affine(tv_tensors.Mask(source[i]), **options)).float().mean() < 0.01
        points = tv_tensors.KeyPoints(old.keypoints[i, :, :2] + 0.5, canvas_size=size)
        positions = v2.affine(points, **options).as_subclass(torch.Tensor) - 0.5
        scores = old.keypoints[i, :, 2:]
        expected = torch.cat([positions, scores], 1)
        torch.testing.assert_close(guidance.keypoints[i], expected, equal_nan=True, atol=1e-4, rtol=1e-5)


def test_identity_changes_nothing() -> None:
    images, guidance = draw_samples(32, 24)
    before, masks = images.clone(), guidance.masks.clone()
    apply_affine(images, guidance, draw_parameters())
    assert torch.equal(images, before)
    assert torch.equal(guidance.masks, masks)


def test_samples_are_independent() -> None:
    parameters = draw_parameters(angle=20, shift=4, zoom=0.3, shear=9)
    images, guidance = draw_samples(32, 24)
    alone, others = draw_samples(32, 24)
    apply_affine(images, guidance, parameters)
    for i in range(COUNT):
        split = slice(i, i + 1)
        one = Guidance(others.masks[split], others.parsing[split], others.keypoints[split])
        values = (parameters.angle_deg, parameters.shift_px, parameters.scale, parameters.shear_deg)
        apply_affine(alone[split], one, AffineParameters(*(value[split] for value in values)))
    assert torch.equal(alone, images)
    assert torch.equal(others.masks, guidance.masks)
    assert torch.equal(others.parsing, guidance.parsing)
    assert torch.equal(others.keypoints.nan_to_num(), guidance.keypoints.nan_to_num())


def test_matrices_are_inverse() -> None:
    forward, inverse = draw_parameters(angle=90, shift=9, zoom=0.5, shear=20).compute_matrices()
    last = np.tile([[[0.0, 0.0, 1.0]]], (COUNT, 1, 1))
    both = np.concatenate([forward, last], 1) @ np.concatenate([inverse, last], 1)
    np.testing.assert_allclose(both, np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-12)
