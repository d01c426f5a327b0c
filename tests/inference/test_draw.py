from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from passerby.errors import DataError
from passerby.inference import draw_prediction
from passerby.types import Prediction

RED, TEAL, GREY = (255, 0, 0), (0x1F, 0x7A, 0x6D), (0xB9, 0xC1, 0xCB)


def predict(*probabilities: float) -> Prediction:
    names = tuple(f"attribute {i}" for i in range(len(probabilities)))
    return Prediction("a.jpg", names, probabilities, (0.5,) * len(probabilities))


def count(drawing: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(drawing) == colour).all(axis=-1).sum())


def test_picture_is_scaled_and_the_panel_beside_it() -> None:
    photo = Image.new("RGB", (50, 100), RED)
    drawing = draw_prediction(photo, predict(0.9, 0.2), height_px=200)
    pixels = np.asarray(drawing)
    assert drawing.height == 200
    assert drawing.width > 180
    assert (pixels[:, :100] == RED).all()
    assert count(drawing, RED) == 100 * 200


def test_bars_are_as_long_as_the_probabilities() -> None:
    photo = Image.new("RGB", (50, 100), RED)
    half, full = (count(draw_prediction(photo, predict(p)), TEAL) for p in (0.51, 1.0))
    assert half / full == pytest.approx(0.51, abs=0.03)
    assert count(draw_prediction(photo, predict(0.3)), TEAL) == 0
    assert count(draw_prediction(photo, predict(0.3)), GREY) > 0
    assert count(draw_prediction(photo, predict(0.0)), GREY) == 0


def test_only_the_likeliest_are_shown() -> None:
    photo = Image.new("RGB", (50, 100), RED)
    assert draw_prediction(photo, predict(0.1, 0.9, 0.8), top=2) == draw_prediction(
        photo, Prediction("a.jpg", ("attribute 1", "attribute 2"), (0.9, 0.8), (0.5, 0.5)), top=2
    )


def test_arrays_and_many_attributes_fit() -> None:
    drawing = draw_prediction(np.zeros((90, 40, 3), np.uint8), predict(*[0.6] * 40), top=40, height_px=256)
    assert drawing.height == 256
    assert (np.asarray(drawing)[-3:, 130:] == 255).all()  # nothing is cut off at the lower edge


def test_refusals() -> None:
    photo = Image.new("RGB", (5, 5))
    with pytest.raises(DataError, match="top ≥ 1"):
        draw_prediction(photo, predict(0.1), top=0)
    with pytest.raises(DataError, match="height_px ≥ 64"):
        draw_prediction(photo, predict(0.1), height_px=10)
