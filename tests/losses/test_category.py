"""MAN's loss, Eq. 5, in loops over plain floats: tasks, their categories, the classes of each."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import create_loss
from passerby.losses.category import CategoryWeighted
from passerby.schema import Attribute, AttributeSchema, Task
from passerby.types import Output

TREE: dict[Task, dict[str, tuple[int, list[int]]]] = {
    "full body": {"sex": (2, [3]), "age": (4, [0, 4, 6, 1])},
    "head": {"hat": (2, [5])},
    "lower body": {"clothes": (6, [2, 7])},  # the other classes are not in the schema
}
"""Tasks, their categories: R and the columns of the classes."""

PLAIN = {
    column: Attribute(f"a{column}", f"has {column}", category=category, classes=classes, task=task)
    for task, categories in TREE.items()
    for category, (classes, columns) in categories.items()
    for column in columns
}
SCHEMA = AttributeSchema("toy", tuple(PLAIN[column] for column in range(8)))
RATIO = torch.tensor([0.5, 0.1, 0.8, 0.3, 0.02, 0.95, 0.25, 0.4])
LABELS = torch.tensor(
    [
        [1, 0, -1, 0, 0, 1, 0, 1],
        [0, -1, 1, 1, 0, 1, 1, 0],
        [1, -1, -1, 0, 1, -1, 0, 1],
        [0, 1, 0, 1, 0, 0, 0, 0],
        [-1, 0, 1, 1, 0, 1, -1, -1],
    ],
    dtype=torch.int8,
)
LOGITS = 2 * torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def create(**options: Any) -> CategoryWeighted:
    loss = create_loss("category", positive_ratio=RATIO, schema=SCHEMA, **options)
    assert isinstance(loss, CategoryWeighted)
    return loss


def compute(logits: Tensor = LOGITS, labels: Tensor = LABELS, **options: Any) -> dict[str, Tensor]:
    terms = create(**options)(Output(logits), labels)
    assert isinstance(terms, dict)
    return terms


def loop_weight(weighting: str, y: int, r: float) -> float:
    return {
        "none": 1.0,
        "sb": math.exp(1 - r) if y else math.exp(r),  # the rarer label has the larger weight
        "diaa": math.exp(-r),
    }[weighting]


def loop_loss(
    *,
    gamma: float | None = None,
    weighting: str = "none",
    reduction: str = "sum",
    unknown: str = "ignore",
) -> float:
    """Eq. 5: over tasks, categories, classes and samples; with γ, terms times (1 − p of the true label)^γ."""
    logits, labels, ratio = LOGITS.double().tolist(), LABELS.tolist(), RATIO.double().tolist()
    total, cells = 0.0, 0
    for categories in TREE.values():
        for classes, columns in categories.values():
            for k in columns:
                for n in range(len(logits)):
                    y = 0 if labels[n][k] == -1 and unknown == "negative" else labels[n][k]
                    if y == -1:
                        continue
                    p = 1 / (1 + math.exp(-logits[n][k]))
                    term = y * math.log(p) + (1 - y) * math.log(1 - p)
                    if gamma is not None:
                        term *= (1 - p if y else p) ** gamma
                    total -= loop_weight(weighting, y, ratio[k]) * term / classes
                    cells += 1
    return total / (cells if reduction == "mean" else len(logits))


@pytest.mark.parametrize("unknown", ["ignore", "negative"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighting", ["none", "sb", "diaa"])
def test_equation_5_in_a_loop(weighting: str, reduction: str, unknown: str) -> None:
    options = {"weighting": weighting, "reduction": reduction, "unknown": unknown}
    terms = compute(**options)
    assert list(terms) == ["bce", "total"]
    expected = pytest.approx(loop_loss(**options), abs=1e-5)
    assert terms["bce"].item() == expected
    assert terms["total"].item() == expected
    assert terms["total"].shape == ()


@pytest.mark.parametrize("unknown", ["ignore", "negative"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighting", ["none", "sb"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_in_a_loop(gamma: float, weighting: str, reduction: str, unknown: str) -> None:
    options = {"weighting": weighting, "reduction": reduction, "unknown": unknown}
    terms = compute(base="focal", gamma=gamma, **options)
    assert list(terms) == ["focal", "total"]
    expected = pytest.approx(loop_loss(gamma=gamma, **options), abs=1e-5)
    assert terms["focal"].item() == expected
    assert terms["total"].item() == expected


def test_defaults_are_those_of_the_papers() -> None:
    assert compute()["total"].item() == pytest.approx(loop_loss(), abs=1e-5)
    focal = compute(base="focal")["total"].item()  # γ of Lin et al., without weights
    assert focal == pytest.approx(loop_loss(gamma=2.0), abs=1e-5)


def test_by_hand() -> None:
    # A logit of 0 costs log 2, times 1/2 for a single attribute, 1/4 for an age, 1/6 for a piece of clothing.
    for column, classes in ((3, 2), (5, 2), (0, 4), (1, 4), (4, 4), (6, 4), (2, 6), (7, 6)):
        labels = torch.full((1, 8), -1)
        labels[0, column] = 1
        assert compute(torch.zeros(1, 8), labels)["total"].item() == pytest.approx(math.log(2) / classes)
        focal = compute(torch.zeros(1, 8), labels, base="focal")["total"].item()
        assert focal == pytest.approx(math.log(2) / 4 / classes)


def test_every_category_has_the_same_weight() -> None:
    schema = AttributeSchema(
        "whole",
        tuple(
            Attribute(f"{category}{i}", "is so", category=category, classes=classes)
            for category, classes in (("age", 4), ("clothes", 6))
            for i in range(classes)
        ),
    )
    loss = CategoryWeighted(positive_ratio=torch.full((10,), 0.5), schema=schema)
    logits = torch.zeros(3, 10, requires_grad=True)
    loss(Output(logits), torch.ones(3, 10))["total"].backward()
    assert logits.grad is not None
    shares = logits.grad.sum(0)
    assert shares[:4].sum().item() == pytest.approx(shares[4:].sum().item())


def test_an_attribute_without_classes_is_a_single_binary_one() -> None:
    """R = 2, so the loss is half of the binary cross-entropy."""
    lone = AttributeSchema("lone", tuple(Attribute(f"a{i}", f"has {i}") for i in range(8)))
    for base in ("bce", "focal"):
        plain = {"weighting": "none", **({"gamma": 2.0} if base == "focal" else {})}
        whole = create_loss(base, positive_ratio=RATIO, **plain)(Output(LOGITS), LABELS)["total"]
        loss = CategoryWeighted(positive_ratio=RATIO, schema=lone, base=base)
        torch.testing.assert_close(loss(Output(LOGITS), LABELS)["total"], whole / 2)


@pytest.mark.parametrize("base", ["bce", "focal"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_unknown_labels_have_no_loss_and_no_gradient(reduction: str, base: str) -> None:
    logits = LOGITS.clone()
    logits[LABELS == -1] = math.inf
    logits.requires_grad_()
    total = compute(logits, base=base, reduction=reduction)["total"]
    total.backward()
    gamma = 2.0 if base == "focal" else None
    assert total.item() == pytest.approx(loop_loss(gamma=gamma, reduction=reduction), abs=1e-5)
    assert logits.grad is not None
    assert torch.equal(logits.grad != 0, LABELS != -1)
    nothing = compute(labels=torch.full((5, 8), -1), base=base, reduction=reduction)
    assert nothing["total"].item() == 0


@pytest.mark.parametrize("base", ["bce", "focal"])
def test_gradients_are_those_of_finite_differences(base: str) -> None:
    loss = create(base=base, weighting="sb").double()
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(Output(x), LABELS)["total"], logits)


def test_confident_errors_and_half_precision_stay_finite() -> None:
    for base in ("bce", "focal"):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            logits = torch.where(LABELS == 1, -200.0, 200.0).to(dtype).requires_grad_()
            total = compute(logits, base=base)["total"]
            assert total.dtype == torch.float32
            known = (LABELS >= 0).float() * torch.tensor([1 / a.classes for a in SCHEMA])
            assert total.item() == pytest.approx(200 * known.sum().item() / 5, rel=1e-4)
            total.backward()
            assert logits.grad is not None
            assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "hinge"}, "no base 'hinge'; choose one of bce, focal"),
        ({"weighting": "unheard"}, "no weighting 'unheard'; choose one of none, sb, "),
        ({"weighting": "unheard", "base": "focal"}, "no weighting 'unheard'; choose one of none, sb, "),
        ({"reduction": "max"}, "no reduction 'max'; choose one of sum, mean"),
        ({"unknown": "guess"}, "no unknown 'guess'; choose one of ignore, negative"),
        ({"base": "focal", "gamma": -1.0}, r"gamma of 0 or larger, got -1\.0"),
        ({"classes": 3}, "loss 'category' has no argument 'classes'; it takes base, gamma"),
    ],
)
def test_wrong_options_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(**options)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="expected 8 positive ratios, got 7"):
        CategoryWeighted(positive_ratio=RATIO[:7], schema=SCHEMA)
    with pytest.raises(DataError, match="expected 8 positive ratios, got 1"):
        CategoryWeighted(positive_ratio=RATIO[:1], schema=SCHEMA)
    with pytest.raises(DataError, match=r"one shape \(N, A\), got \(5, 7\) and \(5, 8\)"):
        compute(LOGITS[:, :7])
    with pytest.raises(DataError, match=r"labels of 8 attributes, .* got shape \(5, 7\)"):
        compute(LOGITS[:, :7], LABELS[:, :7])


def test_it_has_no_state_in_checkpoints_and_moves_with_the_module() -> None:
    loss = create()
    assert not loss.state_dict()
    assert not list(loss.parameters())
    assert loss.to("meta").share.device.type == "meta"
