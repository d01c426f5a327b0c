"""Time until commands answer that need no model, compared with bare Python and `import torch`.

The commands are `passerby --help`, `passerby models`, and errors in paths, devices and names.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS: dict[str, tuple[list[str], int]] = {
    "python -c pass": (["-c", "pass"], 0),
    "import passerby": (["-c", "import passerby, sys; sys.exit('torch' in sys.modules)"], 0),
    "import torch": (["-c", "import torch"], 0),
    "import timm": (["-c", "import timm"], 0),
    "passerby --help": (["-m", "passerby", "--help"], 0),
    "passerby models": (["-m", "passerby", "models"], 0),
    "predict: no bundle": (["-m", "passerby", "predict", "nothing", "a.png"], 2),
    "predict: no image": (["-m", "passerby", "predict", "nothing", "b.png"], 2),
    "evaluate: no bundle": (["-m", "passerby", "evaluate", "nothing", "--data", "no.parquet"], 2),
    "evaluate: no protocol": (
        ["-m", "passerby", "evaluate", "nothing", "--data", "no.parquet", "--protocol", "strict"],
        2,
    ),
    "evaluate: no device": (
        ["-m", "passerby", "evaluate", "nothing", "--data", "no.parquet", "--device", "gpu"],
        2,
    ),
    "localize: no bundle": (["-m", "passerby", "localize", "nothing", "a.png"], 2),
    "annotate: no manifest": (["-m", "passerby", "annotate", "no.parquet", "--masks"], 2),
    "results: no path": (["-m", "passerby", "results", "nothing"], 2),
    "report: no path": (["-m", "passerby", "report", "nothing"], 2),
    "train: no recipe": (["-m", "passerby", "train", "baseline/nothing"], 2),
}
"""Arguments of Python, and the exit status."""


def measure(arguments: list[str], status: int, runs: int) -> tuple[float, float]:
    """Median wall-clock and CPU seconds of a fresh process, in a folder with one image.

    Raises:
        RuntimeError: If the process ends with another status.
    """
    seconds, cpu = [], []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.png").touch()
        for _ in range(runs + 1):  # the first run warms the file cache
            before, start = measure_children(), time.perf_counter()
            result = subprocess.run(
                [sys.executable, *arguments], capture_output=True, cwd=folder, check=False
            )
            seconds.append(time.perf_counter() - start)
            cpu.append(measure_children() - before)
            if result.returncode != status:
                raise RuntimeError(f"{arguments}: status {result.returncode}: {result.stderr.decode()}")
    return sorted(seconds[1:])[runs // 2], sorted(cpu[1:])[runs // 2]


def measure_children() -> float:
    """CPU seconds of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = {name: measure(arguments, status, options.runs) for name, (arguments, status) in COMMANDS.items()}
    if options.json:
        seconds, cpu = ({name: times[i] for name, times in found.items()} for i in (0, 1))
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "median_of": options.runs}))
        return
    torch_s = found["import torch"][1]
    print(f"{'':24}{'seconds':>9}{'CPU s':>9}{'× import torch (CPU)':>22}   (median of {options.runs})")
    for name, (seconds, cpu) in found.items():
        print(f"{name:24}{seconds:9.3f}{cpu:9.3f}{cpu / torch_s:22.2f}")


if __name__ == "__main__":
    main()
