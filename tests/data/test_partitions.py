from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerby.data.formats import FORMATS
from passerby.data.manifest import Manifest
from passerby.data.partitions import compute_drift, identity_disjoint_partition, random_partition
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


# ---------------------------------------------------------------------- random


def test_random_partition_has_the_requested_sizes():
    assert Counter(random_partition(1_000, ratios=(0.7, 0.1, 0.2))) == {"train": 700, "val": 100, "test": 200}
    assert Counter(random_partition(10, ratios=(0.5, 0, 0.5))) == {"train": 5, "test": 5}


def test_random_partition_depends_on_the_seed_alone():
    assert random_partition(100, seed=4) == random_partition(100, seed=4)
    assert random_partition(100, seed=4) != random_partition(100, seed=5)


def test_negative_seed_is_refused():
    with pytest.raises(DataError, match="seed of 0 or above, got -1"):
        random_partition(10, seed=-1)
    with pytest.raises(DataError, match="seed of 0 or above, got -1"):
        identity_disjoint_partition(make_manifest(), seed=-1)


def test_random_partition_is_not_in_order():
    assert random_partition(1_000)[:700] != ["train"] * 700


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.5, 0.2, 0.2), (1.2, -0.4, 0.2)])
def test_ratios_must_sum_to_one(ratios):
    with pytest.raises(DataError, match="three fractions"):
        random_partition(10, ratios=ratios)


def test_too_few_rows_raise_an_error():
    with pytest.raises(DataError, match=r"3 rows are too few .*: val would be empty"):
        random_partition(3, ratios=(0.7, 0.1, 0.2))


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
                random_partition(1_000, ratios=(0.6, 0.2, 0.2), seed=seed),
                strict=True,
            )
        )
        drifts.append(compute_drift(manifest.labels, [deal[i] for i in manifest.identities]))
    assert np.median(drifts) > 0.03


def test_identity_disjoint_partition_depends_on_the_seed_alone():
    manifest = make_manifest()
    assert identity_disjoint_partition(manifest, seed=1) == identity_disjoint_partition(manifest, seed=1)
    assert identity_disjoint_partition(manifest, seed=1) != identity_disjoint_partition(manifest, seed=2)


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
    with pytest.raises(DataError, match="2 identities are too few"):
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
    for split, published in {"train": 11_241, "val": 3_826, "test": 3_933}.items():
        assert abs(images[split] - published) < 500  # ours is another partition under the same conditions
