"""DIAA's total loss against Eq. 3 to 7 of the paper (ECCV 2018), written out as loops over plain floats."""

from __future__ import annotations

import copy
import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses import DIAALoss, create_loss
from passerby.types import Batch, Output

ROWS = [3, 10, 11, 40, 41, 97, 1000]
"""The training samples: some rows of a manifest."""

RATIO = [0.5, 0.1, 0.8]
BRANCHES = ("primary", "attention3", "attention4")

_draw = random.Random(7)
LABELS = {row: [_draw.choice((1, 1, 0, 0, -1)) for _ in RATIO] for row in ROWS}


@dataclass
class Step:
    """One batch: its rows and the logits of each branch, (N, A) as nested lists."""

    rows: list[int]
    logits: dict[str, list[list[float]]]
    final: list[list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.final = [
            [sum(cells) / len(cells) for cells in zip(*rows, strict=True)]
            for rows in zip(*self.logits.values(), strict=True)
        ]

    def to_tensors(self) -> tuple[Output, Tensor, Batch]:
        labels = torch.tensor([LABELS[row] for row in self.rows])
        branches = {name: torch.tensor(values) for name, values in self.logits.items()}
        batch = Batch(torch.empty(len(self.rows), 3, 1, 1), labels, rows=torch.tensor(self.rows))
        return Output(torch.tensor(self.final), branches=branches), labels, batch


def draw_step(rows: list[int], draw: random.Random, names: Sequence[str] = BRANCHES) -> Step:
    """Logits whose probability is not on a rounding boundary of float16, where the last bit of σ decides."""
    lines: dict[str, list[list[float]]] = {name: [] for name in names}
    for _ in rows:
        for name in names:
            lines[name].append([])
        for _ in RATIO:
            while True:
                cells = [draw.gauss(0, 3) for _ in names]
                p = sigmoid(sum(cells) / len(cells))
                if np.float16(p * (1 - 1e-5)) == np.float16(p * (1 + 1e-5)):
                    break
            for name, x in zip(names, cells, strict=True):
                lines[name][-1].append(x)
    return Step(rows, lines)


def draw_epochs(count: int, *, seed: int = 0, batch_size: int = 2) -> list[list[Step]]:
    """Shuffled epochs; the last incomplete batch is left out, a different sample each time."""
    draw = random.Random(seed)
    epochs = []
    for _ in range(count):
        order = draw.sample(ROWS, len(ROWS))
        starts = range(0, len(order) - batch_size + 1, batch_size)
        epochs.append([draw_step(order[i : i + batch_size], draw) for i in starts])
    return epochs


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class LoopDIAA:
    """The equations of the paper with plain Python numbers and lists."""

    def __init__(
        self, *, burn_in: int = 2, gamma: float = 0.5, reduction: str = "sum", unknown: str = "ignore"
    ) -> None:
        self.burn_in, self.gamma, self.reduction, self.unknown = burn_in, gamma, reduction, unknown
        self.met = dict.fromkeys(ROWS, 0)
        self.stored: dict[int, list[list[float]]] = {row: [] for row in ROWS}
        self.largest = 1.0

    def compute(self, step: Step, *, training: bool = True) -> dict[str, float]:
        terms = {name: self.reduce(step, name, training) for name in step.logits}
        if training:
            for row, line in zip(step.rows, step.final, strict=True):
                self.met[row] += 1
                if self.met[row] > self.burn_in:
                    self.stored[row].append([float(np.float16(sigmoid(x))) for x in line])
        return {**terms, "total": sum(terms.values())}  # Eq. 7

    def reduce(self, step: Step, name: str, training: bool) -> float:
        total, known = 0.0, 0
        for row, line in zip(step.rows, step.logits[name], strict=True):
            for c, x in enumerate(line):
                y = 0 if LABELS[row][c] == -1 and self.unknown == "negative" else LABELS[row][c]
                if y == -1:
                    continue
                known += 1
                p = sigmoid(x)
                if name == "primary":  # Eq. 4
                    yes = (1 - p) ** self.gamma * math.log(p)
                    no = p**self.gamma * math.log(1 - p)
                    total -= math.exp(-RATIO[c]) * (yes * y + no * (1 - y))
                else:  # Eq. 3 within Eq. 6
                    factor = self.weigh(row, c) if training else 1.0
                    self.largest = max(self.largest, factor)
                    total -= factor * (math.log(p) * y + math.log(1 - p) * (1 - y))
        return total / (len(step.rows) if self.reduction == "sum" else known)

    def weigh(self, row: int, c: int) -> float:
        """1 + Eq. 5 over the last five stored epochs."""
        kept = [line[c] for line in self.stored[row][-5:]]
        if len(kept) < 2:
            return 1.0
        mean = sum(kept) / len(kept)
        var = sum((value - mean) ** 2 for value in kept) / len(kept)
        return 1 + math.sqrt(var + var**2 / (len(kept) - 1))


def make(**options: Any) -> DIAALoss:
    criterion = create_loss(
        "diaa", positive_ratio=torch.tensor(RATIO), rows=torch.tensor(ROWS), **options
    ).train()
    assert isinstance(criterion, DIAALoss)
    return criterion


def compute_terms(criterion: DIAALoss, step: Step) -> dict[str, float]:
    return {name: term.item() for name, term in criterion(*step.to_tensors()).items()}


def close(expected: dict[str, float]) -> Any:
    return pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("burn_in", [0, 2, 3])
@pytest.mark.parametrize("batch_size", [2, 3, 7])
def test_nine_epochs_are_equations_3_to_7_in_a_loop(batch_size: int, burn_in: int) -> None:
    criterion, expected = make(burn_in=burn_in), LoopDIAA(burn_in=burn_in)
    for number, steps in enumerate(draw_epochs(9, batch_size=batch_size), start=1):
        for step in steps:
            terms = criterion(*step.to_tensors())
            assert [*terms] == [*BRANCHES, "total"]
            assert all(term.shape == () for term in terms.values())
            assert {k: v.item() for k, v in terms.items()} == close(expected.compute(step))
        if number <= burn_in + 1:  # plain L_b until two epochs are stored
            assert expected.largest == 1
    assert expected.largest > 1.3
    if batch_size < 7:
        assert len(set(expected.met.values())) > 1


@pytest.mark.parametrize(
    "options",
    [
        {"reduction": "mean"},
        {"unknown": "negative"},
        {"reduction": "mean", "unknown": "negative"},
        {"gamma": 0.0},
        {"gamma": 2.0},
    ],
)
def test_options_are_those_of_the_loop(options: dict[str, Any]) -> None:
    criterion, expected = make(**options), LoopDIAA(**options)
    for steps in draw_epochs(6, batch_size=3):
        for step in steps:
            assert compute_terms(criterion, step) == close(expected.compute(step))
    assert expected.largest > 1.1


def test_by_hand() -> None:
    # Probabilities 0 and 1 in two epochs (logits ∓20): var ¼, n 2, std √(¼ + 1/16) = √5/4. Zero logits cost
    # log 2.
    criterion = DIAALoss(positive_ratio=torch.tensor([0.0]), rows=torch.tensor([5]), burn_in=0)
    labels = torch.ones(1, 1)
    batch = Batch(torch.empty(1, 3, 1, 1), labels, rows=torch.tensor([5]))
    branches = {"primary": torch.zeros(1, 1), "attention4": torch.zeros(1, 1)}
    for logit in (-20.0, 20.0):
        terms = criterion(Output(torch.full((1, 1), logit), branches=branches), labels, batch)
        assert terms["attention4"].item() == pytest.approx(math.log(2))
    terms = criterion(Output(torch.zeros(1, 1), branches=branches), labels, batch)
    assert terms["attention4"].item() == pytest.approx((1 + math.sqrt(5) / 4) * math.log(2), abs=1e-6)
    assert terms["primary"].item() == pytest.approx(math.sqrt(0.5) * math.log(2))
    total = (1 + math.sqrt(5) / 4 + math.sqrt(0.5)) * math.log(2)
    assert terms["total"].item() == pytest.approx(total, abs=1e-6)


def test_the_current_epoch_is_not_used() -> None:
    criterion = make(burn_in=0)
    *before, last = draw_epochs(4, batch_size=7)
    for steps in before:
        compute_terms(criterion, steps[0])
    other = copy.deepcopy(criterion)
    output, labels, batch = last[0].to_tensors()
    opposite = Output(-output.logits, branches=output.branches)
    first, second = criterion(output, labels, batch), other(opposite, labels, batch)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}
    later, after = (
        criterion(output, labels, batch),
        other(output, labels, batch),
    )  # but the next one uses it
    assert later["attention4"].item() != pytest.approx(after["attention4"].item(), rel=1e-3)


def test_the_history_contains_the_final_prediction() -> None:
    criterion = make(burn_in=0)
    step = draw_epochs(1, batch_size=7)[0][0]
    compute_terms(criterion, step)
    assert criterion.history is not None
    for row, line in zip(step.rows, step.final, strict=True):
        kept = criterion.history.probs[ROWS.index(row), 0].tolist()
        assert kept == [float(np.float16(sigmoid(x))) for x in line]


@pytest.mark.parametrize("names", [("primary", "attention4"), ("primary", "attention")])
def test_any_number_of_attention_branches(names: tuple[str, ...]) -> None:
    criterion, expected, draw = make(burn_in=0), LoopDIAA(burn_in=0), random.Random(1)
    for _ in range(4):
        step = draw_step(draw.sample(ROWS, 5), draw, names)
        terms = compute_terms(criterion, step)
        assert [*terms] == [*names, "total"]
        assert terms == close(expected.compute(step))
    assert expected.largest > 1.1


def test_without_history_the_attention_loss_is_equation_3() -> None:
    criterion, expected = make(history=False), LoopDIAA(burn_in=99)
    without_rows = create_loss("diaa", positive_ratio=torch.tensor(RATIO), history=False)
    for steps in draw_epochs(5, batch_size=7):
        wanted = close(expected.compute(steps[0]))
        assert compute_terms(criterion, steps[0]) == wanted
        output, labels, _ = steps[0].to_tensors()
        assert {k: v.item() for k, v in without_rows(output, labels).items()} == wanted
    assert not criterion.state_dict()


def test_weights_have_no_gradient_and_scale_that_of_the_attention() -> None:
    """dL/dx of an attention logit is (1 + std) · (σ(x) − y) / N; the final logits only affect the history."""
    criterion, expected = make(burn_in=0), LoopDIAA(burn_in=0)
    *before, last = draw_epochs(5, batch_size=7)
    for steps in before:
        compute_terms(criterion, steps[0])
        expected.compute(steps[0])
    output, labels, batch = last[0].to_tensors()
    for leaf in (output.logits, *output.branches.values()):
        leaf.requires_grad_()
    criterion(output, labels, batch)["total"].backward()
    assert output.logits.grad is None
    for name in ("attention3", "attention4"):
        gradient = output.branches[name].grad
        assert gradient is not None
        for i, row in enumerate(last[0].rows):
            for c, x in enumerate(last[0].logits[name][i]):
                y = LABELS[row][c]
                wanted = 0.0 if y == -1 else expected.weigh(row, c) * (sigmoid(x) - y) / len(ROWS)
                assert gradient[i, c].item() == pytest.approx(wanted, abs=1e-6)
    primary = output.branches["primary"].grad
    assert primary is not None
    assert torch.equal(primary != 0, labels != -1)


def test_order_of_samples_and_batches_does_not_matter() -> None:
    one, other = make(burn_in=1), make(burn_in=1)
    draw = random.Random(9)
    seen = 0.0
    for steps in draw_epochs(6, batch_size=7):
        step = steps[0]
        terms = compute_terms(one, step)
        singles = [
            Step([row], {name: [values[i]] for name, values in step.logits.items()})
            for i, row in enumerate(step.rows)
        ]
        added = dict.fromkeys(terms, 0.0)
        for single in draw.sample(singles, len(singles)):
            for name, value in compute_terms(other, single).items():
                added[name] += value / len(singles)
        assert added == close(terms)
        seen = max(seen, terms["total"])
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert seen > 1


@pytest.mark.parametrize("at", range(4))
def test_a_run_resumed_within_an_epoch_equals_an_uninterrupted_one(at: int) -> None:
    epochs = draw_epochs(8)
    steps = [step for epoch in epochs for step in epoch]
    whole = make()
    expected = [compute_terms(whole, step) for step in steps]
    for broken in (3, 6):
        cut = broken * len(epochs[0]) + at
        first = make()
        for step in steps[:cut]:
            compute_terms(first, step)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second = make()
        second.load_state_dict(torch.load(file, weights_only=True))
        assert [compute_terms(second, step) for step in steps[cut:]] == expected[cut:]
        fresh = make()
        assert [compute_terms(fresh, step) for step in steps[cut:]] != expected[cut:]


def test_evaluation_neither_uses_nor_changes_the_history() -> None:
    criterion, expected = make(burn_in=0), LoopDIAA(burn_in=0)
    epochs = draw_epochs(6, batch_size=7)
    for steps in epochs[:4]:
        compute_terms(criterion, steps[0])
        expected.compute(steps[0])
    state = {name: value.clone() for name, value in criterion.state_dict().items()}
    step = epochs[4][0]
    criterion.eval()
    assert compute_terms(criterion, step) == close(expected.compute(step, training=False))
    output, labels, batch = step.to_tensors()
    other = Batch(batch.images, labels, rows=batch.rows + 5000)  # a row of another split
    for given in (None, other):
        terms = criterion(output, labels, given)
        assert {k: v.item() for k, v in terms.items()} == close(expected.compute(step, training=False))
    for name, value in criterion.state_dict().items():
        assert torch.equal(value, state[name]), name
    last = epochs[5][0]
    assert compute_terms(criterion.train(), last) == close(expected.compute(last))
    assert expected.largest > 1.3


@pytest.mark.parametrize("size", [200.0, 1e4])
def test_extreme_logits_stay_finite(size: float) -> None:
    criterion = make(burn_in=0)
    labels = torch.tensor([[1, 0, -1], [0, 1, -1]])
    batch = Batch(torch.empty(2, 3, 1, 1), labels, rows=torch.tensor([3, 97]))
    for sign in (1.0, -1.0, 1.0, -1.0):
        values = torch.tensor([[sign, -sign, sign], [sign, -sign, -sign]]) * size
        branches = {name: values.clone().requires_grad_() for name in BRANCHES}
        terms = criterion(Output(values, branches=branches), labels, batch)
        terms["total"].backward()
        assert all(bool(term.isfinite()) for term in terms.values())
        for branch in branches.values():
            assert branch.grad is not None
            assert bool(branch.grad.isfinite().all())
    assert criterion.history is not None
    assert bool(criterion.history.compute_std(torch.tensor([3, 97])).isfinite().all())


def test_unknown_labels_have_no_gradient_but_are_in_the_history() -> None:
    criterion = make(burn_in=0)
    labels = torch.full((2, 3), -1)
    batch = Batch(torch.empty(2, 3, 1, 1), labels, rows=torch.tensor([3, 97]))
    for sign in (-1.0, 1.0, 1.0):
        branches = {name: torch.full((2, 3), sign, requires_grad=True) for name in BRANCHES}
        terms = criterion(Output(torch.full((2, 3), sign), branches=branches), labels, batch)
        terms["total"].backward()
        assert all(term.item() == 0 for term in terms.values())
        assert not any(bool(branch.grad.any()) for branch in branches.values())  # type: ignore[union-attr]
    assert criterion.history is not None
    assert bool((criterion.history.compute_std(torch.tensor([3, 97])) > 0.1).all())


def test_under_bfloat16_autocast_it_is_computed_in_float32() -> None:
    one, other = make(burn_in=0), make(burn_in=0)
    for steps in draw_epochs(4, batch_size=7):
        output, labels, batch = steps[0].to_tensors()
        halves = {name: values.bfloat16() for name, values in output.branches.items()}
        with torch.autocast("cpu", torch.bfloat16):
            terms = one(Output(output.logits.bfloat16(), branches=halves), labels, batch)
        floats = {name: values.float() for name, values in halves.items()}
        expected = other(Output(output.logits.bfloat16().float(), branches=floats), labels, batch)
        for name, term in terms.items():
            assert term.dtype == torch.float32
            assert term.item() == pytest.approx(expected[name].item(), rel=1e-6)


def test_a_checkpoint_contains_only_the_history() -> None:
    assert set(make().state_dict()) == {"history.rows", "history.visits", "history.probs"}
    assert not list(make().parameters())


def test_the_batch_and_its_rows_are_needed_in_training() -> None:
    criterion = make()
    output, labels, batch = draw_epochs(1, batch_size=7)[0][0].to_tensors()
    with pytest.raises(DataError, match="call it with the batch"):
        criterion(output, labels)
    other = Batch(batch.images, labels, rows=torch.tensor([*batch.rows[:-1].tolist(), 12]))
    with pytest.raises(DataError, match=r"rows \[12\] are not among the 7 training rows"):
        criterion(output, labels, other)
    assert not criterion.history.visits.any()  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"training rows; give rows=…, or history=False"):
        create_loss("diaa", positive_ratio=torch.tensor(RATIO))


@pytest.mark.parametrize("names", [(), ("primary",), ("attention3", "attention4")])
def test_a_model_without_the_branches_is_refused(names: tuple[str, ...]) -> None:
    output, labels, batch = draw_epochs(1, batch_size=7)[0][0].to_tensors()
    branches = {name: torch.zeros(7, 3) for name in names}
    with pytest.raises(ConfigError, match=r"primary and attention…, .* got .* use the loss 'focal'"):
        make()(Output(output.logits, branches=branches), labels, batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window >= 2"),
        ({"burn_in": -1}, "burn_in >= 0"),
        ({"gamma": -1.0}, "gamma of 0 or larger"),
        ({"reduction": "max"}, "sum, mean"),
        ({"unknown": "maybe"}, "ignore, negative"),
        ({"weighting": "focal"}, "none, sb, sb-printed, wpal, mixed, diaa"),
        ({"epochs": 3}, "no argument 'epochs'; it takes gamma, weighting, history, window, burn_in"),
    ],
)
def test_a_wrong_option_is_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)
