from __future__ import annotations

from typing import Any

import pytest
import torch

from passerby.errors import DataError, SchemaError
from passerby.types import Batch, Box, Guidance, Prediction, Preprocess


@pytest.mark.parametrize("sides", [(3, 0, 3, 5), (0, 5, 3, 5), (4, 0, 3, 5), (0, 0, float("nan"), 5)])
def test_a_box_without_area_is_refused(sides: tuple[float, float, float, float]) -> None:
    with pytest.raises(DataError, match="x1 > x0 and y1 > y0"):
        Box(*sides)


def test_sides_of_a_box() -> None:
    box = Box(1, 2, 4, 8)
    assert (box.width, box.height, box.as_xyxy()) == (3, 6, (1, 2, 4, 8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "at least 1 × 1 pixel, got 0 × 192"),
        ({"width": -1}, "at least 1 × 1 pixel, got 256 × -1"),
        ({"mean": (0.5, 0.5)}, "three means"),
        ({"std": (0.5, 0.0, 0.5)}, "positive stds"),
        ({"resize": "crop"}, "expected resize stretch or pad, got 'crop'"),
    ],
)
def test_impossible_preprocessing_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocess.from_dict(Preprocess().to_dict() | change)


def test_a_probability_at_the_threshold_is_not_present() -> None:
    prediction = Prediction("a.jpg", ("Hat", "Bag"), (0.5, 0.3), (0.5, 0.2))
    assert prediction.present == ("Bag",)
    assert prediction.to_dict() == {
        "source": "a.jpg",
        "present": ["Bag"],
        "probabilities": {"Hat": 0.5, "Bag": 0.3},
    }


def test_an_attribute_that_was_not_predicted_is_named() -> None:
    with pytest.raises(SchemaError, match="no attribute 'Cap' was predicted; expected one of Hat"):
        Prediction("a.jpg", ("Hat",), (0.5,), (0.5,))["Cap"]


def test_a_batch_moves_with_its_guidance() -> None:
    guidance = Guidance(masks=torch.zeros(2, 1, 4, 4))
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5), torch.arange(2), guidance).to("meta")
    assert batch.guidance.masks is not None
    devices = {t.device.type for t in (batch.images, batch.labels, batch.rows, batch.guidance.masks)}
    assert devices == {"meta"}
    assert batch.guidance.parsing is None
