import math

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import compute_binary_cross_entropy, compute_label_weights, reduce_terms

LABELS = torch.tensor([[1, 0, -1], [0, 0, 1], [1, -1, -1], [0, 1, 0]], dtype=torch.int8)


def draw_logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loop_cross_entropy(
    logits: Tensor, labels: Tensor, weights: tuple[Tensor, Tensor] | None
) -> list[list[float]]:
    """The equation in plain Python."""
    cells = []
    for row, answers in zip(logits.tolist(), labels.tolist(), strict=True):
        line = []
        for a, (x, y) in enumerate(zip(row, answers, strict=True)):
            p = 1 / (1 + math.exp(-x))
            positive, negative = (
                (1.0, 1.0) if weights is None else (float(weights[0][a]), float(weights[1][a]))
            )
            if y == -1:
                line.append(0.0)
            else:
                line.append(-(positive * y * math.log(p) + negative * (1 - y) * math.log(1 - p)))
        cells.append(line)
    return cells


def test_by_hand() -> None:
    # σ(log 3) = 3/4: a positive costs log 4/3, a negative log 4.
    logits = torch.full((1, 3), math.log(3), dtype=torch.float64)
    cells = compute_binary_cross_entropy(logits, torch.tensor([[1, 0, -1]]))
    assert cells.tolist() == [pytest.approx([math.log(4 / 3), math.log(4), 0.0], abs=1e-12)]


@pytest.mark.parametrize("weighting", [None, "none", "sb", "sb-printed", "wpal", "mixed", "diaa"])
def test_equals_the_equation_in_a_loop(weighting: str | None) -> None:
    logits = draw_logits(4, 3)
    weights = None if weighting is None else compute_label_weights(weighting, torch.tensor([0.5, 0.1, 0.8]))
    cells = compute_binary_cross_entropy(logits, LABELS, weights=weights)
    torch.testing.assert_close(
        cells,
        torch.tensor(loop_cross_entropy(logits, LABELS, weights), dtype=torch.float64),
        atol=1e-6,
        rtol=0,
    )


def test_gradients_are_those_of_finite_differences() -> None:
    logits = draw_logits(4, 3).requires_grad_()
    weights = tuple(w.double() for w in compute_label_weights("sb", torch.tensor([0.5, 0.1, 0.8])))
    assert torch.autograd.gradcheck(
        lambda x: compute_binary_cross_entropy(x, LABELS, weights=weights), logits
    )


@pytest.mark.parametrize("value", [0.0, 1e30, -1e30, math.inf, math.nan])
def test_an_unknown_label_has_no_loss_and_no_gradient_whatever_its_logit(value: float) -> None:
    logits = torch.tensor([[value, 1.0]], requires_grad=True)
    cells = compute_binary_cross_entropy(logits, torch.tensor([[-1, 1]]))
    cells.sum().backward()
    assert logits.grad is not None
    assert cells[0, 0] == 0
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] == pytest.approx(1 / (1 + math.exp(-1)) - 1, abs=1e-6)


def test_large_logits_neither_overflow_nor_vanish() -> None:
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    cells = compute_binary_cross_entropy(logits, torch.tensor([[1, 0, 0, 1]]))
    cells.sum().backward()
    assert logits.grad is not None
    assert cells.tolist() == [[0, 0, 1e4, 1e4]]
    assert logits.grad.tolist() == [[0, 0, 1, -1]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_logits_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits = draw_logits(4, 3).to(dtype)
    cells = compute_binary_cross_entropy(logits, LABELS)
    assert cells.dtype == torch.float32
    assert torch.equal(cells, compute_binary_cross_entropy(logits.float(), LABELS))


def test_inputs_are_not_changed() -> None:
    logits, labels = draw_logits(4, 3), LABELS.clone()
    before = logits.clone()
    compute_binary_cross_entropy(logits, labels)
    assert torch.equal(logits, before)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize("labels", [torch.zeros(4, 2), torch.zeros(3, 3), torch.zeros(12)])
def test_shapes_must_agree(labels: Tensor) -> None:
    with pytest.raises(DataError, match="of one shape"):
        compute_binary_cross_entropy(torch.zeros(4, 3), labels)


@pytest.mark.parametrize("label", [2, -2, 0.5])
def test_a_label_out_of_range_is_reported(label: float) -> None:
    with pytest.raises(DataError, match=rf"also got \[{label}\]"):
        compute_binary_cross_entropy(torch.zeros(1, 2), torch.tensor([[1, label]]))


def test_divisors_of_the_reductions() -> None:
    cells = torch.tensor([[1.0, 2.0, 0.0], [4.0, 0.0, 0.0]])
    known = torch.tensor([[True, True, False], [True, False, False]])
    assert reduce_terms(cells, known).item() == 3.5  # 7 / 2 rows
    assert reduce_terms(cells, known, reduction="mean").item() == pytest.approx(7 / 3)  # 3 known cells
    with pytest.raises(ConfigError, match="sum, mean"):
        reduce_terms(cells, known, reduction="max")  # type: ignore[arg-type]
