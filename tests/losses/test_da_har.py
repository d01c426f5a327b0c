"""Da-HAR's losses against loops over plain floats."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import compute_parsing_loss
from passerby.losses.da_har import DaHARLoss
from passerby.types import Batch, Guidance, Output

RATIO = torch.tensor([0.3, 0.05, 0.6])
LABELS = torch.tensor([[1, 0, -1], [0, -1, 1], [1, 1, 0]])
N, A, H, W = 3, 3, 4, 2


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def create_masks() -> Tensor:
    """Masks for all samples except the second."""
    masks = torch.rand(N, 1, H, W, generator=torch.Generator().manual_seed(3))
    masks[1] = 0
    return masks


def create_batch(masks: Tensor | None) -> Batch:
    return Batch(torch.empty(N, 3, H, W), LABELS, torch.arange(N), Guidance(masks=masks))


def create_output() -> Output:
    parsing = torch.cat([torch.zeros(N, 1, H, W).double(), draw(N, 1, H, W, seed=2)], dim=1)
    return Output(draw(N, A, seed=1), parsing={"mask": parsing})


def loop_attributes(logits: Tensor, weighting: str, unknown: str) -> float:
    """Eq. 1, Eq. 2, or the mean of both; unspecified labels are ignored or count as negative."""
    total = 0.0
    for n in range(N):
        for c in range(A):
            label, p, omega = int(LABELS[n, c]), 1 / (1 + math.exp(-float(logits[n, c]))), float(RATIO[c])
            if label == -1:
                if unknown == "ignore":
                    continue
                label = 0
            plain = -math.log(p) if label else -math.log(1 - p)
            weighted = plain / (2 * omega) if label else plain / (2 * (1 - omega))
            total += {"none": plain, "wpal": weighted, "mixed": (plain + weighted) / 2}[weighting]
    return total / N


def loop_mask(logits: Tensor, masks: Tensor) -> float:
    terms = []
    for n in range(N):
        inside = [[float(masks[n, 0, y, x]) >= 0.5 for x in range(W)] for y in range(H)]
        if not any(map(any, inside)):
            continue
        for y in range(H):
            for x in range(W):
                p = 1 / (1 + math.exp(-float(logits[n, 1, y, x])))
                terms.append(-math.log(p if inside[y][x] else 1 - p))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("weighting", ["none", "wpal", "mixed"])
@pytest.mark.parametrize("unknown", ["ignore", "negative"])
def test_loss_in_loops(weighting: str, unknown: str) -> None:
    criterion = DaHARLoss(positive_ratio=RATIO, weighting=weighting, unknown=unknown, mask=0.7)  # type: ignore[arg-type]
    output, masks = create_output(), create_masks()
    terms = criterion(output, LABELS, create_batch(masks))
    attributes = loop_attributes(output.logits, weighting, unknown)
    mask = 0.7 * loop_mask(output.parsing["mask"], masks)
    assert terms["attributes"].item() == pytest.approx(attributes, abs=1e-5)
    assert terms["mask"].item() == pytest.approx(mask, abs=1e-5)
    assert terms["total"].item() == pytest.approx(attributes + mask, abs=1e-5)


def test_an_image_without_mask_does_not_contribute() -> None:
    output, masks = create_output(), create_masks()
    logits = output.parsing["mask"].clone().requires_grad_()
    criterion = DaHARLoss(positive_ratio=RATIO)
    criterion(Output(output.logits, parsing={"mask": logits}), LABELS, create_batch(masks))["mask"].backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().sum() == 0
    assert (logits.grad[[0, 2]].abs().sum((1, 2, 3)) > 0).all()


def test_no_mask_at_all_is_no_loss() -> None:
    logits = draw(N, 2, H, W, seed=4).requires_grad_()
    loss = compute_parsing_loss(logits, torch.full((N, H, W), 255), reduction="mean")
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_only_attributes_in_evaluation_and_without_a_mask_branch() -> None:
    output, batch = create_output(), create_batch(create_masks())
    evaluated = DaHARLoss(positive_ratio=RATIO).eval()(output, LABELS, batch)
    plain = DaHARLoss(positive_ratio=RATIO)(Output(output.logits), LABELS)
    off = DaHARLoss(positive_ratio=RATIO, mask=0)(output, LABELS, batch)
    for terms in (evaluated, plain, off):
        assert set(terms) == {"attributes", "total"}
        assert terms["total"].item() == pytest.approx(loop_attributes(output.logits, "none", "ignore"))


def test_missing_masks_or_masks_of_another_size_are_refused() -> None:
    criterion, output = DaHARLoss(positive_ratio=RATIO), create_output()
    with pytest.raises(DataError, match=r"expected masks to train on, got none; .*mask_supervision: false"):
        criterion(output, LABELS, create_batch(None))
    with pytest.raises(
        DataError, match=r"expected parsing maps \(3, 4, 2\) for these logits, got \(3, 2, 2\)"
    ):
        criterion(output, LABELS, create_batch(torch.ones(N, 1, 2, 2)))


def test_a_negative_factor_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a mask factor of 0 or more, got -1"):
        DaHARLoss(positive_ratio=RATIO, mask=-1)
