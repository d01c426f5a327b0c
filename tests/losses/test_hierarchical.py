"""The hierarchical loss of SSPNet, Eq. 10-12, in loops over plain floats."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import create_loss
from passerby.losses.hierarchical import HierarchicalLoss
from passerby.schema import Attribute, AttributeSchema, BodyPart
from passerby.types import Output

BODY_PART_OF: tuple[BodyPart, ...] = ("torso", "head", "all", "torso", "all", "torso")
SCHEMA = AttributeSchema(
    "toy", tuple(Attribute(f"a{i}", f"has {i}", body_part=p) for i, p in enumerate(BODY_PART_OF))
)
RATIO = torch.tensor([0.5, 0.1, 0.8, 0.3, 0.02, 0.95])
LABELS = torch.tensor(
    [
        [1, 0, -1, 0, 0, 1],
        [0, -1, 1, 1, 0, 1],
        [1, -1, -1, 0, 1, -1],
        [0, 1, 0, 1, 0, 0],
        [-1, 0, 1, 1, 0, 1],
    ],
    dtype=torch.int8,
)


def draw(seed: int) -> Tensor:
    return 2 * torch.randn(5, 6, generator=torch.Generator().manual_seed(seed))


LOGITS = draw(1)
CANDIDATES = {f"P{scale}": draw(1 + scale) for scale in (1, 2, 3)}


def compute(output: Output, labels: Tensor = LABELS, **options: str) -> dict[str, Tensor]:
    loss = create_loss("hierarchical", positive_ratio=RATIO, schema=SCHEMA, **options)
    assert isinstance(loss, HierarchicalLoss)
    terms = loss(output, labels)
    assert isinstance(terms, dict)
    return terms


def loop_weight(weighting: str, y: int, r: float) -> float:
    return {
        "none": 1.0,
        "sb": math.exp(1 - r) if y else math.exp(r),  # the rarer label has the larger weight
        "sb-printed": math.exp(r) if y else math.exp(1 - r),
    }[weighting]


def loop_term(logits: Tensor, part: str, *, weighting: str, reduction: str, unknown: str) -> float:
    """Eq. 10 with its minus, for the attributes of one body part."""
    total, cells = 0.0, 0
    for row, answers in zip(logits.double().tolist(), LABELS.tolist(), strict=True):
        for x, answer, r, each in zip(row, answers, RATIO.double().tolist(), BODY_PART_OF, strict=True):
            y = 0 if answer == -1 and unknown == "negative" else answer
            if each != part or y == -1:
                continue
            p = 1 / (1 + math.exp(-x))
            total -= loop_weight(weighting, y, r) * (y * math.log(p) + (1 - y) * math.log(1 - p))
            cells += 1
    return total / (cells if reduction == "mean" else len(LABELS))


@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighting", ["none", "sb", "sb-printed"])
def test_terms_in_a_loop(weighting: str, reduction: str, unknown: str, candidates: bool) -> None:
    options = {"weighting": weighting, "reduction": reduction, "unknown": unknown}
    output = Output(LOGITS, candidates=CANDIDATES if candidates else {})
    terms = compute(output, **options)
    assert list(terms) == ["head", "torso", "all", "total"]  # no group without attributes
    total = 0.0
    for part in ("head", "torso", "all"):
        losses = [loop_term(x, part, **options) for x in (CANDIDATES.values() if candidates else [LOGITS])]
        assert terms[part].item() == pytest.approx(sum(losses) / len(losses), abs=1e-5)
        total += sum(losses) / len(losses)
    assert terms["total"].item() == pytest.approx(total, abs=1e-5)


def test_the_rarer_label_has_the_larger_weight_by_default() -> None:
    # A logit of 0 costs log 2; the ratio of the second attribute is 0.1.
    for y, power in ((1, 0.9), (0, 0.1)):
        labels = torch.full((1, 6), -1)
        labels[0, 1] = y
        output = Output(torch.zeros(1, 6))
        assert compute(output, labels)["head"].item() == pytest.approx(math.exp(power) * math.log(2))
        printed = compute(output, labels, weighting="sb-printed")["head"].item()
        assert printed == pytest.approx(math.exp(1 - power) * math.log(2))


def test_the_total_equals_bce() -> None:
    for options in ({}, {"weighting": "sb-printed"}, {"unknown": "negative"}):
        plain = create_loss("bce", positive_ratio=RATIO, **{"weighting": "sb", **options})
        expected = plain(Output(LOGITS), LABELS)["total"]
        torch.testing.assert_close(compute(Output(LOGITS), **options)["total"], expected)


def test_candidates_share_the_gradient_and_the_final_logits_have_none() -> None:
    """Each of the three scales has a third of the loss, whichever is selected."""
    logits = LOGITS.clone().requires_grad_()
    same = {f"P{scale}": LOGITS.clone().requires_grad_() for scale in (1, 2, 3)}
    compute(Output(logits, candidates=same))["total"].backward()
    assert logits.grad is None
    alone = LOGITS.clone().requires_grad_()
    compute(Output(alone))["total"].backward()
    assert alone.grad is not None
    for candidate in same.values():
        assert candidate.grad is not None
        torch.testing.assert_close(candidate.grad, alone.grad / 3)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_unknown_labels_have_no_loss_and_no_gradient(reduction: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    compute(Output(logits), reduction=reduction)["total"].backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, LABELS != -1)
    labels = LABELS.clone()
    labels[:, 1] = -1  # the only attribute of the head
    terms = compute(Output(LOGITS), labels, reduction=reduction)
    assert terms["head"].item() == 0
    assert terms["torso"].item() > 0


def test_each_term_depends_on_its_body_part_only() -> None:
    for part in ("head", "torso", "all"):
        logits = LOGITS.clone().requires_grad_()
        compute(Output(logits))[part].backward()
        assert logits.grad is not None
        touched = [bool(column.any()) for column in logits.grad.unbind(1)]
        assert touched == [each == part for each in BODY_PART_OF]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="expected 6 positive ratios, got 5"):
        HierarchicalLoss(positive_ratio=RATIO[:5], schema=SCHEMA)
    with pytest.raises(DataError, match=r"one shape \(N, A\), got \(5, 6\) and \(5, 5\)"):
        compute(Output(LOGITS), LABELS[:, :5])
    with pytest.raises(ConfigError, match="no weighting 'nonsense'"):
        compute(Output(LOGITS), weighting="nonsense")


def test_it_has_no_state_in_checkpoints() -> None:
    loss = HierarchicalLoss(positive_ratio=RATIO, schema=SCHEMA)
    assert not loss.state_dict()
    assert not list(loss.parameters())
