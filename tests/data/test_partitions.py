from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerby.data.formats import FORMATS
from passerby.data.manifest import Manifest
from passerby.data.partitions import (
    compute_drift,
    identity_disjoint_partition,
    random_partition,
    shuffled_partition,
)
from passerby.errors import DataError
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema(
    "toy", tuple(Attribute(n, f"has {n}") for n in ("Rare", "Half", "Unknown half the time"))
)


def make_manifest(people: int = 1_000, *, unknown_identities: int = 0, seed: int = 3) -> Manifest:
    """Identities with 1 … 60 images (a few have many, as in PETA), whose labels belong to the identity."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.zipf(1.7, people), 60)
    identities: list[str | None] = [str(i) for i in np.repeat(np.arange(people), counts)]
    labels = np.stack(
        [rng.random(people) < 0.05, rng.random(people) < 0.5, rng.random(people) < 0.3]
    ).T.astype(np.int8)
    labels[rng.random(people) < 0.5, 2] = -1
    rows = np.repeat(labels, counts, axis=0)
    identities += [None] * unknown_identities
    rows = np.concatenate([rows, np.ones((unknown_identities, 3), np.int8)])
    images = [f"{i}.jpg" for i in range(len(identities))]
    return Manifest.create(
        "toy", SCHEMA, root=Path(), images=images, labels=rows, partitions={}, identities=identities
    )


def parts_by_identity(manifest: Manifest, splits: list[str | None]) -> dict[Any, set[str | None]]:
    seen: dict[Any, set[str | None]] = {}
    for identity, split in zip(manifest.identities, splits, strict=True):
        seen.setdefault(identity, set()).add(split)
    return seen


def make_photos(images: list[str], *, positives: int = 0, root: Path = Path(), **columns: Any) -> Manifest:
    """One row per entry; the attribute `Rare` is present in the first rows."""
    labels = np.zeros((len(images), 3), np.int8)
    labels[:positives, 0] = 1
    return Manifest.create("toy", SCHEMA, root=root, images=images, labels=labels, partitions={}, **columns)


# ---------------------------------------------------------------------- shuffled


def test_shuffled_partition_has_the_requested_sizes():
    splits = shuffled_partition(1_000, ratios=(0.7, 0.1, 0.2))
    assert Counter(splits) == {"train": 700, "val": 100, "test": 200}
    assert splits[:700] != ["train"] * 700
    assert Counter(shuffled_partition(10, ratios=(0.5, 0, 0.5))) == {"train": 5, "test": 5}


def test_shuffled_partition_depends_on_the_seed_alone():
    assert shuffled_partition(100, seed=4) == shuffled_partition(100, seed=4)
    assert shuffled_partition(100, seed=4) != shuffled_partition(100, seed=5)


# ---------------------------------------------------------------------- random


def test_random_partition_has_the_requested_sizes():
    photos = make_photos([f"{i}.jpg" for i in range(1_000)], positives=300)
    assert Counter(random_partition(photos)) == {"train": 700, "val": 100, "test": 200}
    few = photos.take(range(10))
    assert Counter(random_partition(few, ratios=(0.5, 0, 0.5))) == {"train": 5, "test": 5}


def test_random_partition_depends_on_the_seed_alone():
    photos = make_photos([f"{i}.jpg" for i in range(100)], positives=30)
    assert random_partition(photos, seed=4) == random_partition(photos, seed=4)
    assert random_partition(photos, seed=4) != random_partition(photos, seed=5)


@pytest.mark.parametrize("seed", range(5))
def test_all_rows_of_an_image_are_in_one_split(seed):
    """Nine images on five rows each, in any order."""
    photos = make_photos([f"{i % 9}.jpg" for i in range(45)], positives=12)
    splits = random_partition(photos, seed=seed)
    assert Counter(splits) == {"train": 30, "val": 5, "test": 10}
    assert len(set(zip(photos.images, splits, strict=True))) == 9


def test_boxes_of_one_photo_are_in_one_split():
    boxes = [(i, 0, i + 20, 50) for i in range(50)]
    photos = make_photos([f"{i // 2}.jpg" for i in range(50)], boxes=boxes)
    assert len(set(zip(photos.images, random_partition(photos), strict=True))) == 25


def test_copies_under_other_names_are_in_one_split(tmp_path):
    """17 of 30 files are copies of another one."""
    contents = [i if i < 13 else i % 5 for i in range(30)]
    for i, content in enumerate(contents):
        (tmp_path / f"{i}.jpg").write_bytes(bytes([content]))
    photos = make_photos([f"{i}.jpg" for i in range(30)], root=tmp_path)
    for splits in (
        random_partition(photos),
        random_partition(photos, digests={f"{i}.jpg": str(content) for i, content in enumerate(contents)}),
    ):
        assert len(set(zip(contents, splits, strict=True))) == 13
        assert set(splits) == {"train", "val", "test"}


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_label_is_in_every_split(seed):
    """3 positives of 97 rows."""
    photos = make_photos([f"{i}.jpg" for i in range(97)], positives=3)
    splits = random_partition(photos, seed=seed)
    assert sorted(splits[:3]) == ["test", "train", "val"]
    assert Counter(splits) == {"train": 68, "val": 10, "test": 19}


def test_frequencies_of_labels_are_similar_in_all_splits():
    manifest = make_manifest()
    assert compute_drift(manifest.labels, random_partition(manifest)) < 0.005


def test_negative_seed_is_refused():
    with pytest.raises(DataError, match="seed of 0 or above, got -1"):
        random_partition(make_manifest(), seed=-1)
    with pytest.raises(DataError, match="seed of 0 or above, got -1"):
        identity_disjoint_partition(make_manifest(), seed=-1)


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.5, 0.2, 0.2), (1.2, -0.4, 0.2)])
def test_ratios_must_sum_to_one(ratios):
    with pytest.raises(DataError, match="three fractions"):
        shuffled_partition(10, ratios=ratios)
    with pytest.raises(DataError, match="three fractions"):
        random_partition(make_manifest(), ratios=ratios)


def test_too_few_images_raise_an_error():
    with pytest.raises(
        DataError, match=r"2 rows are too few .*at least 3, one for each of train, val, test; use more$"
    ):
        shuffled_partition(2, ratios=(0.7, 0.1, 0.2))
    photos = make_photos(["a.jpg", "b.jpg"] * 30)
    with pytest.raises(
        DataError,
        match=r"2 different images are too few .*, test; add images, or state the split of "
        r"each row in a column `split`$",
    ):
        random_partition(photos)
    with pytest.raises(DataError, match=r"1 different images .* at least 2, one for each of train, test"):
        random_partition(make_photos(["a.jpg"]), ratios=(0.5, 0, 0.5))
    with pytest.raises(DataError, match="0 different images are too few"):
        random_partition(photos.take([]))


@pytest.mark.parametrize("count", range(3, 13))
@pytest.mark.parametrize("seed", range(3))
def test_three_images_suffice_for_three_splits(count, seed):
    photos = make_photos([f"{i}.jpg" for i in range(count)], positives=count // 2)
    assert set(random_partition(photos, seed=seed)) == {"train", "val", "test"}
    assert set(random_partition(photos, ratios=(0.98, 0.01, 0.01), seed=seed)) == {"train", "val", "test"}
    assert set(shuffled_partition(count, seed=seed)) == {"train", "val", "test"}


def test_a_small_split_takes_an_image_from_the_largest():
    assert Counter(shuffled_partition(8)) == {"train": 5, "val": 1, "test": 2}
    assert Counter(random_partition(make_photos([f"{i}.jpg" for i in range(8)]))) == {
        "train": 5,
        "val": 1,
        "test": 2,
    }


# ---------------------------------------------------------------------- drift


def test_drift_by_hand_leaves_unknown_labels_out():
    labels = np.array([[1, -1], [1, 1], [0, 0], [0, 0], [1, -1], [0, 1]], np.int8)
    splits = ["train", "train", "train", "val", "val", None]
    # attribute 1: 2/3 and 1/2; attribute 2: 1/2 and 0/1 (the last row is in no split)
    assert compute_drift(labels, splits) == pytest.approx(0.5)
    assert compute_drift(labels[:, :1], splits) == pytest.approx(2 / 3 - 1 / 2)


def test_drift_of_an_attribute_unknown_in_one_split_does_not_count():
    assert compute_drift(np.array([[1], [0], [-1]], np.int8), ["train", "val", "test"]) == 1.0
    assert compute_drift(np.array([[1], [-1], [-1]], np.int8), ["train", "val", "test"]) == 0.0


def test_drift_of_a_single_split_is_zero():
    assert compute_drift(np.array([[1], [0]], np.int8), ["train", "train"]) == 0.0


# ---------------------------------------------------------------------- identity-disjoint


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_identity_disjoint_partition_meets_the_conditions(seed):
    manifest = make_manifest()
    splits = identity_disjoint_partition(manifest, seed=seed)
    assert all(len(p) == 1 for p in parts_by_identity(manifest, splits).values())
    assert compute_drift(manifest.labels, splits) <= 0.03
    people = Counter(next(iter(p)) for p in parts_by_identity(manifest, splits).values())
    assert people == {"train": 600, "val": 200, "test": 200}
    images = Counter(splits)
    assert images["test"] >= 300
    for split, ratio in {"train": 0.6, "val": 0.2, "test": 0.2}.items():
        assert abs(images[split] / len(manifest) - ratio) <= max(0.01, 60 / len(manifest))


def test_random_identities_do_not_meet_the_conditions():
    """Otherwise the search would be for nothing."""
    manifest = make_manifest()
    drifts = []
    for seed in range(20):
        deal = dict(
            zip(
                dict.fromkeys(manifest.identities),
                shuffled_partition(1_000, ratios=(0.6, 0.2, 0.2), seed=seed),
                strict=True,
            )
        )
        drifts.append(compute_drift(manifest.labels, [deal[i] for i in manifest.identities]))
    assert np.median(drifts) > 0.03


def test_identity_disjoint_partition_depends_on_the_seed_alone():
    manifest = make_manifest()
    assert identity_disjoint_partition(manifest, seed=1) == identity_disjoint_partition(manifest, seed=1)
    assert identity_disjoint_partition(manifest, seed=1) != identity_disjoint_partition(manifest, seed=2)


def test_identities_of_one_photo_or_of_copies_are_in_one_split(tmp_path):
    """Persons 2i and 2i + 1 share a photo; those of photos 0 and 1 are joined, because they are copies."""
    people = make_manifest()
    names = [f"{int(identity or 0) // 2}.jpg" for identity in people.identities]
    images = ["copy.jpg" if name == "1.jpg" else name for name in names]
    for name in ("0.jpg", "copy.jpg"):
        (tmp_path / name).write_bytes(b"same")
    shared = Manifest.create(
        "toy",
        SCHEMA,
        root=tmp_path,
        images=images,
        labels=people.labels,
        partitions={},
        identities=people.identities,
    )
    for digests in (None, {"0.jpg": "x", "copy.jpg": "x"}):
        splits = identity_disjoint_partition(shared, digests=digests)
        assert all(len(p) == 1 for p in parts_by_identity(shared, splits).values())
        by_photo: dict[str, set[str | None]] = {}
        for name, split in zip(names, splits, strict=True):
            by_photo.setdefault("0.jpg" if name == "1.jpg" else name, set()).add(split)
        assert len(by_photo) == 499
        assert all(len(found) == 1 for found in by_photo.values())


def test_too_few_identities_with_different_photos_raise_an_error():
    with pytest.raises(
        DataError, match=r"1 identities \(those that share an image count as one\) are too few"
    ):
        identity_disjoint_partition(make_photos(["a.jpg"] * 9, identities=[str(i) for i in range(9)]))


def test_rows_without_identity_stay_outside():
    manifest = make_manifest(unknown_identities=50)
    splits = identity_disjoint_partition(manifest)
    assert splits[-50:] == [None] * 50
    assert None not in splits[:-50]


def test_no_identities_at_all_raise_an_error():
    manifest = make_manifest(5, unknown_identities=5)
    without = manifest.take([i for i, identity in enumerate(manifest.identities) if identity is None])
    with pytest.raises(DataError, match="has no identities; use a random partition"):
        identity_disjoint_partition(without)


def test_too_few_identities_raise_an_error():
    with pytest.raises(
        DataError, match=r"2 identities .* are too few.*; add some, or use a random partition"
    ):
        identity_disjoint_partition(make_manifest(2))


@pytest.mark.parametrize("condition", [{"max_drift": 1e-9}, {"min_test_images": 10**6}])
def test_conditions_that_cannot_be_met_raise_an_error(condition):
    with pytest.raises(
        DataError, match=r"found no identity-disjoint partition .* the closest had 0\.\d+ and \d+"
    ):
        identity_disjoint_partition(make_manifest(60), **condition)


@pytest.mark.realdata
def test_identity_disjoint_partition_of_real_peta():
    folder = os.environ.get("PASSERBY_DATA")
    if not folder or not (Path(folder) / "peta").is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with peta/")
    manifest = FORMATS["peta"](Path(folder) / "peta")
    splits = identity_disjoint_partition(manifest)
    assert all(len(p) == 1 for p in parts_by_identity(manifest, splits).values())
    assert compute_drift(manifest.labels, splits) <= 0.03
    images = Counter(splits)
    assert images == {"train": 11_484, "val": 3_767, "test": 3_749}  # stored results depend on it
    for split, published in {"train": 11_241, "val": 3_826, "test": 3_933}.items():
        assert abs(images[split] - published) < 500  # ours is another partition under the same conditions
