"""The history of predictions against Eq. 5 of DIAA (ECCV 2018), kept in plain lists."""

import copy
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.errors import ConfigError, DataError
from passerby.losses import PredictionHistory, compute_history_std

ROWS = [3, 10, 11, 40, 41, 97, 1000]
"""Seven rows of a manifest."""

ATTRIBUTES = 3

Step = tuple[list[int], list[list[float]]]
"""Rows of a batch and their predictions."""


class LoopHistory:
    """As in the paper: after the burn-in, the last `window` predictions of each sample."""

    def __init__(self, window: int, burn_in: int) -> None:
        self.window, self.burn_in = window, burn_in
        self.met = dict.fromkeys(ROWS, 0)
        self.stored: dict[int, list[list[float]]] = {row: [] for row in ROWS}

    def update(self, rows: list[int], probs: list[list[float]]) -> None:
        for row, values in zip(rows, probs, strict=True):
            self.met[row] += 1
            if self.met[row] > self.burn_in:
                halves = [float(np.float16(value)) for value in values]
                self.stored[row] = [*self.stored[row], halves][-self.window :]

    def compute_std(self, rows: list[int]) -> list[list[float]]:
        return [[loop_std([kept[a] for kept in self.stored[row]]) for a in range(ATTRIBUTES)] for row in rows]


def loop_std(values: list[float]) -> float:
    """Eq. 5; 0 for fewer than two predictions."""
    n = len(values)
    if n < 2:
        return 0.0
    mean = sum(values) / n
    var = sum((value - mean) ** 2 for value in values) / n
    return math.sqrt(var + var**2 / (n - 1))


def draw_epochs(count: int, *, seed: int = 0, batch_size: int = 2) -> list[list[Step]]:
    """Shuffled epochs in batches; each epoch leaves out one sample, a different one each time."""
    draw = random.Random(seed)
    epochs = []
    for _ in range(count):
        order = draw.sample(ROWS, len(ROWS))
        batches = [order[i : i + batch_size] for i in range(0, len(order) - batch_size + 1, batch_size)]
        epochs.append(
            [(rows, [[draw.random() for _ in range(ATTRIBUTES)] for _ in rows]) for rows in batches]
        )
    return epochs


def make(*, window: int = 5, burn_in: int = 2) -> PredictionHistory:
    return PredictionHistory(torch.tensor(ROWS), ATTRIBUTES, window=window, burn_in=burn_in)


def feed(history: PredictionHistory, steps: list[Step]) -> None:
    for rows, probs in steps:
        history.update(torch.tensor(rows), torch.tensor(probs))


def read(history: PredictionHistory) -> list[list[float]]:
    return history.compute_std(torch.tensor(ROWS)).tolist()


def test_std_by_hand() -> None:
    # 0, ½, 1, ½: mean ½, var ⅛, √(⅛ + 1/64/3); the unstored last value would change it.
    probs = torch.tensor([[[0.0], [0.5], [1.0], [0.5], [0.9]]])
    std = compute_history_std(probs, torch.tensor([4]))
    assert std.item() == pytest.approx(math.sqrt(1 / 8 + 1 / 192), abs=1e-6)


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_std_is_equation_5_in_a_loop(count: int, dtype: torch.dtype) -> None:
    probs = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(count)).to(dtype)
    std = compute_history_std(probs, torch.full((4,), count, dtype=torch.int32))
    assert std.dtype == torch.float32
    for i in range(4):
        for a in range(3):
            values = probs[i, :count, a].tolist()
            assert std[i, a].item() == pytest.approx(loop_std(values), abs=1e-5)
    assert bool((std > 0).all()) == (count >= 2)


@pytest.mark.parametrize("burn_in", [0, 2, 3])
@pytest.mark.parametrize("window", [2, 5])
@pytest.mark.parametrize("batch_size", [2, 4, 7])
def test_training_in_plain_lists(batch_size: int, window: int, burn_in: int) -> None:
    history, expected = make(window=window, burn_in=burn_in), LoopHistory(window, burn_in)
    largest = 0.0
    for steps in draw_epochs(9, batch_size=batch_size):
        for rows, probs in steps:
            std = history.compute_std(torch.tensor(rows)).tolist()
            for got, wanted in zip(std, expected.compute_std(rows), strict=True):
                assert got == pytest.approx(wanted, abs=1e-5)
                largest = max(largest, *wanted)
            history.update(torch.tensor(rows), torch.tensor(probs))
            expected.update(rows, probs)
        for got, wanted in zip(read(history), expected.compute_std(ROWS), strict=True):
            assert got == pytest.approx(wanted, abs=1e-5)
    assert history.visits.tolist() == list(expected.met.values())
    assert largest > 0.3
    if batch_size < 7:
        assert len(set(expected.met.values())) > 1  # the samples left out were not always the same


@pytest.mark.parametrize("burn_in", [0, 2, 3])
def test_the_first_weight_comes_after_the_burn_in_and_two_predictions(burn_in: int) -> None:
    history = make(burn_in=burn_in)
    for epoch in range(1, burn_in + 4):
        feed(history, [([40], [[epoch % 2, 0.5, 0.5]])])
        scatters = history.compute_std(torch.tensor([40]))[0, 0].item() > 0
        assert scatters == (epoch >= burn_in + 2), epoch


def test_predictions_older_than_the_window_are_discarded() -> None:
    history = make(burn_in=0)
    feed(history, [([40], [[0.0, 1.0, 0.3]]), ([40], [[1.0, 0.0, 0.9]])])
    assert history.compute_std(torch.tensor([40])).min() > 0.3
    feed(history, [([40], [[0.5, 0.25, 0.75]])] * 5)
    assert history.compute_std(torch.tensor([40])).tolist() == [[0, 0, 0]]


def test_order_within_a_batch_and_of_batches_does_not_matter() -> None:
    steps, partition = make(burn_in=1), make(burn_in=1)
    draw = random.Random(3)
    for epoch in draw_epochs(8):
        feed(steps, epoch)
        singles = [
            ([row], [values]) for rows, probs in epoch for row, values in zip(rows, probs, strict=True)
        ]
        feed(partition, draw.sample(singles, len(singles)))
    assert torch.equal(steps.probs, partition.probs)
    assert torch.equal(steps.visits, partition.visits)
    shuffled = draw.sample(ROWS, len(ROWS))
    by_row = dict(zip(shuffled, steps.compute_std(torch.tensor(shuffled)).tolist(), strict=True))
    assert [by_row[row] for row in ROWS] == read(partition)


def test_samples_are_independent() -> None:
    history, alone = make(burn_in=0), make(burn_in=0)
    for epoch in draw_epochs(6, batch_size=7):
        feed(history, epoch)
        rows, probs = epoch[0]
        feed(alone, [([11], [probs[rows.index(11)]])])
    assert read(history)[2] == read(alone)[2] != [0, 0, 0]
    assert [visits for visits in alone.visits.tolist() if visits] == [6]


@pytest.mark.parametrize("at", range(4))
def test_a_run_resumed_within_an_epoch_equals_an_uninterrupted_one(at: int) -> None:
    epochs = draw_epochs(8)
    whole = make()
    for epoch in epochs:
        feed(whole, epoch)
    for broken in (2, 5):
        first = make()
        for epoch in epochs[:broken]:
            feed(first, epoch)
        feed(first, epochs[broken][:at])
        state = copy.deepcopy(first.state_dict())
        feed(first, epochs[0])  # updates after the checkpoint must not change it
        second = make()
        second.load_state_dict(state)
        feed(second, epochs[broken][at:])
        for epoch in epochs[broken + 1 :]:
            feed(second, epoch)
        assert torch.equal(second.visits, whole.visits)
        assert torch.equal(second.probs, whole.probs)
        assert read(second) == read(whole)


def test_memory_does_not_grow_during_training() -> None:
    samples, attributes = 1000, 35
    history = PredictionHistory(torch.arange(samples), attributes)
    for _ in range(9):
        history.update(torch.arange(samples), torch.rand(samples, attributes))
    assert history.probs.shape == (samples, 5, attributes)
    assert history.probs.element_size() == 2
    state = history.state_dict()
    assert set(state) == {"rows", "visits", "probs"}
    size = sum(each.numel() * each.element_size() for each in state.values())
    assert size == 2 * 5 * samples * attributes + (4 + 8) * samples
    assert not list(history.parameters())


def test_nothing_has_a_gradient() -> None:
    history = make(burn_in=0)
    for _ in range(2):
        history.update(torch.tensor(ROWS), torch.rand(7, ATTRIBUTES, requires_grad=True))
    assert not history.probs.requires_grad
    assert not history.compute_std(torch.tensor(ROWS)).requires_grad


@pytest.mark.parametrize("unknown", [0, 12, 1001])
def test_a_row_outside_of_the_training_split_is_refused(unknown: int) -> None:
    history = make()
    with pytest.raises(DataError, match=rf"rows \[{unknown}\] are not among the 7 training rows"):
        history.compute_std(torch.tensor([3, unknown]))
    with pytest.raises(DataError, match=rf"rows \[{unknown}\] are not among the 7 training rows"):
        history.update(torch.tensor([3, unknown]), torch.rand(2, ATTRIBUTES))
    assert not history.visits.any()
    assert not history.probs.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"window": 1}, "window >= 2 .* got 1 and 2"), ({"burn_in": -1}, "burn_in >= 0, got 5 and -1")],
)
def test_options_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**options)


@pytest.mark.parametrize("rows", [[], [[1, 2]], [2, 1], [1, 1]])
def test_rows_out_of_order_are_refused(rows: list[int]) -> None:
    with pytest.raises(DataError, match=r"shape \(S,\), ascending, without repeats"):
        PredictionHistory(torch.tensor(rows), 2)


WORKER = """
import json, sys, torch
from pathlib import Path
from passerby.losses import PredictionHistory
rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
plan = json.loads((folder / "plan.json").read_text())
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
)
history = PredictionHistory(torch.tensor(plan["rows"]), plan["attributes"], burn_in=1)
weights = []
for step in plan["steps"]:
    rows, probs = (torch.tensor(each) for each in step[rank])
    weights.append(history.compute_std(rows).tolist())
    history.update(rows, probs)
found = {"visits": history.visits.tolist(), "probs": history.probs.tolist(), "weights": weights}
(folder / f"{rank}.json").write_text(json.dumps(found))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_have_the_history_of_one(tmp_path: Path) -> None:
    """Each process gets one half of the samples, and the other half in the next epoch."""
    draw = random.Random(5)
    steps, single, weights = [], PredictionHistory(torch.tensor(ROWS[:6]), ATTRIBUTES, burn_in=1), []
    for epoch in range(7):
        halves = (ROWS[:3], ROWS[3:6]) if epoch % 2 == 0 else (ROWS[3:6], ROWS[:3])
        orders = [draw.sample(half, 3) for half in halves]
        for indices in (slice(0, 2), slice(2, 3)):
            step = [
                (order[indices], [[draw.random() for _ in range(ATTRIBUTES)] for _ in order[indices]])
                for order in orders
            ]
            steps.append(step)
            weights.append([single.compute_std(torch.tensor(rows)).tolist() for rows, _ in step])
            feed(single, [(step[0][0] + step[1][0], step[0][1] + step[1][1])])
    plan = {"rows": ROWS[:6], "attributes": ATTRIBUTES, "steps": steps}
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
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["visits"] == single.visits.tolist() == [7] * 6
        assert found["probs"] == single.probs.tolist()
        assert found["weights"] == [each[rank] for each in weights]
    assert max(value for each in weights for half in each for row in half for value in row) > 0.2
