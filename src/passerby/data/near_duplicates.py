"""Images that look alike: near-duplicates by a perceptual hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.data.manifest import SPLITS

__all__ = ["MAX_DISTANCE", "NearDuplicates", "NearPair", "SimilarImages", "compute_perceptual_hash"]

MAX_DISTANCE = 4
"""Largest number of different bits, of 64, between near-duplicates.

Of PETA's pairs of different files within 4 bits, 185 of 198 show the same identity; within 6 bits, 561 of
599; within 8 bits, 1,366 of 1,540.
"""

SIDE = 32
"""Side in pixels of the image that the hash is computed from, as in `imagehash.phash`."""
MIN_CONTRAST = 8
"""An image with a smaller range of grey values at that size has no perceptual hash."""
EXAMPLES = 5
"""Number of pairs of near-duplicates that are named."""
BLOCK = 512
"""Number of hashes that are compared to all others at a time."""


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two images that look alike.

    Args:
        images: Their paths.
        splits: Their splits.
        distance: Number of different bits of their hashes, of 64.
    """

    images: tuple[str, str]
    splits: tuple[str, str]
    distance: int


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Images that look like an image in another split, and are no copies of it.

    Args:
        images: Their number.
        examples: Some of them with the most similar image of another split.
    """

    images: int
    examples: list[NearPair]


def compute_perceptual_hash(image: Image.Image) -> int | None:
    """The 64-bit DCT hash of `imagehash.phash`; None for an image of almost one colour.

    Example:
        >>> compute_perceptual_hash(Image.new("RGB", (9, 9)))
        >>> photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))
        >>> a, b = (compute_perceptual_hash(photo.resize((side, side))) for side in (90, 200))
        >>> (a ^ b).bit_count() <= MAX_DISTANCE
        True
    """
    import imagehash

    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    if np.ptp(np.asarray(grey)) < MIN_CONTRAST:
        return None
    return int.from_bytes(np.packbits(imagehash.phash(grey).hash).tobytes(), "big")


class SimilarImages:
    """The images of a data set that look alike; all pairs are compared once, for any number of partitions.

    Args:
        hashes: Perceptual hash by path.
        digests: Hash of the bytes by path. Images with equal bytes are copies, not near-duplicates; the first
            stands for all.
    """

    def __init__(self, hashes: Mapping[str, int], digests: Mapping[str, str]) -> None:
        first: dict[str, str] = {}
        for image in hashes:
            first.setdefault(digests[image], image)
        position = {digest: i for i, digest in enumerate(first)}
        self._index = {image: position[digests[image]] for image in hashes}
        self._images = list(first.values())  # (C,)
        self._values = np.array([hashes[image] for image in self._images], np.uint64)  # (C,)
        unique, inverse = np.unique(self._values, return_inverse=True)
        self._value_of = inverse.reshape(-1)  # (C,) position in the U unique values
        self._pairs = _find_pairs(unique)

    def find(self, images: Sequence[str], splits: Sequence[str | None]) -> NearDuplicates:
        """The near-duplicates in other splits, see `NearDuplicates`.

        Args:
            images: Path of each row.
            splits: Split of each row, None for a row in no split.
        """
        member = np.zeros((len(self._images), len(SPLITS)), np.int64)  # (C, 3) in {0, 1}
        for image, split in zip(images, splits, strict=True):
            if split is not None and image in self._index:
                member[self._index[image], SPLITS.index(split)] = 1
        counts = np.zeros((len(self._images), len(SPLITS)), np.int64)  # by unique value, so C rows suffice
        np.add.at(counts, self._value_of, member)
        alike = counts.copy()
        for left, right in (self._pairs, self._pairs[::-1]):
            np.add.at(alike, left, counts[right])
        others = alike[self._value_of] - member
        elsewhere = others.sum(axis=1, keepdims=True) - others
        affected = np.flatnonzero(((member > 0) & (elsewhere > 0)).any(axis=1))
        return NearDuplicates(len(affected), self._find_examples(affected, member))

    def _find_examples(self, affected: NDArray[np.int64], member: NDArray[np.int64]) -> list[NearPair]:
        """The most similar image in another split of some images; each pair once."""
        pairs: dict[tuple[int, int], NearPair] = {}
        for i in affected.tolist():
            if len(pairs) == EXAMPLES:
                break
            distances = np.bitwise_count(self._values ^ self._values[i]).astype(np.int64)
            apart = member.sum(axis=1) * member[i].sum() > member @ member[i]
            apart[i] = False
            j = int(np.where(apart, distances, 65).argmin())
            splits = next(
                (s, t) for s in np.flatnonzero(member[i]) for t in np.flatnonzero(member[j]) if s != t
            )
            pairs.setdefault(
                (min(i, j), max(i, j)),
                NearPair(
                    (self._images[i], self._images[j]),
                    (SPLITS[splits[0]], SPLITS[splits[1]]),
                    int(distances[j]),
                ),
            )
        return list(pairs.values())


def _find_pairs(values: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of all pairs of unique values within `MAX_DISTANCE`, the smaller position first."""
    left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(values), BLOCK):
        near = np.bitwise_count(values[start : start + BLOCK, None] ^ values[start:]) <= MAX_DISTANCE
        i, j = np.nonzero(np.triu(near, k=1))
        left.append(i + start)
        right.append(j + start)
    return np.concatenate(left), np.concatenate(right)
