"""Images, maps and keypoints are resized and cropped together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from passerby.errors import DataError
from passerby.images.placement import compute_placement, resize_image, resize_map
from passerby.types import Preprocess


def smooth_photo(width: int = 60, height: int = 90) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def test_stretch_agrees_with_torchvision() -> None:
    photo = smooth_photo(101, 203)
    got = torch.from_numpy(resize_image(photo, Preprocess(64, 48)).copy()).permute(2, 0, 1)
    want = v2.functional.resize(v2.functional.pil_to_tensor(photo), [64, 48], antialias=True)
    assert (got.int() - want.int()).abs().max() <= 1


def test_shrinking_is_antialiased() -> None:
    board = np.indices((128, 128)).sum(0) % 2 * 255
    image = Image.fromarray(np.repeat(board[..., None], 3, -1).astype(np.uint8))
    assert np.ptp(resize_image(image, Preprocess(16, 16))[2:-2, 2:-2]) <= 2


def test_pixels_outside_a_box_have_no_effect() -> None:
    image = Image.new("RGB", (80, 40), "red")
    image.paste((0, 0, 255), (30, 10, 60, 30))
    inside = resize_image(image, Preprocess(8, 12), (30, 10, 60, 30))
    np.testing.assert_array_equal(inside, np.broadcast_to(np.uint8([0, 0, 255]), (8, 12, 3)))
    cropped = resize_image(image.crop((20, 5, 70, 35)), Preprocess(8, 12))
    np.testing.assert_array_equal(resize_image(image, Preprocess(8, 12), (20, 5, 70, 35)), cropped)


def test_a_box_that_leaves_the_image_is_clipped() -> None:
    photo, small = smooth_photo(), Preprocess(20, 16)
    clipped = resize_image(photo, small, (0, 10, 60, 90))
    np.testing.assert_array_equal(resize_image(photo, small, (-50, 10, 500, 90.5)), clipped)


@pytest.mark.parametrize("box", [(60, 0, 70, 10), (-9, 0, 0, 10), (0, 90, 5, 95), (0, 0, float("nan"), 5)])
def test_a_box_outside_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(DataError, match=r"box outside the image: .* overlaps the image of 60 × 90"):
        resize_image(smooth_photo(), Preprocess(20, 16), box)


def test_pad_keeps_the_aspect_ratio_and_centres_on_black() -> None:
    out = resize_image(Image.new("RGB", (50, 100), "white"), Preprocess(60, 60, resize="pad"))
    assert (out[:, 15:45] == 255).all()
    assert not out[:, :15].any()
    assert not out[:, 45:].any()
    thin = resize_image(Image.new("RGB", (1, 5000), "white"), Preprocess(60, 60, resize="pad"))
    assert (thin.max(axis=(0, 2)) > 0).sum() == 1


def test_only_rgb_is_resized() -> None:
    with pytest.raises(DataError, match="read_image"):
        resize_image(Image.new("L", (5, 5)), Preprocess(4, 4))


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("box", [None, (10.0, 20.0, 50.0, 85.0), (-10.0, 3.5, 55.5, 70.0)])
def test_keypoints_and_maps_follow_the_image(
    resize: str, box: tuple[float, float, float, float] | None
) -> None:
    preprocess = Preprocess(256, 192, resize=resize)  # type: ignore[arg-type]
    pixels = np.zeros((90, 60, 3), np.uint8)
    pixels[39:42, 29:32] = 255  # around the pixel x = 30, y = 40
    image = resize_image(Image.fromarray(pixels), preprocess, box)[..., 0].astype(float)
    mask = resize_map(pixels[..., 0], preprocess, box).astype(float)
    point = np.float32([[30, 40, 0.7]])
    x, y, score = compute_placement((60, 90), preprocess, box).map_keypoints(point)[0]
    for values, tolerance in ((image, 0.35), (mask, 1.5)):
        rows, columns = np.indices(values.shape)
        assert (columns * values).sum() / values.sum() == pytest.approx(x, abs=tolerance)
        assert (rows * values).sum() / values.sum() == pytest.approx(y, abs=tolerance)
    assert score == pytest.approx(0.7)
    assert set(np.unique(mask)) == {0, 255}  # nearest: no value in between
