"""The loss of labels and teacher predictions, against loops."""

from __future__ import annotations

import math

import pytest
import torch

from passerby.errors import ConfigError, DataError
from passerby.losses import Distilled, StagedMultiTask, create_loss
from passerby.types import Batch, Output

ROWS = torch.tensor([2, 5, 9])
SOFT = torch.tensor([[0.9, 0.2], [0.4, 0.6], [1.0, 0.0]])
LABELS = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
LOGITS = torch.tensor([[0.3, -1.2], [2.0, 0.1]])
BATCH = Batch(torch.zeros(2, 3, 2, 2), LABELS, torch.tensor([9, 2]))


def create(weight: float = 0.3) -> Distilled:
    base = create_loss("bce", positive_ratio=torch.tensor([0.5, 0.5]))
    return Distilled(base, rows=ROWS, soft=SOFT, weight=weight)


def test_the_sum_in_a_loop() -> None:
    terms = create()(Output(LOGITS), LABELS, BATCH)
    far = near = 0.0
    for i, row in enumerate((2, 0)):  # indices of rows 9 and 2
        for a in range(2):
            prob = 1 / (1 + math.exp(-float(LOGITS[i, a])))
            soft, label = float(SOFT[row, a]), int(LABELS[i, a])
            far -= soft * math.log(prob) + (1 - soft) * math.log(1 - prob)
            near -= 0.0 if label < 0 else math.log(prob if label else 1 - prob)
    assert terms["teachers"].item() == pytest.approx(far / 2, rel=1e-5)
    assert terms["total"].item() == pytest.approx(0.7 * near / 2 + 0.3 * far / 2, rel=1e-5)


def test_as_labels_weights_teacher_predictions_like_labels() -> None:
    ratio = (0.2, 0.7)
    base = create_loss("bce", positive_ratio=torch.tensor(ratio), weighting="sb")
    terms = Distilled(base, rows=ROWS, soft=SOFT, as_labels=True)(Output(LOGITS), LABELS, BATCH)
    far = 0.0
    for i, row in enumerate((2, 0)):
        for a in range(2):
            prob, soft = 1 / (1 + math.exp(-float(LOGITS[i, a]))), float(SOFT[row, a])
            far -= soft * math.exp(1 - ratio[a]) * math.log(prob)
            far -= (1 - soft) * math.exp(ratio[a]) * math.log(1 - prob)
    assert terms["teachers"].item() == pytest.approx(far / 2, rel=1e-5)
    near = base(Output(LOGITS), LABELS, BATCH)["total"].item()
    assert terms["total"].item() == pytest.approx((near + far / 2) / 2, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_certain_teachers_as_labels_equal_labels(reduction: str) -> None:
    labels = torch.tensor([[1, 0], [0, 1]], dtype=torch.int8)
    base = create_loss("bce", positive_ratio=torch.tensor([0.3, 0.6]), weighting="sb", reduction=reduction)
    criterion = Distilled(base, rows=torch.tensor([2, 9]), soft=labels[[1, 0]].float(), as_labels=True)
    output = Output(LOGITS, candidates={"a": LOGITS, "b": LOGITS.flip(0)})  # averaged by the loss
    expected = base(output, labels, BATCH)["total"].item()
    unknown = torch.full_like(labels, -1)  # teacher predictions are used anyway
    assert criterion(output, unknown, BATCH)["teachers"].item() == pytest.approx(expected)
    assert "teachers" not in criterion.eval()(output, labels, BATCH)


@pytest.mark.parametrize("name", ["focal", "mtms"])
def test_a_loss_without_soft_labels_is_refused(name: str) -> None:
    base = create_loss(name, positive_ratio=torch.tensor([0.5, 0.5]))
    with pytest.raises(ConfigError, match=r"expected a BinaryCrossEntropy.*leave as_labels out"):
        Distilled(base, rows=ROWS, soft=SOFT, as_labels=True)


def test_validation_uses_the_criterion_only_with_any_rows() -> None:
    criterion = create().eval()
    others = Batch(BATCH.images, LABELS, torch.tensor([0, 77]))
    terms = criterion(Output(LOGITS), LABELS, others)
    assert terms.keys() == criterion.criterion(Output(LOGITS), LABELS, others).keys()


def test_the_gradient_of_the_teachers_is_the_difference_of_probabilities() -> None:
    logits = LOGITS.clone().requires_grad_()
    create(weight=1.0)(Output(logits), LABELS, BATCH)["total"].backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, (LOGITS.sigmoid() - SOFT[[2, 0]]) / 2)


def test_the_epoch_is_passed_on() -> None:
    base = StagedMultiTask(positive_ratio=torch.tensor([0.5, 0.5]), first_epochs=2)
    criterion = Distilled(base, rows=ROWS, soft=SOFT)
    criterion.set_epoch(1)
    assert criterion.first_epochs == 2
    assert base.epoch == 1
    assert not [name for name in criterion.state_dict() if "soft" in name or "rows" in name]


@pytest.mark.parametrize("weight", [0.0, 1.1])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight of the teachers"):
        create(weight)


def test_probabilities_that_do_not_fit_are_refused() -> None:
    base = create_loss("bce", positive_ratio=torch.tensor([0.5, 0.5]))
    for soft in (SOFT[:2], SOFT + 0.5):
        with pytest.raises(DataError, match="probabilities of 3 rows"):
            Distilled(base, rows=ROWS, soft=soft)
