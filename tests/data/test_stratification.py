from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from passerby.data.stratification import stratify

RATIOS = (0.7, 0.1, 0.2)


def assign(
    labels: NDArray[np.int8], *, groups: NDArray[np.int64] | None = None, seed: int = 0, ratios=RATIOS
) -> NDArray[np.int64]:
    """Split of each row."""
    groups = np.arange(len(labels)) if groups is None else groups
    return stratify(groups, labels, ratios=ratios, rng=np.random.default_rng(seed))[groups]


def make_labels(positives: int, negatives: int, unknown: int = 0) -> NDArray[np.int8]:
    return np.repeat(np.int8([1, 0, -1]), (positives, negatives, unknown))[:, None]


def count(splits: NDArray[np.int64], chosen: NDArray[np.bool_]) -> list[int]:
    return np.bincount(splits[chosen], minlength=3).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_each_label_keeps_its_share(seed):
    labels = make_labels(200, 800)
    splits = assign(labels, seed=seed)
    assert count(splits, labels[:, 0] == 1) == [140, 20, 40]
    assert count(splits, labels[:, 0] == 0) == [560, 80, 160]


@pytest.mark.parametrize("value", [1, 0])
@pytest.mark.parametrize(
    ("rare", "expected"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (2, [1, 0, 1]), (1, [1, 0, 0])]
)
def test_a_rare_value_is_in_every_split_if_there_are_enough(value, rare, expected):
    """3 positives, or negatives, of 97 rows: by shares alone, val would have none."""
    labels = make_labels(rare, 97 - rare) if value else make_labels(97 - rare, rare)
    splits = assign(labels)
    assert count(splits, labels[:, 0] == value) == expected
    assert np.bincount(splits).tolist() == [68, 10, 19]


def test_several_rare_attributes_at_once():
    labels = np.zeros((97, 4), np.int8)
    for attribute in range(4):
        labels[attribute * 2 : attribute * 2 + 3, attribute] = 1  # neighbours share a row
    splits = assign(labels)
    for attribute in range(4):
        assert count(splits, labels[:, attribute] == 1) == [1, 1, 1]


def test_unknown_labels_are_ignored():
    labels = np.concatenate([make_labels(20, 0, 80), make_labels(0, 20, 80)])
    splits = assign(labels)
    assert count(splits, labels[:, 0] == 1) == [14, 2, 4]
    assert count(splits, labels[:, 0] == 0) == [14, 2, 4]
    assert np.bincount(splits).tolist() == [140, 20, 40]


def test_groups_stay_together_and_ratios_hold_by_rows():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(300), rng.integers(1, 8, 300))
    labels = (rng.random((len(groups), 5)) < (0.02, 0.1, 0.3, 0.5, 0.95)).astype(np.int8)
    splits = assign(labels, groups=groups)
    for group in range(300):
        assert len(set(splits[groups == group])) == 1
    np.testing.assert_allclose(np.bincount(splits), len(groups) * np.array(RATIOS), atol=4)
    for value in (0, 1):
        for attribute in range(5):
            chosen = labels[:, attribute] == value
            np.testing.assert_allclose(count(splits, chosen), chosen.sum() * np.array(RATIOS), atol=12)


def test_a_large_group_does_not_leave_a_split_empty():
    groups = np.concatenate([np.zeros(100, np.int64), np.arange(1, 6)])
    splits = assign(np.zeros((105, 1), np.int8), groups=groups)
    assert set(splits[:100]) == {0}
    assert set(splits) == {0, 1, 2}


def test_a_split_with_fraction_zero_stays_empty():
    labels = make_labels(3, 7)
    splits = assign(labels, ratios=(0.5, 0, 0.5))
    assert np.bincount(splits).tolist() == [5, 0, 5]
    assert sorted(count(splits, labels[:, 0] == 1)) == [0, 1, 2]


def test_no_attributes_and_no_rows():
    assert np.bincount(assign(np.zeros((10, 0), np.int8))).tolist() == [7, 1, 2]
    assert (
        len(
            stratify(
                np.zeros(0, np.int64), np.zeros((0, 2), np.int8), ratios=RATIOS, rng=np.random.default_rng(0)
            )
        )
        == 0
    )


def test_it_depends_on_the_seed_alone():
    labels = (np.random.default_rng(0).random((200, 3)) < 0.3).astype(np.int8)
    assert (assign(labels, seed=4) == assign(labels, seed=4)).all()
    assert (assign(labels, seed=4) != assign(labels, seed=5)).any()
