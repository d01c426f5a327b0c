"""Print the short tables of the model and result pages from the stored comparisons in `results`.

Without arguments: the scores of every model. `--costs`: size, time. `--localization`: box IoU. `--methods`:
box IoU of the native map and of Grad-CAM-P on val. With names, such as `baseline diaa`: these models as
columns, with differences to the baseline.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

RESULTS = Path(__file__).parents[2] / "results"
SUITE = "peta-128x96"
WITH_NATIVE_MAP = ("passerby", "diaa", "da-har", "mtms")

Runs = Mapping[str, Mapping[str, Any]]
Cell = Callable[[str], str]

COSTS: Mapping[str, Callable[[Mapping[str, float]], str]] = {
    "parameters, M": lambda costs: f"{costs['parameters'] / 1e6:.2f}",
    "GMACs at 128×96": lambda costs: f"{costs['macs'] / 1e9:.3f}",
    "time × baseline, batch 1": lambda costs: f"{costs['inference_1']:.2f}",
    "time × baseline, batch 32": lambda costs: f"{costs['inference_32']:.2f}",
}


def load_comparison(path: str) -> dict[str, Any]:
    """A stored comparison."""
    stored: dict[str, Any] = json.loads((RESULTS / path).read_text(encoding="utf-8"))
    return stored


def load_runs(path: str) -> dict[str, dict[str, Any]]:
    """Its runs by variant, without the name of the suite."""
    stored = load_comparison(path)
    return {
        run["variant"].removeprefix(f"{SUITE}-").removesuffix("-calibrated-mA"): {
            **run,
            "mean_of": stored.get("mean_of", ()),
        }
        for run in stored["runs"]
    }


def format_values(values: Sequence[float], *, with_deviation: bool) -> str:
    """Mean over the seeds in per cent, ± standard deviation."""
    deviation = f" ± {100 * stdev(values):.2f}" if with_deviation and len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{deviation}"


def format_difference(found: Mapping[str, float]) -> str:
    """A difference with its interval, in per cent."""
    shift, low, high = (100 * found[key] for key in ("difference", "low", "high"))
    return f"{shift:+.2f} [{low:+.2f}, {high:+.2f}]"


def show_score(runs: Runs, metric: str, *, in_full: bool) -> Cell:
    """Cells of a metric; in full with the deviation and the difference to the baseline."""

    def show(name: str) -> str:
        text = format_values(runs[name]["scores"][metric], with_deviation=in_full)
        found = (runs[name]["differences"] or {}).get(metric)
        return f"{text}<br>{format_difference(found)}" if in_full and found else text

    return show


def average_iou(run: Mapping[str, Any], attributes: Sequence[str]) -> list[float]:
    """Mean box IoU over the attributes, one a seed."""
    return [mean(seed) for seed in zip(*(run["scores"][name]["box_iou"] for name in attributes), strict=True)]


def show_iou(runs: Runs, *, in_full: bool) -> Cell:
    """Cells of the mean box IoU."""

    def show(name: str) -> str:
        if name not in runs:
            return "–"
        return format_values(average_iou(runs[name], runs[name]["mean_of"]), with_deviation=in_full)

    return show


def show_cost(runs: Runs, show: Callable[[Mapping[str, float]], str]) -> Cell:
    """Cells of a cost."""
    return lambda name: show(runs[name]["costs"])


def list_scores(peta: Runs, *, in_full: bool) -> dict[str, Cell]:
    """The columns of the scores."""
    calibrated = load_runs(f"{SUITE}/peta/{SUITE}-calibrated-mA.comparison.json")
    pa100k = load_runs(f"{SUITE}/peta-to-pa100k/{SUITE}.comparison.json")
    gradient = load_runs(f"{SUITE}/peta-to-ccp/{SUITE}.localization-comparison.json")
    native = load_runs(f"{SUITE}/peta-to-ccp-native/{SUITE}.localization-comparison.json")
    return {
        "seeds": lambda name: str(len(peta[name]["seeds"])),
        "mA": show_score(peta, "mA", in_full=in_full),
        "F1": show_score(peta, "f1", in_full=in_full),
        "mAP": show_score(peta, "mAP", in_full=in_full),
        "mA, calibrated": show_score(calibrated, "mA", in_full=in_full),
        "mAP, PA-100K": show_score(pa100k, "mAP", in_full=in_full),
        "IoU, Grad-CAM-P": show_iou(gradient, in_full=in_full),
        "IoU, native map": show_iou(native, in_full=in_full),
    }


def list_methods() -> Iterator[list[str]]:
    """Box IoU of the native map and of Grad-CAM-P on CCP's val photos."""
    yield ["model", "trained on", "attributes", "native map", "Grad-CAM-P", "difference"]
    yield ["---", "---", *["---:"] * 4]
    for name in WITH_NATIVE_MAP:
        for data, prefix in (("CCP", "ccp-val"), ("PETA", "peta-to-ccp-val")):
            stored = load_comparison(f"heat-methods/{prefix}-{name}.localization-comparison.json")
            runs = {run["protocol"]["method"] == "grad-cam-p": run for run in stored["runs"]}
            ious = [
                format_values(average_iou(runs[gradient], stored["mean_of"]), with_deviation=False)
                for gradient in (False, True)
            ]
            difference = format_difference(runs[False]["differences"]["mean"]["box_iou"])
            yield [name, data, str(len(stored["mean_of"])), *ious, difference]


def list_models(columns: Mapping[str, Cell], names: Sequence[str]) -> Iterator[list[str]]:
    """A row a model."""
    yield ["model", *columns]
    yield ["---", *["---:"] * len(columns)]
    for name in names:
        yield [name, *(cell(name) for cell in columns.values())]


def list_rows(rows: Mapping[str, Cell], names: Sequence[str]) -> Iterator[list[str]]:
    """A column a model."""
    yield ["", *names]
    yield ["---", *["---:"] * len(names)]
    for title, cell in rows.items():
        yield [title, *(cell(name) for name in names)]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Print a short table from the stored comparisons.")
    parser.add_argument("models", nargs="*", help="variants, such as baseline, sb, diaa")
    kind = parser.add_mutually_exclusive_group()
    for option in ("--costs", "--localization", "--methods"):
        kind.add_argument(option, action="store_true")
    options = parser.parse_args()
    peta = load_runs(f"{SUITE}/peta/{SUITE}.comparison.json")
    costs = {title: show_cost(peta, show) for title, show in COSTS.items()}
    scores = list_scores(peta, in_full=bool(options.models or options.localization))
    if options.localization:
        scores = {title: cell for title, cell in scores.items() if title == "seeds" or "IoU" in title}
    if options.methods:
        lines = list_methods()
    elif options.models:
        lines = list_rows({**scores, **costs}, options.models)
    else:
        lines = list_models(costs if options.costs else scores, list(peta))
    for cells in lines:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
