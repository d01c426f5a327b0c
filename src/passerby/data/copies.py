"""Rows that show the same image: by its path, or by files with the same bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.manifest import SPLITS, Manifest
from passerby.errors import ImageError
from passerby.images.limits import read_bytes

__all__ = [
    "Contradiction",
    "Overlap",
    "find_contradictions",
    "find_overlaps",
    "hash_content",
    "hash_images",
    "join_rows",
]


@dataclass(frozen=True, slots=True)
class Overlap:
    """One image, or several with the same bytes, in more than one split.

    Args:
        images: Path of the image, or of all its copies.
        splits: The splits that contain it.
    """

    images: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Rows with the same image (or copies of it) and the same box, but different labels.

    Args:
        images: Path of the image, or of all its copies.
        attributes: Present in one of the rows, absent in another.
    """

    images: tuple[str, ...]
    attributes: tuple[str, ...]


def hash_content(content: bytes) -> str:
    """A hash of the bytes of a file, in hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hash_images(manifest: Manifest) -> dict[str, str]:
    """`hash_content` of each existing image, by path."""
    digests = {}
    for image in dict.fromkeys(manifest.images):
        with suppress(OSError, ImageError):
            digests[image] = hash_content(read_bytes(manifest.root / image))
    return digests


def join_rows(*columns: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """Number the groups of rows that share a value, directly or through other rows; None is no value.

    Shape:
        columns: N values each. Returns (N,) the group of each row, in the order of their first rows.

    Example:
        >>> join_rows(["a", "b", "c", "d"], [1, 2, 1, None]).tolist()
        [0, 1, 0, 2]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(columns[0])
    rows: list[int] = []
    values: dict[tuple[int, Hashable], int] = {}
    nodes: list[int] = []
    for number, column in enumerate(columns):
        for row, value in enumerate(column):
            if value is not None:
                rows.append(row)
                nodes.append(values.setdefault((number, value), n + len(values)))
    size = n + len(values)
    edges = coo_array((np.ones(len(rows), np.bool_), (rows, nodes)), shape=(size, size))
    labels = connected_components(edges, directed=False)[1][:n]
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    ranks: NDArray[np.int64] = first.argsort().argsort()[group.reshape(-1)]
    return ranks


def find_overlaps(
    images: Sequence[str], splits: Sequence[str | None], digests: Mapping[str, str]
) -> list[Overlap]:
    """Images and their copies that are in several splits.

    Args:
        images: Path of each row.
        splits: Split of each row, None for a row in no split.
        digests: `hash_content` by path; a path without one counts as different from all others.
    """
    found: defaultdict[str, tuple[dict[str, None], set[str]]] = defaultdict(lambda: ({}, set()))
    for image, split in zip(images, splits, strict=True):
        if split is not None:
            paths, present = found[digests.get(image, image)]
            paths[image] = None
            present.add(split)
    return [
        Overlap(tuple(paths), tuple(s for s in SPLITS if s in present))
        for paths, present in found.values()
        if len(present) > 1
    ]


def find_contradictions(manifest: Manifest, digests: Mapping[str, str]) -> list[Contradiction]:
    """Rows of the same image, or of copies of it, and of the same box that differ in a known label.

    Args:
        digests: As in `find_overlaps`.
    """
    by_crop: defaultdict[tuple[str, object], list[int]] = defaultdict(list)
    images, labels = manifest.images, manifest.labels
    for row, (image, box) in enumerate(zip(images, manifest.boxes(), strict=True)):
        by_crop[digests.get(image, image), box].append(row)
    found = []
    for rows in by_crop.values():
        if len(rows) == 1:
            continue
        differ = (labels[rows] == 1).any(axis=0) & (labels[rows] == 0).any(axis=0)
        if differ.any():
            names = tuple(manifest.schema.names[i] for i in np.flatnonzero(differ))
            found.append(Contradiction(tuple(dict.fromkeys(images[row] for row in rows)), names))
    return found
