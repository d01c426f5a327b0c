"""Counts behind the threshold metrics, in one pass and O(A) memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.metrics.arrays import convert_to_tensors

__all__ = [
    "SHARE_UNIT",
    "Counts",
    "Unknown",
    "check_inputs",
    "check_unknown",
    "compute_counts",
    "create_thresholds",
]

Unknown = Literal["ignore", "negative"]

SHARE_UNIT = 2**32
"""Sums of shares are integer multiples of 1 / SHARE_UNIT, exact in any order of addition."""

_GROUP = 128
_CELLS_A_CHUNK = 2**18  # buffers of 2 MB, which stay in the cache of a CPU
_CELLS_A_CHUNK_ELSEWHERE = 2**23
_LOW_BITS = 0x0101010101010101
_LOW_NIBBLES = 0x0F0F0F0F0F0F0F0F


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The result of `compute_counts`; counts of different rows are added with `+`.

    All numbers are integers (int64), so the sum is bit-identical however the rows are divided into batches or
    among processes.

    Args:
        positives: Labels 1 of each attribute, (A,).
        negatives: Labels 0 of each attribute, (A,).
        predicted: Known labels of each attribute that were predicted positive, (A,).
        hits: Those of them with label 1 (true positives), (A,).
        rows: Number of rows, ().
        known_rows: Rows with at least one known label, ().
        labelled_rows: Rows with at least one positive label, ().
        accuracy_sum: Sum over rows of |Y ∩ Ŷ| / |Y ∪ Ŷ| in units of 1 / `SHARE_UNIT`, (); a row without any
            positive in the divisor contributes 0.
        precision_sum: The same of |Y ∩ Ŷ| / |Ŷ|, ().
        recall_sum: The same of |Y ∩ Ŷ| / |Y|, ().
    """

    positives: Tensor
    negatives: Tensor
    predicted: Tensor
    hits: Tensor
    rows: Tensor
    known_rows: Tensor
    labelled_rows: Tensor
    accuracy_sum: Tensor
    precision_sum: Tensor
    recall_sum: Tensor

    @classmethod
    def create_empty(cls, num_attributes: int, *, device: torch.device | str = "cpu") -> Counts:
        """The counts of zero rows."""
        wide = ("positives", "negatives", "predicted", "hits")
        return cls(
            *(
                torch.zeros((num_attributes,) if f.name in wide else (), dtype=torch.int64, device=device)
                for f in fields(cls)
            )
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def compute_counts(
    probs: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    *,
    thresholds: float | Sequence[float] | Tensor = 0.5,
    unknown: Unknown = "ignore",
) -> Counts:
    """Count hits and misses of each attribute, and sum the shares of each row.

    A cell is predicted positive when its probability is **strictly** above the threshold, compared in the
    precision of `probs` (half types in float32).

    Shape:
        probs: (N, A) float in [0, 1]; labels: (N, A) integers in {1 yes, 0 no, −1 unknown}, or booleans.

    Args:
        probs: Tensor, array or nested lists.
        labels: Likewise.
        thresholds: One for all attributes, or one each.
        unknown: `ignore` leaves unknown cells out, as label and as prediction; `negative` counts them as no.

    Raises:
        DataError: If shapes or values are out of range; the message names them.
        ConfigError: If a threshold or `unknown` is not valid.

    Example:
        >>> counts = compute_counts(torch.tensor([[0.9, 0.5], [0.2, 0.7]]), torch.tensor([[1, 1], [0, -1]]))
        >>> counts.hits.tolist(), counts.predicted.tolist(), counts.positives.tolist()
        ([1, 0], [1, 0], [1, 1])
        >>> compute_counts([[0.9, 0.5], [0.2, 0.7]], [[True, True], [False, False]]).hits.tolist()
        [1, 0]
    """
    probs, labels = convert_to_tensors(probs, labels)
    check_inputs(probs, labels)
    check_unknown(unknown)
    num_attributes = probs.shape[1]
    cells = _CELLS_A_CHUNK if probs.device.type == "cpu" else _CELLS_A_CHUNK_ELSEWHERE
    groups = min(max(cells // num_attributes // _GROUP, 1), max(-(-len(probs) // _GROUP), 1))
    size = groups * _GROUP
    work_dtype = torch.float64 if probs.dtype == torch.float64 else torch.float32
    limits = create_thresholds(thresholds, num_attributes).to(probs.device, work_dtype)
    counter = _Counter(size, limits, unknown)
    for start in range(0, len(probs), size):
        counter.add(probs[start : start + size], labels[start : start + size])
    return counter.counts(len(probs))


class _Counter:
    """Counts chunks of rows in a few reused buffers.

    All operations are comparisons, additions and bit operations between tensors of one width, of which a CPU
    processes 32 or 64 values at a time; comparisons into booleans, and sums of booleans, are not vectorised.

    - `flags` has one byte of 0 or 1 per cell: predicted, positives, unknown, hits.
    - A column is summed in groups of 128 rows, whose sum fits a byte.
    - A row is padded to words of eight bytes. Adding its words adds eight columns at a time, and a
      multiplication by 0x0101…01 moves the sum of the eight bytes into the highest. The sum of at most 15
      words fits four bits, so predicted and positives share a byte.
    """

    def __init__(self, size: int, thresholds: Tensor, unknown: Unknown) -> None:
        device, columns = thresholds.device, len(thresholds)
        equal = bool((thresholds == thresholds[0]).all())
        self.thresholds = thresholds[0] if equal else thresholds
        self.unknown = unknown
        self.above = torch.empty(size, columns, dtype=thresholds.dtype, device=device)
        self.bytes = torch.zeros(5, size, columns, dtype=torch.int8, device=device)
        self.flags, self.both_in_one = self.bytes[:4], self.bytes[4]
        self.padded = torch.zeros(2, size, -(-columns // 8) * 8, dtype=torch.int8, device=device)
        self.in_row = torch.zeros(3, size, dtype=torch.int64, device=device)
        self.by_column = torch.zeros(4, columns, dtype=torch.int64, device=device)
        self.labelled_rows = torch.zeros((), dtype=torch.int64, device=device)
        self.blank_rows = torch.zeros_like(self.labelled_rows)  # without a known label
        self.shares = torch.zeros(3, dtype=torch.int64, device=device)

    def counts(self, rows: int) -> Counts:
        """The result, given the number of rows added."""
        predicted, positives, unknown, hits = self.by_column
        total = torch.tensor(rows, device=self.flags.device)
        return Counts(
            positives,
            rows - unknown - positives,
            predicted,
            hits,
            total,
            total - self.blank_rows,
            self.labelled_rows,
            *self.shares,
        )

    def add(self, probs: Tensor, labels: Tensor) -> None:
        """Count at most `size` rows."""
        n, columns = probs.shape
        any_unknown = _check_values(probs, labels) and self.unknown == "ignore"
        labels = labels.to(torch.int8)
        if n < self.flags.shape[1]:
            self.flags.zero_()
        predicted, positives, unknown, hits = self.flags[:, :n]
        # A comparison into a tensor of the same type is several times as fast as one into booleans.
        predicted.copy_(torch.gt(probs.to(self.above.dtype), self.thresholds, out=self.above[:n]))
        torch.gt(labels, 0, out=positives)
        if any_unknown:
            torch.lt(labels, 0, out=unknown)
            torch.gt(predicted, unknown, out=predicted)
        else:
            unknown.zero_()
        torch.bitwise_and(predicted, positives, out=hits)
        groups = self.flags.view(torch.uint8).view(4, _GROUP, -1)  # (4, 128, size / 128 · A)
        self.by_column += groups.sum(1, dtype=torch.uint8).view(4, -1, columns).sum(1)
        self._add_rows()
        if any_unknown:
            # A reduction of bytes along rows is slow, so only the rows that can be blank are looked through.
            maybe = unknown[:, 0].bool() & (self.in_row[0, :n] + self.in_row[1, :n] == 0)
            self.blank_rows += unknown[maybe].all(1).count_nonzero()

    def _add_rows(self) -> None:
        self._sum_rows()
        predicted, positives, hits = self.in_row.double()
        self.labelled_rows += positives.count_nonzero()
        hits_in_units = hits * float(SHARE_UNIT)
        divisors = (predicted + positives - hits, predicted, positives)
        for share, divisor in zip(self.shares, divisors, strict=True):
            share += (hits_in_units / divisor.clamp_(min=1)).round_().sum().long()

    def _sum_rows(self) -> None:
        """Write predicted, positives and hits of each row to `in_row`."""
        columns = self.flags.shape[2]
        predicted, positives, _, hits = self.flags
        if columns > 120:  # more than 15 words
            for flag, row in zip((predicted, positives, hits), self.in_row, strict=True):
                torch.sum(flag, 1, out=row)
            return
        torch.add(predicted, positives, alpha=16, out=self.both_in_one)
        self.padded[:, :, :columns].copy_(self.bytes[3:])
        words = self.padded.view(torch.int64).sum(2)  # (2, size)
        torch.bitwise_and(words[1], _LOW_NIBBLES, out=self.in_row[0])
        torch.bitwise_and(words[1].bitwise_right_shift_(4), _LOW_NIBBLES, out=self.in_row[1])
        self.in_row[2].copy_(words[0])
        self.in_row.mul_(_LOW_BITS).bitwise_right_shift_(56)


def create_thresholds(thresholds: float | Sequence[float] | Tensor, num_attributes: int) -> Tensor:
    """One float64 threshold per attribute, (A,).

    Raises:
        ConfigError: If there is neither one for all nor one per attribute, or one is not in [0, 1].

    Example:
        >>> create_thresholds(0.45, 2)
        tensor([0.4500, 0.4500], dtype=torch.float64)
    """
    values = torch.as_tensor(thresholds, dtype=torch.float64)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != num_attributes):
        raise ConfigError(
            f"expected one threshold, or one for each of {num_attributes} attributes, "
            f"got shape {tuple(values.shape)}"
        )
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ConfigError(f"expected thresholds in [0, 1], got {values.flatten()[:5].tolist()}")
    return values.expand(num_attributes).clone()


def check_unknown(unknown: str) -> None:
    """Raise ConfigError unless `unknown` is `ignore` or `negative`."""
    if unknown not in ("ignore", "negative"):
        raise ConfigError(f"unknown={unknown!r}: expected ignore or negative")


def check_inputs(probs: Tensor, labels: Tensor) -> None:
    """Raise DataError unless probabilities and labels have one shape (N, A), A ≥ 1, and fitting types."""
    if probs.ndim != 2 or probs.shape != labels.shape or not probs.shape[1]:
        shapes = f"{tuple(probs.shape)} and {tuple(labels.shape)}"
        raise DataError(f"expected probabilities and labels of one shape (N, A) with A >= 1, got {shapes}")
    if not probs.is_floating_point() or labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"expected floating probabilities and integer labels, got {probs.dtype} and {labels.dtype}; "
            "pass probabilities first"
        )


def check_values(probs: Tensor, labels: Tensor) -> None:
    """Raise DataError unless all probabilities are in [0, 1] and all labels 1, 0 or −1."""
    if probs.numel():
        _check_values(probs, labels)


def _check_values(probs: Tensor, labels: Tensor) -> bool:
    """Check values, and return whether any label is unknown."""
    low, high = float(probs.amin()), float(probs.amax())  # faster than aminmax
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise DataError(
            f"expected probabilities in [0, 1], got values from {low:g} to {high:g}; "
            "apply a sigmoid to logits, and check the model for NaN"
        )
    least, most = (int(v) for v in torch.aminmax(labels.byte() if labels.dtype == torch.bool else labels))
    if not (least >= -1 and most <= 1):
        raise DataError(f"expected labels 1 (yes), 0 (no) or -1 (unknown), got values from {least} to {most}")
    return least < 0
