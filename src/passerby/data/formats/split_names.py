"""The names of splits in files: `Train`, `valid`, `dev`, `testing` and the like."""

from __future__ import annotations

import re

__all__ = ["SPLIT_NAMES", "find_split", "is_trainval", "parse_split"]

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "development": "val",
    "test": "test",
    "testing": "test",
    "trainval": "train",
    "trainvalid": "train",
}
"""The split of each name that is understood, in lower case and without separators."""

_TRAINVAL = frozenset({"trainval", "trainvalid"})
"""Names of the training split together with the validation split, which count as train."""

_SEPARATORS = re.compile(r"[\s_+-]+")


def parse_split(text: str) -> str | None:
    """The split that a name means, None if it is not understood.

    Example:
        >>> parse_split("Validation"), parse_split("TEST"), parse_split("train+val"), parse_split("day")
        ('val', 'test', 'train', None)
    """
    return SPLIT_NAMES.get(_normalise(text))


def is_trainval(text: str) -> bool:
    """Whether a name means the training split together with the validation split.

    Example:
        >>> is_trainval("Train-Val"), is_trainval("train")
        (True, False)
    """
    return _normalise(text) in _TRAINVAL


def find_split(file_stem: str) -> str | None:
    """The word in the name of a file that means a split, None if it has none or several.

    Example:
        >>> find_split("labels_train"), find_split("val_2"), find_split("my-trainval"), find_split("labels")
        ('train', 'val', 'trainval', None)
    """
    if parse_split(file_stem):
        return file_stem
    words = [word for word in re.findall(r"[A-Za-z]+", file_stem) if parse_split(word)]
    return words[0] if len(set(map(parse_split, words))) == 1 else None


def _normalise(text: str) -> str:
    return _SEPARATORS.sub("", text.strip().lower())
