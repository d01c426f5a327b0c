"""What clutter costs the baseline (GAP) and SSPNet-R, -K and -S: mA on drawn people as the scene fills.

The same people are drawn in a bare street, then with street furniture, other people and things in front of
them. On each set the four models are trained with the same pictures, epochs, optimiser and weighting of the
loss, and scored once on the test split. All start with the backbone of the demo's baseline, which was trained
under GAP on the same attributes: that favours GAP, so what counts is how the differences change from level to
level. SSPNet-K gets the generator's own keypoints, which are exact; a detector in clutter would be worse.

    make demo                                          # leaves demo/run/bundle
    python benchmarks/sspnet_clutter.py                # draws, trains, writes the JSON and the figure
    python benchmarks/sspnet_clutter.py --draw-only    # the figure from the committed JSON

A training that is finished is not repeated; one that was interrupted goes on. A level `none` has the pictures
of `sspnet_scales.py` at object scale 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _synthetic import (
    Floats,
    average_intervals,
    create_parser,
    describe_interval,
    describe_setting,
    draw,
    format_interval,
    load_figure,
    mean_accuracy,
    parse,
    read,
    resample,
    save_figure,
    score_once,
    train_once,
    write,
)
from passerby.synthetic import ATTRIBUTES, SynthConfig

LEVELS: dict[str, dict[str, float]] = {
    "none": {"clutter": 0.0, "distractors": 0.0, "occlusion": 0.0},
    "some": {"clutter": 0.5, "distractors": 0.6, "occlusion": 0.1},
    "much": {"clutter": 1.0, "distractors": 1.5, "occlusion": 0.25},
}
"""How full the scene is: see `SynthConfig`."""

BACKBONE = "mobilenetv4_conv_small_050"
SSPNET = {"backbone": BACKBONE, "pyramid_channels": 32}
SYSTEMS: dict[str, tuple[Path, dict[str, Any]]] = {
    "GAP": (Path("recipes/baseline/demo.yaml"), {"backbone": BACKBONE}),
    "SSPNet-R": (
        Path("recipes/sspnet/demo.yaml"),
        {**SSPNET, "locations": "regions", "smoothing": False},
    ),
    "SSPNet-K": (Path("recipes/sspnet/demo.yaml"), {**SSPNET, "locations": "keypoints"}),
    "SSPNet-S": (Path("recipes/sspnet/demo.yaml"), {**SSPNET, "locations": "sparse"}),
}
DIFFICULTY = 0.1
COUNT, EPOCHS = 4000, 6
COLOURS = {"GAP": "#555555", "SSPNet-R": "#d55e00", "SSPNet-K": "#0072b2", "SSPNet-S": "#009e73"}
MARKERS = {"GAP": "s", "SSPNet-R": "o", "SSPNet-K": "^", "SSPNet-S": "D"}


def create_config(level: str) -> SynthConfig:
    """The set of a level."""
    filled = LEVELS[level]
    return SynthConfig(
        height=128,
        width=96,
        difficulty=DIFFICULTY,
        distractors=filled["distractors"],
        occlusion=filled["occlusion"],
        clutter=filled["clutter"],
    )


def measure(
    args: argparse.Namespace, level: str, model: str, seed: int
) -> tuple[dict[str, Any], dict[str, Any], Floats]:
    """One training: the head of the JSON, what was found, and mA of each resample of the test people."""
    name = "size-1.0" if level == "none" else f"clutter-{level}"
    manifest = draw(args.out, name, args.count, create_config(level))
    path, arguments = SYSTEMS[model]
    run = args.out / "clutter" / f"{level}-{model}-{args.count}-{args.epochs}-seed{seed}"
    changes = [f"model.arguments={json.dumps(arguments)}", f"seed={seed}"]
    changes += [f"variant={model.lower()}"]
    recipe, bundle = train_once(path, run, manifest=manifest, args=args, changes=changes)
    test = score_once(bundle, recipe, run / "test")
    samples = resample(test, ATTRIBUTES)["mA"]
    mean = float(test.scores.mA)
    setting = describe_setting(
        recipe, test, {"generator": "passerby.synthetic, seed 0", "pictures": args.count}
    )
    found = {
        "level": level,
        "model": model,
        "seed": seed,
        "best_epoch": bundle.metadata["best_epoch"],
        "n_test_identities": len(set(test.identities)),
        "mA": describe_interval(mean, samples),
        "attributes": mean_accuracy(test),
    }
    return setting, found, samples


def run(args: argparse.Namespace) -> dict[str, Any]:
    """A model on all levels, then the next model; the JSON is written after each training."""
    results: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for seed in args.seeds:
        baseline: dict[str, tuple[float, Floats]] = {}
        for model in SYSTEMS:
            for level in args.levels:
                setting, found, samples = measure(args, level, model, seed)
                value, over = baseline.setdefault(level, (found["mA"]["value"], samples))
                if model != "GAP":
                    difference = found["mA"]["value"] - value
                    found["over_GAP"] = describe_interval(difference, samples - over)
                results.append(found)
                report = {
                    "benchmark": "sspnet-clutter",
                    **setting,
                    "levels": {name: LEVELS[name] for name in LEVELS},
                    "models": {name: arguments for name, (_, arguments) in SYSTEMS.items()},
                    "losses": "bce (GAP), hierarchical (SSPNet); both weighted by sb",
                    "seeds": sorted({r["seed"] for r in results}),
                    "difficulty": DIFFICULTY,
                    "results": sorted(results, key=sort_key),
                }
                write(args.results, report)
    return report


def sort_key(result: Mapping[str, Any]) -> tuple[int, int, int]:
    """Order of the table."""
    return list(LEVELS).index(result["level"]), list(SYSTEMS).index(result["model"]), result["seed"]


def print_table(report: Mapping[str, Any]) -> None:
    """The result for a person."""
    print(f"{'clutter':<9}{'model':<10}{'seed':>4}  {'mA, %':<22}over GAP, points")
    for r in report["results"]:
        print(f"{r['level']:<9}{r['model']:<10}{r['seed']:>4}  {format_interval(r['mA']):<22}", end="")
        print(format_interval(r["over_GAP"], sign="+") if "over_GAP" in r else "")


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """MA of each model as clutter grows, and what SSPNet has over GAP."""
    figure, (left, right) = load_figure(columns=2, height=4.2)
    levels = [name for name in LEVELS if any(r["level"] == name for r in report["results"])]
    for k, model in enumerate(SYSTEMS):
        style = {"color": COLOURS[model], "marker": MARKERS[model], "markersize": 7, "label": model}
        for axes, key in ((left, "mA"), (right, "over_GAP")):
            points = collect(report, model, key, levels)
            if not points:
                continue
            x = [place + 0.07 * (k - 1.5) for place, *_ in points]
            y = [value for _, value, *_ in points]
            spread = [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]]
            axes.errorbar(x, y, spread, capsize=3, linewidth=1.6, elinewidth=1, **style)
    for axes in (left, right):
        axes.set_xticks(range(len(levels)), [describe_level(name) for name in levels])
        axes.set_xlim(-0.35, len(levels) - 0.65)
    right.axhline(0, color=COLOURS["GAP"], linewidth=1)
    left.set_ylabel("mA on the test split (%)")
    right.set_ylabel("mA over GAP (percentage points)")
    left.set_title("Each model", loc="left")
    right.set_title("SSPNet over GAP, same people", loc="left")
    left.legend(frameon=False)
    epochs, seeds = report["settings"]["training"]["epochs"], len(report["seeds"])
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} drawn people a level, {BACKBONE}, {epochs} epochs, "
        f"{seeds} training(s) a point; bars: 95 %, bootstrap of the test identities",
    )


def collect(
    report: Mapping[str, Any], model: str, key: str, levels: list[str]
) -> list[tuple[int, float, float, float]]:
    """RunPaths on the axis, value and interval in per cent; means over the seeds."""
    points = []
    for place, level in enumerate(levels):
        found = [r[key] for r in report["results"] if (r["level"], r["model"]) == (level, model) and key in r]
        if found:
            points.append((place, *average_intervals(found)))
    return points


def describe_level(name: str) -> str:
    """A tick of the axis."""
    level = LEVELS[name]
    return (
        f"{name}\nfurniture {level['clutter']:g}\nother people {level['distractors']:g}\n"
        f"hidden {100 * level['occlusion']:g} %"
    )


def main() -> None:
    """Measure, write, draw."""
    parser = create_parser(__doc__, name="sspnet-clutter", count=COUNT, epochs=EPOCHS)
    parser.add_argument("--levels", nargs="+", choices=list(LEVELS), default=list(LEVELS))
    args = parse(parser)
    report = read(args.results) if args.draw_only else run(args)
    print_table(report)
    draw_figure(report, args.figure)


if __name__ == "__main__":
    main()
