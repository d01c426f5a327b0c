import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.metrics import (
    AttributeMetrics,
    MeanAveragePrecision,
    compute_average_precision,
    compute_counts,
    compute_scores,
)

TENSORS = ("tpr", "tnr", "mA", "accuracy", "precision", "recall", "f1")


def draw_table(rows: int, attributes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand(rows, attributes, generator=generator)
    labels = (torch.rand(rows, attributes, generator=generator) < probs).to(torch.int8)
    return probs, labels.masked_fill_(torch.rand(rows, attributes, generator=generator) < 0.1, -1)


def unpack(result: Any) -> list[Any]:
    """Every number of a result, to the last bit."""
    if isinstance(result, tuple):
        return [result[0], result[1].tolist()]
    tensors = [getattr(result, f"per_attribute_{n}").tolist() for n in TENSORS]
    return [
        result.summary(),
        result.n_unmeasured,
        result.rows,
        result.f1_o,
        tensors,
        result.positives.tolist(),
    ]


@pytest.fixture(params=[AttributeMetrics, MeanAveragePrecision])
def create(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_equal_the_functions() -> None:
    probs, labels = draw_table(100)
    metric = AttributeMetrics(5, thresholds=[0.3, 0.4, 0.5, 0.6, 0.7], unknown="negative", empty_rows="drop")
    metric.update(probs, labels)
    counts = compute_counts(probs, labels, thresholds=[0.3, 0.4, 0.5, 0.6, 0.7], unknown="negative")
    assert unpack(metric.compute()) == unpack(compute_scores(counts, empty_rows="drop"))
    precision = MeanAveragePrecision(5, unknown="negative", interpolated=False)
    precision.update(probs, labels)
    mean, each = precision.compute()
    assert torch.equal(each, compute_average_precision(probs, labels, unknown="negative", interpolated=False))
    assert mean == pytest.approx(float(each.mean()))


@pytest.mark.parametrize("sizes", [[1] * 50, [7, 43], [0, 49, 0, 1], [25, 25]])
def test_the_cut_into_batches_does_not_matter(create: Any, sizes: list[int]) -> None:
    probs, labels = draw_table(50)
    whole, parts = create(5), create(5)
    whole.update(probs, labels)
    for p, y in zip(probs.split(sizes), labels.split(sizes), strict=True):
        parts.update(p, y)
    assert unpack(parts.compute()) == unpack(whole.compute())


def test_merging_equals_adding_both(create: Any) -> None:
    probs, labels = draw_table(50)
    whole, first, second, fresh = (create(5) for _ in range(4))
    whole.update(probs, labels)
    first.update(probs[:20], labels[:20])
    second.update(probs[20:], labels[20:])
    alone = unpack(first.compute())
    first.merge_state(second)
    assert unpack(first.compute()) == unpack(whole.compute()) != alone
    fresh.merge_state(first)
    assert unpack(fresh.compute()) == unpack(whole.compute())


def test_results_keep_their_shape_with_a_single_attribute() -> None:
    probs, labels = draw_table(30, 1)
    metric, precision = AttributeMetrics(1), MeanAveragePrecision(1)
    metric.update(probs, labels)
    precision.update(probs, labels)
    assert metric.compute().per_attribute_mA.shape == (1,)
    assert precision.compute()[1].shape == (1,)


def test_reset_clears_the_state_and_forward_scores_the_batch(create: Any) -> None:
    probs, labels = draw_table(40)
    metric, batch = create(5), create(5)
    batch.update(probs[20:], labels[20:])
    metric(probs[:20], labels[:20])
    assert unpack(metric(probs[20:], labels[20:])) == unpack(batch.compute())
    metric.to(torch.float64)
    metric.reset()
    metric.update(probs[20:], labels[20:])
    assert unpack(metric.compute()) == unpack(batch.compute())


def test_survives_pickling_between_processes(create: Any) -> None:
    metric = create(5)
    metric.update(*draw_table(40))
    copy = pickle.loads(pickle.dumps(metric))
    assert unpack(copy.compute()) == unpack(metric.compute())


def test_half_precision_of_the_module_does_not_change_the_counts() -> None:
    metric = AttributeMetrics(5)
    metric.update(*draw_table(1000))
    expected = unpack(metric.compute())
    assert unpack(metric.to(torch.bfloat16).compute()) == expected


def test_memory_does_not_grow_with_the_rows() -> None:
    metric = AttributeMetrics(5)
    sizes = []
    for seed in range(3):
        metric.update(*draw_table(200, seed=seed))
        sizes.append(sum(t.numel() for t in metric.metric_state.values()))
    assert sizes == [4 * 5 + 6] * 3


def test_compute_without_rows_is_refused(create: Any) -> None:
    metric = create(5)
    with pytest.raises(DataError, match="has no rows"):
        metric.compute()
    metric.update(torch.zeros(0, 5), torch.zeros(0, 5, dtype=torch.int8))
    with pytest.raises(DataError, match="at least one row"):
        metric.compute()


def test_a_refused_batch_changes_nothing(create: Any) -> None:
    probs, labels = draw_table(40)
    metric, clean = create(5), create(5)
    for one in (metric, clean):
        one.update(probs, labels)
    with pytest.raises(DataError, match="expected 5 attributes"):
        metric.update(probs[:, :4], labels[:, :4])
    with pytest.raises(DataError, match="in \\[0, 1\\]"):
        metric.update(probs * 3, labels)
    assert unpack(metric.compute()) == unpack(clean.compute())


def test_wrong_options_are_refused(create: Any) -> None:
    with pytest.raises(ConfigError, match="at least one attribute"):
        create(0)
    with pytest.raises(ConfigError, match="expected ignore or negative"):
        create(5, unknown="maybe")
    with pytest.raises(ConfigError, match="one for each of 5"):
        AttributeMetrics(5, thresholds=[0.5])
    with pytest.raises(ConfigError, match="expected zero or drop"):
        AttributeMetrics(5, empty_rows="maybe")
    with pytest.raises(ConfigError, match="expected zero or drop"):
        AttributeMetrics(5, unmeasured="maybe")


def test_the_mean_leaves_out_attributes_without_positives() -> None:
    metric = MeanAveragePrecision(2)
    metric.update(torch.tensor([[0.9, 0.9], [0.8, 0.1]]), torch.tensor([[0, 0], [1, 0]]))
    mean, each = metric.compute()
    assert mean == 0.5
    assert each.isnan().tolist() == [False, True]


WORKER = """
import json, sys
import torch
import torch.distributed as dist
from passerby.metrics import AttributeMetrics, MeanAveragePrecision

rank, folder, splits = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
data = json.load(open(f"{folder}/data.json"))
probs, labels = torch.tensor(data["probs"]), torch.tensor(data["labels"], dtype=torch.int8)
results = []
for rows in splits:
    mine = slice(0, rows) if rank == 0 else slice(rows, None)
    metric, precision = AttributeMetrics(5), MeanAveragePrecision(5)
    if len(probs[mine]):
        metric.update(probs[mine], labels[mine])
        precision.update(probs[mine], labels[mine])
    first = metric.compute(), precision.compute()
    if rank == 1 and rows == 50:  # after the merge each process keeps its own rows
        assert int(metric.rows) == 0
    scores, (mean, each) = first
    results.append([scores.summary(), scores.per_attribute_mA.tolist(), mean, each.tolist()])
dist.destroy_process_group()
json.dump(results, open(f"{folder}/result{rank}.json", "w"))
"""


@pytest.mark.slow  # two more interpreters that import torch
def test_two_processes_are_bit_identical_to_one(tmp_path: Path) -> None:
    probs, labels = draw_table(50)
    (tmp_path / "data.json").write_text(json.dumps({"probs": probs.tolist(), "labels": labels.tolist()}))
    (tmp_path / "worker.py").write_text(WORKER)
    splits = [20, 49, 50]  # even if the second process has no row
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "worker.py"), str(rank), str(tmp_path), json.dumps(splits)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [w.communicate(timeout=1800)[1] for w in workers]
    finally:
        for w in workers:
            w.kill()
    assert [w.returncode for w in workers] == [0, 0], errors
    metric, precision = AttributeMetrics(5), MeanAveragePrecision(5)
    metric.update(probs, labels)
    precision.update(probs, labels)
    mean, each = precision.compute()
    expected = [metric.compute().summary(), metric.compute().per_attribute_mA.tolist(), mean, each.tolist()]
    for rank in range(2):
        assert json.loads((tmp_path / f"result{rank}.json").read_text()) == [expected] * len(splits)
