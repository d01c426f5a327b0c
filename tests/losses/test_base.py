"""What every loss takes as output: that of a model, or plain logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import LOSSES, AttributeLoss, Distilled, create_loss
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Output

SCHEMA = AttributeSchema(
    "toy", (Attribute("Hat", "wears a hat", body_part="head"), Attribute("Male", "is male"))
)
LOGITS = torch.tensor([[0.5, -1.0], [2.0, 0.25], [-0.5, 1.5]])
LABELS = torch.tensor([[1, 0], [0, 1], [1, -1]])
NEEDS_BRANCHES = {"diaa": "needs the branches primary", "mtms": "branches stage1 and stage2"}


def create(name: str, **arguments: Any) -> AttributeLoss:
    loss = create_loss(
        name, positive_ratio=torch.tensor([0.3, 0.6]), rows=torch.arange(3), schema=SCHEMA, **arguments
    )
    assert isinstance(loss, AttributeLoss)
    return loss


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - NEEDS_BRANCHES))
def test_plain_logits_have_the_loss_of_an_output(name: str) -> None:
    criterion = create(name)
    expected = criterion(Output(LOGITS), LABELS)
    found = criterion(LOGITS, LABELS)
    assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in expected.items()}


def test_the_value_and_the_gradient_are_those_of_torch() -> None:
    logits = LOGITS[:2].clone().requires_grad_()
    total = create("bce", reduction="mean")(logits, LABELS[:2])["total"]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, LABELS[:2].float())
    assert total.item() == pytest.approx(expected.item(), abs=1e-7)
    gradients = [torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (total, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("name", "message"), NEEDS_BRANCHES.items())
def test_a_loss_that_needs_more_than_logits_states_what(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"{message}.*got none.*Output.*not its logits alone"):
        create(name)(LOGITS, LABELS)


@pytest.mark.parametrize("output", [LOGITS.numpy(), LOGITS.tolist(), {"logits": LOGITS}, None])
def test_other_outputs_are_refused(output: Any) -> None:
    with pytest.raises(DataError, match="expected the Output of a model, or its logits"):
        create("bce")(output, LABELS)


def test_distillation_needs_the_batch_in_training_only() -> None:
    soft: Tensor = torch.full((3, 2), 0.5)
    criterion = Distilled(create("bce"), rows=torch.arange(3), soft=soft)
    with pytest.raises(DataError, match="rows of the batch"):
        criterion(LOGITS, LABELS)
    assert criterion.eval()(LOGITS, LABELS)["total"] == create("bce")(LOGITS, LABELS)["total"]
