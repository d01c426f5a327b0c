"""Crops at corners and centre: their position, and the masks, maps and keypoints in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as v2

from passerby.data.crops import CROP_POSITIONS, crop_batch, find_inside, locate_crop, resize_crops, scale_side
from passerby.types import Guidance

HEIGHT, WIDTH = 40, 24


def spots(x: int, y: int, count: int) -> tuple[torch.Tensor, Guidance]:
    """Copies of a white square of 3×3 pixels, as image, mask, parsing map (class 5) and keypoints."""
    images = torch.zeros(count, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    images[..., y - 1 : y + 2, x - 1 : x + 2] = 255
    masks = images[:, :1].float() / 255
    points = torch.tensor([[float(x), float(y), 0.9]] * 17).repeat(count, 1, 1)
    return images, Guidance(masks, (masks[:, 0] * 5).long(), points)


def centre(values: torch.Tensor) -> tuple[float, float]:
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in values.shape), indexing="ij")
    weights = values.double() / values.sum()
    return float((columns * weights).sum()), float((rows * weights).sum())


@pytest.mark.parametrize("crop_size", [(40, 24), (35, 21), (30, 7), (1, 1)])
def test_five_crops_are_those_of_torchvision(crop_size: tuple[int, int]) -> None:
    """But for the centre where an odd number of pixels is left: torchvision's is the even half."""
    images = torch.arange(HEIGHT * WIDTH).reshape(1, 1, HEIGHT, WIDTH)
    expected = v2.five_crop(images, list(crop_size))
    odd = (HEIGHT - crop_size[0]) % 2 or (WIDTH - crop_size[1]) % 2
    for place in range(4 if odd else 5):
        crop = locate_crop(place, (HEIGHT, WIDTH), crop_size)
        assert torch.equal(crop_batch(images, Guidance(), crop)[0], expected[place]), CROP_POSITIONS[place]
    top, left, *size = locate_crop(4, (HEIGHT, WIDTH), crop_size)
    assert tuple(size) == crop_size
    assert HEIGHT - crop_size[0] - 2 * top in (0, 1)
    assert WIDTH - crop_size[1] - 2 * left in (0, 1)


def test_sides_are_rounded_and_never_empty() -> None:
    assert [scale_side(256, share) for share in (1, 0.875, 0.75, 0.65625, 0.5)] == [256, 224, 192, 168, 128]
    assert (scale_side(10, 0.26), scale_side(10, 0.24), scale_side(10, 0.01)) == (3, 2, 1)


def test_a_batch_is_cropped_with_its_guidance() -> None:
    images, guidance = spots(9, 12, 2)
    cropped, cut = crop_batch(images, guidance, (3, 5, 30, 10))
    assert guidance.keypoints is not None
    assert cut.masks is not None
    assert cut.parsing is not None
    assert cut.keypoints is not None
    assert cropped.shape == (2, 3, 30, 10)
    assert torch.equal(cropped, images[:, :, 3:33, 5:15])
    assert torch.equal(cut.masks[:, 0] * 255, cropped[:, 0].float())
    assert torch.equal(cut.parsing, (cut.masks[:, 0] * 5).long())
    torch.testing.assert_close(cut.keypoints, torch.tensor([4.0, 9.0, 0.9]).expand(2, 17, 3))
    assert guidance.keypoints[0, 0].tolist() == pytest.approx([9, 12, 0.9])  # the source stays as it was
    beyond = crop_batch(images, guidance, (3, 10, 30, 10))[1].keypoints
    assert beyond is not None
    torch.testing.assert_close(beyond, torch.tensor([-1.0, 9.0, 0.0]).expand(2, 17, 3))
    assert crop_batch(images, Guidance(), (0, 0, 5, 5))[1] == Guidance()


@pytest.mark.parametrize("size", [(40, 24), (35, 21), (20, 30)])
def test_resized_crops_keep_everything_together(size: tuple[int, int]) -> None:
    crops = [(0, 0, 40, 24), (0, 4, 30, 20), (6, 0, 34, 18), (3, 2, 25, 12), (10, 3, 12, 12)]
    images, guidance = spots(9, 15, len(crops))
    resized, moved = resize_crops(images, guidance, crops, size=size)
    assert moved.masks is not None
    assert moved.parsing is not None
    assert moved.keypoints is not None
    assert resized.shape == (len(crops), 3, *size)
    assert resized.dtype == torch.uint8
    assert moved.masks.shape == (len(crops), 1, *size)
    assert moved.parsing.dtype == torch.int64
    assert set(moved.masks.unique().tolist()) == {0.0, 1.0}
    assert set(moved.parsing.unique().tolist()) == {0, 5}
    for i, (top, left, height, width) in enumerate(crops):
        x, y = (9 - left + 0.5) * size[1] / width - 0.5, (15 - top + 0.5) * size[0] / height - 0.5
        for point in moved.keypoints[i].tolist():
            assert point == pytest.approx([x, y, 0.9], abs=1e-4)
        assert centre(resized[i, 0]) == pytest.approx((x, y), abs=0.1)
        assert centre(moved.masks[i, 0]) == pytest.approx((x, y), abs=0.51)
        assert centre(moved.parsing[i]) == pytest.approx((x, y), abs=0.51)


def test_a_crop_of_the_target_size_is_not_resampled() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (3, 3, HEIGHT, WIDTH), np.uint8))
    parsing = torch.from_numpy(rng.integers(0, 20, (3, HEIGHT, WIDTH)))
    parsing[1] = 255  # not known
    crops = [(0, 0, 30, 20), (10, 4, 30, 20), (5, 2, 30, 20)]
    resized, guidance = resize_crops(images, Guidance(parsing=parsing), crops, size=(30, 20))
    assert guidance.parsing is not None
    for i, (top, left, height, width) in enumerate(crops):
        assert torch.equal(resized[i], images[i, :, top : top + height, left : left + width])
        assert torch.equal(guidance.parsing[i], parsing[i, top : top + height, left : left + width])
    smaller = resize_crops(images, Guidance(parsing=parsing), crops, size=(17, 11))[1].parsing
    assert smaller is not None
    assert (smaller[1] == 255).all()
    assert (smaller[0] < 20).all()


def test_resizing_is_bilinear_with_antialiasing() -> None:
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    images[..., ::2] = 200  # stripes of one pixel become an even grey
    resized, _ = resize_crops(images, Guidance(), [(0, 0, 32, 32)], size=(8, 8))
    assert (resized[..., 1:-1].int() - 100).abs().max() <= 10


def test_missing_keypoints_stay_missing_and_lost_ones_score_nothing() -> None:
    points = torch.full((1, 17, 3), float("nan"))
    points[0, 0] = torch.tensor([9.0, 15.0, 0.9])
    points[0, 1] = torch.tensor([20.0, 15.0, 0.9])
    assert find_inside(points, (HEIGHT, WIDTH))[0].tolist() == [True, True, *[False] * 15]
    images = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    moved = resize_crops(images, Guidance(keypoints=points), [(0, 0, 20, 12)], size=(40, 24))[1].keypoints
    assert moved is not None
    assert moved[0, 0].tolist() == pytest.approx([18.5, 30.5, 0.9])
    assert moved[0, 1].tolist() == pytest.approx([40.5, 30.5, 0])
    assert moved[0, 2:, :2].isnan().all()
    assert (moved[0, 2:, 2] == 0).all()
