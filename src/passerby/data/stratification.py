"""Divide groups of rows among splits so that each label keeps its share in every split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["stratify"]


def stratify(
    groups: NDArray[np.int64],
    labels: NDArray[np.int8],
    *,
    ratios: Sequence[float],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Divide groups of rows among splits by iterative stratification.

    *Paper*: Sechidis, Tsoumakas and Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011,
    Algorithm 1: it takes the label with the fewest remaining examples, and assigns each of these to the split
    that lacks most examples of the label; among equal splits, to the one that lacks most examples; else at
    random. Departures:

    - An example is a group of rows. What a split lacks is counted in rows; larger groups come first.
    - Each known value of an attribute, present or absent, is a label. Unknown labels are ignored.
    - A split that has its number of rows takes no more, so the ratios hold within one group.
    - If a label has only as many remaining groups as splits that are still without it, these splits come
      first, so that each split contains a rare label if enough groups have it and the split has room. The
      paper would put three examples of a label into two splits of 70 %, 10 % and 20 %.
    - The last groups go to the splits that would otherwise be empty.

    Args:
        ratios: Fraction of the rows of each split, in sum 1. A split with fraction 0 stays empty.
        rng: Breaks ties.

    Shape:
        groups: (N,) group of each row, in [0, G). labels: (N, A) in {1, 0, −1}. Returns (G,) the split of
        each group, in [0, number of ratios).

    Example:
        >>> labels = np.array([[1], [1], [1], [0], [0], [0], [0], [0], [0], [0]], np.int8)
        >>> splits = stratify(np.arange(10), labels, ratios=(0.6, 0.2, 0.2), rng=np.random.default_rng(0))
        >>> sorted(splits[:3].tolist()), np.bincount(splits).tolist()
        ([0, 1, 2], [6, 2, 2])
    """
    state = _Assignment(_count_labels(groups, labels), np.asarray(ratios, dtype=np.float64), rng)
    while (label := state.find_rarest_label()) is not None:
        for group in state.find_groups(label):
            state.assign(group, label)
    return state.splits


def _count_labels(groups: NDArray[np.int64], labels: NDArray[np.int8]) -> NDArray[np.int32]:
    """For each group (G, 1 + 2A): number of rows, of rows with each attribute present, and absent."""
    each = np.concatenate([np.ones((len(labels), 1), np.bool_), labels == 1, labels == 0], axis=1)
    counts = np.zeros((int(groups.max(initial=-1)) + 1, each.shape[1]), np.int32)
    np.add.at(counts, groups, each)
    return counts


class _Assignment:
    """Groups and what each split still lacks. Label 0 stands for any row, so every group has it.

    Args:
        counts: (G, L) rows of each group with each label.
        ratios: (S,) fraction of each split.
    """

    def __init__(
        self, counts: NDArray[np.int32], ratios: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self._counts, self._has, self._rng = counts, counts > 0, rng
        self._open = np.flatnonzero(ratios > 0)
        self._wanted = ratios[:, None] * counts.sum(axis=0)  # (S, L) rows that each split still lacks
        self._remaining = self._has.sum(axis=0)  # (L,) groups with the label that have no split yet
        self._without = np.zeros(self._wanted.shape, np.bool_)  # (S, L) splits without any group of the label
        self._without[self._open] = True
        self._order = rng.permutation(len(counts))
        self.splits = np.full(len(counts), -1, np.int64)

    def find_rarest_label(self) -> int | None:
        """The label with the fewest remaining groups; None if no group remains."""
        if not self._remaining[0]:
            return None
        return int(np.where(self._remaining > 0, self._remaining, np.iinfo(np.int64).max).argmin())

    def find_groups(self, label: int) -> NDArray[np.int64]:
        """The remaining groups with a label, the largest first, otherwise in random order."""
        groups = self._order[(self.splits[self._order] < 0) & self._has[self._order, label]]
        largest_first = np.lexsort((-self._counts[groups, 0], -self._counts[groups, label]))
        ordered: NDArray[np.int64] = groups[largest_first]
        return ordered

    def assign(self, group: int, label: int) -> None:
        """Assign a group to the split that needs it most."""
        has, counts = self._has[group], self._counts[group]
        rows = self._wanted[:, 0]
        room = self._open[rows[self._open] >= counts[0] / 2]
        candidates = room if len(room) else self._open[rows[self._open] == rows[self._open].max()]
        empty = self._open[self._without[self._open, 0]]
        if self._remaining[0] <= len(empty):
            candidates = empty
        scarce = has & (self._remaining <= self._without.sum(axis=0))
        if scarce.any():
            candidates = _keep_largest(candidates, self._without[:, scarce].sum(axis=1))
        for need in (self._wanted[:, label], rows):
            candidates = _keep_largest(candidates, need)
        split = int(self._rng.choice(candidates)) if len(candidates) > 1 else int(candidates[0])
        self.splits[group] = split
        self._wanted[split] -= counts
        self._remaining -= has
        self._without[split, has] = False


def _keep_largest(splits: NDArray[np.int64], values: NDArray[np.float64 | np.int64]) -> NDArray[np.int64]:
    """The splits whose value is the largest."""
    kept: NDArray[np.int64] = splits[values[splits] == values[splits].max()]
    return kept
