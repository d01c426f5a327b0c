from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from passerby.errors import ConfigError
from passerby.synthetic import ATTRIBUTES, LIP_CLASSES, SynthConfig, SyntheticPerson, draw_person
from passerby.synthetic import person as person_module

SMALL = SynthConfig(height=128, width=96)
CLEAN = SynthConfig(height=128, width=96, difficulty=0.0, distractors=0.0, occlusion=0.0, clutter=0.0)
LEFT_SHOULDER, RIGHT_SHOULDER = 13, 12  # among the MPII keypoints
WHOLE_BODY = ("Female", "AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back")


@lru_cache
def drawn(config: SynthConfig, count: int) -> tuple[SyntheticPerson, ...]:
    return tuple(draw_person(config, 3, i) for i in range(count))


def label(person: SyntheticPerson, name: str) -> int:
    return int(person.labels[ATTRIBUTES.index(name)])


def bounds(pixels: np.ndarray) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(pixels)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def inside(shape: tuple[int, int], box: tuple[float, ...], margin: int) -> np.ndarray:
    region = np.zeros(shape, bool)
    x0, y0, x1, y1 = (int(v) for v in box)
    region[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = True
    return region


def grown(mask: np.ndarray, radius: int) -> np.ndarray:
    padded = np.pad(mask > 0, radius)
    span = range(2 * radius + 1)
    height, width = mask.shape
    return np.any([padded[y : y + height, x : x + width] for y in span for x in span], axis=0)


def test_shapes_and_types() -> None:
    person = draw_person(SynthConfig(), 0, 0)
    assert person.image.shape == (256, 192, 3)
    assert person.image.dtype == np.uint8
    assert person.labels.shape == (26,)
    assert person.labels.dtype == np.int8
    assert person.mask.shape == person.parsing.shape == (256, 192)
    assert person.keypoints_mpii.shape == (16, 3)
    assert person.keypoints_coco.shape == (17, 3)


def test_image_depends_on_seed_and_index_only() -> None:
    forwards = [draw_person(SMALL, 5, i) for i in range(6)]
    for cache in (person_module._create_identity, person_module.create_scene):
        cache.cache_clear()
    backwards = [draw_person(SMALL, 5, i) for i in reversed(range(6))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        for name in ("image", "labels", "mask", "parsing", "keypoints_mpii", "keypoints_coco"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert one.boxes == other.boxes


def test_index_and_seed_change_the_image() -> None:
    first = draw_person(SMALL, 5, 0)
    assert not np.array_equal(first.image, draw_person(SMALL, 5, 1).image)
    assert not np.array_equal(first.image, draw_person(SMALL, 6, 0).image)


@pytest.mark.parametrize("config", [SMALL, SynthConfig(height=128, width=96, difficulty=1.0, occlusion=1.0)])
def test_mask_equals_the_foreground_of_the_parsing_map(config: SynthConfig) -> None:
    for person in drawn(config, 24):
        np.testing.assert_array_equal(person.mask, person.parsing > 0)
        assert person.parsing.max() < len(LIP_CLASSES)
        assert person.mask.sum() > 200


@pytest.mark.parametrize("config", [SMALL, SynthConfig(height=128, width=96, difficulty=1.0, occlusion=1.0)])
def test_an_attribute_has_a_box_exactly_when_its_label_is_1(config: SynthConfig) -> None:
    for person in drawn(config, 60):
        assert set(np.unique(person.labels).tolist()) <= {-1, 0, 1}
        assert set(person.boxes) == {n for n in ATTRIBUTES if label(person, n) == 1}


def test_boxes_are_tight_around_the_pixels_of_the_parsing_map() -> None:
    # Classes of Look-Into-Person that show one attribute and nothing else.
    classes = {
        "Hat": (1,),
        "Glasses": (4,),
        "boots": (18, 19),
        **dict.fromkeys(WHOLE_BODY, tuple(range(1, 20))),
    }
    checked = dict.fromkeys(classes, 0)
    for person in drawn(SMALL, 60):
        for name, numbers in classes.items():
            if name in person.boxes:
                pixels = np.isin(person.parsing, numbers)
                assert person.boxes[name].as_xyxy() == bounds(pixels), name
                checked[name] += 1
    assert min(checked.values()) > 5, checked


@pytest.mark.parametrize("name", [n for n in ATTRIBUTES if n not in WHOLE_BODY])
def test_a_positive_attribute_is_visible_in_its_box(name: str) -> None:
    shown = 0
    for index in range(24):
        with_it = draw_person(CLEAN, 11, index, force={name: True})
        assert label(with_it, name) in (1, -1)
        without = draw_person(CLEAN, 11, index, force={name: False})
        assert label(without, name) in (0, -1)
        assert name not in without.boxes
        if label(with_it, name) != 1:
            continue
        box = inside(with_it.mask.shape, with_it.boxes[name].as_xyxy(), 0)
        change = np.abs(with_it.image.astype(int) - without.image).max(axis=2)
        assert change[box].max() > 25, index
        shown += 1
    assert shown >= 6


@pytest.mark.parametrize("name", ["Glasses", "UpperLogo", "HandBag", "ShoulderBag", "LowerPattern"])
def test_forcing_one_attribute_leaves_the_rest_of_the_image_unchanged(name: str) -> None:
    compared = 0
    for index in range(16):
        with_it = draw_person(CLEAN, 2, index, force={name: True, "Front": True})
        without = draw_person(CLEAN, 2, index, force={name: False, "Front": True})
        if label(with_it, name) == 1:
            outside = ~inside(with_it.mask.shape, with_it.boxes[name].as_xyxy(), 8)
            np.testing.assert_array_equal(with_it.image[outside], without.image[outside])
            compared += 1
    assert compared >= 8


def test_viewpoints_look_different() -> None:
    for index in range(8):
        views = [draw_person(CLEAN, 4, index, force={name: True}) for name in ("Front", "Side", "Back")]
        for name, person in zip(("Front", "Side", "Back"), views, strict=True):
            assert [label(person, n) for n in ("Front", "Side", "Back")] == [
                name == n for n in ("Front", "Side", "Back")
            ]
        face, back = ((person.parsing == 13).sum() for person in (views[0], views[2]))
        assert face > back
        assert abs(views[0].image.astype(int) - views[2].image).mean() > 1
        assert views[0].keypoints_mpii[LEFT_SHOULDER, 0] > views[0].keypoints_mpii[RIGHT_SHOULDER, 0]
        assert views[2].keypoints_mpii[LEFT_SHOULDER, 0] < views[2].keypoints_mpii[RIGHT_SHOULDER, 0]


def test_attributes_that_face_away_are_unknown() -> None:
    for index in range(12):
        person = draw_person(CLEAN, 9, index, force={"Glasses": True, "UpperLogo": True, "Back": True})
        assert (
            label(person, "Glasses")
            == label(person, "UpperLogo")
            == label(person, "HoldObjectsInFront")
            == -1
        )
        assert label(person, "Back") == 1


def test_every_attribute_is_present_and_absent_in_some_images() -> None:
    labels = np.stack([p.labels for p in drawn(SynthConfig(height=96, width=72, supersampling=1), 300)])
    for name, column in zip(ATTRIBUTES, labels.T, strict=True):
        assert (column == 1).sum() >= 15, name
        assert (column == 0).sum() >= 15, name
    assert (labels == -1).any()
    for group in (slice(1, 4), slice(4, 7), slice(13, 15)):
        assert ((labels[:, group] == 1).sum(axis=1) <= 1).all()


def test_imbalance_shifts_the_rates() -> None:
    rates = {}
    for imbalance in (0.0, 1.0):
        config = SynthConfig(height=64, width=48, supersampling=1, views_per_identity=1, imbalance=imbalance)
        labels = np.stack([p.labels for p in drawn(config, 200)])
        rates[imbalance] = {n: (c == 1).mean() for n, c in zip(ATTRIBUTES, labels.T, strict=True)}
    for name in ("Hat", "boots", "LongCoat", "AgeOver60", "LowerPattern", "HoldObjectsInFront"):
        assert rates[1.0][name] < 0.5 * rates[0.0][name], name
    for name in ("Age18-60", "Trousers"):
        assert rates[1.0][name] > rates[0.0][name] + 0.2, name


def test_distractors_change_the_image_but_not_the_annotations() -> None:
    alone = SynthConfig(height=128, width=96, distractors=0.0, occlusion=0.0)
    crowd = SynthConfig(height=128, width=96, distractors=4.0, occlusion=0.0)
    for index in range(8):
        one, other = draw_person(alone, 1, index), draw_person(crowd, 1, index)
        assert not np.array_equal(one.image, other.image)
        for name in ("labels", "mask", "parsing", "keypoints_mpii"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_occlusion_only_removes_pixels_and_labels() -> None:
    free = SynthConfig(height=128, width=96, occlusion=0.0)
    hidden = SynthConfig(height=128, width=96, occlusion=1.0)
    lost, unknown = 0, 0
    for index in range(24):
        one, other = draw_person(free, 1, index), draw_person(hidden, 1, index)
        assert not (other.mask & ~one.mask & 1).any()
        np.testing.assert_array_equal(other.parsing[other.mask > 0], one.parsing[other.mask > 0])
        changed = one.labels != other.labels
        assert (other.labels[changed] == -1).all()
        assert (other.keypoints_mpii[:, 2] <= one.keypoints_mpii[:, 2]).all()
        lost += int(one.mask.sum()) - int(other.mask.sum())
        unknown += int(changed.sum())
    assert lost > 5000
    assert unknown > 10


def test_visible_keypoints_lie_on_the_person() -> None:
    seen = 0
    for person in drawn(SMALL, 60):
        near = grown(person.mask, 2)
        for points in (person.keypoints_mpii, person.keypoints_coco):
            assert set(np.unique(points[:, 2]).tolist()) <= {0.0, 0.5, 1.0}
            for x, y, score in points.tolist():
                if score == 1.0:
                    assert near[int(y), int(x)]
                    seen += 1
        assert (
            person.keypoints_mpii[[0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15], :2]
            == person.keypoints_coco[[16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9], :2]
        ).all()
    assert seen > 60 * 15


def test_an_identity_keeps_its_clothes_and_a_camera_its_scene() -> None:
    people = drawn(SMALL, 60)
    kept = [i for i, n in enumerate(ATTRIBUTES) if n not in ("Front", "Side", "Back")]
    for identity in range(15):
        labels = np.stack([p.labels for p in people if p.identity == identity])[:, kept]
        assert len(labels) == SMALL.views_per_identity
        assert not ((labels == 1).any(axis=0) & (labels == 0).any(axis=0)).any()
    assert {p.camera for p in people} == set(range(person_module.CAMERAS))


def test_object_scale_shrinks_objects_but_not_the_person() -> None:
    areas = {}
    for scale in (0.4, 1.0):
        config = SynthConfig(height=256, width=192, difficulty=0, occlusion=0, object_scale=scale)
        shown = [
            draw_person(config, 8, i, force={"Hat": True, "HandBag": True, "Front": True}) for i in range(8)
        ]
        areas[scale] = [
            np.mean([p.boxes[n].width * p.boxes[n].height for p in shown if n in p.boxes])
            for n in ("Hat", "HandBag", "Front")
        ]
        assert sum("Hat" in p.boxes for p in shown) >= 7
    assert areas[0.4][0] < 0.5 * areas[1.0][0]
    assert areas[0.4][1] < 0.4 * areas[1.0][1]
    assert areas[0.4][2] == pytest.approx(areas[1.0][2], rel=0.1)


def test_clutter_and_difficulty_change_the_image() -> None:
    bare, full = (
        draw_person(SynthConfig(height=128, width=96, occlusion=0, clutter=c), 1, 3) for c in (0.0, 1.0)
    )
    np.testing.assert_array_equal(bare.mask, full.mask)
    assert not np.array_equal(bare.image, full.image)

    def roughness(difficulty: float) -> float:
        images = [
            draw_person(SynthConfig(height=128, width=96, clutter=0.0, difficulty=difficulty), 1, i).image
            for i in range(6)
        ]
        return float(np.mean([np.abs(np.diff(im[:20].astype(float), axis=1)).mean() for im in images]))

    assert roughness(1.0) > 1.5 * roughness(0.0)


def test_errors_state_the_expected_value() -> None:
    with pytest.raises(ConfigError, match="expected 0 or more, got -1"):
        draw_person(SMALL, 0, -1)
    with pytest.raises(ConfigError, match="no attribute 'hat'"):
        draw_person(SMALL, 0, 0, force={"hat": True})
    with pytest.raises(ConfigError, match="Front and Back exclude each other"):
        draw_person(SMALL, 0, 0, force={"Front": True, "Back": True})
    with pytest.raises(ConfigError, match="must be present"):
        draw_person(SMALL, 0, 0, force={"Front": False, "Side": False, "Back": False})
    with pytest.raises(ConfigError, match="long sleeves"):
        draw_person(SMALL, 0, 0, force={"LongCoat": True, "ShortSleeve": True})
