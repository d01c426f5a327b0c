"""Each image of a batch is recoloured as by torchvision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as v2

from passerby.data import colours

Adjust = Callable[[torch.Tensor, np.ndarray], None]
Single = Callable[[torch.Tensor, float], torch.Tensor]

PAIRS: dict[str, tuple[Adjust, Single, tuple[float, ...]]] = {
    "brightness": (colours.adjust_brightness, v2.adjust_brightness, (0.0, 0.4, 1.0, 1.3, 2.0, 0.9)),
    "contrast": (colours.adjust_contrast, v2.adjust_contrast, (0.0, 0.4, 1.0, 1.3, 2.0, 0.9)),
    "saturation": (colours.adjust_saturation, v2.adjust_saturation, (0.0, 0.4, 1.0, 1.3, 2.0, 0.9)),
}


@pytest.fixture
def images() -> torch.Tensor:
    """Noise, noise in grey, all colours of a cube, black, white, smooth."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 3, 32, 24), np.uint8)
    images[1] = images[1, :1]
    cube = np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), 0).reshape(3, -1)[:, : 32 * 22]
    images[2, :, :, :22] = cube.reshape(3, 32, 22)
    images[3], images[4] = 0, 255
    images[5] = np.linspace(0, 255, 24)
    return torch.from_numpy(images)


@pytest.mark.parametrize("name", PAIRS)
def test_each_image_is_adjusted_as_by_torchvision(images: torch.Tensor, name: str) -> None:
    adjust, single, amounts = PAIRS[name]
    expected = torch.stack([single(image, amount) for image, amount in zip(images, amounts, strict=True)])
    adjust(images, np.array(amounts))
    wrong = (images.int() - expected.int()).abs()
    assert wrong.max() <= 1  # on processors without fused multiply-add a few pixels round to the other side
    assert (wrong > 0).float().mean() < 0.01


@pytest.mark.parametrize("name", PAIRS)
def test_images_are_independent(images: torch.Tensor, name: str) -> None:
    adjust, _, amounts = PAIRS[name]
    alone = images.clone()
    adjust(images, np.array(amounts))
    for i, amount in enumerate(amounts):
        adjust(alone[i : i + 1], np.array([amount]))
    assert torch.equal(alone, images)


def test_neutral_factors_change_nothing(images: torch.Tensor) -> None:
    before = images.clone()
    for adjust in (colours.adjust_brightness, colours.adjust_contrast, colours.adjust_saturation):
        adjust(images, np.ones(6))
    assert torch.equal(images, before)
