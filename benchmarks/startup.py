"""Start-up time of `import passerby` and `passerby --help`, compared with bare Python and `import torch`.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import passerby": ["-c", "import passerby, sys; sys.exit('torch' in sys.modules)"],
    "passerby --help": ["-m", "passerby", "--help"],
    "import torch": ["-c", "import torch"],
}


def measure(arguments: list[str], runs: int) -> float:
    """Median wall-clock seconds of a fresh process."""
    seconds = []
    for _ in range(runs + 1):  # the first run warms the file cache
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds[1:])[runs // 2]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = {name: measure(arguments, options.runs) for name, arguments in COMMANDS.items()}
    bare, torch_s = seconds["python -c pass"], seconds["import torch"]
    if options.json:
        print(json.dumps({"seconds": seconds, "median_of": options.runs}))
        return
    print(f"{'':18}{'seconds':>9}{'× bare python':>15}{'× import torch':>16}   (median of {options.runs})")
    for name, value in seconds.items():
        print(f"{name:18}{value:9.3f}{value / bare:15.1f}{value / torch_s:16.2f}")


if __name__ == "__main__":
    main()
