"""Time and memory of the metrics of 1,000,000 × 35 predictions, compared with straightforward NumPy.

Both get the same arrays, with 5 % unknown labels, and return mA, accuracy, precision, recall, F1 and the
values of each attribute. Time is the best of several alternating runs, because other load on the machine
can only slow a run down. NumPy runs on one thread; passerby is measured with one thread, which the target
refers to, and with torch's default number. Extra memory is the increase of the resident memory of a new
process above arrays and imports, by the kernel's peak value (Linux).

    python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.metrics import AttributeMetrics

THRESHOLD = 0.5
TARGET_SPEED_UP = 3.0
TARGET_EXTRA_MB = 200.0
Scores = dict[str, Any]


def create_data(rows: int, attributes: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Mostly correct predictions of attributes from rare to common."""
    rng = np.random.default_rng(0)
    ratio = np.linspace(0.02, 0.6, attributes, dtype=np.float32)
    labels = (rng.random((rows, attributes), dtype=np.float32) < ratio).astype(np.int8)
    probs = rng.random((rows, attributes), dtype=np.float32)
    probs = np.where(labels == 1, np.sqrt(probs), probs * probs)
    labels[rng.random((rows, attributes), dtype=np.float32) < 0.05] = -1
    return probs, labels


def score_with_numpy(probs: NDArray[np.float32], labels: NDArray[np.int8]) -> Scores:
    """The definitions in plain NumPy."""
    positive, negative = labels == 1, labels == 0
    predicted = (probs > THRESHOLD) & (positive | negative)
    both, either = predicted & positive, predicted | positive

    tp, tn = both.sum(axis=0), (negative & ~predicted).sum(axis=0)
    positives, negatives, claimed = positive.sum(axis=0), negative.sum(axis=0), predicted.sum(axis=0)
    tpr, tnr = tp / np.maximum(positives, 1), tn / np.maximum(negatives, 1)

    shared = both.sum(axis=1)
    accuracy = (shared / np.maximum(either.sum(axis=1), 1)).mean()
    precision = (shared / np.maximum(predicted.sum(axis=1), 1)).mean()
    recall = (shared / np.maximum(positive.sum(axis=1), 1)).mean()
    return {
        "mA": ((tpr + tnr) / 2).mean(),
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "per_attribute_mA": (tpr + tnr) / 2,
        "per_attribute_accuracy": (tp + tn) / np.maximum(positives + negatives, 1),
        "per_attribute_precision": tp / np.maximum(claimed, 1),
        "per_attribute_recall": tpr,
        "per_attribute_f1": 2 * tp / np.maximum(claimed + positives, 1),
    }


def score_with_passerby(probs: NDArray[np.float32], labels: NDArray[np.int8]) -> Scores:
    """The same by the streaming metric, including its input checks."""
    metric = AttributeMetrics(probs.shape[1], thresholds=THRESHOLD, unmeasured="zero")  # as NumPy above
    metric.update(torch.from_numpy(probs), torch.from_numpy(labels))
    scores = metric.compute()
    names = ("mA", "accuracy", "precision", "recall", "f1")
    return {
        n: getattr(scores, n) for n in (*names, *(f"per_attribute_{m}" for m in names if m in PER_ATTRIBUTE))
    }


PER_ATTRIBUTE = ("mA", "accuracy", "precision", "recall", "f1")
IMPLEMENTATIONS: dict[str, Callable[..., Scores]] = {
    "numpy": score_with_numpy,
    "passerby": score_with_passerby,
}


def measure_seconds(probs: NDArray[np.float32], labels: NDArray[np.int8], repeats: int) -> dict[str, float]:
    """Best time of NumPy, of passerby with one thread and with all threads, in alternating runs."""
    every = torch.get_num_threads()
    runs = {"numpy": (score_with_numpy, 1), "passerby": (score_with_passerby, 1)}
    if every > 1:
        runs[f"passerby, {every} threads"] = (score_with_passerby, every)
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, (score, threads) in runs.items():
            torch.set_num_threads(threads)
            start = time.perf_counter()
            score(probs, labels)
            best[name] = min(best[name], time.perf_counter() - start)
    torch.set_num_threads(every)
    return best


def _read_status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":"))


def _report_memory(name: str, shape: tuple[int, int], pipe: Connection) -> None:
    data = create_data(*shape)
    warm = create_data(256, shape[1])
    torch.set_num_threads(1)
    IMPLEMENTATIONS[name](*warm)  # excludes imports and set-up of the first call
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak
    before = _read_status_mb("VmRSS")
    IMPLEMENTATIONS[name](*data)
    pipe.send(_read_status_mb("VmHWM") - before)


def measure_extra_mb(name: str, shape: tuple[int, int]) -> float:
    """Increase of the resident memory of a new process during one run, in MB (2^20 bytes)."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_report_memory, args=(name, shape, there))
    process.start()
    there.close()
    try:
        extra = float(here.recv())
    except EOFError:
        raise RuntimeError(f"the process that measures the memory of {name} ended without a result") from None
    finally:
        process.join()
    return extra


def check_agreement(first: Scores, second: Scores) -> float:
    """Largest difference between the two results."""
    difference = max(float(np.abs(np.asarray(first[k]) - np.asarray(second[k])).max()) for k in second)
    if not difference < 1e-9:
        raise RuntimeError(f"the two implementations differ by {difference}: their times cannot be compared")
    return difference


def run(rows: int, attributes: int, repeats: int) -> dict[str, Any]:
    """Measure everything."""
    probs, labels = create_data(rows, attributes)
    difference = check_agreement(score_with_passerby(probs, labels), score_with_numpy(probs, labels))
    seconds = measure_seconds(probs, labels, repeats)
    extra_mb = {name: measure_extra_mb(name, (rows, attributes)) for name in IMPLEMENTATIONS}
    speed_up = seconds["numpy"] / seconds["passerby"]
    return {
        "rows": rows,
        "attributes": attributes,
        "repeats": repeats,
        "load": os.getloadavg()[0],
        "largest_difference": difference,
        "seconds": seconds,
        "speed_up": speed_up,
        "extra_mb": extra_mb,
        "numpy": np.__version__,
        "torch": torch.__version__,
        "reached": speed_up >= TARGET_SPEED_UP and extra_mb["passerby"] < TARGET_EXTRA_MB,
    }


def print_table(result: dict[str, Any]) -> None:
    """Print the results."""
    shape = f"{result['rows']:,} × {result['attributes']}"
    print(f"Metrics of {shape} predictions, best of {result['repeats']} runs, load {result['load']:.1f}")
    print(f"{'':22}{'seconds':>9}{'× numpy':>9}{'extra MB':>10}")
    for name, seconds in result["seconds"].items():
        memory = result["extra_mb"].get(name)
        label = name if "," in name else f"{name}, 1 thread"
        ratio = result["seconds"]["numpy"] / seconds
        print(f"{label:22}{seconds:9.3f}{ratio:9.2f}{'' if memory is None else f'{memory:.1f}':>10}")
    print(f"largest difference of a score: {result['largest_difference']:.1e}")
    verdict = "reached" if result["reached"] else "MISSED"
    print(f"target {TARGET_SPEED_UP:g} × numpy on one thread, under {TARGET_EXTRA_MB:g} MB extra: {verdict}")


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--attributes", type=int, default=35)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.rows, options.attributes, options.repeats)
    if options.json:
        print(json.dumps(result))
    else:
        print_table(result)


if __name__ == "__main__":
    main()
