"""The weighted focal loss against Eq. 4 of DIAA (ECCV 2018), written out as loops over plain floats."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import (
    WeightedFocal,
    compute_binary_cross_entropy,
    compute_focal_loss,
    compute_label_weights,
    create_loss,
)
from passerby.types import Output

RATIO = torch.tensor([0.5, 0.1, 0.8])
LABELS = torch.tensor([[1, 0, -1], [0, 0, 1], [1, -1, -1], [0, 1, 0]], dtype=torch.int8)
LOGITS = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loop_focal(x: float, y: int, gamma: float) -> float:
    """One cell of Eq. 4 without its weight."""
    if y == -1:
        return 0.0
    p = 1 / (1 + math.exp(-x))
    return -((1 - p) ** gamma * math.log(p) * y + p**gamma * math.log(1 - p) * (1 - y))


def loop_loss(*, gamma: float, reduction: str, unknown: str) -> float:
    """Eq. 4, over all rows of the batch (`sum`) or over the known cells (`mean`)."""
    total, cells = 0.0, 0
    for row, answers in zip(LOGITS.tolist(), LABELS.tolist(), strict=True):
        for x, answer, ratio in zip(row, answers, RATIO.tolist(), strict=True):
            y = 0 if answer == -1 and unknown == "negative" else answer
            total += math.exp(-ratio) * loop_focal(x, y, gamma)
            cells += y != -1
    return total / (len(LABELS) if reduction == "sum" else cells)


def compute_loss(labels: Tensor = LABELS, *, logits: Tensor = LOGITS, **options: Any) -> Tensor:
    terms = create_loss("focal", positive_ratio=RATIO, **options)(Output(logits), labels)
    assert set(terms) == {"focal", "total"}
    assert terms["focal"] is terms["total"]
    return terms["total"]


def test_by_hand() -> None:
    # σ(log 3) = 3/4: a positive costs √¼ · log 4/3, a negative √¾ · log 4.
    logits = torch.full((1, 3), math.log(3), dtype=torch.float64)
    cells = compute_focal_loss(logits, torch.tensor([[1, 0, -1]]))
    assert cells.tolist() == [pytest.approx([math.log(4 / 3) / 2, math.sqrt(0.75) * math.log(4), 0.0])]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cells_equal_equation_4_in_a_loop(gamma: float, weighted: bool) -> None:
    weights = compute_label_weights("diaa", RATIO) if weighted else None
    cells = compute_focal_loss(LOGITS, LABELS, gamma=gamma, weights=weights)
    for i, (row, answers) in enumerate(zip(LOGITS.tolist(), LABELS.tolist(), strict=True)):
        for c, (x, y) in enumerate(zip(row, answers, strict=True)):
            weight = math.exp(-RATIO[c].item()) if weighted else 1.0
            assert cells[i, c].item() == pytest.approx(weight * loop_focal(x, y, gamma), abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
def test_the_loss_equals_equation_4_in_a_loop(gamma: float, reduction: str, unknown: str) -> None:
    options: dict[str, Any] = {"gamma": gamma, "reduction": reduction, "unknown": unknown}
    assert compute_loss(**options).item() == pytest.approx(loop_loss(**options), abs=1e-5)


def test_defaults_are_those_of_the_paper() -> None:
    expected = loop_loss(gamma=0.5, reduction="sum", unknown="ignore")
    assert compute_loss().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weighting", ["none", "diaa", "wpal", "sb"])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
def test_without_gamma_it_is_the_weighted_cross_entropy(weighting: str, unknown: str) -> None:
    options = {"weighting": weighting, "unknown": unknown}
    expected = create_loss("bce", positive_ratio=RATIO, **options)(Output(LOGITS), LABELS)["total"]
    assert compute_loss(gamma=0.0, **options).item() == pytest.approx(expected.item(), rel=1e-9)
    assert compute_loss(gamma=0.5, **options).item() < 0.95 * expected.item()


def test_a_well_classified_sample_loses_more_weight_than_a_hard_one() -> None:
    logits = torch.tensor([[3.0, -3.0]], dtype=torch.float64)
    labels = torch.tensor([[1, 1]])
    easy, hard = (compute_focal_loss(logits, labels) / compute_binary_cross_entropy(logits, labels))[0]
    assert easy.item() == pytest.approx(math.sqrt(1 - 1 / (1 + math.exp(-3))))
    assert hard.item() == pytest.approx(math.sqrt(1 - 1 / (1 + math.exp(3))))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_those_of_finite_differences(gamma: float) -> None:
    weights = compute_label_weights("diaa", RATIO)
    logits = LOGITS.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: compute_focal_loss(x, LABELS, gamma=gamma, weights=weights), logits
    )
    assert torch.autograd.gradcheck(lambda x: compute_loss(logits=x, gamma=gamma, reduction="mean"), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [200.0, 1e4])
def test_confident_predictions_stay_finite(size: float, gamma: float, dtype: torch.dtype) -> None:
    # Confident and wrong: the factor is 1 and the loss equals the logit. Confident and correct: no loss.
    logits = torch.tensor([[size, -size, size, -size]], dtype=dtype, requires_grad=True)
    cells = compute_focal_loss(logits, torch.tensor([[1, 0, 0, 1]]), gamma=gamma)
    cells.sum().backward()
    assert cells.tolist() == [pytest.approx([0, 0, size, size])]
    assert logits.grad is not None
    assert logits.grad.tolist() == [pytest.approx([0, 0, 1, -1])]


@pytest.mark.parametrize("value", [0.0, 1e30, -1e30, math.inf, math.nan])
def test_an_unknown_label_has_no_loss_and_no_gradient_whatever_its_logit(value: float) -> None:
    logits = torch.tensor([[value, 1.0]], requires_grad=True)
    cells = compute_focal_loss(logits, torch.tensor([[-1, 1]]))
    cells.sum().backward()
    assert logits.grad is not None
    assert cells[0, 0] == 0
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] < 0


def test_unknown_labels_are_ignored_or_count_as_negative() -> None:
    for unknown, expected in (
        ("ignore", LABELS != -1),
        ("negative", torch.ones_like(LABELS, dtype=torch.bool)),
    ):
        logits = LOGITS.clone().requires_grad_()
        compute_loss(logits=logits, unknown=unknown).backward()
        assert logits.grad is not None
        assert torch.equal(logits.grad != 0, expected)
    no = LABELS.clone().masked_fill_(LABELS == -1, 0)
    assert torch.equal(compute_loss(unknown="negative"), compute_loss(no))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_batch_without_any_known_label_has_zero_loss_and_zero_gradient(reduction: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = compute_loss(torch.full_like(LABELS, -1), logits=logits, reduction=reduction)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_logits_are_computed_in_float32(dtype: torch.dtype) -> None:
    loss = compute_loss(logits=LOGITS.to(dtype))
    assert loss.dtype == torch.float32
    assert torch.equal(loss, compute_loss(logits=LOGITS.to(dtype).float()))


def test_inputs_are_not_changed() -> None:
    logits, labels = LOGITS.clone(), LABELS.clone()
    compute_loss(labels, logits=logits, unknown="negative")
    assert torch.equal(logits, LOGITS)
    assert torch.equal(labels, LABELS)


def test_it_has_no_state_in_checkpoints() -> None:
    assert not WeightedFocal(positive_ratio=RATIO).state_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -0.5}, "gamma of 0 or larger, got -0.5"),
        ({"gamma": math.nan}, "gamma of 0 or larger, got nan"),
        ({"reduction": "max"}, "sum, mean"),
        ({"unknown": "maybe"}, "ignore, negative"),
        ({"weighting": "focal"}, "none, sb, sb-printed, wpal, mixed, diaa"),
        ({"beta": 2}, "no argument 'beta'; it takes gamma, reduction, weighting, unknown"),
    ],
)
def test_a_wrong_option_lists_the_valid_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_loss("focal", positive_ratio=RATIO, **options)
    if "gamma" in options:
        with pytest.raises(ConfigError, match=message):
            compute_focal_loss(LOGITS, LABELS, **options)


def test_labels_of_another_schema_are_refused() -> None:
    with pytest.raises(DataError, match="expected labels of 3 attributes"):
        compute_loss(torch.zeros(4, 2), logits=torch.zeros(4, 2))
    with pytest.raises(DataError, match="of one shape"):
        compute_focal_loss(LOGITS, LABELS[:2])
