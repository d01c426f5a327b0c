"""Scales selected by SSPNet's adaptive feature scale selection (AFSS) for objects of different sizes.

The same people are drawn several times with larger or smaller hats, glasses, bags, held objects and
patterns (`object_scale`); everything else is equal, and nothing occludes the person. On each set, SSPNet is
trained with AFSS only (no prior locations, as in row 3 of the paper's Table 2), once per seed. All start
with the backbone of the demo's baseline, as a network from scratch does not learn the small objects in a
few epochs. The JSON has

- the scale that AFSS* selected for each attribute, and the running mA at P1, P2, P3 behind this selection;
- the selection of AFSS by group from the same counts: all scales train alike, whichever is selected;
- the mA on the test split at each scale, which AFSS does not use.

    make demo                                         # writes demo/run/bundle
    python benchmarks/sspnet_scales.py                # draws, trains, writes the JSON and the figure
    python benchmarks/sspnet_scales.py --draw-only    # the figure from the committed JSON

A finished training is not repeated, and an interrupted one is resumed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from _synthetic import (
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
from passerby.bundle import Bundle
from passerby.models.sspnet import SSPNet
from passerby.models.sspnet.selection import ScaleSelection
from passerby.synthetic import ATTRIBUTES, SynthConfig

RECIPE = Path("recipes/sspnet/demo.yaml")
SIZES = (1.5, 1.0, 0.6, 0.35)
OBJECTS = ("Hat", "Glasses", "HandBag", "ShoulderBag", "Backpack", "HoldObjectsInFront", "UpperLogo")
PATTERNS = ("UpperStride", "UpperPlaid", "UpperSplice", "LowerStripe", "LowerPattern")
SETS = {
    "objects": OBJECTS,
    "patterns": PATTERNS,
    "control": tuple(name for name in ATTRIBUTES if name not in (*OBJECTS, *PATTERNS)),
}
"""Objects become smaller, patterns mostly finer on the same cloth; the control does not change."""

TITLES = {"objects": "objects, smaller", "patterns": "patterns, finer", "control": "others"}
SCALES = ("P1", "P2", "P3")
STRIDES = (4, 8, 16)
COLOURS = ("#56b4e9", "#e69f00", "#cc79a7")  # P1, P2, P3
DIFFICULTY = 0.1
COUNT, EPOCHS = 4000, 3
MODEL = {
    "backbone": "mobilenetv4_conv_small_050",
    "pyramid_channels": 32,
    "locations": "regions",
    "spatial_prior": False,
    "selection": "attribute",
    "selection_memory": 4096,
}


def create_config(size: float) -> SynthConfig:
    """Single people in an empty scene."""
    return SynthConfig(
        height=128,
        width=96,
        difficulty=DIFFICULTY,
        distractors=0,
        occlusion=0,
        clutter=0,
        object_scale=size,
    )


def measure(args: argparse.Namespace, size: float, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One training: its settings and its results."""
    manifest = draw(args.out, f"size-{size}", args.count, create_config(size))
    run = args.out / "scales" / f"size-{size}-{args.count}-{args.epochs}-seed{seed}"
    overrides = [f"model.arguments={json.dumps(MODEL)}", f"seed={seed}"]
    overrides += ["variant=afss-by-attribute"]
    recipe, bundle = train_once(RECIPE, run, manifest=manifest, args=args, overrides=overrides)
    model = cast(SSPNet, bundle.model)
    assert model.selection is not None
    chosen, running = list(model.scales), model.selection.compute_mean_accuracy().tolist()
    groups = select_by_group(model)
    tests = {"chosen": score_once(bundle, recipe, run / "test")}
    for number, scale in enumerate(SCALES, 1):
        use_scale(bundle, number)
        tests[scale] = score_once(bundle, recipe, run / f"test-{scale}")
    scores = {name: mean_accuracy(test) for name, test in tests.items()}
    setting = describe_setting(
        recipe, tests["chosen"], {"generator": "passerby.synthetic, seed 0", "images": args.count}
    )
    found = {
        "object_scale": size,
        "seed": seed,
        "best_epoch": bundle.metadata["best_epoch"],
        "sets": {name: measure_set(tests, members) for name, members in SETS.items()},
        "groups": groups,
        "attributes": {
            name: {
                "body_part": bundle.schema[i].body_part,
                "stride": STRIDES[chosen[i] - 1],
                "running_mA": {s: round(running[k][i], 5) for k, s in enumerate(SCALES)},
                "test_mA": {key: score[name] for key, score in scores.items()},
            }
            for i, name in enumerate(bundle.schema.names)
        },
    }
    return setting, found


def select_by_group(model: SSPNet) -> dict[str, Any]:
    """The strides that AFSS by group would select from these counts, and their running mA."""
    selection = cast(ScaleSelection, model.selection)
    accuracy = selection.compute_mean_accuracy()
    groups: dict[str, Any] = {}
    for body_part, members in model.groups.items():
        means = accuracy[:, list(members)].nanmean(1)
        values = {scale: round(float(mean), 5) for scale, mean in zip(SCALES, means, strict=True)}
        groups[body_part] = {"stride": STRIDES[int(means.argmax())], "running_mA": values}
    return groups


def use_scale(bundle: Bundle, scale: int) -> None:
    """Set the scale of every attribute."""
    selection = cast(SSPNet, bundle.model).selection
    assert selection is not None
    state = selection.state_dict()
    state["choice"] = torch.full_like(state["choice"], scale)
    selection.load_state_dict(state)


def measure_set(tests: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Mean test mA of some attributes at each scale and the difference of P1 and P3, with intervals."""
    samples = {key: resample(test, names)["mA"] for key, test in tests.items()}
    means = {key: statistics.fmean(mean_accuracy(test)[n] for n in names) for key, test in tests.items()}
    values = {key: describe_interval(means[key], samples[key]) for key in tests}
    difference = describe_interval(means["P1"] - means["P3"], samples["P1"] - samples["P3"])
    return {"test_mA": values, "P1_over_P3": difference}


def measure_pixels(out: Path, size: float, count: int) -> dict[str, float]:
    """Median over the images of √(width · height) of each attribute's box, in px."""
    boxes = json.loads((out / "people" / f"size-{size}-{count}" / "boxes.json").read_text(encoding="utf-8"))
    sides: dict[str, list[float]] = {name: [] for name in (*OBJECTS, *PATTERNS)}
    for found in boxes.values():
        for name in set(found) & set(sides):
            left, top, right, bottom = found[name]
            sides[name].append(((right - left) * (bottom - top)) ** 0.5)
    return {name: round(statistics.median(values), 1) for name, values in sides.items() if values}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train on all sizes by seed; the JSON is written after each training."""
    results: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    pixels: dict[str, dict[str, float]] = {}
    for seed in args.seeds:
        for size in args.sizes:
            setting, found = measure(args, size, seed)
            results.append(found)
            pixels[str(size)] = measure_pixels(args.out, size, args.count)
            report = {
                "benchmark": "sspnet-scales",
                **setting,
                "model": MODEL,
                "loss": "hierarchical, weighted by sb",
                "seeds": sorted({r["seed"] for r in results}),
                "generator_settings": {
                    "difficulty": DIFFICULTY,
                    "distractors": 0,
                    "occlusion": 0,
                    "clutter": 0,
                },
                "median_side_px": dict(sorted(pixels.items(), reverse=True)),
                "results": sorted(results, key=lambda r: (-r["object_scale"], r["seed"])),
            }
            write(args.results, report)
    return report


def print_table(report: Mapping[str, Any]) -> None:
    """Print the results."""
    for result in report["results"]:
        print(f"object scale {result['object_scale']}, seed {result['seed']}")
        for name, values in result["sets"].items():
            scores = "  ".join(f"{k} {100 * v['value']:.1f}" for k, v in values["test_mA"].items())
            d = values["P1_over_P3"]
            print(f"  {name:<10} test mA, %: {scores}   P1 over P3: {format_interval(d, sign='+')}")
        for name, members in SETS.items():
            strides = [result["attributes"][member]["stride"] for member in members]
            print(f"  {name:<10} " + ", ".join(f"stride {s}: {strides.count(s)}" for s in STRIDES))
        print("  groups     " + ", ".join(f"{k} {v['stride']}" for k, v in result["groups"].items()))


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """Draw the scale of each attribute and the mA at each scale, by size."""
    figure, (choices, *means) = load_figure(columns=4, height=6.2, widths=(1.6, 1, 1, 1))
    sizes = sorted({r["object_scale"] for r in report["results"]}, reverse=True)
    draw_choices(choices, report, sizes)
    for axes, (name, members) in zip(means, SETS.items(), strict=True):
        for k, scale in enumerate(SCALES):
            points = [average(report, size, name, scale) for size in sizes]
            x = [position + 0.08 * (k - 1) for position in range(len(sizes))]
            spread = [[v - low for v, low, _, _ in points], [high - v for v, _, high, _ in points]]
            style: dict[str, Any] = {"color": COLOURS[k], "markersize": 6}
            label = f"{scale}, stride {STRIDES[k]}"
            axes.errorbar(x, [p[0] for p in points], spread, marker="o", capsize=3, label=label, **style)
            axes.plot(x, [p[3] for p in points], marker=".", linestyle=":", linewidth=1, **style)
        axes.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes])
        axes.set_xlim(-0.35, len(sizes) - 0.65)
        axes.set_xlabel("size (1 = natural)")
        axes.set_title(f"{len(members)} {TITLES[name]}", loc="left")
    means[0].set_ylabel("mean mA (%)")
    means[2].plot([], [], ":", color="#555555", label="running mA (training)")
    means[2].legend(frameon=False, fontsize=8, loc="best")
    epochs, seeds = report["settings"]["training"]["epochs"], len(report["seeds"])
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} synthetic people per size, {report['backbone']}, "
        f"{epochs} epochs, {seeds} training(s) per size; solid: test split, with 95 % intervals by identity",
    )


def draw_choices(axes: Any, report: Mapping[str, Any], sizes: Sequence[float]) -> None:
    """One cell per attribute and size: its colour is the stride, its text the median side of the object."""
    rows = [name for members in SETS.values() for name in members]
    for r in report["results"]:
        seeds = report["seeds"]
        width = 0.94 / len(seeds)
        left = sizes.index(r["object_scale"]) - 0.47 + seeds.index(r["seed"]) * width
        strides = [r["attributes"][name]["stride"] for name in rows]
        axes.barh(
            range(len(rows)), width, left=left, height=0.9, color=[COLOURS[STRIDES.index(s)] for s in strides]
        )
    for row, name in enumerate(rows):
        for column, size in enumerate(sizes):
            side = report["median_side_px"][f"{size}"].get(name)
            if side is not None:
                axes.text(column, row, f"{side:.0f} px", ha="center", va="center", fontsize=7)
    for border in (len(OBJECTS), len(OBJECTS) + len(PATTERNS)):
        axes.axhline(border - 0.5, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_xticks(range(len(sizes)), [f"{size:g}" for size in sizes])
    axes.set_xlim(-0.55, len(sizes) - 0.45)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("size of hats, bags, prints (1 = natural)")
    axes.grid(visible=False)
    axes.set_title("selected scale; median side", loc="left")


def average(
    report: Mapping[str, Any], size: float, name: str, scale: str
) -> tuple[float, float, float, float]:
    """Test mA with its interval, and running mA, of a set at a scale: per cent, averaged over the seeds."""
    found = [r for r in report["results"] if r["object_scale"] == size]
    tests = [r["sets"][name]["test_mA"][scale] for r in found]
    running = [r["attributes"][member]["running_mA"][scale] for r in found for member in SETS[name]]
    return *average_intervals(tests), 100 * statistics.fmean(running)


def main() -> None:
    """Measure, write, draw."""
    parser = create_parser(__doc__, name="sspnet-scales", count=COUNT, epochs=EPOCHS)
    parser.add_argument("--sizes", type=float, nargs="+", default=list(SIZES), help="values of object_scale")
    args = parse(parser)
    report = read(args.results) if args.draw_only else run(args)
    print_table(report)
    draw_figure(report, args.figure)


if __name__ == "__main__":
    main()
