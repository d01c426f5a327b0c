from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from passerby.annotators.base import Annotator, Sample
from passerby.annotators.hull import draw_keypoint_hull
from passerby.annotators.parsing_union import UnionOfParsing
from passerby.data.formats import ccp
from passerby.errors import DataError
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES, UNKNOWN_CLASS


def merge(parsing: np.ndarray | None, names: tuple[str, ...] = COARSE_CLASSES) -> np.ndarray | None:
    size = (1, 1) if parsing is None else parsing.shape[::-1]
    (mask,) = UnionOfParsing(names).annotate([Sample(Image.new("RGB", size), parsing=parsing)])
    return mask


def create_keypoints(places: dict[int, tuple[float, float]], score: float = 1) -> np.ndarray:
    keypoints = np.zeros((17, 3), np.float32)
    for k, (x, y) in places.items():
        keypoints[k] = (x, y, score)
    return keypoints


# ---------------------------------------------------------------------- union


def test_union_keeps_the_contract() -> None:
    union: Annotator = UnionOfParsing(COARSE_CLASSES)
    assert (union.kind, union.name, union.needs, union.classes) == ("masks", "parsing", ("parsing",), ())
    json.dumps(union.describe())
    assert union.describe() != UnionOfParsing(LIP_CLASSES).describe()


@pytest.mark.parametrize(
    ("names", "left_out"), [(COARSE_CLASSES, {0, 5}), (COARSE_CLASSES[:5], {0}), (LIP_CLASSES, {0})]
)
def test_all_of_the_person_and_nothing_else(names: tuple[str, ...], left_out: set[int]) -> None:
    parsing = np.arange(len(names), dtype=np.uint8)[:, None]
    mask = merge(parsing, names)
    assert mask is not None
    assert mask.dtype == np.uint8
    assert mask[:, 0].tolist() == [int(k not in left_out) for k in range(len(names))]


def test_of_ccps_classes_only_background_and_carried_objects_are_left_out() -> None:
    mask = merge(np.arange(len(ccp.CLASSES), dtype=np.uint8)[:, None], ccp.CLASSES)
    assert mask is not None
    assert {ccp.CLASSES[i] for i in np.flatnonzero(mask[:, 0] == 0)} == {"null", "bag", "purse", "wallet"}


def test_unknown_pixels_belong_to_the_person() -> None:
    mask = merge(np.array([[0, UNKNOWN_CLASS, 2]], np.uint8))
    assert mask is not None
    assert mask.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("values", [[0, 0], [5, 0], [UNKNOWN_CLASS, UNKNOWN_CLASS], [0, UNKNOWN_CLASS]])
def test_without_a_known_pixel_of_the_person_there_is_no_mask(values: list[int]) -> None:
    assert merge(np.array([values], np.uint8)) is None


def test_without_a_map_there_is_no_mask() -> None:
    assert merge(None) is None


def test_class_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"classes 0 … 5 .*got 6; the maps"):
        merge(np.array([[0, 6]], np.uint8))


def test_map_of_another_size_is_refused() -> None:
    sample = Sample(Image.new("RGB", (5, 8)), parsing=np.ones((5, 8), np.uint8))
    with pytest.raises(DataError, match=r"a parsing map of 8 × 5 .*got \(5, 8\)"):
        UnionOfParsing(COARSE_CLASSES).annotate([sample])


def test_names_of_another_list_are_refused() -> None:
    with pytest.raises(DataError, match=r"got Umbrella, Dog; create other maps with `passerby annotate"):
        UnionOfParsing(("Background", "Umbrella", "Dog"))
    with pytest.raises(DataError, match="got none"):
        UnionOfParsing(())


# ---------------------------------------------------------------------- hull


def test_hull_without_margin_is_the_polygon() -> None:
    mask = draw_keypoint_hull(
        create_keypoints({5: (2, 1), 6: (6, 1), 11: (2, 5), 12: (6, 5)}), (9, 8), margin=0
    )
    assert mask is not None
    assert mask.dtype == np.uint8
    expected = np.zeros((8, 9), np.uint8)
    expected[1:6, 2:7] = 1  # a keypoint at (2, 1) is the middle of that pixel
    np.testing.assert_array_equal(mask, expected)


def test_keypoint_inside_of_the_hull_changes_nothing() -> None:
    places = {5: (2.0, 1.0), 6: (6.0, 1.0), 11: (2.0, 5.0), 12: (6.0, 5.0)}
    with_nose = create_keypoints({**places, 0: (4, 3)})
    np.testing.assert_array_equal(
        draw_keypoint_hull(create_keypoints(places), (9, 8)), draw_keypoint_hull(with_nose, (9, 8))
    )


def test_margin_is_a_share_of_the_torso() -> None:
    keypoints = create_keypoints({5: (20, 10), 6: (30, 10), 11: (20, 30), 12: (30, 30)})
    for margin, reach in ((0.1, 2), (0.25, 5), (0.45, 9)):
        mask = draw_keypoint_hull(keypoints, (51, 61), margin=margin)
        assert mask is not None
        y, x = np.mgrid[0:61, 0:51]
        away = np.hypot(
            np.clip(np.maximum(20 - x, x - 30), 0, None), np.clip(np.maximum(10 - y, y - 30), 0, None)
        )
        np.testing.assert_array_equal(mask, away <= reach)


def test_one_of_a_pair_is_enough_for_the_torso() -> None:
    left = draw_keypoint_hull(
        create_keypoints({5: (20, 10), 11: (20, 30), 9: (24, 20)}), (41, 41), margin=0.1
    )
    assert left is not None
    assert np.flatnonzero(left[:, 20]).tolist() == list(range(8, 33))


def test_without_torso_the_box_of_the_keypoints_counts() -> None:
    keypoints = create_keypoints({0: (20, 10), 1: (22, 10), 15: (21, 40)})
    mask = draw_keypoint_hull(keypoints, (41, 61), margin=0.25)  # 0.25 × 0.33 × 30 = 2.5
    assert mask is not None
    assert np.flatnonzero(mask.any(axis=1)).tolist() == list(range(8, 43))


def test_doubtful_keypoints_do_not_count() -> None:
    keypoints = create_keypoints({5: (2, 1), 6: (6, 1), 11: (2, 5), 12: (6, 5)}, score=0.3)
    certain = draw_keypoint_hull(keypoints, (20, 20), margin=0)
    keypoints[16] = (18, 18, 0.29)
    keypoints[15] = (np.nan, 3, 1)
    np.testing.assert_array_equal(draw_keypoint_hull(keypoints, (20, 20), margin=0), certain)
    assert draw_keypoint_hull(keypoints, (20, 20), min_score=0.31) is None


def test_fewer_than_three_keypoints_give_nothing() -> None:
    assert draw_keypoint_hull(create_keypoints({5: (2, 1), 6: (6, 1)}), (9, 8)) is None


@pytest.mark.parametrize("end", [(10, 30), (30, 10), (30, 30)])
def test_keypoints_on_a_line_give_a_stripe(end: tuple[int, int]) -> None:
    middle = ((10 + end[0]) / 2, (10 + end[1]) / 2)
    mask = draw_keypoint_hull(create_keypoints({5: (10, 10), 13: middle, 11: end}), (41, 41), margin=0.1)
    assert mask is not None
    assert mask[10, 10] == mask[end[1], end[0]] == mask[int(middle[1]), int(middle[0])] == 1
    assert 0 < mask.sum() < 41 * 41 / 4


def test_keypoints_in_one_place_give_a_dot() -> None:
    mask = draw_keypoint_hull(create_keypoints({5: (4, 3), 6: (4, 3), 11: (4, 3)}), (9, 8))
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[3, 4]]


def test_what_lies_outside_of_the_image_reaches_into_it() -> None:
    inside = create_keypoints({5: (20, 20), 6: (30, 20), 11: (20, 40), 12: (30, 40)})
    whole = draw_keypoint_hull(inside, (60, 60))
    outside = inside - np.float32([25, 45, 0]) * (inside[:, 2:] > 0)
    mask = draw_keypoint_hull(outside, (10, 10))
    assert whole is not None
    assert mask is not None
    np.testing.assert_array_equal(mask, whole[45:55, 25:35])
    far = inside + np.float32([5000, 0, 0]) * (inside[:, 2:] > 0)
    nothing = draw_keypoint_hull(far, (60, 60))
    assert nothing is not None
    assert not nothing.any()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(DataError, match=r"keypoints of shape \(17, 3\)"):
        draw_keypoint_hull(np.zeros((16, 3), np.float32), (9, 8))
    keypoints = create_keypoints({5: (2, 1), 6: (6, 1), 11: (2, 5)})
    with pytest.raises(DataError, match="size of at least 1 × 1"):
        draw_keypoint_hull(keypoints, (0, 8))
    for margin in (-0.1, float("nan")):
        with pytest.raises(DataError, match="margin of at least 0"):
            draw_keypoint_hull(keypoints, (9, 8), margin=margin)
