from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from passerby.annotators.base import Annotator, Sample
from passerby.annotators.geometric import (
    MEAN_POSE,
    BodyShape,
    GeometricParser,
    complete_pose,
    find_nearest_part,
    list_limbs,
)
from passerby.errors import DataError
from passerby.parsing import COARSE_CLASSES

HEAD, UPPER, LOWER, FEET = 1, 2, 3, 4
WIDTH, HEIGHT = 41, 81
MIRRORED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def create_pose(*, torso: float = 20.0, x: float = 20.0, y: float = 40.0) -> np.ndarray:
    points = np.array(MEAN_POSE) * torso + (x, y)
    return np.column_stack((points, np.ones(17))).astype(np.float32)


def create_blob(seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((HEIGHT, WIDTH)) < 0.7).astype(np.uint8)


def parse(
    mask: np.ndarray, keypoints: np.ndarray, parser: GeometricParser | None = None
) -> np.ndarray | None:
    height, width = mask.shape
    sample = Sample(Image.new("RGB", (width, height)), mask=mask, keypoints=keypoints)
    (found,) = (parser or GeometricParser()).annotate([sample])
    return found


def test_it_keeps_the_contract() -> None:
    parser: Annotator = GeometricParser()
    assert (parser.kind, parser.name, parser.needs) == ("parsing", "geometric", ("masks", "keypoints"))
    assert parser.classes == COARSE_CLASSES[:5] == ("background", "head", "upper", "lower", "feet")
    json.dumps(parser.describe())
    assert parser.describe() == GeometricParser().describe()
    assert parser.describe() != GeometricParser(min_score=0.4).describe()
    assert parser.describe() != GeometricParser(shape=BodyShape(waist=0.5)).describe()


def test_pixels_of_a_standing_person() -> None:
    found = parse(np.ones((HEIGHT, WIDTH), np.uint8), create_pose())
    assert found is not None
    assert found.dtype == np.uint8
    keypoints = create_pose().round().astype(int)

    def at(k: int, below: int = 0) -> int:
        return int(found[keypoints[k, 1] + below, keypoints[k, 0]])

    assert [at(k) for k in range(5)] == [HEAD] * 5
    assert [at(k) for k in range(5, 11)] == [UPPER] * 6
    assert [at(k) for k in (13, 14)] == [LOWER] * 2
    assert [at(k, below=4) for k in (15, 16)] == [FEET] * 2
    assert found[0, 20] == HEAD
    assert found[50, 20] == LOWER
    assert found[-1, 20] == FEET


def test_each_pixel_of_two_limbs_is_known() -> None:
    upright = (UPPER, np.array([0.0, 0.0]), np.array([0.0, 4.0]), 0.0)
    disc = (FEET, np.array([8.0, 2.0]), np.array([8.0, 2.0]), 2.0)
    y, x = (a.ravel().astype(float) for a in np.mgrid[0:5, 0:9])
    found = find_nearest_part(x, y, [upright, disc]).reshape(5, 9)
    assert found[2].tolist() == [UPPER] * 4 + [FEET] * 5  # surfaces meet at x = 3, where upper wins the tie
    assert found[0].tolist() == [UPPER] * 4 + [FEET] * 5
    assert find_nearest_part(np.array([3.1]), np.array([2.0]), [upright, disc]).tolist() == [FEET]
    assert find_nearest_part(np.array([3.1]), np.array([6.0]), [upright, disc]).tolist() == [UPPER]


def slow_distance(p: tuple[float, float], a: np.ndarray, b: np.ndarray) -> float:
    length = math.dist(a, b)
    if length == 0:
        return math.dist(p, a)
    share = ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length**2
    share = min(max(share, 0.0), 1.0)
    return math.dist(p, (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))


@pytest.mark.parametrize("seed", [0, 1])
def test_every_pixel_goes_to_the_nearest_limb(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keypoints = create_pose()
    keypoints[:, :2] += rng.normal(0, 3, (17, 2)).astype(np.float32)
    mask = create_blob(seed)
    parser = GeometricParser()
    found = parse(mask, keypoints)
    pose = complete_pose(keypoints)
    assert found is not None
    assert pose is not None
    limbs = list(list_limbs(*pose, parser.shape))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if not mask[y, x]:
                assert found[y, x] == 0
                continue
            nearest = dict.fromkeys((HEAD, UPPER, LOWER, FEET), math.inf)
            for split, a, b, radius in limbs:
                nearest[split] = min(nearest[split], slow_distance((x, y), a, b) - radius)
            assert nearest[int(found[y, x])] == pytest.approx(min(nearest.values()), abs=1e-9)


def test_a_head_is_the_only_limb_of_its_part_and_all_parts_have_one() -> None:
    pose = complete_pose(create_pose())
    assert pose is not None
    splits = [split for split, *_ in list_limbs(*pose, BodyShape())]
    assert [splits.count(split) for split in (HEAD, UPPER, LOWER, FEET)] == [1, 8, 5, 2]


def test_nothing_outside_of_the_mask_and_everything_inside() -> None:
    mask = create_blob() * 255  # any number above 0 is the person
    found = parse(mask, create_pose())
    assert found is not None
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert set(np.unique(found)) <= {0, HEAD, UPPER, LOWER, FEET}


def test_mirrored_person_has_a_mirrored_map() -> None:
    keypoints = create_pose()
    keypoints[:, :2] += np.random.default_rng(3).integers(-4, 5, (17, 2))
    mask = create_blob()
    mirrored = keypoints[MIRRORED]
    mirrored[:, 0] = WIDTH - 1 - mirrored[:, 0]
    straight, turned = parse(mask, keypoints), parse(mask[:, ::-1], mirrored)
    assert straight is not None
    assert turned is not None
    assert (straight[:, ::-1] != turned).mean() < 0.001  # roundings at equal distances


def test_moving_person_and_mask_moves_the_map() -> None:
    keypoints, mask = create_pose(), create_blob()
    moved = keypoints + np.float32([8, 16, 0])
    wide = np.pad(mask, ((16, 0), (8, 0)))
    first, second = parse(mask, keypoints), parse(wide, moved)
    assert first is not None
    assert second is not None
    assert (np.pad(first, ((16, 0), (8, 0))) != second).mean() < 0.001


def test_twice_the_person_has_the_same_parts() -> None:
    full = np.ones((HEIGHT, WIDTH), np.uint8)
    small = parse(full, create_pose())
    large = parse(np.ones((2 * HEIGHT, 2 * WIDTH), np.uint8), create_pose(torso=40, x=40, y=80))
    assert small is not None
    assert large is not None
    assert (large[::2, ::2] != small).mean() < 0.001


def test_batch_keeps_its_order() -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    whole = Sample(image, mask=mask, keypoints=create_pose())
    samples = [Sample(image, mask=mask), whole, Sample(image, keypoints=create_pose()), whole]
    found = GeometricParser().annotate(samples)
    assert [f is None for f in found] == [True, False, True, False]
    assert GeometricParser().annotate([]) == []


# ---------------------------------------------------------------------- missing keypoints


def test_complete_pose_is_left_as_it_is() -> None:
    keypoints = create_pose()
    keypoints[9, :2] += 7
    pose = complete_pose(keypoints)
    assert pose is not None
    np.testing.assert_array_equal(pose[0], keypoints[:, :2])


@pytest.mark.parametrize("how", ["score", "nan"])
def test_missing_keypoint_replaces_its_counterpart(how: str) -> None:
    keypoints = create_pose()
    keypoints[13] = (np.nan, np.nan, 1) if how == "nan" else (0, 0, 0.29)
    pose = complete_pose(keypoints)
    assert pose is not None
    np.testing.assert_array_equal(pose[0][13], keypoints[14, :2])


def test_missing_pair_comes_from_the_fitted_mean_pose() -> None:
    keypoints = create_pose(torso=30)
    whole = keypoints[:, :2].copy()
    keypoints[[7, 8, 15, 16]] = 0
    pose = complete_pose(keypoints)
    assert pose is not None
    np.testing.assert_allclose(pose[0], whole, atol=1e-4)
    assert pose[1] == pytest.approx(30)


def test_missing_head_is_found_above_the_shoulders() -> None:
    keypoints = create_pose()
    keypoints[:5, 2] = 0
    found = parse(np.ones((HEIGHT, WIDTH), np.uint8), keypoints)
    whole = parse(np.ones((HEIGHT, WIDTH), np.uint8), create_pose())
    assert found is not None
    assert whole is not None
    assert (found != whole).mean() < 0.01


def test_body_cut_at_the_knees_keeps_its_parts() -> None:
    whole = parse(np.ones((HEIGHT, WIDTH), np.uint8), create_pose())
    keypoints = create_pose()
    keypoints[13:, 2] = 0
    found = parse(np.ones((55, WIDTH), np.uint8), keypoints)
    assert found is not None
    assert whole is not None
    assert (found != whole[:55]).mean() < 0.001


def test_score_at_the_threshold_counts() -> None:
    keypoints = create_pose()
    keypoints[:, 2] = np.float32(0.5)
    assert complete_pose(keypoints, min_score=0.5) is not None
    assert complete_pose(keypoints, min_score=0.51) is None


def test_too_few_keypoints_give_nothing() -> None:
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    keypoints = create_pose()
    keypoints[8:, 2] = 0  # a whole face and three of the body
    assert parse(mask, keypoints) is None
    keypoints[8, 2] = 1
    assert parse(mask, keypoints) is not None
    assert parse(mask, np.full((17, 3), np.nan, np.float32)) is None


def test_keypoints_in_one_place_give_nothing() -> None:
    assert parse(np.ones((9, 9), np.uint8), np.ones((17, 3), np.float32)) is None


def test_empty_mask_gives_nothing() -> None:
    assert parse(np.zeros((HEIGHT, WIDTH), np.uint8), create_pose()) is None


def test_limbs_without_length_are_allowed() -> None:
    keypoints = create_pose()
    keypoints[[13, 15], :2] = keypoints[11, :2]  # knee and ankle at the hip
    found = parse(np.ones((HEIGHT, WIDTH), np.uint8), keypoints)
    assert found is not None
    assert (found > 0).all()


# ---------------------------------------------------------------------- what is refused


def test_mask_of_another_size_is_refused() -> None:
    sample = Sample(Image.new("RGB", (5, 8)), mask=np.ones((5, 8), np.uint8), keypoints=create_pose())
    with pytest.raises(DataError, match=r"a mask of 8 × 5 .*got \(5, 8\)"):
        GeometricParser().annotate([sample])


@pytest.mark.parametrize("shape", [(16, 3), (17, 2), (1, 17, 3)])
def test_other_keypoints_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"keypoints of shape \(17, 3\)"):
        parse(np.ones((8, 5), np.uint8), np.ones(shape, np.float32))


@pytest.mark.parametrize("min_score", [-0.1, 1.1, math.nan])
def test_threshold_beyond_all_scores_is_refused(min_score: float) -> None:
    with pytest.raises(DataError, match="min_score within 0 … 1"):
        GeometricParser(min_score=min_score)


def test_shape_moves_the_boundary() -> None:
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    shape = BodyShape()
    low = parse(mask, create_pose(), GeometricParser(shape=shape))
    high = parse(mask, create_pose(), GeometricParser(shape=replace(shape, waist=shape.waist - 0.4)))
    assert low is not None
    assert high is not None
    assert (high == LOWER).sum() > (low == LOWER).sum()
