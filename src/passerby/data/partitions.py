"""Partitions of one's own: at random, or so that no identity occurs in two splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.manifest import SPLITS, Manifest
from passerby.errors import DataError

__all__ = ["compute_drift", "identity_disjoint_partition", "random_partition"]

RESTARTS = 5
"""Deals of the identities from which the search sets out, before it gives up."""
STEPS = 2_000
"""Exchanges of two identities after which a search gives up."""
CANDIDATES = 128
"""Exchanges that are weighed at each step."""


def random_partition(count: int, *, ratios: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> list[str]:
    """Deal rows to train, val and test at random.

    Args:
        count: Number of rows.
        ratios: Shares of train, val and test, which add up to 1; a share of 0 leaves a split empty.
        seed: Fixes the outcome; 0 or more.

    Raises:
        DataError: If the seed is negative, the ratios do not add up to 1, or a split with a positive share
            would stay empty.

    Example:
        >>> random_partition(5, ratios=(0.6, 0.2, 0.2), seed=1)
        ['train', 'train', 'val', 'test', 'train']
    """
    ends = _split_ends(count, ratios, what="rows")
    order = _create_rng(seed).permutation(count)
    splits = np.empty(count, dtype=object)
    for split, rows in zip(SPLITS, np.split(order, ends), strict=True):
        splits[rows] = split
    return [str(p) for p in splits]


def identity_disjoint_partition(
    manifest: Manifest,
    *,
    ratios: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    max_drift: float = 0.03,
    min_test_images: int = 300,
) -> list[str | None]:
    """Deal identities to train, val and test so that the splits have no identity in common ("zero-shot").

    *Paper*: Jia, Huang, Chen and Huang: Rethinking of Pedestrian Attribute Recognition, arXiv 2107.03576. Its
    conditions are met: disjoint identities in the ratio 3:1:1, and attributes as frequent in one split as in
    another. Its index files are not used, and how a partition that meets the conditions is found is ours: from
    identities dealt at random, pairs are exchanged between splits while that brings the splits closer together.
    So the outcome is comparable with PETA-zs and RAP-zs in kind, not image by image.

    Args:
        manifest: Rows without identity stay outside the partition (None).
        ratios: Shares of train, val and test among the identities, and within one hundredth (or one
            identity's images) among the images.
        seed: Fixes the outcome; 0 or more.
        max_drift: Largest difference, in [0, 1], of an attribute's share of positives between two splits.
        min_test_images: The test split has at least so many images.

    Raises:
        DataError: If the seed is negative, there are too few identities or images, or no such partition was
            found; the message says how near the search came.

    Example:
        >>> from pathlib import Path
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> m = Manifest.create("toy", schema, root=Path("."), images=[f"{i}.jpg" for i in range(10)],
        ...                     labels=[[i % 2] for i in range(10)], partitions={},
        ...                     identities=[str(i // 2) for i in range(10)])
        >>> identity_disjoint_partition(m, min_test_images=2)[:6]
        ['val', 'val', 'test', 'test', 'train', 'train']
    """
    identities = manifest.identities
    rows = np.array([i for i, identity in enumerate(identities) if identity is not None], dtype=np.int64)
    if not len(rows):
        raise DataError(f"manifest {manifest.dataset!r} has no identities; take a random partition instead")
    groups = np.unique([str(identities[i]) for i in rows], return_inverse=True)[1].reshape(-1)
    counts = _count(groups, manifest.labels[rows])
    ends = _split_ends(len(counts.images), ratios, what="identities")
    rng = _create_rng(seed)
    best = (np.inf, 0)
    for _ in range(RESTARTS):
        order = rng.permutation(len(counts.images))
        assignment = np.empty(len(order), dtype=np.int64)
        for split, members in enumerate(np.split(order, ends)):
            assignment[members] = split
        search = _Search(counts, assignment, np.asarray(ratios, dtype=np.float64), rng)
        if search.run(max_drift=max_drift, min_test_images=min_test_images):
            splits: list[str | None] = [None] * len(manifest)
            for row, group in zip(rows, groups, strict=True):
                splits[row] = SPLITS[search.assignment[group]]
            return splits
        best = min(best, (search.drift, search.test_images))
    raise DataError(
        f"found no identity-disjoint partition with a drift of at most {max_drift} and at least "
        f"{min_test_images} test images; the nearest had {best[0]:.3f} and {best[1]}: allow more drift or "
        f"fewer images, or try another seed"
    )


def compute_drift(labels: NDArray[np.int8], splits: Sequence[str | None]) -> float:
    """Largest difference of an attribute's share of positives between any two splits; unknown labels apart.

    Args:
        labels: (N, A) in {1, 0, −1}.
        splits: One of `train`, `val`, `test` or None a row.

    Example:
        >>> compute_drift(np.array([[1], [0], [1], [1]], np.int8), ["train", "train", "test", "test"])
        0.5
    """
    column = np.asarray(splits, dtype=object)
    present = [p for p in SPLITS if (column == p).any()]
    if len(present) < 2:
        return 0.0
    positives = np.stack([(labels[column == p] == 1).sum(axis=0) for p in present]).astype(np.float64)
    known = np.stack([(labels[column == p] >= 0).sum(axis=0) for p in present]).astype(np.float64)
    return float(_spread(positives, known).max())


@dataclass(frozen=True)
class _Counts:
    """Per identity: number of images (G,), of positives (G, A) and of known labels (G, A)."""

    images: NDArray[np.float64]
    positives: NDArray[np.float64]
    known: NDArray[np.float64]


def _count(groups: NDArray[np.int64], labels: NDArray[np.int8]) -> _Counts:
    shape = (int(groups.max()) + 1, labels.shape[1])
    positives, known = np.zeros(shape), np.zeros(shape)
    np.add.at(positives, groups, labels == 1)
    np.add.at(known, groups, labels >= 0)
    return _Counts(np.bincount(groups).astype(np.float64), positives, known)


def _spread(positives: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per attribute, the highest less the lowest share of positives among splits (axis −2)."""
    shares = positives / np.maximum(known, 1)
    highest = np.where(known > 0, shares, -np.inf).max(axis=-2)
    lowest = np.where(known > 0, shares, np.inf).min(axis=-2)
    spread: NDArray[np.float64] = np.maximum(highest - lowest, 0.0)
    return spread


class _Search:
    """A deal of identities to three splits, bettered by exchanges."""

    def __init__(
        self,
        counts: _Counts,
        assignment: NDArray[np.int64],
        ratios: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        self.assignment = assignment
        self._ratios = ratios
        self._rng = rng
        self._each = np.concatenate(
            [counts.images[:, None], counts.positives, counts.known], axis=1
        )  # (G, 1 + 2A)
        self._cumulated = np.cumsum(counts.images)
        self._sums = np.zeros((len(ratios), self._each.shape[1]))
        np.add.at(self._sums, assignment, self._each)
        self._size_tolerance = max(0.01, float(counts.images.max() / counts.images.sum()))

    @property
    def drift(self) -> float:
        return float(self._spreads(self._sums[self._ratios > 0]).max())

    @property
    def test_images(self) -> int:
        return int(self._sums[2, 0])

    def run(self, *, max_drift: float, min_test_images: int) -> bool:
        """Exchange identities until the conditions are met; False when no exchange helps any more."""
        fruitless = 0
        for _ in range(STEPS):
            if (
                self.drift <= max_drift
                and self.test_images >= min_test_images
                and self._size_errors(self._sums).max() <= self._size_tolerance
            ):
                return True
            fruitless = 0 if self._step() else fruitless + 1
            if fruitless > 20:
                break
        return False

    def _step(self) -> bool:
        # An identity with many images weighs more in the shares, so it is tried more often.
        size = (2, CANDIDATES)
        pairs = np.searchsorted(self._cumulated, self._rng.random(size) * self._cumulated[-1], side="right").T
        pairs = pairs[self.assignment[pairs[:, 0]] != self.assignment[pairs[:, 1]]]
        if not len(pairs):
            return False
        change = self._each[pairs[:, 1]] - self._each[pairs[:, 0]]
        sums = np.repeat(self._sums[None], len(pairs), axis=0)
        each = np.arange(len(pairs))
        sums[each, self.assignment[pairs[:, 0]]] += change
        sums[each, self.assignment[pairs[:, 1]]] -= change
        costs = self._cost(sums)
        chosen = int(costs.argmin())
        if costs[chosen] >= self._cost(self._sums[None])[0]:
            return False
        self._sums = sums[chosen]
        self.assignment[pairs[chosen]] = self.assignment[pairs[chosen]][::-1]
        return True

    def _cost(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        spreads = self._spreads(sums[:, self._ratios > 0])
        errors = self._size_errors(sums)
        return np.asarray((spreads**2).sum(axis=-1) + spreads.max(axis=-1) + (10 * errors**2).sum(axis=-1))

    def _spreads(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        attributes = (sums.shape[-1] - 1) // 2
        return _spread(sums[..., 1 : 1 + attributes], sums[..., 1 + attributes :])

    def _size_errors(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        images = sums[..., 0]
        errors: NDArray[np.float64] = np.abs(images / images.sum(axis=-1, keepdims=True) - self._ratios)
        return errors


def _create_rng(seed: int) -> np.random.Generator:
    if seed < 0:
        raise DataError(f"expected a seed of 0 or above, got {seed}")
    return np.random.default_rng(seed)


def _split_ends(count: int, ratios: Sequence[float], *, what: str) -> list[int]:
    """Where train and val end when `count` things are dealt by ratio."""
    if len(ratios) != len(SPLITS) or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise DataError(f"expected three shares (train, val, test) that add up to 1, got {tuple(ratios)}")
    ends = [round(count * ratios[0]), round(count * (ratios[0] + ratios[1]))]
    sizes = (ends[0], ends[1] - ends[0], count - ends[1])
    for split, size, ratio in zip(SPLITS, sizes, ratios, strict=True):
        if ratio > 0 and not size:
            raise DataError(
                f"{count} {what} are too few for shares of {tuple(ratios)}: {split} would stay empty"
            )
    return ends
