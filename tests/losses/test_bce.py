import math
from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import BinaryCrossEntropy, create_loss
from passerby.types import Output

RATIO = torch.tensor([0.5, 0.1, 0.8])
LABELS = torch.tensor([[1, 0, -1], [0, 0, 1], [1, -1, -1], [0, 1, 0]], dtype=torch.int8)
LOGITS = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def compute_loss(labels: Tensor = LABELS, *, logits: Tensor = LOGITS, **options: Any) -> Tensor:
    terms = create_loss("bce", positive_ratio=RATIO, **options)(Output(logits), labels)
    assert set(terms) == {"bce", "total"}
    assert terms["bce"] is terms["total"]
    return terms["total"]


def loop_loss(labels: Tensor, *, reduction: str, weighting: str, unknown: str) -> float:
    """The paper's equations in plain Python: −1/N Σ_i Σ_j ω_ij (y log σ(x) + (1 − y) log(1 − σ(x)))."""
    total, cells = 0.0, 0
    for row, answers in zip(LOGITS.double().tolist(), labels.tolist(), strict=True):
        for x, answer, r in zip(row, answers, RATIO.double().tolist(), strict=True):
            y = 0 if answer == -1 and unknown == "negative" else answer
            if y == -1:
                continue
            weight = {
                "none": 1.0,
                "sb": math.exp(1 - r) if y else math.exp(r),
                "sb-printed": math.exp(r) if y else math.exp(1 - r),
                "wpal": 1 / (2 * r) if y else 1 / (2 * (1 - r)),
                "mixed": (1 + (1 / (2 * r) if y else 1 / (2 * (1 - r)))) / 2,
                "diaa": math.exp(-r),
            }[weighting]
            p = 1 / (1 + math.exp(-x))
            total -= weight * (y * math.log(p) + (1 - y) * math.log(1 - p))
            cells += 1
    return total / (len(labels) if reduction == "sum" else cells)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighting", ["none", "sb", "sb-printed", "wpal", "mixed", "diaa"])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
def test_equals_the_equations_in_a_loop(reduction: str, weighting: str, unknown: str) -> None:
    options = {"reduction": reduction, "weighting": weighting, "unknown": unknown}
    assert compute_loss(**options).item() == pytest.approx(loop_loss(LABELS, **options), abs=2e-6)


def test_by_hand() -> None:
    # Zero logits cost log 2 per cell; three cells per row; SB weights exp(1 − r) and exp(r).
    labels = torch.tensor([[1, 1, 1], [0, 0, 0]])
    zero = torch.zeros(2, 3)
    assert compute_loss(labels, logits=zero).item() == pytest.approx(3 * math.log(2))
    assert compute_loss(labels, logits=zero, reduction="mean").item() == pytest.approx(math.log(2))
    yes, no = sum(math.exp(1 - r) for r in (0.5, 0.1, 0.8)), sum(math.exp(r) for r in (0.5, 0.1, 0.8))
    weighted = compute_loss(labels, logits=zero, weighting="sb").item()
    assert weighted == pytest.approx(math.log(2) * (yes + no) / 2, rel=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_batch_without_any_known_label_has_zero_loss_and_zero_gradient(reduction: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = compute_loss(torch.full_like(LABELS, -1), logits=logits, reduction=reduction)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_unknown_labels_have_no_gradient_or_count_as_negative() -> None:
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


@pytest.mark.parametrize("name", ["bce", "focal"])
def test_candidates_are_scored_instead_of_the_logits(name: str) -> None:
    criterion = create_loss(name, positive_ratio=RATIO, weighting="sb")
    each = [criterion(Output(LOGITS * factor), LABELS)["total"] for factor in (1, 2, -1)]
    competing = {f"P{i}": LOGITS * factor for i, factor in enumerate((1, 2, -1))}
    together = criterion(Output(torch.full_like(LOGITS, 50.0), candidates=competing), LABELS)["total"]
    assert together.item() == pytest.approx(sum(x.item() for x in each) / 3)


def test_labels_are_not_changed() -> None:
    labels = LABELS.clone()
    compute_loss(labels, unknown="negative")
    assert torch.equal(labels, LABELS)


def test_under_bfloat16_autocast_the_loss_is_computed_in_float32() -> None:
    layer = torch.nn.Linear(8, 3)
    criterion = BinaryCrossEntropy(positive_ratio=RATIO, weighting="sb")
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        assert logits.dtype == torch.bfloat16
        loss = criterion(Output(logits), LABELS)["total"]
    assert loss.dtype == torch.float32
    assert torch.equal(loss, criterion(Output(logits.float()), LABELS)["total"])
    loss.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()


def test_the_weights_move_with_the_module_and_are_not_in_checkpoints() -> None:
    criterion = BinaryCrossEntropy(positive_ratio=RATIO, weighting="wpal")
    assert not criterion.state_dict()
    assert criterion.to(torch.float64).positive_weights.dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_loss_on_a_gpu_equals_that_on_the_cpu() -> None:
    criterion = BinaryCrossEntropy(positive_ratio=RATIO, weighting="sb")
    expected = criterion(Output(LOGITS), LABELS)["total"]
    loss = criterion.cuda()(Output(LOGITS.cuda()), LABELS.cuda())["total"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "max"}, "sum, mean"),
        ({"unknown": "maybe"}, "ignore, negative"),
        ({"weighting": "focal"}, "none, sb, sb-printed, wpal, mixed, diaa"),
        ({"gamma": 2}, "no argument 'gamma'; it takes reduction, weighting, unknown"),
    ],
)
def test_a_wrong_option_lists_the_valid_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_loss("bce", positive_ratio=RATIO, **options)


def test_a_wrong_name_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"no loss 'bcee'; choose one of .*bce"):
        create_loss("bcee", positive_ratio=RATIO)


def test_labels_of_another_schema_are_refused() -> None:
    with pytest.raises(DataError, match="expected labels of 3 attributes"):
        compute_loss(torch.zeros(4, 2), logits=torch.zeros(4, 2))
