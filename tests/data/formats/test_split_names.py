from __future__ import annotations

import pytest

from passerby.data.formats.split_names import find_split, is_trainval, parse_split


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (
            ["train", "Train", "TRAINING", " train ", "trainval", "train+val", "Train_Val", "train-valid"],
            "train",
        ),
        (["val", "VAL", "valid", "Validation", "dev", "development"], "val"),
        (["test", "TEST", "Testing"], "test"),
        (["", "day", "trains", "0", "train,val"], None),
    ],
)
def test_names_of_splits(names, split):
    assert [parse_split(name) for name in names] == [split] * len(names)


def test_trainval_is_train_and_val():
    names = ("trainval", "Train+Val", "train", "val")
    assert [is_trainval(name) for name in names] == [True, True, False, False]


@pytest.mark.parametrize(
    ("stem", "word"),
    [
        ("train", "train"),
        ("Labels-VALID-2024", "VALID"),
        ("train_0", "train"),
        ("train_val", "train_val"),
        ("labels_train_val", None),
        ("contest", None),
        ("labels", None),
    ],
)
def test_splits_in_the_names_of_files(stem, word):
    assert find_split(stem) == word
