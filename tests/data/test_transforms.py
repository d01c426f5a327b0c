"""Image, mask, parsing map and keypoints are transformed together, each row by its own draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from passerby.data.augmentation import Augmentation, Draws, draw_parameters
from passerby.data.transforms import (
    COCO_MIRROR,
    _choose_crops,
    gather_keypoints,
    gather_pixels,
    hide_outside,
    transform_batch,
)
from passerby.errors import DataError
from passerby.types import Guidance

HEIGHT, WIDTH = 40, 30
ROWS = np.arange(12)
PARTS = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
COCO = ["nose", *(f"{side}_{split}" for split in PARTS for side in ("left", "right"))]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (len(ROWS), HEIGHT, WIDTH, 3), np.uint8)


def spots(x: int, y: int) -> tuple[torch.Tensor, Guidance]:
    """Twelve copies of a small white square, as image, mask, parsing map and keypoint."""
    images = torch.zeros(len(ROWS), 3, HEIGHT, WIDTH, dtype=torch.uint8)
    images[..., y - 1 : y + 2, x - 1 : x + 2] = 255
    masks = images[:, :1].float() / 255
    points = torch.tensor([[float(x), float(y), 0.9]] * 17).repeat(len(ROWS), 1, 1)
    return images, Guidance(masks, (masks[:, 0] * 5).long(), points)


def centre(values: torch.Tensor) -> tuple[float, float]:
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in values.shape), indexing="ij")
    weights = values.double() / values.sum()
    return float((columns * weights).sum()), float((rows * weights).sum())


# ---------------------------------------------------------------------- draws


def test_draws_of_a_row_depend_on_seed_epoch_and_row_only() -> None:
    together = draw_parameters(Augmentation(), ROWS, seed=3, epoch=5)
    for i in (0, 7, 11):
        alone = draw_parameters(Augmentation(), ROWS[i : i + 1], seed=3, epoch=5)
        np.testing.assert_array_equal(alone.uniform[0], together.uniform[i])
        np.testing.assert_array_equal(alone.shift_px[0], together.shift_px[i])
    for other in ({"seed": 4, "epoch": 5}, {"seed": 3, "epoch": 6}, {"seed": 5, "epoch": 3}):
        assert (draw_parameters(Augmentation(), ROWS, **other).uniform != together.uniform).all()
    assert len(np.unique(together.uniform)) == together.uniform.size


def test_turning_an_option_on_changes_no_other_draw() -> None:
    plain = draw_parameters(Augmentation(), ROWS, seed=0, epoch=0)
    more = draw_parameters(Augmentation(rotation_deg=9, contrast=0.5), ROWS, seed=0, epoch=0)
    np.testing.assert_array_equal(plain.shift_px, more.shift_px)
    np.testing.assert_array_equal(plain.flip, more.flip)


def test_every_shift_is_equally_likely_and_half_are_flipped() -> None:
    draws = draw_parameters(Augmentation(pad_px=2), np.arange(5000), seed=0, epoch=0)
    for axis in (0, 1):
        values, counts = np.unique(draws.shift_px[:, axis], return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        assert abs(counts - 1000).max() < 120  # 4 standard deviations are 113
    assert abs(draws.flip.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws.shift_px[:, 0], draws.shift_px[:, 1])[0, 1]) < 0.06


def test_nothing_drawn_without_augmentation_or_with_all_off() -> None:
    for nothing in (None, Augmentation(pad_px=0, flip=False)):
        draws = draw_parameters(nothing, ROWS, seed=0, epoch=0)
        assert not draws.shift_px.any()
        assert not draws.flip.any()


def test_the_stream_of_a_row_is_always_the_same() -> None:
    """Positions in the stream are fixed, so a recipe reproduces earlier runs."""
    draws = draw_parameters(Augmentation(), ROWS, seed=3, epoch=5)
    for row in ROWS:
        stream = np.random.Philox(key=np.array([3, 5], np.uint64), counter=[0, 0, 0, int(row)])
        np.testing.assert_array_equal(draws.uniform[row, :18], np.random.Generator(stream).random(18))
    np.testing.assert_array_equal(draws.spread("saturation"), 2 * draws.uniform[:, 11] - 1)
    np.testing.assert_array_equal(draws.fraction("crop_position"), draws.uniform[:, 18])


@pytest.mark.parametrize(
    "wrong", [{"pad_px": -1}, {"contrast": 1.5}, {"rotation_deg": 200}, {"zoom": float("nan")}]
)
def test_values_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"augmentation {next(iter(wrong))}: expected a value in"):
        Augmentation(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_sides": (1, 0)}, r"crop_sides: expected fractions of the input in \(0, 1\], got 0"),
        (
            {"crop_sides": (224,)},
            r"crop_sides: expected fractions of the input in \(0, 1\], got 224; 224 of 256",
        ),
        ({"crop_sides": (float("nan"),)}, "crop_sides: expected fractions"),
        ({"crop_sides": (1,), "crop_to": 0}, "crop_to: expected fractions"),
        ({"crop_sides": (1,), "crop_to": 1.1}, "crop_to: expected fractions"),
        ({"crop_to": 0.875}, "crop_to: 0.875 resizes crops, but crop_sides is empty"),
    ],
)
def test_crops_that_are_impossible_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"augmentation {message}"):
        Augmentation(**wrong)


# ---------------------------------------------------------------------- crop and flip


@pytest.mark.parametrize("pad_px", [0, 3, 10, 45])
def test_gathering_equals_pad_crop_flip_of_torchvision(pixels: np.ndarray, pad_px: int) -> None:
    draws = draw_parameters(Augmentation(pad_px=pad_px), ROWS, seed=1, epoch=2)
    assert draws.flip.any()
    assert not draws.flip.all()
    masks = (pixels[..., 0] > 128).astype(np.uint8)
    points = np.random.default_rng(1).uniform(0, 30, (len(ROWS), 17, 3)).astype(np.float32)
    images = gather_pixels(pixels, ROWS, draws)
    gathered_masks = gather_pixels(masks, ROWS, draws)
    gathered_points = gather_keypoints(points, ROWS, draws, width_px=WIDTH)
    assert images.flags.c_contiguous
    for i in ROWS:
        sample: list[Any] = [
            tv_tensors.Image(torch.from_numpy(pixels[i]).permute(2, 0, 1)),
            tv_tensors.Mask(torch.from_numpy(masks[i])),
            tv_tensors.KeyPoints(torch.from_numpy(points[i, :, :2]), canvas_size=(HEIGHT, WIDTH)),
        ]
        top, left = (int(v) + pad_px for v in draws.shift_px[i])
        for k, value in enumerate(sample):
            value = v2.functional.pad(value, [pad_px] * 4)
            value = v2.functional.crop(value, top, left, HEIGHT, WIDTH)
            sample[k] = v2.functional.horizontal_flip(value) if draws.flip[i] else value
        np.testing.assert_array_equal(images[i], sample[0].numpy())
        np.testing.assert_array_equal(gathered_masks[i], sample[1].numpy())
        order = list(COCO_MIRROR) if draws.flip[i] else list(range(17))
        np.testing.assert_allclose(gathered_points[i, :, :2], sample[2].numpy()[order], atol=1e-4)
        np.testing.assert_array_equal(gathered_points[i, :, 2], points[i, order, 2])


def test_a_mirror_swaps_left_and_right_of_every_coco_pair() -> None:
    for name, other in zip(COCO, (COCO[i] for i in COCO_MIRROR), strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert other == swapped


def test_a_marked_pixel_its_mask_and_its_keypoint_stay_together() -> None:
    x, y = 12, 25
    images, guidance = spots(x, y)
    assert guidance.masks is not None
    assert guidance.keypoints is not None
    draws = draw_parameters(Augmentation(pad_px=6), ROWS, seed=0, epoch=0)
    moved = gather_pixels(images.permute(0, 2, 3, 1).numpy(), ROWS, draws)
    masks = gather_pixels(guidance.masks[:, 0].numpy().astype(np.uint8), ROWS, draws)
    points = gather_keypoints(guidance.keypoints.numpy(), ROWS, draws, width_px=WIDTH)
    places = set()
    for i in ROWS:
        assert centre(torch.from_numpy(moved[i, 0])) == pytest.approx(points[i, 0, :2], abs=1e-4)
        assert centre(torch.from_numpy(masks[i])) == pytest.approx(points[i, 0, :2], abs=1e-4)
        places.add(tuple(points[i, 0, :2].tolist()))
    assert len(places) > 8


def test_the_source_is_not_changed(pixels: np.ndarray) -> None:
    points = np.ones((len(ROWS), 17, 3), np.float32)
    before = pixels.copy()
    draws = draw_parameters(Augmentation(), ROWS, seed=0, epoch=0)
    gather_pixels(pixels, ROWS, draws)[:] = 0
    gather_keypoints(points, ROWS, draws, width_px=WIDTH)[:] = 0
    np.testing.assert_array_equal(pixels, before)
    assert (points == 1).all()


def test_keypoints_outside_and_missing_ones_score_nothing() -> None:
    nan = float("nan")
    points = torch.tensor(
        [[[-0.4, 0, 1], [-0.6, 0, 1], [29.4, 39.4, 1], [29.6, 5, 1], [5, 39.6, 1], [nan] * 3]]
    )
    hide_outside(points, (HEIGHT, WIDTH))
    assert points[0, :, 2].tolist() == [1, 0, 1, 0, 0, 0]
    assert points[0, 5].tolist() == [0, 0, 0]


# ---------------------------------------------------------------------- resized crops

SIDES = (1.0, 0.875, 0.75, 0.65625, 0.5)
PLAIN_CROPS = Augmentation(pad_px=0, flip=False, crop_sides=SIDES, crop_to=0.875)


def crop_by_hand(augmentation: Augmentation, draws: Draws, i: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Top, left, height and width from three numbers in [0, 1)."""
    place, first, second = draws.uniform[i, 18:21].tolist()
    second = first if augmentation.crop_keep_ratio else second
    numbers = [int(u * len(augmentation.crop_sides)) for u in (first, second)]
    h, w = (round(s * augmentation.crop_sides[k]) for s, k in zip(size, numbers, strict=True))
    down, right = size[0] - h, size[1] - w
    top, left = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)][int(5 * place)]
    return top, left, h, w


@pytest.mark.parametrize("keep_ratio", [False, True])
def test_a_crop_is_that_of_its_draws(pixels: np.ndarray, keep_ratio: bool) -> None:
    augmentation = replace(PLAIN_CROPS, crop_keep_ratio=keep_ratio)
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    before = images.clone()
    out, guidance = transform_batch(augmentation, draws, images, Guidance())
    assert guidance == Guidance()
    assert torch.equal(images, before)
    assert out.shape == (len(ROWS), 3, 35, 26)  # 0.875 of 40 and 30
    for i in ROWS:
        crop = crop_by_hand(augmentation, draws, i, (HEIGHT, WIDTH))
        assert torch.equal(out[i], v2.functional.resized_crop(images[i], *crop, size=[35, 26]))
    assert not augmentation.is_plain


def test_every_position_and_every_size_occurs_equally_often() -> None:
    draws = draw_parameters(PLAIN_CROPS, np.arange(5000), seed=0, epoch=0)
    kept = replace(PLAIN_CROPS, crop_keep_ratio=True)
    free, tied = (np.array(_choose_crops(a, draws, (256, 128))) for a in (PLAIN_CROPS, kept))
    for column, sides in ((2, (256, 224, 192, 168, 128)), (3, (128, 112, 96, 84, 64))):
        values, counts = np.unique(free[:, column], return_counts=True)
        assert values.tolist() == sorted(sides)
        assert abs(counts - 1000).max() < 120  # 4 standard deviations are 113
    places = np.bincount((draws.uniform[:, 18] * 5).astype(int))
    assert len(places) == 5
    assert abs(places - 1000).max() < 120
    assert (tied[:, 2] == 2 * tied[:, 3]).all()
    assert abs(np.corrcoef(free[:, 2], free[:, 3])[0, 1]) < 0.06


def test_a_crop_moves_everything_together() -> None:
    augmentation = replace(PLAIN_CROPS, crop_sides=(0.9, 0.7))
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images, guidance = transform_batch(augmentation, draws, *spots(15, 20))  # in every crop
    assert guidance.masks is not None
    assert guidance.parsing is not None
    assert guidance.keypoints is not None
    assert set(guidance.parsing.unique().tolist()) == {0, 5}
    places = set()
    for i in ROWS:
        x, y, score = guidance.keypoints[i, 0].tolist()
        assert centre(images[i, 0]) == pytest.approx((x, y), abs=0.1)
        assert centre(guidance.masks[i, 0]) == pytest.approx((x, y), abs=0.51)
        assert centre(guidance.parsing[i]) == pytest.approx((x, y), abs=0.51)
        assert score == pytest.approx(0.9)
        places.add((round(x, 2), round(y, 2)))
    assert len(places) > 6


def test_crops_change_no_other_draw(pixels: np.ndarray) -> None:
    more = {"pad_px": 3, "flip": True, "rotation_deg": 9.0, "contrast": 0.5}
    plain, cropped = (
        draw_parameters(a, ROWS, seed=0, epoch=0)
        for a in (Augmentation(**more), replace(PLAIN_CROPS, **more))
    )
    np.testing.assert_array_equal(plain.shift_px, cropped.shift_px)
    np.testing.assert_array_equal(plain.flip, cropped.flip)
    np.testing.assert_array_equal(plain.uniform, cropped.uniform)


def test_a_crop_of_the_full_image_changes_nothing(pixels: np.ndarray) -> None:
    whole = Augmentation(pad_px=0, flip=False, crop_sides=(1.0,), brightness=0.3)
    draws = draw_parameters(whole, ROWS, seed=0, epoch=0)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    with_crop, _ = transform_batch(whole, draws, images.clone(), Guidance())
    without, _ = transform_batch(replace(whole, crop_sides=()), draws, images.clone(), Guidance())
    assert torch.equal(with_crop, without)


def test_keypoints_outside_a_crop_stay_hidden() -> None:
    """A later shift may move a keypoint outside the crop into the image, where it is not visible."""
    augmentation = replace(PLAIN_CROPS, crop_sides=(0.5,), shift=0.5)
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images, guidance = transform_batch(augmentation, draws, *spots(27, 37))  # in the last corner only
    assert guidance.keypoints is not None
    shown = guidance.keypoints[:, 0, 2] > 0
    last_corner = torch.from_numpy((draws.uniform[:, 18] * 5).astype(int) == 3)
    assert torch.equal(shown, last_corner)
    assert not images[~shown].any()


# ---------------------------------------------------------------------- affine and colour


@pytest.mark.parametrize(
    "options",
    [
        {"rotation_deg": 25.0},
        {"shift": 0.15},
        {"zoom": 0.4},
        {"shear_deg": 15.0},
        {"rotation_deg": 20, "shift": 0.1, "zoom": 0.2, "shear_deg": 8},
    ],
)
def test_affine_changes_move_everything_together(options: dict[str, float]) -> None:
    augmentation = Augmentation(pad_px=0, flip=False, **options)
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images, guidance = transform_batch(augmentation, draws, *spots(18, 12))
    assert guidance.masks is not None
    assert guidance.parsing is not None
    assert guidance.keypoints is not None
    assert set(guidance.masks.unique().tolist()) == {0.0, 1.0}
    assert set(guidance.parsing.unique().tolist()) == {0, 5}
    moved = 0
    for i in ROWS:
        x, y, score = guidance.keypoints[i, 0].tolist()
        assert centre(images[i, 0]) == pytest.approx((x, y), abs=0.2)
        assert centre(guidance.masks[i, 0]) == pytest.approx((x, y), abs=0.75)
        assert centre(guidance.parsing[i]) == pytest.approx((x, y), abs=0.75)
        assert score == pytest.approx(0.9)
        moved += abs(x - 18) + abs(y - 12) > 0.5
    assert moved > len(ROWS) / 2


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_change_the_image_only_and_by_row(pixels: np.ndarray, name: str) -> None:
    augmentation = replace(Augmentation(pad_px=0, flip=False), **{name: 0.4})
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    _, guidance = spots(5, 5)
    before = [t.clone() for t in (guidance.masks, guidance.parsing, guidance.keypoints) if t is not None]
    recoloured, guidance = transform_batch(augmentation, draws, images.clone(), guidance)
    after = [t for t in (guidance.masks, guidance.parsing, guidance.keypoints) if t is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert recoloured.dtype == torch.uint8
    assert (recoloured != images).flatten(1).any(1).all()
    if name == "brightness":
        factor = 1 + 0.4 * (2 * draws.uniform[:, 9] - 1)
        want = np.clip(images.numpy() * factor[:, None, None, None], 0, 255)
        np.testing.assert_allclose(recoloured.numpy(), want, atol=1)


def test_each_sample_uses_its_own_draws(pixels: np.ndarray) -> None:
    augmentation = Augmentation(rotation_deg=20, brightness=0.3, saturation=0.5)
    draws = draw_parameters(augmentation, ROWS, seed=0, epoch=0)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    together, _ = transform_batch(augmentation, draws, images.clone(), Guidance())
    one = Draws(draws.shift_px[4:5], draws.flip[4:5], draws.uniform[4:5])
    alone, _ = transform_batch(augmentation, one, images[4:5].clone(), Guidance())
    assert torch.equal(alone[0], together[4])
