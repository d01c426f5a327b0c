from __future__ import annotations

import numpy as np
import pytest

import passerby.data.packing
import passerby.synthetic
from passerby import parsing
from passerby.errors import DataError
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES, LIP_TO_COARSE, convert_parsing


def test_names_are_the_same_everywhere() -> None:
    assert passerby.synthetic.LIP_CLASSES is LIP_CLASSES
    assert passerby.data.packing.UNKNOWN_CLASS == parsing.UNKNOWN_CLASS
    assert len(LIP_CLASSES) == len(LIP_TO_COARSE) == 20


def test_order_of_the_classes_of_lip() -> None:
    found = {name: COARSE_CLASSES[i] for name, i in zip(LIP_CLASSES, LIP_TO_COARSE, strict=True)}
    assert found == {
        "Background": "background",
        **dict.fromkeys(("Hat", "Hair", "Sunglasses", "Face"), "head"),
        **dict.fromkeys(("Glove", "UpperClothes", "Dress", "Coat", "Jumpsuits", "Scarf"), "upper"),
        **dict.fromkeys(("Left-arm", "Right-arm"), "upper"),
        **dict.fromkeys(("Socks", "Pants", "Skirt", "Left-leg", "Right-leg"), "lower"),
        **dict.fromkeys(("Left-shoe", "Right-shoe"), "feet"),
    }


def test_every_value_is_looked_up() -> None:
    values = np.arange(20, dtype=np.uint8).reshape(4, 5)
    converted = convert_parsing(values, LIP_TO_COARSE)
    assert converted.dtype == np.uint8
    assert converted.ravel().tolist() == list(LIP_TO_COARSE)


def test_unknown_stays_unless_the_table_has_it() -> None:
    values = np.array([[255, 0]], np.uint8)
    assert convert_parsing(values, [7]).tolist() == [[255, 7]]
    assert convert_parsing(values, [*range(255), 3]).tolist() == [[3, 0]]


def test_map_without_pixels_is_converted() -> None:
    assert convert_parsing(np.zeros((0, 4), np.uint8), LIP_TO_COARSE).shape == (0, 4)


def test_value_beyond_the_table_is_named() -> None:
    with pytest.raises(DataError, match=r"classes 0 … 19 .*got 20; the table"):
        convert_parsing(np.array([[0, 58], [20, 19]], np.uint8), LIP_TO_COARSE)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((1, 2, 2), np.uint8)])
def test_invalid_maps_are_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected a parsing map \(H, W\) of uint8"):
        convert_parsing(values, LIP_TO_COARSE)


@pytest.mark.parametrize("table", [[], [0, 256], [-1], [0] * 257])
def test_invalid_tables_are_refused(table: list[int]) -> None:
    with pytest.raises(DataError, match="table of 1 to 256 numbers"):
        convert_parsing(np.zeros((2, 2), np.uint8), table)
