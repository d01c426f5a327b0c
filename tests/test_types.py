from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
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


def test_a_prediction_is_a_mapping() -> None:
    prediction = Prediction("a.jpg", ("Hat", "Bag"), (0.5, 0.3), (0.5, 0.2))
    assert isinstance(prediction, Mapping)
    assert list(prediction) == ["Hat", "Bag"]
    assert dict(prediction) == {"Hat": 0.5, "Bag": 0.3}
    assert list(prediction.items()) == [("Hat", 0.5), ("Bag", 0.3)]
    assert (len(prediction), "Hat" in prediction, "Cap" in prediction) == (2, True, False)
    assert (prediction.get("Bag"), prediction.get("Cap"), prediction.get("Cap", 0.1)) == (0.3, None, 0.1)
    with pytest.raises(KeyError):
        prediction["Cap"]
    again = Prediction("a.jpg", ("Hat", "Bag"), (0.5, 0.3), (0.5, 0.2))
    assert prediction == again
    assert hash(prediction) == hash(again)


def test_the_repr_of_a_prediction_is_short() -> None:
    names = tuple(f"a{i}" for i in range(40))
    prediction = Prediction("a.jpg", names, (0.7, 0.912) + (0.1,) * 38, (0.5,) * 40, box=Box(1, 2, 3.5, 4))
    assert repr(prediction) == "Prediction(a.jpg [1 2 3.5 4]: a1 0.91, a0 0.70; 2 of 40 present)"
    prediction = replace(prediction, probabilities=(0.9, 0.8, 0.7, 0.6) * 10, box=None)
    assert repr(prediction) == "Prediction(a.jpg: a0 0.90, a4 0.90, a8 0.90, …; 40 of 40 present)"
    assert repr(Prediction("a.jpg", ("Hat",), (0.1,), (0.5,))) == "Prediction(a.jpg: 0 of 1 present)"


def test_a_notebook_shows_bars() -> None:
    prediction = Prediction("<i>.jpg", ("Bag & <b>", "Hat"), (0.25, 0.75), (0.5, 0.5), ("no <mask>",))
    html = prediction._repr_html_()
    assert html.startswith("<table><caption>&lt;i&gt;.jpg</caption><tr><td><b>Hat</b></td>")
    assert "<td>Bag &amp; &lt;b&gt;</td>" in html
    assert [float(width) for width in re.findall(r"width:([\d.]+)%", html)] == [75, 25]
    assert "<p>no &lt;mask&gt;</p>" in html
    assert "http" not in html


def test_rows_and_boxes_are_stored_if_there_are_any() -> None:
    prediction = Prediction("a.jpg", ("Hat",), (0.5,), (0.5,), box=Box(1, 2, 3.5, 4), row=7)
    assert list(prediction.to_dict()) == ["source", "row", "box", "present", "probabilities"]
    assert (prediction.to_dict()["row"], prediction.to_dict()["box"]) == (7, [1, 2, 3.5, 4])


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((0, 0, 1, 1), "got the fractions"),
        ((-0.1, 0.2, 0.9, 1), "got the fractions"),
        ((0, 0, float("inf"), 5), "finite"),
        (("1", "x", 2, 3), "four numbers"),
        (None, r"four numbers .*, got None$"),
    ],
)
def test_four_numbers_that_are_no_box_in_pixels(sides: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Box.from_xyxy(sides)


def test_a_batch_moves_with_its_guidance() -> None:
    guidance = Guidance(masks=torch.zeros(2, 1, 4, 4))
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5), torch.arange(2), guidance).to("meta")
    assert batch.guidance.masks is not None
    devices = {t.device.type for t in (batch.images, batch.labels, batch.rows, batch.guidance.masks)}
    assert devices == {"meta"}
    assert batch.guidance.parsing is None
