import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.metrics import (
    AttributeMetrics,
    AttributeScores,
    MeanAveragePrecision,
    compute_average_precision,
    compute_counts,
    compute_scores,
)
from passerby.metrics.counting import create_thresholds

CLOSE = {"abs": 1e-9, "rel": 0}
Table = tuple[Tensor, Tensor]


def draw_table(rows: int, attributes: int, *, unknown: float = 0.0, seed: int = 0) -> Table:
    """Probabilities in steps of 0.05, so that there are ties and values at the threshold, and labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, attributes)) < np.linspace(0.1, 0.8, attributes)).astype(np.int8)
    probs = np.clip(labels * 0.3 + rng.random((rows, attributes)) * 0.7, 0, 1)
    labels[rng.random((rows, attributes)) < unknown] = -1
    return torch.from_numpy((probs * 20).round() / 20).float(), torch.from_numpy(labels)


def score(table: Table, *, thresholds: float | list[float] = 0.5, unknown: str = "ignore") -> AttributeScores:
    return compute_scores(compute_counts(*table, thresholds=thresholds, unknown=unknown))


# ---------------------------------------------------------------------------- by hand

HAND = (
    torch.tensor([[0.9, 0.2, 0.7], [0.6, 0.5, 0.1], [0.4, 0.8, 0.3], [0.1, 0.9, 0.2]]),
    torch.tensor([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]], dtype=torch.int8),
)


def test_by_hand() -> None:
    # Ŷ: 101 / 100 / 010 / 010 (0.5 is not above 0.5); Y: 101 / 011 / 110 / 000.
    scores = score(HAND)
    assert scores.per_attribute_tpr.tolist() == [1 / 2, 1 / 2, 1 / 2]
    assert scores.per_attribute_tnr.tolist() == [1 / 2, 1 / 2, 1]
    assert scores.per_attribute_mA.tolist() == [1 / 2, 1 / 2, 3 / 4]
    assert scores.mA == pytest.approx(7 / 12)
    assert scores.per_attribute_accuracy.tolist() == [1 / 2, 1 / 2, 3 / 4]
    assert scores.recognition_rate == pytest.approx(7 / 12)
    assert scores.per_attribute_precision.tolist() == [1 / 2, 1 / 2, 1]
    assert scores.per_attribute_recall.tolist() == [1 / 2, 1 / 2, 1 / 2]
    assert scores.per_attribute_f1.tolist() == pytest.approx([1 / 2, 1 / 2, 2 / 3])
    assert scores.f1_c == pytest.approx((1 / 2 + 1 / 2 + 2 / 3) / 3)
    assert scores.f1_o == pytest.approx(2 * 3 / (5 + 6))
    # Rows: intersections 2, 0, 1, 0; unions 2, 3, 2, 1; predicted 2, 1, 1, 1; labelled 2, 2, 2, 0.
    assert scores.accuracy == pytest.approx((1 + 0 + 1 / 2 + 0) / 4, **CLOSE)
    assert scores.precision == pytest.approx((1 + 0 + 1 + 0) / 4, **CLOSE)
    assert scores.recall == pytest.approx((1 + 0 + 1 / 2 + 0) / 4, **CLOSE)
    assert scores.f1 == pytest.approx(2 * 0.5 * 0.375 / 0.875, **CLOSE)
    assert (scores.n_unmeasured, scores.rows) == (0, 4)
    assert scores.positives.tolist() == [2, 2, 2]
    assert scores.negatives.tolist() == [2, 2, 2]
    assert list(scores.summary()) == ["mA", "accuracy", "precision", "recall", "f1"]


def test_f1_comes_from_mean_precision_and_mean_recall() -> None:
    # Precision 1 and 1/2, recall 1/2 and 1: means 3/4 and 3/4. Each row's own F1 is 2/3.
    scores = score((torch.tensor([[0.9, 0.1], [0.9, 0.9]]), torch.tensor([[1, 1], [1, 0]])))
    assert scores.f1 == pytest.approx(3 / 4, **CLOSE)


# ---------------------------------------------------------------------------- scikit-learn


@pytest.mark.parametrize("shape", [(300, 2), (300, 7), (500, 35), (64, 105), (200, 121), (130, 300)])
def test_equals_scikit_learn(shape: tuple[int, int]) -> None:
    table = draw_table(*shape)
    probs, labels = (t.numpy() for t in table)
    predicted = probs > 0.5
    scores = score(table)
    with (
        warnings.catch_warnings()
    ):  # an attribute may lack positives; scikit-learn warns and gives 0 as we do
        warnings.simplefilter("ignore")
        for name, function in (
            ("mA", balanced_accuracy_score),
            ("accuracy", accuracy_score),
            ("precision", precision_score),
            ("recall", recall_score),
            ("f1", f1_score),
        ):
            expected = [function(labels[:, a], predicted[:, a]) for a in range(shape[1])]
            assert getattr(scores, f"per_attribute_{name}").tolist() == pytest.approx(expected, **CLOSE), name
        for name, function in (
            ("accuracy", jaccard_score),
            ("precision", precision_score),
            ("recall", recall_score),
        ):
            expected_mean = function(labels, predicted, average="samples", zero_division=0)
            assert getattr(scores, name) == pytest.approx(expected_mean, **CLOSE), name
        assert scores.f1_c == pytest.approx(f1_score(labels, predicted, average="macro"), **CLOSE)
        assert scores.f1_o == pytest.approx(f1_score(labels.ravel(), predicted.ravel()), **CLOSE)


def test_unknown_cells_are_ignored() -> None:
    probs, labels = draw_table(400, 9, unknown=0.3)
    scores = score((probs, labels))
    for a in range(9):
        known = labels[:, a] >= 0
        expected = balanced_accuracy_score(labels[known, a].numpy(), (probs[known, a] > 0.5).numpy())
        assert float(scores.per_attribute_mA[a]) == pytest.approx(expected, **CLOSE)
    changed = torch.where(labels < 0, 1 - probs, probs)
    assert score((changed, labels)).summary() == scores.summary()
    assert score((changed, labels)).per_attribute_accuracy.tolist() == scores.per_attribute_accuracy.tolist()


def test_unknown_as_negative_is_a_no() -> None:
    probs, labels = draw_table(400, 9, unknown=0.3)
    no = labels.clone().masked_fill_(labels < 0, 0)
    assert score((probs, labels), unknown="negative").summary() == score((probs, no)).summary()
    assert score((probs, labels), unknown="negative").summary() != score((probs, labels)).summary()


# ---------------------------------------------------------------------------- thresholds


def test_a_positive_is_strictly_above_its_threshold() -> None:
    probs = torch.tensor([[0.45, 0.55, 0.45, 0.55]])
    labels = torch.ones(1, 4, dtype=torch.int8)
    assert score((probs, labels), thresholds=0.45).per_attribute_tpr.tolist() == [0, 1, 0, 1]
    assert score((probs, labels), thresholds=[0.44, 0.55, 0.46, 0.54]).per_attribute_tpr.tolist() == [
        1,
        0,
        0,
        1,
    ]
    above = torch.nextafter(torch.tensor([[0.5]]), torch.tensor(1.0))
    assert score((above, labels[:, :1])).per_attribute_tpr.tolist() == [1]
    assert score((above.double(), labels[:, :1])).per_attribute_tpr.tolist() == [1]


def test_one_threshold_equals_the_same_one_for_each() -> None:
    table = draw_table(500, 8)
    assert score(table, thresholds=0.3).summary() == score(table, thresholds=[0.3] * 8).summary()


@pytest.mark.parametrize("thresholds", [[0.5, 0.5], [[0.5]], 1.5, -0.1, math.nan])
def test_a_wrong_threshold_is_refused(thresholds: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        create_thresholds(thresholds, 3)


# ---------------------------------------------------------------------------- edge cases


def test_an_attribute_without_positives_or_negatives_is_left_out_of_the_means_it_cannot_be_in() -> None:
    # Attributes: both kinds of label, no positive, no negative, no known label.
    probs = [[0.9, 0.1, 0.9, 0.9], [0.1, 0.9, 0.2, 0.1]]
    labels = [[1, 0, 1, -1], [0, 0, 1, -1]]
    scores = compute_scores(compute_counts(probs, labels))
    nan = pytest.approx(math.nan, nan_ok=True)
    assert scores.measured.tolist() == [True, False, False, False]
    assert scores.n_unmeasured == 3
    assert scores.per_attribute_tpr.tolist() == [1, nan, 0.5, nan]
    assert scores.per_attribute_tnr.tolist() == [1, 0.5, nan, nan]
    assert scores.per_attribute_mA.tolist() == [1, nan, nan, nan]
    assert scores.per_attribute_accuracy.tolist() == [1, 0.5, 0.5, nan]
    assert scores.per_attribute_precision.tolist() == [1, nan, 1, nan]
    assert scores.per_attribute_recall.tolist() == [1, nan, 0.5, nan]
    assert scores.per_attribute_f1.tolist() == pytest.approx([1, math.nan, 2 / 3, math.nan], nan_ok=True)
    assert scores.mA == 1
    assert scores.f1_c == pytest.approx((1 + 2 / 3) / 2)
    assert scores.recognition_rate == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_the_literature_counts_what_cannot_be_measured_as_zero() -> None:
    probs = [[0.9, 0.1, 0.9, 0.9], [0.1, 0.9, 0.2, 0.1]]
    labels = [[1, 0, 1, -1], [0, 0, 1, -1]]
    scores = compute_scores(compute_counts(probs, labels), unmeasured="zero")
    assert scores.per_attribute_mA.tolist() == [1, 0.25, 0.25, 0]
    assert scores.mA == 1.5 / 4
    assert scores.f1_c == pytest.approx((1 + 2 / 3) / 4)
    assert scores.recognition_rate == pytest.approx(2 / 4)
    assert scores.n_unmeasured == 3


def test_an_unknown_attribute_does_not_change_the_scores_by_row() -> None:
    probs, labels = draw_table(200, 5, unknown=0.1)
    wider = torch.cat([probs, torch.rand(200, 2)], 1), torch.cat([labels, torch.full((200, 2), -1)], 1)
    assert score(wider).summary() == score((probs, labels)).summary()
    assert score(wider).f1_c == score((probs, labels)).f1_c
    assert score(wider).f1_o == score((probs, labels)).f1_o


def test_a_row_without_a_known_label_is_part_of_no_score() -> None:
    probs, labels = draw_table(200, 5, unknown=0.1)
    longer = torch.cat([probs, torch.rand(7, 5)]), torch.cat([labels, torch.full((7, 5), -1)])
    assert score(longer).summary() == score((probs, labels)).summary()
    counted = compute_scores(compute_counts(*longer), unmeasured="zero")
    assert counted.recall == pytest.approx(score((probs, labels)).recall * 200 / 207)


@pytest.mark.parametrize("unmeasured", ["zero", "drop"])
def test_where_everything_can_be_measured_both_habits_agree_to_the_last_bit(unmeasured: str) -> None:
    table = draw_table(300, 7, unknown=0.05)
    scores, other = score(table), compute_scores(compute_counts(*table), unmeasured=unmeasured)
    assert other.summary() == scores.summary()
    assert (other.f1_c, other.recognition_rate) == (scores.f1_c, scores.recognition_rate)
    assert scores.mA == float(((scores.per_attribute_tpr + scores.per_attribute_tnr) / 2).mean())


def test_empty_rows_stay_in_the_denominator_unless_dropped() -> None:
    # Second row: nothing labelled, nothing predicted. Third: nothing labelled. Fourth: nothing predicted.
    probs = torch.tensor([[0.9, 0.9], [0.1, 0.1], [0.9, 0.1], [0.1, 0.1]])
    labels = torch.tensor([[1, 1], [0, 0], [0, 0], [1, 0]])
    counts = compute_counts(probs, labels)
    assert [getattr(compute_scores(counts), n) for n in ("accuracy", "precision", "recall")] == [0.25] * 3
    dropped = compute_scores(counts, empty_rows="drop")
    assert [getattr(dropped, n) for n in ("accuracy", "precision", "recall")] == [0.5] * 3
    assert dropped.mA == compute_scores(counts).mA


def test_without_a_known_label_nothing_is_measured() -> None:
    counts = compute_counts(torch.rand(5, 3), torch.full((5, 3), -1, dtype=torch.int8))
    for empty_rows in ("zero", "drop"):
        scores = compute_scores(counts, empty_rows=empty_rows)
        assert all(math.isnan(value) for value in scores.summary().values())
        assert set(compute_scores(counts, empty_rows=empty_rows, unmeasured="zero").summary().values()) == {
            0.0
        }
    assert math.isnan(scores.f1_c)
    assert math.isnan(scores.recognition_rate)
    assert scores.n_unmeasured == 3


def test_no_rows_are_refused() -> None:
    empty = torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int8)
    with pytest.raises(DataError, match="at least one row"):
        score(empty)
    with pytest.raises(DataError, match="at least one row"):
        compute_average_precision(*empty)


@pytest.mark.parametrize("function", [compute_counts, compute_average_precision])
@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2, dtype=torch.int8), "of one shape"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int8), "of one shape"),
        (torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int8), "A >= 1"),
        (torch.zeros(2, 3, dtype=torch.int8), torch.zeros(2, 3), "probabilities first"),
        (torch.full((2, 3), 1.1), torch.zeros(2, 3, dtype=torch.int8), "apply a sigmoid"),
        (torch.full((2, 3), -0.1), torch.zeros(2, 3, dtype=torch.int8), "apply a sigmoid"),
        (torch.tensor([[0.1, math.nan]]), torch.zeros(1, 2, dtype=torch.int8), "NaN"),
        (torch.zeros(1, 2), torch.tensor([[0, 2]]), "from 0 to 2"),
        (torch.zeros(1, 2), torch.tensor([[0, -2]]), "from -2 to 0"),
        (torch.zeros(1, 2), torch.tensor([[0, 257]]), "from 0 to 257"),
    ],
)
def test_wrong_input_is_refused(function: object, probs: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        function(probs, labels)  # type: ignore[operator]


def test_a_wrong_option_lists_the_valid_ones() -> None:
    counts = compute_counts(*HAND)
    with pytest.raises(ConfigError, match="expected zero or drop"):
        compute_scores(counts, empty_rows="keep")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected zero or drop"):
        compute_scores(counts, unmeasured="keep")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected ignore or negative"):
        compute_counts(*HAND, unknown="keep")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected ignore or negative"):
        compute_average_precision(*HAND, unknown="keep")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------- counting


def count_with_numpy(
    probs: NDArray[np.float32], labels: NDArray[np.int8], threshold: float
) -> list[list[int]]:
    predicted, positive = (probs > threshold) & (labels >= 0), labels == 1
    columns = (positive, labels == 0, predicted, predicted & positive)
    return [c.sum(0).tolist() for c in columns]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 700),
    attributes=st.integers(1, 140),
    unknown=st.sampled_from([0.0, 0.2, 1.0]),
    threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_counts_equal_numpy(rows: int, attributes: int, unknown: float, threshold: float, seed: int) -> None:
    probs, labels = draw_table(rows, attributes, unknown=unknown, seed=seed)
    counts = compute_counts(probs, labels, thresholds=threshold)
    ours = [t.tolist() for t in (counts.positives, counts.negatives, counts.predicted, counts.hits)]
    assert ours == count_with_numpy(probs.numpy(), labels.numpy(), threshold)
    assert int(counts.labelled_rows) == int((labels == 1).any(1).sum())
    assert int(counts.known_rows) == int((labels >= 0).any(1).sum())
    scores = compute_scores(counts, unmeasured="zero")
    assert all(0 <= v <= 1 for v in scores.summary().values())
    assert scores.accuracy <= min(scores.precision, scores.recall) + 1e-9


def test_many_chunks_count_as_one() -> None:
    # 105 attributes: a chunk is about 2,400 rows, so this is several whole ones and a rest.
    probs, labels = draw_table(10_001, 105, unknown=0.05)
    counts = compute_counts(probs, labels)
    ours = [t.tolist() for t in (counts.positives, counts.negatives, counts.predicted, counts.hits)]
    assert ours == count_with_numpy(probs.numpy(), labels.numpy(), 0.5)
    halves = compute_counts(probs[:4321], labels[:4321]) + compute_counts(probs[4321:], labels[4321:])
    assert compute_scores(halves).summary() == compute_scores(counts).summary()


@pytest.mark.parametrize("attributes", [120, 121])
def test_full_rows_do_not_overflow(attributes: int) -> None:
    counts = compute_counts(torch.ones(300, attributes), torch.ones(300, attributes, dtype=torch.int8))
    scores = compute_scores(counts, unmeasured="zero")
    assert scores.summary() == {"mA": 0.5, "accuracy": 1.0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert scores.positives.tolist() == [300] * attributes


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("label_dtype", [torch.int8, torch.int16, torch.int64])
def test_other_types_and_strides(dtype: torch.dtype, label_dtype: torch.dtype) -> None:
    probs, labels = draw_table(200, 6, unknown=0.1)
    probs = probs.to(dtype)
    expected = score((probs.float(), labels)).summary()
    assert score((probs, labels.to(label_dtype))).summary() == expected
    assert score((probs.t().contiguous().t(), labels.t().contiguous().t())).summary() == expected


def convert_to_lists(values: Tensor) -> object:
    return values.tolist()


def convert_to_read_only(values: Tensor) -> object:
    array = values.numpy().copy()
    array.flags.writeable = False
    return array


def convert_to_reversed_view(values: Tensor) -> object:
    return np.ascontiguousarray(values.numpy()[::-1])[::-1]


def convert_to_other_byte_order(values: Tensor) -> object:
    array = values.numpy()
    return array.astype(array.dtype.newbyteorder(">"))


@pytest.mark.parametrize(
    "convert",
    [
        convert_to_lists,
        Tensor.numpy,
        convert_to_read_only,
        convert_to_reversed_view,
        convert_to_other_byte_order,
    ],
)
def test_arrays_and_lists_score_as_tensors(convert: Callable[[Tensor], object]) -> None:
    probs, labels = draw_table(200, 6, unknown=0.1)
    given = convert(probs), convert(labels)
    assert score(given).summary() == score((probs, labels)).summary()
    for metric in (AttributeMetrics(6), MeanAveragePrecision(6)):
        metric.update(*given)
    assert metric.compute()[1].tolist() == compute_average_precision(probs, labels).tolist()
    assert compute_average_precision(*given).tolist() == compute_average_precision(probs, labels).tolist()
    assert score((probs, given[1])).summary() == score((given[0], labels)).summary()


def test_wide_unsigned_and_boolean_arrays_are_labels() -> None:
    probs, labels = draw_table(50, 4)
    expected = score((probs, labels)).summary()
    for kind in (np.uint8, np.uint32, np.bool_):
        assert score((probs.numpy(), labels.numpy().astype(kind))).summary() == expected


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([[0.1, 0.2], [0.3]], [[0, 1], [1, 0]], "probs: expected rows of equal length"),
        ([[0.1]], [["yes"]], "labels: expected numbers"),
        ([[0.1]], [[None]], "labels: expected numbers"),
        ([[0, 1]], [[0.5, 0.1]], "probabilities first"),
        ([0.1], [1], "of one shape"),
    ],
)
def test_other_lists_are_refused(probs: object, labels: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_counts(probs, labels)


def test_boolean_labels() -> None:
    probs, labels = draw_table(200, 6)
    assert score((probs, labels.bool())).summary() == score((probs, labels)).summary()
    assert torch.equal(
        compute_average_precision(probs, labels.bool()), compute_average_precision(probs, labels)
    )


def test_inputs_are_not_modified() -> None:
    probs, labels = draw_table(200, 6, unknown=0.1)
    copies = probs.clone(), labels.clone()
    score((probs, labels), unknown="negative")
    compute_average_precision(probs, labels)
    assert torch.equal(probs, copies[0])
    assert torch.equal(labels, copies[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_scores_are_those_of_the_cpu() -> None:
    table = draw_table(50_000, 35, unknown=0.05)
    there = table[0].cuda(), table[1].cuda()
    assert score(there).summary() == score(table).summary()
    assert torch.allclose(
        compute_average_precision(*there).cpu(), compute_average_precision(*table), atol=1e-12
    )


# ---------------------------------------------------------------------------- average precision


def loop_average_precision(probs: list[float], labels: list[int], *, interpolated: bool) -> float:
    """For each distinct probability, precision and recall of all rows at or above it."""
    points = []
    for limit in sorted(set(probs), reverse=True):
        taken = [y for p, y in zip(probs, labels, strict=True) if p >= limit]
        points.append((sum(taken) / sum(labels), sum(taken) / len(taken)))
    total, before = 0.0, 0.0
    for k, (recall, precision) in enumerate(points):
        best = max(p for _, p in points[k:]) if interpolated else precision
        total += (recall - before) * best
        before = recall
    return total


def test_average_precision_by_hand() -> None:
    # Ranks: no, yes, no, yes. Precision at the two yes: 1/2 and 2/4; so 1/2 either way.
    probs = torch.tensor([[0.9], [0.8], [0.7], [0.6]])
    assert compute_average_precision(probs, torch.tensor([[0], [1], [0], [1]])).tolist() == [0.5]
    # Ranks: no, yes, yes. Precision 1/2 and 2/3: plain 7/12, interpolated 2/3.
    labels = torch.tensor([[0], [1], [1]])
    assert compute_average_precision(probs[:3], labels).tolist() == pytest.approx([2 / 3])
    assert compute_average_precision(probs[:3], labels, interpolated=False).tolist() == pytest.approx(
        [7 / 12]
    )


@pytest.mark.parametrize("unknown", [0.0, 0.4])
@pytest.mark.parametrize("interpolated", [True, False])
def test_average_precision_equals_a_loop_and_scikit_learn(unknown: float, interpolated: bool) -> None:
    probs, labels = draw_table(150, 6, unknown=unknown)
    ours = compute_average_precision(probs, labels, interpolated=interpolated)
    for a in range(6):
        known = labels[:, a] >= 0
        p, y = probs[known, a], labels[known, a]
        expected = loop_average_precision(p.tolist(), y.tolist(), interpolated=interpolated)
        assert float(ours[a]) == pytest.approx(expected, **CLOSE)
        if not interpolated:
            assert float(ours[a]) == pytest.approx(average_precision_score(y.numpy(), p.numpy()), **CLOSE)


def test_wider_ignores_unspecified_labels() -> None:
    # WIDER's 0 is our −1. Were the two at 0.8 and 0.95 false positives, AP would be lower.
    probs = torch.tensor([[0.95], [0.9], [0.8], [0.7], [0.6]])
    labels = torch.tensor([[-1], [1], [-1], [1], [0]])
    assert compute_average_precision(probs, labels).tolist() == [1.0]
    as_no = compute_average_precision(probs, labels, unknown="negative").tolist()
    assert as_no == pytest.approx([1 / 2])


def test_an_attribute_without_positives_has_no_average_precision() -> None:
    each = compute_average_precision(torch.rand(4, 3), torch.tensor([[0, 1, -1]] * 4))
    assert each.isnan().tolist() == [True, False, True]


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 60), seed=st.integers(0, 10_000))
def test_average_precision_does_not_depend_on_the_order_of_rows(rows: int, seed: int) -> None:
    probs, labels = draw_table(rows, 3, unknown=0.2, seed=seed)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    both = compute_average_precision(probs, labels), compute_average_precision(probs[order], labels[order])
    torch.testing.assert_close(*both, equal_nan=True, atol=0, rtol=0)
    plain = compute_average_precision(probs, labels, interpolated=False)
    known = ~plain.isnan()
    assert (both[0][known] >= plain[known] - 1e-12).all()
    assert (both[0][known] <= 1 + 1e-12).all()
