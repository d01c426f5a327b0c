"""MTMS's losses against loops over plain floats."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import StagedMultiTask, compute_parsing_loss
from passerby.types import Batch, Guidance, Output

RATIO = torch.tensor([0.3, 0.05, 0.6])
LABELS = torch.tensor([[1, 0, -1], [0, 0, 1]])
N, A, K, H, W = 2, 3, 4, 3, 2


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def create_output() -> Output:
    logits = {stage: draw(N, A, seed=i) for i, stage in enumerate(("stage1", "stage2"))}
    parsing = {stage: draw(N, K, H, W, seed=9 + i) for i, stage in enumerate(logits)}
    return Output(logits["stage2"], branches=logits, parsing=parsing)


def create_batch(**guidance: Tensor) -> Batch:
    classes = torch.randint(0, K, (N, H, W), generator=torch.Generator().manual_seed(3))
    classes[0, 0, 0] = classes[1, 2, 1] = 255
    given = Guidance(**(guidance or {"parsing": classes}))
    return Batch(torch.empty(N, 3, H, W), LABELS, torch.arange(N), given)


def loop_attributes(logits: Tensor, weighting: str) -> float:
    """Eq. 1, or Eq. 2 with ω the fraction of positives; unknown labels have no term."""
    total = 0.0
    for n in range(N):
        for i in range(A):
            label, p = int(LABELS[n, i]), 1 / (1 + math.exp(-float(logits[n, i])))
            omega = float(RATIO[i])
            yes, no = (1 / (2 * omega), 1 / (2 * (1 - omega))) if weighting == "wpal" else (1.0, 1.0)
            if label == 1:
                total -= yes * math.log(p)
            elif label == 0:
                total -= no * math.log(1 - p)
    return total / N


def loop_parsing(logits: Tensor, classes: Tensor) -> float:
    """Eq. 3."""
    total = 0.0
    for n in range(N):
        for y in range(H):
            for x in range(W):
                truth = int(classes[n, y, x])
                if truth != 255:
                    scores = [math.exp(float(logits[n, k, y, x])) for k in range(logits.shape[1])]
                    total -= math.log(scores[truth] / sum(scores))
    return total / N


@pytest.mark.parametrize("weighting", ["none", "wpal"])
def test_all_terms_in_a_loop(weighting: Any) -> None:
    output, batch = create_output(), create_batch()
    criterion = StagedMultiTask(positive_ratio=RATIO, weighting=weighting, attributes=0.7, parsing=0.2)
    terms = criterion(output, LABELS, batch)
    assert batch.guidance.parsing is not None
    expected = {}
    for stage in ("stage1", "stage2"):
        expected[f"attributes/{stage}"] = 0.7 * loop_attributes(output.branches[stage], weighting)
        expected[f"parsing/{stage}"] = 0.2 * loop_parsing(output.parsing[stage], batch.guidance.parsing)
    expected["total"] = sum(expected.values())
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-5)


def test_the_factors_of_the_paper() -> None:
    output, batch = create_output(), create_batch()
    terms = StagedMultiTask(positive_ratio=RATIO)(output, LABELS, batch)
    assert batch.guidance.parsing is not None
    parsing = 1.5e-4 * loop_parsing(output.parsing["stage1"], batch.guidance.parsing)
    assert terms["parsing/stage1"].item() == pytest.approx(parsing, rel=1e-6)
    assert terms["attributes/stage1"].item() == pytest.approx(
        loop_attributes(output.branches["stage1"], "none")
    )


def test_only_stage_one_trains_in_the_first_epochs() -> None:
    criterion = StagedMultiTask(positive_ratio=RATIO, first_epochs=2)
    output, batch = create_output(), create_batch()
    for epoch, stages in ((0, {"stage1"}), (1, {"stage1"}), (2, {"stage1", "stage2"}), (1, {"stage1"})):
        criterion.set_epoch(epoch)
        terms = criterion(output, LABELS, batch)
        assert {name.split("/")[1] for name in terms if "/" in name} == stages
        assert terms["total"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if "/" in k))


def test_evaluation_scores_the_prediction_only() -> None:
    criterion = StagedMultiTask(positive_ratio=RATIO, first_epochs=2).eval()
    output = create_output()
    terms = criterion(output, LABELS, None)
    assert terms["total"].item() == pytest.approx(loop_attributes(output.logits, "none"))


def test_masks_supervise_two_classes() -> None:
    masks = (draw(N, 1, H, W, seed=5) > 0).double()
    logits = draw(N, 2, H, W, seed=6)
    output = Output(
        draw(N, A, seed=1),
        branches={s: draw(N, A, seed=1) for s in ("stage1", "stage2")},
        parsing=dict.fromkeys(("stage1", "stage2"), logits),
    )
    terms = StagedMultiTask(positive_ratio=RATIO, parsing=1.0)(output, LABELS, create_batch(masks=masks))
    assert terms["parsing/stage1"].item() == pytest.approx(loop_parsing(logits, masks[:, 0].long()), abs=1e-5)


def test_unknown_pixels_have_neither_loss_nor_gradient() -> None:
    logits = draw(N, K, H, W, seed=7).requires_grad_()
    loss = compute_parsing_loss(logits, torch.full((N, H, W), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_refusals() -> None:
    output = create_output()
    criterion = StagedMultiTask(positive_ratio=RATIO)
    with pytest.raises(DataError, match="expected parsing maps of 4 classes to train on, got none"):
        criterion(output, LABELS, create_batch(keypoints=torch.zeros(N, 17, 3)))
    with pytest.raises(DataError, match="of 4 classes to train on, got masks"):
        criterion(output, LABELS, create_batch(masks=torch.ones(N, 1, H, W)))
    for branches, first, message in (
        ({}, 0, "now training stage1 and stage2, got none"),
        ({"stage2": draw(N, A, seed=1)}, 1, "now training stage1, got stage2; .*first_epochs: 0"),
        ({"primary": draw(N, A, seed=1)}, 0, "got primary; use the model mtms"),
    ):
        other = StagedMultiTask(positive_ratio=RATIO, first_epochs=first)
        with pytest.raises(ConfigError, match=message):
            other(Output(draw(N, A, seed=1), branches=branches), LABELS, create_batch())
    with pytest.raises(
        DataError, match=r"expected parsing classes 0 … 3.*, got 4; set parsing_classes of the model"
    ):
        criterion(output, LABELS, create_batch(parsing=torch.full((N, H, W), 4)))
    with pytest.raises(
        DataError, match=r"expected parsing maps \(\d, 3, 2\) for these logits, got \(\d, 2, 2\)"
    ):
        criterion(output, LABELS, create_batch(parsing=torch.zeros(N, 2, 2, dtype=torch.int64)))
    for wrong in ({"attributes": 0.0}, {"parsing": -1.0}, {"first_epochs": -1}, {"first_epochs": 1.5}):
        with pytest.raises(ConfigError, match="expected attributes above 0"):
            StagedMultiTask(positive_ratio=RATIO, **wrong)
