"""Counting hits and misses: all that the threshold metrics need, in one pass and O(A) memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError

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
"""Sums of shares are kept as whole multiples of 1 / SHARE_UNIT, exact whatever the order of adding."""

_GROUP = 128
_CELLS_A_CHUNK = 2**18  # buffers of 2 MB, which stay in the cache of a CPU
_CELLS_A_CHUNK_ELSEWHERE = 2**23
_LOW_BITS = 0x0101010101010101


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What `compute_counts` found; two of them over different rows add up with `+`.

    All numbers are whole (int64), so the sum does not depend on how the rows were cut into batches or dealt
    out to processes, not even in the last bit.

    Args:
        positives: Labels 1 of each attribute, (A,).
        negatives: Labels 0 of each attribute, (A,).
        predicted: Known labels of each attribute that were predicted positive, (A,).
        hits: Those of them with label 1 (true positives), (A,).
        rows: Number of rows, ().
        labelled_rows: Rows with at least one positive label, ().
        accuracy_sum: Sum over rows of |Y ∩ Ŷ| / |Y ∪ Ŷ| in units of 1 / `SHARE_UNIT`, (); a row without any
            positive in the divisor adds 0.
        precision_sum: The same of |Y ∩ Ŷ| / |Ŷ|, ().
        recall_sum: The same of |Y ∩ Ŷ| / |Y|, ().
    """

    positives: Tensor
    negatives: Tensor
    predicted: Tensor
    hits: Tensor
    rows: Tensor
    labelled_rows: Tensor
    accuracy_sum: Tensor
    precision_sum: Tensor
    recall_sum: Tensor

    @classmethod
    def create_empty(cls, num_attributes: int, *, device: torch.device | str = "cpu") -> Counts:
        """The counts of no rows at all."""
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
    probs: Tensor,
    labels: Tensor,
    *,
    thresholds: float | Sequence[float] | Tensor = 0.5,
    unknown: Unknown = "ignore",
) -> Counts:
    """Count hits and misses of each attribute, and add up the shares of each row.

    A cell is predicted positive when its probability is **strictly** above the threshold, compared in the
    precision of `probs` (half types in float32).

    Shape:
        probs: (N, A) float in [0, 1]; labels: (N, A) integers in {1 yes, 0 no, −1 unknown}.

    Args:
        thresholds: One for all attributes, or one each.
        unknown: `ignore` leaves unknown cells out, as label and as prediction; `negative` takes them for no.

    Raises:
        DataError: If shapes or values are out of range; the message says which.
        ConfigError: If a threshold or `unknown` is not valid.

    Example:
        >>> counts = compute_counts(torch.tensor([[0.9, 0.5], [0.2, 0.7]]), torch.tensor([[1, 1], [0, -1]]))
        >>> counts.hits.tolist(), counts.predicted.tolist(), counts.positives.tolist()
        ([1, 0], [1, 0], [1, 1])
    """
    check_inputs(probs, labels)
    check_unknown(unknown)
    num_attributes = probs.shape[1]
    cells = _CELLS_A_CHUNK if probs.device.type == "cpu" else _CELLS_A_CHUNK_ELSEWHERE
    groups = min(max(cells // num_attributes // _GROUP, 1), max(-(-len(probs) // _GROUP), 1))
    size = groups * _GROUP
    work_dtype = torch.float64 if probs.dtype == torch.float64 else torch.float32
    limits = create_thresholds(thresholds, num_attributes).to(probs.device, work_dtype)
    counter = _Counter(size, limits, unknown)
    total = Counts.create_empty(num_attributes, device=probs.device)
    for start in range(0, len(probs), size):
        total = total + counter.count(probs[start : start + size], labels[start : start + size])
    return total


class _Counter:
    """Counts chunk after chunk in the same few buffers.

    Everything is done with additions and bit operations on bytes, which the CPU does 32 or 64 at a time,
    where comparisons and sums of booleans go one by one:

    - `flags` holds one byte of 0 or 1 a cell: hits, predicted, positives, unknown;
    - a column is summed in groups of 128 rows, whose sum still fits a byte;
    - a row is padded to whole words of eight bytes. Adding its words adds eight columns at once, and one
      multiplication by 0x0101…01 brings the sum of the eight bytes into the highest one.
    """

    def __init__(self, size: int, thresholds: Tensor, unknown: Unknown) -> None:
        device, columns = thresholds.device, len(thresholds)
        self.thresholds, self.unknown = thresholds, unknown
        self.margin = torch.empty(size, columns, dtype=thresholds.dtype, device=device)
        self.flags = torch.zeros(4, size, columns, dtype=torch.int8, device=device)
        self.padded = torch.zeros(3, size, -(-columns // 8) * 8, dtype=torch.int8, device=device)

    def count(self, probs: Tensor, labels: Tensor) -> Counts:
        """Counts of at most `size` rows."""
        n, columns = probs.shape
        any_unknown = _check_values(probs, labels) and self.unknown == "ignore"
        labels = labels.to(torch.int8)
        if n < self.flags.shape[1]:
            self.flags.zero_()
        hits, predicted, positives, unknown = self.flags[:, :n]
        torch.sub(probs, self.thresholds, out=self.margin[:n])
        predicted.copy_(self.margin[:n].sign_())
        if any_unknown:
            torch.clamp(labels, max=0, out=unknown)  # −1 where unknown
            predicted.add_(unknown)
            unknown.neg_()
        else:
            unknown.zero_()
        predicted.relu_()
        torch.clamp(labels, min=0, out=positives)
        torch.bitwise_and(predicted, positives, out=hits)
        bytes_ = self.flags.view(torch.uint8).view(4, _GROUP, -1)  # (4, 128, size / 128 · A)
        sums = bytes_.sum(1, dtype=torch.uint8).view(4, -1, columns).sum(1)  # (4, A)
        return Counts(sums[2], n - sums[3] - sums[2], sums[1], sums[0], *self._add_up_rows(n))

    def _add_up_rows(self, n: int) -> tuple[Tensor, ...]:
        """Rows, rows with a positive label, and the three sums of shares."""
        columns = self.flags.shape[2]
        if columns <= 255:
            self.padded[:, :, :columns].copy_(self.flags[:3])
            words = self.padded.view(torch.int64).sum(2)  # (3, size)
            in_row = words.mul_(_LOW_BITS).bitwise_right_shift_(56).bitwise_and_(0xFF)
        else:  # such a sum may not fit a byte
            in_row = self.flags[:3].sum(2)
        hits, predicted, positives = in_row.double()
        either = predicted + positives - hits
        unit = float(SHARE_UNIT)
        shares = ((hits * unit / whole.clamp(min=1)).round_() for whole in (either, predicted, positives))
        rows = torch.tensor(n, device=self.flags.device)
        return (rows, positives.count_nonzero(), *(share.sum().long() for share in shares))


def create_thresholds(thresholds: float | Sequence[float] | Tensor, num_attributes: int) -> Tensor:
    """One float64 threshold an attribute, (A,).

    Raises:
        ConfigError: If there is neither one for all nor one an attribute, or one is not in [0, 1].

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
        raise ConfigError(f"no way {unknown!r} to treat unknown labels; choose one of ignore, negative")


def check_inputs(probs: Tensor, labels: Tensor) -> None:
    """Raise DataError unless probabilities and labels have one shape (N, A), A ≥ 1, and fitting types."""
    if probs.ndim != 2 or probs.shape != labels.shape or not probs.shape[1]:
        shapes = f"{tuple(probs.shape)} and {tuple(labels.shape)}"
        raise DataError(f"expected probabilities and labels of one shape (N, A) with A >= 1, got {shapes}")
    if not probs.is_floating_point() or labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"expected floating probabilities and integer labels, got {probs.dtype} and {labels.dtype}; "
            "give probabilities first"
        )


def check_values(probs: Tensor, labels: Tensor) -> None:
    """Raise DataError unless all probabilities are in [0, 1] and all labels 1, 0 or −1."""
    if probs.numel():
        _check_values(probs, labels)


def _check_values(probs: Tensor, labels: Tensor) -> bool:
    """The same; returns whether any label is unknown."""
    low, high = (float(v) for v in torch.aminmax(probs))
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise DataError(
            f"expected probabilities in [0, 1], got values from {low:g} to {high:g}; "
            "apply a sigmoid to logits, and look for NaN in the model"
        )
    least, most = (int(v) for v in torch.aminmax(labels.byte() if labels.dtype == torch.bool else labels))
    if not (least >= -1 and most <= 1):
        raise DataError(f"expected labels 1 (yes), 0 (no) or -1 (unknown), got values from {least} to {most}")
    return least < 0
