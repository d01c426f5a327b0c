"""Cluster bootstrap of the metrics: a resample is a column of multiplicities, the number of draws per row.

The metric of a resample equals the metric of a data set in which each row is repeated as often as it was
drawn. Rows are never copied: counts are matrix products with the multiplicities, and average precision sorts
the rows once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.metrics.names import METRICS

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from passerby.metrics.counting import Unknown
    from passerby.metrics.functional import Unmeasured

__all__ = ["WeightedMetrics", "draw_multiplicities", "number_clusters"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CELLS_A_CHUNK = 2**19  # 4 MB of multiplicities, which stay in the cache of a CPU


def number_clusters(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """Number the clusters of rows with equal keys in the order of their first rows.

    Example:
        >>> number_clusters(["b", "a", "b"]).tolist()
        [0, 1, 0]
    """
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.asarray([numbers[key] for key in keys], np.int64)


def draw_multiplicities(clusters: NDArray[np.int64], *, resamples: int, seed: int) -> Iterator[Floats]:
    """Draw resamples, some at a time; the draws depend on the seed alone.

    As many clusters are drawn with replacement as there are, each with all its rows.

    Paper:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993); with several rows per cluster it is the
        cluster bootstrap.

    Shape:
        clusters: (N,) the cluster of each row, in 0 … G − 1, each taken at least once.
        yields: (N, B) whole numbers, B resamples.

    Example:
        >>> chunks = list(draw_multiplicities(np.array([0, 0, 1]), resamples=4, seed=0))
        >>> np.concatenate(chunks, axis=1).astype(int).tolist()
        [[0, 1, 2, 2], [0, 1, 2, 2], [2, 1, 0, 0]]
    """
    rng = np.random.default_rng(seed)
    number = int(clusters.max()) + 1
    chunk = max(1, _CELLS_A_CHUNK // len(clusters))
    for start in range(0, resamples, chunk):
        drawn = [  # one at a time, so that the draws do not depend on the size of a chunk
            np.bincount(rng.integers(number, size=number), minlength=number)
            for _ in range(min(chunk, resamples - start))
        ]
        yield np.ascontiguousarray(np.stack(drawn, axis=1)[clusters], np.float64)


class WeightedMetrics:
    """The overall metrics of weighted predictions.

    They equal the metrics of `passerby.metrics` on repeated rows. So an attribute that loses all its
    positives or negatives in a resample is left out of mA there (or counts 0), and one without positives of
    mAP, for every model alike.

    Args:
        probs: Probabilities.
        labels: Labels.
        thresholds: One per attribute; a positive is strictly above it.
        unknown: `ignore` leaves unknown labels out, `negative` counts them as no.
        unmeasured: See `passerby.metrics.compute_scores`.
        metrics: Which of `METRICS` to compute.

    Shape:
        probs: (N, A) float32 in [0, 1]; labels: (N, A) int8 in {1, 0, −1}.

    Example:
        >>> probs, labels = np.array([[0.9], [0.4]], np.float32), np.array([[1], [1]], np.int8)
        >>> metrics = WeightedMetrics(probs, labels, thresholds=[0.5], unknown="ignore")
        >>> metrics.compute(np.array([[1.0, 3.0], [1.0, 1.0]]))["recall"]
        array([0.5 , 0.75])
    """

    def __init__(
        self,
        probs: NDArray[np.float32],
        labels: NDArray[np.int8],
        *,
        thresholds: Sequence[float],
        unknown: Unknown,
        unmeasured: Unmeasured = "drop",
        metrics: Sequence[str] = METRICS,
    ) -> None:
        known = labels >= 0 if unknown == "ignore" else np.ones(labels.shape, np.bool_)
        positive: Flags = labels > 0
        predicted: Flags = (probs > np.asarray(thresholds, np.float32)) & known
        hits = predicted & positive
        self.metrics = tuple(metrics)
        self.unmeasured = unmeasured
        self._kept_rows = np.ones(len(known))
        if unmeasured == "drop":
            self._kept_rows *= known.any(axis=1)
        flags = (hits, predicted & ~positive, positive, known & ~positive)
        self._counted = np.concatenate(flags, axis=1).T.astype(np.float64)  # (4 A, N)
        self._shares = _compute_shares(hits, predicted, positive)
        self._precisions = []
        if "mAP" in metrics:
            columns = zip(probs.T, positive.T, known.T, strict=True)
            self._precisions = [_WeightedPrecision(*column) for column in columns if column[1].any()]

    def compute(self, multiplicities: Floats) -> dict[str, Floats]:
        """Compute the metrics of each resample, in [0, 1]; NaN where the drawn labels cannot measure it.

        Shape:
            multiplicities: (N, B) numbers of 0 or more; returns: (B,) float64 each.
        """
        values = {"mA": self._compute_balanced(multiplicities), **self._compute_instances(multiplicities)}
        if "mAP" in self.metrics:
            values["mAP"] = self._compute_mean_precision(multiplicities)
        return {name: values[name] for name in self.metrics}

    def find_incomplete(self, multiplicities: Floats) -> Flags:
        """Find the resamples in which an attribute lost all its positives or all its negatives.

        Shape:
            multiplicities: (N, B) numbers of 0 or more; returns: (B,).
        """
        classes = self._counted[len(self._counted) // 2 :]  # positives, negatives
        lost: Flags = (classes[classes.any(axis=1)] @ multiplicities == 0).any(axis=0)
        return lost

    def _compute_balanced(self, multiplicities: Floats) -> Floats:
        hits, alarms, positives, negatives = np.split(self._counted @ multiplicities, 4)  # (A, B) each
        tpr = hits / np.maximum(positives, 1)
        tnr = (negatives - alarms) / np.maximum(negatives, 1)
        kept = np.ones(tpr.shape, np.bool_)
        if self.unmeasured == "drop":
            kept = (positives > 0) & (negatives > 0)
        return _divide(np.where(kept, tpr + tnr, 0).sum(axis=0), kept.sum(axis=0)) / 2

    def _compute_instances(self, multiplicities: Floats) -> Mapping[str, Floats]:
        accuracy, precision, recall = _divide(
            self._shares @ multiplicities, (self._kept_rows @ multiplicities)[np.newaxis]
        )
        both = precision + recall
        f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both != 0)  # keeps NaN
        return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}

    def _compute_mean_precision(self, multiplicities: Floats) -> Floats:
        total = np.zeros(multiplicities.shape[1])
        number = np.zeros_like(total)
        for one in self._precisions:
            value = one.compute(multiplicities)
            known = ~np.isnan(value)
            total[known] += value[known]
            number += known
        return _divide(total, number)


def _divide(total: Floats, number: Floats | NDArray[np.int64]) -> Floats:
    """Quotient; NaN where the number is 0."""
    where = np.broadcast_to(number > 0, total.shape)
    return np.asarray(np.divide(total, number, out=np.full_like(total, np.nan), where=where))


def _compute_shares(hits: Flags, predicted: Flags, positive: Flags) -> Floats:
    """|Y ∩ Ŷ| over |Y ∪ Ŷ|, |Ŷ| and |Y| of each row, 0 if a divisor is 0; (3, N)."""
    both = hits.sum(axis=1)
    divisors = ((predicted | positive).sum(axis=1), predicted.sum(axis=1), positive.sum(axis=1))
    return np.stack([both / np.maximum(divisor, 1) for divisor in divisors])


class _WeightedPrecision:
    """Interpolated average precision of one attribute under multiplicities.

    Rows are sorted once. Precision decreases between two positives, so it is computed only after each group
    of equal probabilities that has a positive: `seen` sums the rows since the previous such group, `gained`
    the positives of the group.
    """

    def __init__(self, probs: NDArray[np.float32], positive: Flags, known: Flags) -> None:
        rows = np.flatnonzero(known)
        order = rows[np.argsort(-probs[rows], kind="stable")]
        ordered, hit = probs[order], np.flatnonzero(positive[order])
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(order))
        ends = ends[np.diff(np.searchsorted(hit, ends), prepend=0) > 0]
        self._seen = _create_sums(order, ends, len(probs))
        self._gained = _create_sums(order[hit], np.searchsorted(hit, ends), len(probs))

    def compute(self, multiplicities: Floats) -> Floats:
        """Average precision of each resample, NaN if no positive was drawn; (B,)."""
        gained = self._gained @ multiplicities  # (K, B)
        hits = np.cumsum(gained, axis=0)
        precision = hits / np.maximum(np.cumsum(self._seen @ multiplicities, axis=0), 1)
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        total = hits[-1]
        area = np.einsum("kb,kb->b", gained, precision)
        return _divide(area, total)


def _create_sums(rows: NDArray[np.int64], ends: NDArray[np.int64], number: int) -> csr_array:
    """The matrix (K, N) that sums over `rows[0:ends[0]]`, `rows[ends[0]:ends[1]]` and so on."""
    from scipy.sparse import csr_array

    rows = rows[: ends[-1]]
    return csr_array((np.ones(len(rows)), rows, np.append(0, ends)), shape=(len(ends), number))
