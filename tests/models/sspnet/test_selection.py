"""SSPNet's selection of scales, counted in plain integers."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from passerby.errors import ModelError
from passerby.models.sspnet.selection import ScaleSelection

Logits = list[list[list[float]]]
"""Logits: scale, sample, attribute."""


def right_for(labels: list[list[int]], rights: tuple[tuple[int, ...], ...]) -> torch.Tensor:
    """Logits of each scale that are correct for the given samples only: (3, N, A)."""
    predicted = []
    for samples in rights:
        signs = [[1 if (y == 1) == (i in samples) else -1 for y in row] for i, row in enumerate(labels)]
        predicted.append([[2.0 * sign for sign in row] for row in signs])
    return torch.tensor(predicted)


class LoopSelection:
    """Eq. 4 with a memory: hits and labels of each scale and attribute, and the selection, in lists."""

    def __init__(self, groups: list[list[int]], start: list[int], memory: int) -> None:
        self.groups, self.scales, self.memory = groups, list(start), memory
        self.hits = [[[0, 0] for _ in start] for _ in range(3)]
        self.seen = [[0, 0] for _ in start]
        self.samples = 0

    def update(self, logits: Logits, labels: list[list[int]]) -> None:
        for i, row in enumerate(labels):
            self.samples += 1
            for a, y in enumerate(row):
                if y == -1:
                    continue
                answer = 0 if y == 1 else 1
                self.seen[a][answer] += 1
                for s in range(3):
                    if (logits[s][i][a] > 0) == (y == 1):
                        self.hits[s][a][answer] += 1
        if self.samples > self.memory:
            self.samples //= 2
            for pair in [*self.seen, *(pair for scale in self.hits for pair in scale)]:
                pair[:] = [number // 2 for number in pair]
        for group in self.groups:
            self._choose(group)

    def compute(self, scale: int, attribute: int) -> Fraction | None:
        yes, no = self.seen[attribute]
        if not yes or not no:
            return None
        hits = self.hits[scale - 1][attribute]
        return (Fraction(hits[0], yes) + Fraction(hits[1], no)) / 2

    def _choose(self, group: list[int]) -> None:
        means = {}
        for scale in (1, 2, 3):
            known = [m for m in (self.compute(scale, a) for a in group) if m is not None]
            if not known:
                return
            means[scale] = sum(known, Fraction()) / len(known)
        current = self.scales[group[0]]
        best = max(means, key=lambda scale: means[scale])
        if means[best] > means[current]:
            for a in group:
                self.scales[a] = best


LABELS = [[1], [1], [0], [0]]


@pytest.mark.parametrize(
    ("memory", "update"),
    [
        # P1 hits both positives and both negatives of each batch, P2 one of each; from the fifth batch on
        # only P3 hits any. Hits of P1, P2, P3 / counts of each label, with a memory of 8 samples:
        # 2 1 0 / 2, 4 2 0 / 4, 6 3 0 / 6 → 3 1 0 / 3, 5 2 0 / 5 → 2 1 0 / 2, then
        # 2 1 2 / 4 → 1 0 1 / 2 (a tie) and, at 8 samples, 1 0 3 / 4.
        (8, 6),
        # Everything counts: 8 4 8 / 16 after eight batches is a tie.
        (10**6, 9),
    ],
)
def test_the_scale_that_becomes_best_is_selected(memory: int, update: int) -> None:
    selection = ScaleSelection([[0]], start=[2], memory=memory)
    labels, chosen = torch.tensor(LABELS), []
    for batch in range(1, 11):
        rights = ((0, 1, 2, 3), (0, 2), ()) if batch <= 4 else ((), (), (0, 1, 2, 3))
        selection.update(right_for(LABELS, rights), labels)
        chosen.append(selection.scales)
        assert selection.choice.tolist() == list(selection.scales)
        if batch == update == 6:
            assert selection.hits.tolist() == [[[1, 1]], [[0, 0]], [[3, 3]]]
            assert selection.seen.tolist() == [[4, 4]]
            assert selection.samples.item() == 8
    assert chosen == [(1,)] * (update - 1) + [(3,)] * (11 - update)


@pytest.mark.parametrize("current", [1, 2, 3])
def test_a_tie_keeps_the_current_scale(current: int) -> None:
    selection = ScaleSelection([[0]], start=[current])
    for rights in ((), (0, 2), (0, 1, 2, 3)):
        selection.update(right_for(LABELS, (rights,) * 3), torch.tensor(LABELS))
        assert selection.scales == (current,)
    # P1 is correct for the positives, P2 for the negatives, P3 for one of each: three times one half.
    selection.update(right_for(LABELS, ((0, 1), (2, 3), (0, 2))), torch.tensor(LABELS))
    assert selection.scales == (current,)


def test_the_mean_of_both_recalls_is_compared() -> None:
    """P1 gets 9 of 10 correct by always predicting negative, P3 only 6, including the positive."""
    labels = [[1], *[[0]] * 9]
    selection = ScaleSelection([[0]], start=[2])
    selection.update(right_for(labels, (tuple(range(1, 10)), (), (0, 1, 2, 3, 4, 5))), torch.tensor(labels))
    assert selection.scales == (3,)
    accuracy = selection.compute_mean_accuracy().flatten().tolist()
    assert accuracy == pytest.approx([0.5, 0, (1 + 5 / 9) / 2])


def test_unknown_labels_do_not_count() -> None:
    labels = torch.tensor([[1], [0], [-1], [-1], [-1]], dtype=torch.int8)
    selection = ScaleSelection([[0]], start=[3])
    logits = torch.tensor([[1.0, -1, -1, -1, -1], [1, 1, 9, 9, 9], [-1, -1, -9, -9, -9]]).unsqueeze(2)
    selection.update(logits, labels)
    assert selection.seen.tolist() == [[1, 1]]
    assert selection.hits.tolist() == [[[1, 1]], [[1, 0]], [[0, 1]]]
    assert selection.samples.item() == 5
    assert selection.scales == (1,)


def test_a_logit_of_zero_is_negative() -> None:
    """As in a prediction, where a probability must be above its threshold."""
    selection = ScaleSelection([[0]], start=[1])
    selection.update(torch.zeros(3, 4, 1), torch.tensor(LABELS))
    assert selection.hits.tolist() == [[[0, 2]]] * 3


def test_attributes_with_one_label_only_are_left_out() -> None:
    """The first has no negative yet; P1 is correct for it, and P3 for the second."""
    labels = torch.tensor([[1, 1], [1, 0], [-1, 1]])
    first = [[1.0, -1], [1, 1], [1, -1]]
    logits = torch.tensor([first, [[-1, -1], [-1, 1], [1, 1]], [[-1, 1], [-1, -1], [1, 1]]])
    selection = ScaleSelection([[0, 1]], start=[2, 2])
    selection.update(logits[:, :1], labels[:1])
    assert selection.scales == (2, 2)  # no comparison yet
    assert selection.compute_mean_accuracy().isnan().all()
    selection.update(logits[:, 1:], labels[1:])
    assert selection.scales == (3, 3)
    accuracy = selection.compute_mean_accuracy()
    assert accuracy[:, 0].isnan().all()
    assert accuracy[:, 1].tolist() == [0, 0.25, 1]
    # Ten negatives of the first, correct in P1 only, include it: 1, 0 and 0 for it, means of ½, ⅛, ½.
    more = torch.tensor([[0, -1]] * 10)
    predicted = torch.stack([torch.full((10, 2), sign) for sign in (-1.0, 1.0, 1.0)])
    selection.update(predicted, more)
    assert selection.compute_mean_accuracy()[:, 0].tolist() == [1, 0, 0]
    assert selection.scales == (3, 3)


def test_a_group_shares_a_scale_and_single_attributes_do_not() -> None:
    """P1 is correct for the first attribute, P3 partly for the second and third."""
    labels = torch.tensor([[1, 1, 1], [0, 0, 0]])
    first, others = torch.tensor([[1.0, -1, -1], [-1, 1, 1]]), torch.tensor([[-1.0, 1, 1], [1, -1, -1]])
    logits = torch.stack([first, first * 0 - 1, others])
    for groups, scales in (
        ([[0, 1, 2]], (3, 3, 3)),
        ([[0], [1], [2]], (1, 3, 3)),
        ([[1], [0, 2]], (2, 3, 2)),  # a tie of all three for the second group
    ):
        selection = ScaleSelection(groups, start=[2, 2, 2])
        selection.update(logits, labels)
        assert selection.scales == scales


def draw_batches(count: int, attributes: int, seed: int) -> list[tuple[Logits, list[list[int]]]]:
    """The best scale alternates; every fifth label is unknown."""
    draw = random.Random(seed)
    batches = []
    for batch in range(count):
        samples = range(draw.randint(1, 9))
        labels = [[draw.choice([1, 0, 0, 1, -1]) for _ in range(attributes)] for _ in samples]
        predicted = []
        for scale in range(3):
            sure = 0.9 if batch // 8 % 3 == scale else 0.5
            predicted.append([[draw.gauss(sure * (2 * (y == 1) - 1), 1) for y in row] for row in labels])
        batches.append((predicted, labels))
    return batches


@pytest.mark.parametrize("memory", [1, 7, 30, 10**6])
@pytest.mark.parametrize("groups", [[[0, 3], [1], [2, 4]], [[0], [1], [2], [3], [4]], [[0, 1, 2, 3, 4]]])
def test_a_training_run_in_plain_numbers(groups: list[list[int]], memory: int) -> None:
    changes = 0
    for seed in range(3):
        start = [0] * 5
        for i, group in enumerate(groups):
            for a in group:
                start[a] = i % 3 + 1
        selection = ScaleSelection(groups, start=start, memory=memory)
        expected = LoopSelection(groups, start, memory)
        assert selection.scales == tuple(start)
        for logits, labels in draw_batches(48, 5, seed):
            before = selection.scales
            selection.update(torch.tensor(logits), torch.tensor(labels, dtype=torch.int8))
            expected.update(logits, labels)
            assert selection.seen.tolist() == expected.seen
            assert selection.hits.tolist() == expected.hits
            assert selection.samples.item() == expected.samples
            assert selection.scales == tuple(expected.scales)
            changes += selection.scales != before
            compare_accuracy(selection, expected)
    assert changes > 5


def compare_accuracy(selection: ScaleSelection, expected: LoopSelection) -> None:
    for s, row in enumerate(selection.compute_mean_accuracy().tolist(), start=1):
        for a, found in enumerate(row):
            wanted = expected.compute(s, a)
            assert found == pytest.approx(float("nan") if wanted is None else float(wanted), nan_ok=True)


def test_a_checkpoint_restores_counts_and_selection() -> None:
    batches = draw_batches(40, 3, 2)
    whole = ScaleSelection([[0, 1], [2]], start=[1, 1, 2], memory=40)
    for logits, labels in batches:
        whole.update(torch.tensor(logits), torch.tensor(labels))
    for at in (0, 9, 25):
        first = ScaleSelection([[0, 1], [2]], start=[1, 1, 2], memory=40)
        for logits, labels in batches[:at]:
            first.update(torch.tensor(logits), torch.tensor(labels))
        state = copy.deepcopy(first.state_dict())
        chosen = first.scales
        for logits, labels in batches[:5]:  # updates after the checkpoint must not change it
            first.update(torch.tensor(logits), torch.tensor(labels))
        second = ScaleSelection([[0, 1], [2]], start=[3, 3, 3], memory=40)
        second.load_state_dict(state)
        assert second.scales == chosen
        assert copy.deepcopy(second).scales == chosen
        assert all(type(scale) is int for scale in second.scales)
        for logits, labels in batches[at:]:
            second.update(torch.tensor(logits), torch.tensor(labels))
        assert second.scales == whole.scales
        for name, value in whole.state_dict().items():
            assert torch.equal(second.state_dict()[name], value), name


def test_a_checkpoint_of_a_parent_module_restores_the_selection_too() -> None:
    def wrap(start: int) -> torch.nn.Sequential:
        return torch.nn.Sequential(torch.nn.Linear(1, 1), ScaleSelection([[0]], start=[start]))

    source, target = wrap(3), wrap(1)
    target.load_state_dict(source.state_dict())
    selection = target[1]
    assert isinstance(selection, ScaleSelection)
    assert selection.scales == (3,)


def test_the_state_consists_of_integers_without_gradients() -> None:
    selection = ScaleSelection([[0]], start=[1])
    selection.update(torch.randn(3, 4, 1, requires_grad=True), torch.tensor(LABELS))
    state = selection.state_dict()
    assert set(state) == {"hits", "seen", "samples", "choice"}
    assert all(value.dtype == torch.int64 for value in state.values())
    assert not list(selection.parameters())
    assert not selection.compute_mean_accuracy().requires_grad


@pytest.mark.parametrize("memory", [0, -3])
def test_a_memory_below_one_is_refused(memory: int) -> None:
    with pytest.raises(ModelError, match=f"selection_memory of at least 1 sample, got {memory}"):
        ScaleSelection([[0]], start=[1], memory=memory)


WORKER = """
import json, sys, torch
from pathlib import Path
from passerby.models.sspnet.selection import ScaleSelection
rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
plan = json.loads((folder / "plan.json").read_text())
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
)
selection = ScaleSelection(plan["groups"], start=plan["start"], memory=plan["memory"])
scales = []
for step in plan["steps"]:
    logits, labels = step[rank]
    selection.update(torch.tensor(logits), torch.tensor(labels))
    scales.append(selection.scales)
state = {name: value.tolist() for name, value in selection.state_dict().items()}
(folder / f"{rank}.json").write_text(json.dumps({"scales": scales, "state": state}))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_select_as_one_with_all_samples(tmp_path: Path) -> None:
    plan: dict[str, Any] = {"groups": [[0, 2], [1]], "start": [1, 2, 1], "memory": 60}
    single = ScaleSelection(plan["groups"], start=plan["start"], memory=plan["memory"])
    pairs = list(zip(draw_batches(30, 3, 5), draw_batches(30, 3, 6), strict=True))
    plan["steps"] = pairs
    scales = []
    for (predicted, labels), (others, answers) in pairs:
        logits = torch.cat((torch.tensor(predicted), torch.tensor(others)), dim=1)
        single.update(logits, torch.tensor(labels + answers))
        scales.append(list(single.scales))
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for worker in workers:
            _, output = worker.communicate(timeout=900)
            assert worker.returncode == 0, output
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    state = {name: value.tolist() for name, value in single.state_dict().items()}
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["scales"] == scales
        assert found["state"] == state
    assert len({tuple(each) for each in scales}) > 2
