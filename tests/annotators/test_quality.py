from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.annotators import apply_policy, measure_quality
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError
from passerby.images.decode import load_map

SIZE = (40, 100)  # width, height
KINDS = ("good", "empty", "almost empty", "almost full", "off centre", "damaged", "none")


def draw(kind: str) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], np.uint8)
    if kind == "good":
        mask[20:80, 10:30] = 1
    elif kind == "almost empty":
        mask[49:52, 19:22] = 1
    elif kind == "almost full":
        mask[:, :] = 1
        mask[0] = 0
    elif kind == "off centre":
        mask[:, :15] = 1
    return mask


def stand(score: float = 0.9, *, outside: int = 0, at: float = 20.0) -> list[float]:
    """A person's keypoints spread over the good mask; the last ones beside it."""
    points = np.column_stack([np.linspace(at - 8, at + 8, 17), np.linspace(22, 78, 17), np.full(17, score)])
    if outside:
        points[-outside:, 0] = 38
    return [float(v) for v in points.reshape(-1)]


@pytest.fixture
def rows(people, tmp_path: Path) -> Manifest:
    root = tmp_path / "rows"
    (root / "m").mkdir(parents=True)
    for kind in KINDS:
        Image.new("RGB", SIZE).save(root / f"{kind}.png")
        Image.fromarray(draw(kind) > 0).save(root / "m" / f"{kind}.png")
    (root / "m" / "damaged.png").write_bytes(b"nothing")
    return Manifest.create(
        "toy",
        people.schema,
        root=root,
        images=[f"{kind}.png" for kind in KINDS],
        labels=[[1]] * len(KINDS),
        partitions={"own": ["train"] * len(KINDS)},
        masks=[None if kind == "none" else f"m/{kind}.png" for kind in KINDS],
        keypoints=[stand(), None, stand(0.1), None, stand(), stand(), stand()],
    )


def test_masks_are_counted(rows, caplog):
    seen = []
    with caplog.at_level(logging.WARNING):
        quality = measure_quality(rows, progress=lambda done, total: seen.append((done, total)))
    masks = quality.masks
    assert (masks.present, masks.missing, masks.unreadable) == (6, 1, 1)
    assert (masks.empty, masks.almost_empty, masks.almost_full, masks.off_centre) == (1, 1, 1, 2)
    assert masks.median_share == pytest.approx(0.3)
    assert quality.good_masks.tolist() == [True, False, False, False, True, False, False]
    assert seen == [(7, 7)]
    assert "1 maps could not be read" in caplog.text
    content = quality.to_dict()
    assert content["masks"]["good"] == 2
    assert "good_masks" not in content
    json.dumps(content)


def test_maps_of_another_size_than_their_image_are_unreadable(rows, caplog):
    small = np.zeros((50, 20), np.uint8)
    small[10:40, 5:15] = 1
    Image.fromarray(small).save(rows.root / "m" / "small.png")
    wrong = rows.take([0]).with_guidance(masks=["m/small.png"], parsing=["m/small.png"])
    with caplog.at_level(logging.WARNING):
        quality = measure_quality(wrong)
    assert (quality.masks.unreadable, quality.parsing.unreadable) == (1, 1)
    assert quality.good_masks.tolist() == [False]
    assert "small.png: expected 40 × 100 pixels as in its image, got 20 × 50" in caplog.text


def test_bounds_of_the_shares(people, tmp_path):
    """2 % and 98 % themselves are good."""
    for i, filled in enumerate((1, 2, 98, 99)):
        mask = np.zeros((100, 1), bool)
        mask[:filled] = True
        Image.fromarray(mask).save(people.root / f"{i}.png")
        Image.new("RGB", (1, 100)).save(people.root / people.images[i])
    quality = measure_quality(people.take(range(4)).with_guidance(masks=[f"{i}.png" for i in range(4)]))
    assert quality.good_masks.tolist() == [False, True, True, False]


def test_keypoints_are_compared_to_the_mask(rows):
    points = [stand(), stand(outside=5), stand(outside=6), stand(0.2, outside=9), None, None, None]
    six = rows.with_guidance(masks=["m/good.png"] * 7, keypoints=points)
    found = measure_quality(six).keypoints
    assert (found.present, found.missing, found.compared) == (4, 3, 4)
    assert found.mean_confident == pytest.approx(3 * 17 / 4)
    assert found.share_outside == pytest.approx(11 / 51)
    assert found.rows_outside == 1  # 6 of 17 is more than a third, 5 is not
    assert measure_quality(six, min_score=0.15).keypoints.rows_outside == 2


@pytest.mark.parametrize(("x", "outside"), [(29, 0), (31, 0), (31.4, 1), (32, 1), (8, 0), (7, 1), (-50, 1)])
def test_the_mask_is_widened_by_2_percent_of_the_height(rows, x, outside):
    points = np.zeros((17, 3), np.float32)
    points[0] = (x, 50, 1)
    one = rows.take([0]).with_guidance(keypoints=[points.reshape(-1).tolist()])
    assert measure_quality(one).keypoints.share_outside == outside


def test_boxes_are_cut_out(rows):
    boxes = [(5.0, 10.0, 35.0, 90.0)]
    one = Manifest.create(
        "toy", rows.schema, root=rows.root, images=["good.png"], labels=[[1]], partitions={}, boxes=boxes,
        masks=["m/good.png"], parsing=["m/good.png"], keypoints=[stand()],
    ).with_guidance(parsing_classes=["out", "in", "far"])  # fmt: skip
    quality = measure_quality(one)
    assert quality.masks.median_share == pytest.approx(0.5)
    assert quality.keypoints.share_outside == 0
    assert quality.parsing.class_shares == pytest.approx({"out": 0.5, "in": 0.5, "far": 0})


def test_parsing_maps_are_counted(rows):
    values = np.zeros(SIZE[::-1], np.uint8)
    Image.fromarray(values).save(rows.root / "one.png")
    values[:50], values[50:60] = 1, 255
    Image.fromarray(values).save(rows.root / "two.png")
    new = rows.with_guidance(parsing=["one.png", "two.png", "m/damaged.png", *[None] * 4])
    parsing = measure_quality(new).parsing
    assert (parsing.present, parsing.missing, parsing.unreadable, parsing.one_class) == (3, 4, 1, 1)
    assert parsing.class_shares == pytest.approx({"0": 0.7, "1": 0.25, "unknown": 0.05})


def test_nothing_there_is_no_error(people):
    quality = measure_quality(people)
    assert quality.masks.median_share is None
    assert quality.keypoints.mean_confident is None
    assert quality.parsing.class_shares == {}
    assert not quality.good_masks.any()
    assert measure_quality(people.take([])).rows == 0
    with pytest.raises(DataError, match="min_score"):
        measure_quality(people, min_score=-1)


# ---------------------------------------------------------------------- policy


def test_ones_empties_the_column(rows):
    new, counts = apply_policy(rows, "ones", measure_quality(rows))
    assert new.paths("mask") == ["m/good.png", None, None, None, "m/off centre.png", None, None]
    assert counts == {"kept": 2, "ones": 5, "dropped": 0, "hull": 0}


def test_drop_leaves_rows_out(rows):
    new, counts = apply_policy(rows, "drop", measure_quality(rows))
    assert new.images == ["good.png", "off centre.png"]
    assert new.partition_names == ("own",)
    assert counts == {"kept": 2, "ones": 0, "dropped": 5, "hull": 0}
    bad = rows.take([1, 2])
    with pytest.raises(ConfigError, match="none would be left"):
        apply_policy(bad, "drop", measure_quality(bad))


def test_hull_draws_masks_where_keypoints_allow(rows):
    new, counts = apply_policy(rows, "hull", measure_quality(rows), into="new")
    # no keypoints in rows 1 and 3, none that is confident in row 2
    assert new.paths("mask") == [
        "m/good.png", None, None, None, "m/off centre.png",
        "new/hulls/damaged.png.png", "new/hulls/none.png.png",
    ]  # fmt: skip
    assert counts == {"kept": 2, "ones": 3, "dropped": 0, "hull": 2}
    hull = load_map(rows.root / "new/hulls/none.png.png")
    assert hull.shape == SIZE[::-1]
    assert hull[50, 20]
    assert not hull[0, 39]
    assert measure_quality(new).good_masks.tolist() == [True, False, False, False, True, True, True]


def test_hulls_stay_in_their_box(rows):
    boxes = [(10.5, 20.5, 30.0, 80.0)]
    one = Manifest.create(
        "toy", rows.schema, root=rows.root, images=["none.png"], labels=[[1]], partitions={}, boxes=boxes,
        keypoints=[stand()],
    )  # fmt: skip
    new, counts = apply_policy(one, "hull", measure_quality(one))
    assert counts["hull"] == 1
    hull = load_map(rows.root / new.paths("mask")[0])
    assert hull.shape == SIZE[::-1]
    ys, xs = np.nonzero(hull)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) >= (10, 20)
    assert hull[:20].sum() == 0
    assert hull[:, 30:].sum() == 0


def test_policies_are_checked(rows):
    quality = measure_quality(rows)
    with pytest.raises(ConfigError, match="expected one of ones, drop, hull"):
        apply_policy(rows, "guess", quality)
    with pytest.raises(DataError, match="quality of 2 rows, got 7"):
        apply_policy(rows.take([0, 1]), "ones", quality)
    with pytest.raises(DataError, match="below the root"):
        apply_policy(rows, "hull", quality, into="../elsewhere")
