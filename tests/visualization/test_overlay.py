"""Coloured maps over images, and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError
from passerby.explain.attention_maps import compute_maps
from passerby.types import Box
from passerby.visualization.overlay import compute_scale, draw_bar, draw_boxes, draw_overlay
from toy_explanations import CELLS, create_spotlight


def test_enlarging_is_bilinear() -> None:
    """Half-way between a bright and a dark cell the colour is that of one half."""
    drawn = np.asarray(draw_overlay(np.full((8, 32, 3), 128, np.uint8), np.float32([[1, 0, 0, 0]])))
    bar = np.asarray(draw_bar(256, 1))[0].astype(int)
    expected = [1, 1, 1, 1, 0.9375, 0.8125, 0.6875, 0.5625]
    for column, share in enumerate(expected):
        assert np.abs(drawn[0, column] - bar[round(share * 255)]).max() <= 2, column
    assert (drawn[:, 12:] == drawn[0, 31]).all()


def find_brightest(image: Image.Image) -> tuple[int, int]:
    """Row and column of the lightest pixel, or the centre of several."""
    lightness = np.asarray(image.convert("L"), np.int64)
    rows, columns = np.nonzero(lightness == lightness.max())
    return round(rows.mean()), round(columns.mean())


@pytest.mark.parametrize("size", [(64, 40), (96, 40), (37, 51)])
@pytest.mark.parametrize("cell", CELLS)
def test_the_brightest_pixel_is_in_the_cell(size: tuple[int, int], cell: tuple[int, int]) -> None:
    values = np.zeros((8, 5), np.float32)
    values[cell] = 1
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for picture in (np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8), noise):
        drawn = draw_overlay(picture, values)
        assert drawn.size == size[::-1]
        row, column = find_brightest(drawn)
        assert (row * 8 // size[0], column * 5 // size[1]) == cell


def test_orientation_from_picture_to_overlay() -> None:
    """A red patch at the lower left of an image is bright at the lower left of the overlay."""
    pixels = np.full((192, 80, 3), 120, np.uint8)
    pixels[144:168, 8:24] = (250, 20, 20)
    maps = compute_maps(create_spotlight(), pixels)
    row, column = find_brightest(draw_overlay(np.zeros_like(maps.picture), maps.maps["red"][0]))
    assert abs(row - 77.5) <= 4
    assert abs(column - 7.5) <= 3


def test_a_uniform_map_is_not_bright() -> None:
    picture = np.full((40, 40, 3), 128, np.uint8)
    for value in (1.0, 0.25, 1e-4):  # the sum does not matter
        uniform = np.asarray(draw_overlay(picture, np.full((2, 2), value, np.float32)), int)
        assert np.abs(uniform - np.asarray(draw_bar(256, 1))[0, 85]).max() <= 2
    peak = np.asarray(draw_overlay(picture, np.float32([[1, 0], [0, 0]])).convert("L")).max()
    assert peak > 2 * np.asarray(draw_overlay(picture, np.ones((2, 2), np.float32)).convert("L")).max()
    assert compute_scale(np.full((14, 14), 1 / 196, np.float32)) == pytest.approx(3 / 196)
    assert compute_scale(np.float32([[0.8, 0.2], [0, 0]])) == pytest.approx(0.8)


def test_an_empty_map_is_dark() -> None:
    picture = np.full((8, 8, 3), 128, np.uint8)
    nothing = np.asarray(draw_overlay(picture, np.zeros((2, 2), np.float32)))
    assert (nothing == np.asarray(draw_bar(64, 3))[0, 0]).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_lightness_increases_with_the_map_on_any_picture(grey: int) -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32)[None] ** 3  # the peak is above three times the mean
    drawn = np.asarray(draw_overlay(np.full((1, 256, 3), grey, np.uint8), values), float)[0]
    lightness = drawn @ (0.299, 0.587, 0.114)
    assert (np.maximum.accumulate(lightness) - lightness).max() < 2  # except for rounding
    assert lightness[-1] - lightness[0] > 70


def test_only_the_map_has_colour() -> None:
    """The image is in greyscale: where the map is 0, red and green of equal lightness are equal."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4], picture[4:] = (200, 0, 0), (0, 102, 0)  # of the same lightness
    drawn = np.asarray(draw_overlay(picture, np.zeros((1, 1), np.float32)), int)
    assert np.ptp(drawn, axis=(0, 1)).max() <= 1
    assert np.ptp(drawn, axis=2).max() <= 4  # the colour of 0 is a very dark blue


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(DataError, match="expected an image"):
        draw_overlay(np.zeros((4, 4), np.uint8), np.ones((2, 2), np.float32))
    with pytest.raises(DataError, match="expected a map"):
        draw_overlay(np.zeros((4, 4, 3), np.uint8), np.ones((1, 2, 2), np.float32))


# ---------------------------------------------------------------------- boxes


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_lines_are_visible_on_any_picture(grey: int) -> None:
    drawn = np.asarray(draw_boxes(Image.new("RGB", (60, 60), (grey,) * 3), [Box(10, 10, 50, 50)]), int)
    lightness = drawn @ (0.299, 0.587, 0.114)
    across = lightness[30, 9:16]
    assert np.ptp(across) > 120  # the line against its edge, if not against the image
    assert (drawn[30, 20:40] == grey).all()
    assert (drawn[:10] == grey).all()
    assert (drawn[50:] == grey).all()


def test_other_lines_stay_visible_between_dashes() -> None:
    image = Image.new("RGB", (80, 60), "grey")
    box = Box(10, 10, 70, 50)
    solid, dashed = draw_boxes(image, [box]), draw_boxes(image, [box], dashed=True)
    both = np.asarray(draw_boxes(solid, [box], dashed=True))
    assert image.tobytes() == Image.new("RGB", (80, 60), "grey").tobytes()
    line = np.asarray(dashed)[11, 10:70]
    white = (line == 255).all(1)
    assert 0.2 < white.mean() < 0.8
    assert white[1]
    assert white[-2]
    assert ((both == np.asarray(solid)) | (both == np.asarray(dashed))).all()
    assert (both[11, 10:70] == np.asarray(solid)[11, 10:70]).all(1).any()


@pytest.mark.parametrize(
    "box", [Box(0, 0, 1, 1), Box(59, 39, 60, 40), Box(-5, 20, 90, 21), Box(0, 0, 60, 40)]
)
def test_tiny_boxes_and_boxes_at_the_edge_are_visible(box: Box) -> None:
    for dashed in (False, True):
        drawn = np.asarray(draw_boxes(Image.new("RGB", (60, 40)), [box], dashed=dashed), int)
        assert (drawn.sum(2) > 300).sum() >= 8
    with pytest.raises(DataError, match="at least 1 pixel"):
        draw_boxes(Image.new("RGB", (60, 40)), [box], width_px=0)
