"""Foreground and boxes of small heat maps, by hand and in loops."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.errors import ConfigError, DataError
from passerby.explain.boxes import Binarization, enclose, find_boxes

HEAT = np.float32([[0, 0, 0, 0, 0], [0, 8, 6, 0, 0], [0, 2, 0, 0, 5], [0, 0, 0, 0, 4]])


def corners(heat: np.ndarray, *arguments: object, **options: object) -> list[tuple[float, ...]]:
    return [box.as_xyxy() for box in find_boxes(heat, *arguments, **options)]  # type: ignore[arg-type]


def test_share_of_the_maximum() -> None:
    np.testing.assert_array_equal(Binarization("max", 0.5)(HEAT), HEAT >= 4)
    np.testing.assert_array_equal(Binarization("max", 0.7)(HEAT), HEAT >= 5.6)


def test_quantile() -> None:
    even = np.arange(100, dtype=np.float32).reshape(10, 10)
    assert Binarization("quantile", 0.9)(even).sum() == 10


def test_otsu_minimises_the_variance_within_classes() -> None:
    rng = np.random.default_rng(0)
    heat = np.abs(np.concatenate([rng.normal(1, 0.4, 60), rng.normal(5, 1, 40)])).reshape(10, 10)
    heat = heat.astype(np.float32)
    best, lowest = None, np.inf
    for threshold in np.unique(heat)[:-1]:
        low, high = heat[heat <= threshold], heat[heat > threshold]
        within = low.size * low.astype(float).var() + high.size * high.astype(float).var()
        if within < lowest:
            best, lowest = threshold, within
    np.testing.assert_array_equal(Binarization("otsu")(heat), heat > best)


@pytest.mark.parametrize("text", ["max:0.5", "otsu", "quantile:0.9"])
def test_an_empty_map_has_no_foreground_and_no_box(text: str) -> None:
    empty = np.zeros((4, 3), np.float32)
    assert not Binarization.parse(text)(empty).any()
    assert find_boxes(empty, Binarization.parse(text)) == ()
    assert find_boxes(empty, mode="components") == ()


def test_a_constant_map_is_foreground_everywhere() -> None:
    even = np.ones((4, 3), np.float32)
    assert Binarization("max", 0.5)(even).all()
    assert Binarization("otsu")(even).all()
    assert Binarization("quantile", 0.9)(even).all()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_a_plateau_above_the_quantile_is_foreground(share: float) -> None:
    heat = np.ones((10, 10), np.float32)
    heat[2:5, 3:8] = 7  # 15 of 100 pixels
    heat[0, 0] = 0
    expected = (heat == 7) if share > 0.85 else (heat > 1)
    np.testing.assert_array_equal(Binarization("quantile", share)(heat), expected)


def test_one_box_around_all_foreground() -> None:
    assert corners(HEAT) == [(1, 1, 5, 4)]
    assert corners(HEAT, Binarization("max", 0.9)) == [(1, 1, 2, 2)]


def test_one_box_per_component_by_heat() -> None:
    assert corners(HEAT, mode="components") == [(1, 1, 3, 2), (4, 2, 5, 4)]
    heat = HEAT.copy()
    heat[2:, 4] = 9
    assert corners(heat, mode="components") == [(4, 2, 5, 4), (1, 1, 3, 2)]


def test_components_are_8_connected() -> None:
    assert corners(np.eye(3, dtype=np.float32), mode="components") == [(0, 0, 3, 3)]


def test_enclose() -> None:
    assert enclose(np.zeros((2, 2), bool)) is None
    foreground = np.zeros((5, 6), bool)
    foreground[1, 2] = foreground[3, 4] = True
    box = enclose(foreground)
    assert box is not None
    assert box.as_xyxy() == (2, 1, 5, 4)


def test_parse() -> None:
    assert Binarization.parse("max:0.2") == Binarization("max", 0.2)
    assert Binarization.parse("max") == Binarization("max", 0.5)
    assert Binarization.parse("otsu").rule == "otsu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean", "no binarisation rule 'mean'; choose one of max, otsu, quantile"),
        ("max:1.5", r"expected a share between 0 and 1, such as max:0\.5, got 1\.5"),
        ("max:half", "expected max:0.5, quantile:0.9 or otsu, got 'max:half'"),
        ("otsu:0.9", "otsu computes its threshold from the map; expected no share, got 'otsu:0.9'"),
        ("otsu:", "otsu computes its threshold from the map"),
        ("quantile", "expected a share of the quantile, such as quantile:0.9, got none"),
    ],
)
def test_wrong_rules_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Binarization.parse(text)


@pytest.mark.parametrize("heat", [np.float32([1, 2]), np.float32([[-1, 0]]), np.float32([[np.nan, 0]])])
def test_other_arrays_than_heat_maps_are_refused(heat: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected a heat map \(H, W\) of finite numbers ≥ 0"):
        find_boxes(heat)


def test_a_wrong_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="no box mode 'all'; choose one of outer, components"):
        find_boxes(HEAT, mode="all")  # type: ignore[arg-type]
