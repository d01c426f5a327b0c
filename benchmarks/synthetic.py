"""Speed of the generator of synthetic people: images per second and core at 256×192; target 100."""

from __future__ import annotations

import argparse
import os
import time

TARGET = 100.0


def main() -> None:
    """Draw images, print images per second of processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="images per measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements; the median is printed")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from passerby.synthetic import SynthConfig, draw_person

    cases = {
        "default": SynthConfig(),
        "clean, one person": SynthConfig(difficulty=0, distractors=0, occlusion=0, clutter=0),
        "hard, crowded": SynthConfig(difficulty=1, distractors=1, occlusion=0.5, clutter=1),
        "finer edges (supersampling 3)": SynthConfig(supersampling=3),
    }
    print(f"synthetic people, 256×192, one core, {arguments.count} images, median of {arguments.repeats}")
    for name, config in cases.items():
        rates = []
        for repeat in range(arguments.repeats):
            start = time.process_time()
            for index in range(arguments.count):
                # A new seed each time, so that the time includes the scenes.
                draw_person(config, repeat, index)
            rates.append(arguments.count / (time.process_time() - start))
        rate = sorted(rates)[len(rates) // 2]
        note = (
            f"  (target {TARGET:.0f}: {'met' if rate >= TARGET else 'MISSED'})" if name == "default" else ""
        )
        print(f"  {name:32s} {rate:7.1f} images/s{note}")


if __name__ == "__main__":
    main()
