"""Create partitions: random ones, and ones without identities shared by several splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from passerby.data.copies import hash_images, join_rows
from passerby.data.manifest import SPLITS, Manifest
from passerby.data.stratification import stratify
from passerby.errors import DataError

__all__ = [
    "check_identities",
    "compute_drift",
    "identity_disjoint_partition",
    "random_partition",
    "shuffled_partition",
]

RESTARTS = 5
"""Number of random initial assignments before the search gives up."""
STEPS = 2_000
"""Maximum number of swaps per initial assignment."""
CANDIDATES = 128
"""Number of random swaps that are compared in each step."""


def shuffled_partition(count: int, *, ratios: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0) -> list[str]:
    """Assign items to train, val and test at random, without regard to what they show.

    Args:
        count: Number of items.
        ratios: Fractions of train, val and test, which sum to 1; a fraction of 0 leaves a split empty.
        seed: Seed of the assignment; 0 or more.

    Raises:
        DataError: If the seed is negative, the ratios do not sum to 1, or there are fewer items than splits
            with a positive fraction.

    Example:
        >>> shuffled_partition(5, ratios=(0.6, 0.2, 0.2), seed=1)
        ['train', 'train', 'val', 'test', 'train']
    """
    ends = _split_ends(count, ratios, what="rows", cure="use more")
    order = _create_rng(seed).permutation(count)
    splits = np.empty(count, dtype=object)
    for split, rows in zip(SPLITS, np.split(order, ends), strict=True):
        splits[rows] = split
    return [str(p) for p in splits]


def random_partition(
    manifest: Manifest,
    *,
    digests: Mapping[str, str] | None = None,
    ratios: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int = 0,
) -> list[str]:
    """Assign images with all their rows to train, val and test, at random and with similar label frequencies.

    All rows of an image, and of files with the same bytes, are in one split. `stratify` divides these groups:
    each label keeps its share in every split, and a rare one is in every split if enough groups have it.

    Args:
        manifest: Rows of any data set. Identities are ignored, see `identity_disjoint_partition`.
        digests: Hash of the bytes of each image, as from `check_images`; by default the existing files are
            hashed.
        ratios: Fractions of train, val and test among the rows, which sum to 1; a fraction of 0 leaves a
            split empty.
        seed: Seed of the assignment; 0 or more.

    Raises:
        DataError: If the seed is negative, the ratios do not sum to 1, or there are fewer different images
            than splits with a positive fraction.

    Example:
        >>> from pathlib import Path
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> m = Manifest.create("toy", schema, root=Path("."), images=[f"{i // 2}.jpg" for i in range(10)],
        ...                     labels=[[i % 2] for i in range(10)], partitions={})
        >>> random_partition(m, ratios=(0.6, 0.2, 0.2))
        ['val', 'val', 'test', 'test', 'train', 'train', 'train', 'train', 'train', 'train']
    """
    rng = _create_rng(seed)
    digests = hash_images(manifest) if digests is None else digests
    groups = join_rows([digests.get(image, image) for image in manifest.images])
    _split_ends(
        int(groups.max(initial=-1)) + 1,
        ratios,
        what="different images",
        cure="add images, or state the split of each row in a column `split`",
    )
    assignment = stratify(groups, manifest.labels, ratios=ratios, rng=rng)
    return [SPLITS[split] for split in assignment[groups]]


def identity_disjoint_partition(
    manifest: Manifest,
    *,
    digests: Mapping[str, str] | None = None,
    ratios: Sequence[float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    max_drift: float = 0.03,
    min_test_images: int = 300,
) -> list[str | None]:
    """Assign identities to train, val and test so that splits share no identity ("zero-shot").

    *Paper*: Jia, Huang, Chen and Huang: Rethinking of Pedestrian Attribute Recognition, arXiv 2107.03576. The
    partition meets its conditions: disjoint identities in the ratio 3:1:1, and similar attribute
    frequencies in all splits. Its index files are not used, and the search is our own: starting from a
    random assignment, it swaps pairs of identities between splits as long as this makes the splits more
    similar. Partitions are therefore comparable with PETA-zs and RAP-zs in kind, not image by image.
    Identities that share an image, or files with the same bytes, count as one.

    Args:
        manifest: Rows without identity are not in the partition (None).
        digests: As in `random_partition`.
        ratios: Fractions of train, val and test among the identities; among the images, they hold within one
            hundredth (or the images of one identity).
        seed: Seed of the search; 0 or more.
        max_drift: Largest difference, in [0, 1], of an attribute's share of positives between two splits.
        min_test_images: Minimum number of images in the test split.

    Raises:
        DataError: If the seed is negative, there are too few identities or images, or no such partition was
            found; the message states the closest result.

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
    check_identities(manifest)
    identities = manifest.identities
    rows = np.array([i for i, identity in enumerate(identities) if identity is not None], dtype=np.int64)
    groups = _join_identities(manifest.take(rows), hash_images(manifest) if digests is None else digests)
    counts = _count(groups, manifest.labels[rows])
    ends = _split_ends(
        len(counts.images),
        ratios,
        what="identities (those that share an image count as one)",
        cure="add some, or use a random partition (--partition random)",
    )
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
        f"{min_test_images} test images; the closest had {best[0]:.3f} and {best[1]}; raise "
        "max_drift (--max-drift), lower min_test_images (--min-test-images), or try another seed (--seed)"
    )


def check_identities(manifest: Manifest) -> None:
    """Check that an identity-disjoint partition is possible.

    Raises:
        DataError: If no row has an identity.
    """
    if not any(identity is not None for identity in manifest.identities):
        raise DataError(f"manifest {manifest.dataset!r} has no identities; use a random partition instead")


def _join_identities(manifest: Manifest, digests: Mapping[str, str]) -> NDArray[np.int64]:
    """Group of each row: identities that share an image or a copy; ordered by the first identity by name."""
    names = np.unique([str(identity) for identity in manifest.identities], return_inverse=True)[1].reshape(-1)
    joined = join_rows(names.tolist(), [digests.get(image, image) for image in manifest.images])
    first = np.full(int(joined.max()) + 1, len(names), np.int64)
    np.minimum.at(first, joined, names)
    groups: NDArray[np.int64] = np.unique(first[joined], return_inverse=True)[1].reshape(-1)
    return groups


def compute_drift(labels: NDArray[np.int8], splits: Sequence[str | None]) -> float:
    """Largest difference of an attribute's share of positives between two splits; unknown labels are ignored.

    Args:
        labels: (N, A) in {1, 0, −1}.
        splits: `train`, `val`, `test` or None for each row.

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
    """For each identity: number of images (G,), of positives (G, A) and of known labels (G, A)."""

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
    """For each attribute: highest minus lowest share of positives among splits (axis −2)."""
    shares = positives / np.maximum(known, 1)
    highest = np.where(known > 0, shares, -np.inf).max(axis=-2)
    lowest = np.where(known > 0, shares, np.inf).min(axis=-2)
    spread: NDArray[np.float64] = np.maximum(highest - lowest, 0.0)
    return spread


class _Search:
    """An assignment of identities to three splits, improved by swaps."""

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
        """Swap identities until the conditions are met; False if swaps no longer improve the assignment."""
        unsuccessful = 0
        for _ in range(STEPS):
            if (
                self.drift <= max_drift
                and self.test_images >= min_test_images
                and self._size_errors(self._sums).max() <= self._size_tolerance
            ):
                return True
            unsuccessful = 0 if self._step() else unsuccessful + 1
            if unsuccessful > 20:
                break
        return False

    def _step(self) -> bool:
        # Identities are sampled in proportion to their number of images, because that is their weight.
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


def _split_ends(count: int, ratios: Sequence[float], *, what: str, cure: str) -> list[int]:
    """Ends of train and val when `count` items are divided by ratio; each split with a ratio has an item."""
    if len(ratios) != len(SPLITS) or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise DataError(f"expected three fractions (train, val, test) that sum to 1, got {tuple(ratios)}")
    wanted = [split for split, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0]
    if count < len(wanted):
        raise DataError(
            f"{count} {what} are too few for fractions of {tuple(ratios)}; expected at least {len(wanted)}, "
            f"one for each of {', '.join(wanted)}; {cure}"
        )
    ends = [round(count * ratios[0]), round(count * (ratios[0] + ratios[1]))]
    sizes = [ends[0], ends[1] - ends[0], count - ends[1]]
    for split, ratio in enumerate(ratios):
        if ratio > 0 and not sizes[split]:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[split] = 1
    return [sizes[0], sizes[0] + sizes[1]]
