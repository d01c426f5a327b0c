"""Effect of clutter on the baseline (GAP) and on SSPNet-R, -K and -S: mA on synthetic people.

The same people are drawn in an empty street, then with street furniture, other people and occluding
objects. On each set, the four models are trained with the same images, epochs, optimiser and weighting of
the loss, and evaluated once on the test split. All start with the backbone of the demo's baseline, which
was trained with GAP on the same attributes. That favours GAP, so compare how the differences change from
level to level. SSPNet-K takes the exact keypoints of the generator as input; those of a detector would be
less accurate in clutter.

    make demo                                          # writes demo/run/bundle
    python benchmarks/sspnet_clutter.py                # draws, trains, writes the JSON and the figure
    python benchmarks/sspnet_clutter.py --draw-only    # the figure from the committed JSON

A finished training is not repeated, and an interrupted one is resumed. The level `none` has the images of
`sspnet_scales.py` at object scale 1.
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
"""Amount of clutter: see `SynthConfig`."""

BACKBONE = "mobilenetv4_conv_small_050"
SSPNET = {"backbone": BACKBONE, "pyramid_channels": 32}
MODELS: dict[str, tuple[Path, dict[str, Any]]] = {
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
    """Settings of the data set of a level."""
    settings = LEVELS[level]
    return SynthConfig(
        height=128,
        width=96,
        difficulty=DIFFICULTY,
        distractors=settings["distractors"],
        occlusion=settings["occlusion"],
        clutter=settings["clutter"],
    )


def measure(
    args: argparse.Namespace, level: str, model: str, seed: int
) -> tuple[dict[str, Any], dict[str, Any], Floats]:
    """One training: its settings, its results, and the mA of each resample of the test identities."""
    name = "size-1.0" if level == "none" else f"clutter-{level}"
    manifest = draw(args.out, name, args.count, create_config(level))
    path, arguments = MODELS[model]
    run = args.out / "clutter" / f"{level}-{model}-{args.count}-{args.epochs}-seed{seed}"
    overrides = [f"model.arguments={json.dumps(arguments)}", f"seed={seed}"]
    overrides += [f"variant={model.lower()}"]
    recipe, bundle = train_once(path, run, manifest=manifest, args=args, overrides=overrides)
    test = score_once(bundle, recipe, run / "test")
    samples = resample(test, ATTRIBUTES)["mA"]
    mean = float(test.scores.mA)
    setting = describe_setting(
        recipe, test, {"generator": "passerby.synthetic, seed 0", "images": args.count}
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
    """Train each model on all levels; the JSON is written after each training."""
    results: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for seed in args.seeds:
        baseline: dict[str, tuple[float, Floats]] = {}
        for model in MODELS:
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
                    "models": {name: arguments for name, (_, arguments) in MODELS.items()},
                    "losses": "bce (GAP), hierarchical (SSPNet); both weighted by sb",
                    "seeds": sorted({r["seed"] for r in results}),
                    "difficulty": DIFFICULTY,
                    "results": sorted(results, key=sort_key),
                }
                write(args.results, report)
    return report


def sort_key(result: Mapping[str, Any]) -> tuple[int, int, int]:
    """Order of the table."""
    return list(LEVELS).index(result["level"]), list(MODELS).index(result["model"]), result["seed"]


def print_table(report: Mapping[str, Any]) -> None:
    """Print the results."""
    print(f"{'clutter':<9}{'model':<10}{'seed':>4}  {'mA, %':<22}over GAP, points")
    for r in report["results"]:
        print(f"{r['level']:<9}{r['model']:<10}{r['seed']:>4}  {format_interval(r['mA']):<22}", end="")
        print(format_interval(r["over_GAP"], sign="+") if "over_GAP" in r else "")


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """Draw the mA of each model by level of clutter, and the difference of SSPNet to GAP."""
    figure, (left, right) = load_figure(columns=2, height=4.2)
    levels = [name for name in LEVELS if any(r["level"] == name for r in report["results"])]
    for k, model in enumerate(MODELS):
        style = {"color": COLOURS[model], "marker": MARKERS[model], "markersize": 7, "label": model}
        for axes, key in ((left, "mA"), (right, "over_GAP")):
            points = collect(report, model, key, levels)
            if not points:
                continue
            x = [position + 0.07 * (k - 1.5) for position, *_ in points]
            y = [value for _, value, *_ in points]
            spread = [[p[1] - p[2] for p in points], [p[3] - p[1] for p in points]]
            axes.errorbar(x, y, spread, capsize=3, linewidth=1.6, elinewidth=1, **style)
    for axes in (left, right):
        axes.set_xticks(range(len(levels)), [describe_level(name) for name in levels])
        axes.set_xlim(-0.35, len(levels) - 0.65)
    right.axhline(0, color=COLOURS["GAP"], linewidth=1)
    left.set_ylabel("mA on the test split (%)")
    right.set_ylabel("mA minus GAP (percentage points)")
    left.set_title("Each model", loc="left")
    right.set_title("SSPNet minus GAP, same people", loc="left")
    left.legend(frameon=False)
    epochs, seeds = report["settings"]["training"]["epochs"], len(report["seeds"])
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} synthetic people per level, {BACKBONE}, {epochs} epochs, "
        f"{seeds} training(s) per point; bars: 95 %, bootstrap of the test identities",
    )


def collect(
    report: Mapping[str, Any], model: str, key: str, levels: list[str]
) -> list[tuple[int, float, float, float]]:
    """Positions on the axis, values and intervals in per cent, averaged over the seeds."""
    points = []
    for position, level in enumerate(levels):
        found = [r[key] for r in report["results"] if (r["level"], r["model"]) == (level, model) and key in r]
        if found:
            points.append((position, *average_intervals(found)))
    return points


def describe_level(name: str) -> str:
    """A tick label of the axis."""
    level = LEVELS[name]
    return (
        f"{name}\nfurniture {level['clutter']:g}\nother people {level['distractors']:g}\n"
        f"occluded {100 * level['occlusion']:g} %"
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
