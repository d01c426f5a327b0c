"""Metrics as pure functions of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.io import count_of
from passerby.metrics.arrays import convert_to_tensors
from passerby.metrics.counting import (
    SHARE_UNIT,
    Counts,
    Unknown,
    check_inputs,
    check_unknown,
    check_values,
    compute_counts,
)
from passerby.metrics.names import METRICS

__all__ = [
    "METRICS",
    "AttributeScores",
    "Counts",
    "EmptyRows",
    "Unmeasured",
    "compute_average_precision",
    "compute_counts",
    "compute_scores",
]

EmptyRows = Literal["zero", "drop"]
Unmeasured = Literal["zero", "drop"]


@dataclass(slots=True, eq=False, repr=False)
class AttributeScores:
    """All threshold metrics of a set of predictions, in [0, 1].

    P, N, TP, TN, FP, FN are the counts of an attribute; Y and Ŷ the labelled and the predicted positives of
    a row. A score that the labels cannot measure is NaN, or 0 with `unmeasured="zero"`: TPR, precision,
    recall and F1 need P > 0, TNR N > 0, mA both, accuracy a known label. Any other division by zero gives 0,
    such as the precision of an attribute that is never predicted. Means are over the attributes that are not
    NaN.

    Args:
        mA: Mean over attributes of (TP / P + TN / N) / 2.
        accuracy: Mean over rows of |Y ∩ Ŷ| / |Y ∪ Ŷ|.
        precision: Mean over rows of |Y ∩ Ŷ| / |Ŷ|.
        recall: Mean over rows of |Y ∩ Ŷ| / |Y|.
        f1: Harmonic mean of `precision` and `recall`, not the mean of the rows' F1.
        rows: Number of rows.
        per_attribute_tpr: TP / P.
        per_attribute_tnr: TN / N.
        per_attribute_mA: Mean of the two.
        per_attribute_accuracy: (TP + TN) / (P + N).
        per_attribute_precision: TP / (TP + FP).
        per_attribute_recall: TP / P, the same as `per_attribute_tpr`.
        per_attribute_f1: 2 TP / (2 TP + FP + FN).
        positives: P.
        negatives: N.
        f1_o: WIDER's F1-O: F1 over all cells.

    Shape:
        per_attribute_…: (A,) float64; positives, negatives: (A,) int64.
    """

    mA: float  # noqa: N815 - the metric's name in the field
    accuracy: float
    precision: float
    recall: float
    f1: float
    rows: int
    per_attribute_tpr: Tensor
    per_attribute_tnr: Tensor
    per_attribute_mA: Tensor  # noqa: N815
    per_attribute_accuracy: Tensor
    per_attribute_precision: Tensor
    per_attribute_recall: Tensor
    per_attribute_f1: Tensor
    positives: Tensor
    negatives: Tensor
    f1_o: float

    @property
    def f1_c(self) -> float:
        """WIDER's F1-C: mean of the attributes' F1."""
        return average_measured(self.per_attribute_f1)

    @property
    def recognition_rate(self) -> float:
        """MAN's average recognition rate: mean of the attributes' accuracy."""
        return average_measured(self.per_attribute_accuracy)

    @property
    def measured(self) -> Tensor:
        """Whether each attribute has positives and negatives, as mA requires; (A,) bool."""
        return (self.positives > 0) & (self.negatives > 0)

    @property
    def n_unmeasured(self) -> int:
        """Number of attributes that lack positives or negatives."""
        return int((~self.measured).sum())

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.summary().items())
        size = f"{count_of(self.rows, 'row')}, {count_of(len(self.positives), 'attribute')}"
        return f"AttributeScores({scores}; {size})"

    def summary(self) -> dict[str, float]:
        """The five metrics of the field's tables by name.

        Example:
            >>> compute_scores(compute_counts([[0.9], [0.8]], [[1], [0]])).summary()
            {'mA': 0.5, 'accuracy': 0.5, 'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
        """
        return {
            "mA": self.mA,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def compute_scores(
    counts: Counts, *, empty_rows: EmptyRows = "zero", unmeasured: Unmeasured = "drop"
) -> AttributeScores:
    """Compute scores from counts.

    Paper:
        mA: MAN (2020), Eq. 6. MTMS (2019), Eq. 8 lacks the factor ½, SSPNet (2023), Eq. 14 divides by N where
        it means the number of attributes; both are misprints. Edge cases: SB (Jia et al., arXiv 2107.03576).
        F1-C and F1-O: WIDER-Attribute as SRN (CVPR 2017) scores it, with `unknown="negative"`.

    Args:
        counts: From `compute_counts`.
        empty_rows: A row without a positive label has 0 in accuracy, precision and recall. `zero` keeps it in
            the three means (SB, the usual convention), `drop` leaves it out (DeepMAR's code).
        unmeasured: `drop` leaves out what the labels cannot measure: an attribute without positives or
            without negatives is not part of mA, and its undefined scores are NaN; a row without a known label
            is not part of accuracy, precision and recall. A mean over nothing is NaN. `zero` counts all of
            these as 0 (SB, the usual convention).

    Raises:
        DataError: If there are no rows.
        ConfigError: If the value of an option is unknown.

    Example:
        >>> probs, labels = torch.tensor([[0.9, 0.2], [0.3, 0.1]]), torch.tensor([[1, 0], [0, 0]])
        >>> scores = compute_scores(compute_counts(probs, labels))
        >>> scores.mA, scores.n_unmeasured, scores.per_attribute_mA.tolist(), scores.recall
        (1.0, 1, [1.0, nan], 0.5)
        >>> compute_scores(compute_counts(probs, labels), unmeasured="zero").mA
        0.75
    """
    check_choice("empty_rows", empty_rows)
    check_choice("unmeasured", unmeasured)
    rows = int(counts.rows)
    if not rows:
        raise DataError("expected at least one row to score, got none; is the split empty?")
    positives, negatives, hits = counts.positives, counts.negatives, counts.hits
    rejected = negatives - (counts.predicted - hits)  # true negatives
    lacking = torch.nan if unmeasured == "drop" else 0.0
    tpr, tnr = _divide(hits, positives, lacking), _divide(rejected, negatives, lacking)
    balanced = (tpr + tnr) / 2
    accuracy, precision, recall = _average_rows(counts, empty_rows, unmeasured)
    return AttributeScores(
        mA=average_measured(balanced),
        accuracy=accuracy,
        precision=precision,
        recall=recall,
        f1=0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall),
        rows=rows,
        per_attribute_tpr=tpr,
        per_attribute_tnr=tnr,
        per_attribute_mA=balanced,
        per_attribute_accuracy=_divide(hits + rejected, positives + negatives, lacking),
        per_attribute_precision=_divide(hits, counts.predicted).where(positives > 0, lacking),
        per_attribute_recall=tpr.clone(),
        per_attribute_f1=_divide(2 * hits, counts.predicted + positives).where(positives > 0, lacking),
        positives=positives,
        negatives=negatives,
        f1_o=float(_divide(2 * hits.sum(), (counts.predicted + positives).sum())),
    )


def _average_rows(counts: Counts, empty_rows: EmptyRows, unmeasured: Unmeasured) -> tuple[float, ...]:
    """Accuracy, precision and recall."""
    kept = counts.rows if unmeasured == "zero" else counts.known_rows
    number = int(kept if empty_rows == "zero" else counts.labelled_rows)
    if not number and unmeasured == "drop":
        return (torch.nan,) * 3
    sums = (counts.accuracy_sum, counts.precision_sum, counts.recall_sum)
    return tuple(int(s) / SHARE_UNIT / max(number, 1) for s in sums)


def average_measured(values: Tensor) -> float:
    """The mean of the values that are not NaN; NaN if there is none.

    Example:
        >>> average_measured(torch.tensor([1.0, torch.nan, 0.5]))
        0.75
    """
    return float(values[~values.isnan()].mean())


def compute_average_precision(
    probs: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    *,
    unknown: Unknown = "ignore",
    interpolated: bool = True,
) -> Tensor:
    """Average precision of each attribute.

    Rows are sorted by probability; rows of equal probability form one step, so their order does not matter.
    With precision p and recall r after each such step, AP = Σ (r_k − r_{k−1}) · p_k.

    Paper:
        Interpolated over all points as in PASCAL VOC since 2010 and WIDER-Attribute: p_k is replaced by the
        largest precision at this or a higher recall.

    Shape:
        probs: (N, A) float in [0, 1]; labels: (N, A) integers in {1, 0, −1}, or booleans.
        returns: (A,) float64; NaN for an attribute without a positive.

    Args:
        probs: Tensor, array or nested lists.
        labels: Likewise.
        unknown: `ignore` leaves unknown cells out (WIDER's label 0), `negative` counts them as no.
        interpolated: False computes the plain sum, scikit-learn's `average_precision_score`.

    Raises:
        DataError: If shapes or values are out of range, or there is no row.
        ConfigError: If `unknown` is not valid.

    Example:
        >>> probs = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
        >>> compute_average_precision(probs, torch.tensor([[1], [0], [-1], [1]]))
        tensor([0.8333], dtype=torch.float64)
        >>> compute_average_precision([[0.9], [0.8], [0.7]], [[1], [0], [1]])
        tensor([0.8333], dtype=torch.float64)
    """
    probs, labels = convert_to_tensors(probs, labels)
    check_inputs(probs, labels)
    check_unknown(unknown)
    if not len(probs):
        raise DataError("expected at least one row to score, got none; is the split empty?")
    check_values(probs, labels)
    columns = zip(probs.unbind(1), labels.unbind(1), strict=True)
    return torch.stack([_compute_column_precision(p, y, unknown, interpolated) for p, y in columns])


def _compute_column_precision(probs: Tensor, labels: Tensor, unknown: Unknown, interpolated: bool) -> Tensor:
    if unknown == "ignore":
        known = labels >= 0
        probs, labels = probs[known], labels[known]
    positive = labels > 0
    total = int(positive.sum())
    if not total:
        return torch.tensor(torch.nan, dtype=torch.float64, device=probs.device)
    ordered, order = probs.sort(descending=True)
    ends = torch.ones_like(positive)  # the last row of each group of equal probability
    torch.ne(ordered[1:], ordered[:-1], out=ends[:-1])
    ends = ends.nonzero().squeeze(1)
    hits = positive[order].cumsum(0)[ends]
    precision = hits.double() / (ends + 1)
    if interpolated:
        precision = precision.flip(0).cummax(0).values.flip(0)
    gained = hits.diff(prepend=hits.new_zeros(1))
    return (gained * precision).sum() / total


def _divide(numerator: Tensor, denominator: Tensor, lacking: float = 0.0) -> Tensor:
    """Quotient in float64; `lacking` where the denominator is 0."""
    return (numerator.double() / denominator.clamp(min=1)).where(denominator > 0, lacking)


def check_choice(name: str, value: str) -> None:
    if value not in ("zero", "drop"):
        raise ConfigError(f"{name}={value!r}: expected zero or drop")
