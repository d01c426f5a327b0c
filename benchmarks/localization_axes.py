"""Localisation by size of the objects, amount of street furniture and number of other people.

The same people are drawn with street furniture from 0 to 1 without other people, and with exactly 0 to 3
others behind them at half of the furniture. Person, pose, labels and true boxes are equal in all sets
(checked), and nothing occludes the person. The heat maps of each bundle are scored on the test split of
each set: box IoU, the mean over the attributes except those of the entire person (whose box is the
person's). The third axis is the fraction of the input covered by the true box, in bins, on the set with
half of the furniture and without other people. Large objects are easy to localise, as the IoU of a uniform
map shows; it is drawn too. On the other two axes, the uniform map has a constant score. MAN takes the
person's exact mask as input.

The bundles must have the attributes of synthetic people, such as those that `distractors.py` writes to its
`--out`, or those of the demo's recipes, whose training identities differ from this test:

    python benchmarks/localization_axes.py baseline=demo/run/bundle SSPNet-S=demo/sspnet/bundle
    python benchmarks/localization_axes.py --draw-only    # the figure from the JSON of an earlier run
    python benchmarks/localization_axes.py --quick        # smoke test with untrained networks, a minute

With one bundle per model, the results do not include the variation between training runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from _synthetic import (
    PARTITION,
    RESAMPLES,
    check_same_people,
    describe_interval,
    draw,
    format_interval,
    load_figure,
    read,
    save_figure,
    write,
)
from passerby.bundle import Bundle
from passerby.data.formats.pa100k import SCHEMA
from passerby.data.manifest import Manifest
from passerby.evaluation.commit import find_commit
from passerby.evaluation.loading import Loading
from passerby.evaluation.localization.evaluator import evaluate_localization
from passerby.evaluation.localization.samples import average_known
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.localization.settings import HeatMapSettings, SamplingSettings
from passerby.explain.heat import METHODS
from passerby.metrics.bootstrap import draw_multiplicities
from passerby.models import create_model
from passerby.synthetic import SynthConfig
from passerby.types import Preprocess


class Scene(NamedTuple):
    """The surroundings of a person."""

    clutter: float
    others: int


NAME = "localization-axes"
CLUTTER = tuple(Scene(clutter, 0) for clutter in (0.0, 0.25, 0.5, 0.75, 1.0))
OTHERS = tuple(Scene(0.5, others) for others in (0, 1, 2, 3))
PLAIN = OTHERS[0]
DIFFICULTY = 0.1
BINS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 1.0)
"""Edges of the bins: fractions of the input."""
COUNT = 6000
MIN_SAMPLES = 10
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000", "#56b4e9", "#7f4f24")
MARKERS = ("o", "s", "D", "^", "P", "X", "v", "d")
UNIFORM = {"color": "#999999", "linestyle": (0, (4, 3)), "linewidth": 1.5}
AXES = {
    "size": ("Size of the object", "fraction of the input in the true box (%)"),
    "clutter": ("Street furniture", "furniture (1 = full)"),
    "others": ("Other people", "other people in the image"),
}


def parse_model(text: str) -> tuple[str, Path]:
    """`NAME=BUNDLE`."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"expected NAME=BUNDLE, got {text!r}")
    return name, Path(path)


def parse_arguments() -> argparse.Namespace:
    """Read the options; a quick run does not change the committed files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=parse_model, metavar="NAME=BUNDLE")
    parser.add_argument("--method", choices=METHODS, default="grad-cam-p", help="method of the heat maps")
    parser.add_argument("--sets", type=Path, default=Path("runs/synthetic"), help="folder of the data sets")
    parser.add_argument("--out", type=Path, default=Path(f"results/synthetic/{NAME}.benchmark.json"))
    parser.add_argument("--figure", type=Path, default=Path(f"docs/images/{NAME}.png"))
    parser.add_argument("--count", type=int, default=COUNT, help="images per set, in all splits")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--draw-only", action="store_true", help="only draw the figure from --out")
    parser.add_argument("--quick", action="store_true", help="tiny smoke test; writes only to --sets")
    args = parser.parse_args()
    if args.quick:
        args.sets /= "quick"
        args.count = 160
        args.out, args.figure = args.sets / args.out.name, args.sets / args.figure.name
    elif not args.models and not args.draw_only:
        parser.error("expected at least one NAME=BUNDLE, or --draw-only or --quick")
    if len(dict(args.models)) < len(args.models):
        parser.error("expected each name once")
    return args


def load_models(args: argparse.Namespace) -> dict[str, Bundle]:
    """The bundles by name; by default, a quick run uses two untrained models."""
    if args.quick and not args.models:
        torch.manual_seed(0)
        names = ("baseline", "sspnet")
        models = [create_model(name, schema=SCHEMA, backbone="test_resnet") for name in names]
        return {model.name: Bundle(model, Preprocess(128, 96)) for model in models}
    bundles = {name: Bundle.load(path, device=args.device) for name, path in args.models}
    sizes = {(each.preprocess.height, each.preprocess.width) for each in bundles.values()}
    if len(sizes) > 1:
        raise SystemExit(f"expected bundles of one input size, as the boxes depend on it; got {sizes}")
    return bundles


def draw_sets(args: argparse.Namespace) -> dict[Scene, Manifest]:
    """The same people in each scene; the sets with other people are those of `distractors.py`."""
    sets = {}
    for scene in dict.fromkeys((*CLUTTER, *OTHERS)):
        config = SynthConfig(
            height=128,
            width=96,
            difficulty=DIFFICULTY,
            occlusion=0.0,
            clutter=scene.clutter,
            distractors=scene.others,
        )
        name = f"distractors-{scene.others}" if scene in OTHERS else f"alone-clutter-{scene.clutter:g}"
        sets[scene] = Manifest.load(draw(args.sets, name, args.count, config))
    check_same_people(list(sets.values()))
    return sets


# ---------------------------------------------------------------------- measuring


def measure(bundle: Bundle, sets: Mapping[Scene, Manifest], args: argparse.Namespace) -> dict[str, Any]:
    """The results of one model, and its loss of IoU along each axis."""
    scores = {
        scene: evaluate_localization(
            bundle,
            manifest,
            partition=PARTITION,
            split="test",
            heat_maps=HeatMapSettings(method=args.method),
            sampling=SamplingSettings(min_samples=MIN_SAMPLES, resamples=RESAMPLES),
            loading=Loading(batch_size=16, cache=args.sets / "cache", workers=1),
        )
        for scene, manifest in sets.items()
    }
    along = {"clutter": CLUTTER, "others": OTHERS}
    return {
        "results": [
            *describe_sizes(scores[PLAIN]),
            *(
                {"axis": axis, "at": getattr(scene, axis), **describe_mean(scores[scene])}
                for axis, scenes in along.items()
                for scene in scenes
            ),
        ],
        "lost": [
            {"axis": axis, "box_iou": subtract(scores[scenes[0]], scores[scenes[-1]])}
            for axis, scenes in along.items()
        ],
        "protocol": scores[PLAIN].protocol.describe(),
        "attributes": list(scores[PLAIN].mean_of),
        "exclude_from_mean": list(scores[PLAIN].exclude_from_mean),
    }


def describe_mean(scores: LocalizationScores) -> dict[str, Any]:
    """The mean over attributes, with its interval by identity."""
    iou = scores.mean["box_iou"]
    return {
        "samples": int(sum(scores.counts[name] for name in scores.mean_of)),
        "uniform": round(scores.mean["box_share"].value, 5),
        "box_iou": {key: round(getattr(iou, key), 5) for key in ("value", "low", "high")},
    }


def describe_sizes(scores: LocalizationScores) -> list[dict[str, Any]]:
    """The mean over the samples of each bin that has enough of them; intervals by identity."""
    samples = scores.samples
    counted = np.isin(samples.attribute, samples.find_members(MIN_SAMPLES, scores.exclude_from_mean))
    shares, ious = samples.measures["box_share"], samples.measures["box_iou"]
    draws = np.concatenate(
        list(draw_multiplicities(samples.clusters, resamples=RESAMPLES, seed=0)), axis=1
    )  # (S, B)
    found = []
    for low, high in pairwise(BINS):
        members = counted & (shares > low) & (shares <= high)
        if members.sum() < MIN_SAMPLES:
            continue
        weights = draws[members]
        drawn = weights.sum(axis=0) > 0
        means = ious[members] @ weights[:, drawn] / weights[:, drawn].sum(axis=0)
        share = round(float(shares[members].mean()), 5)
        found.append(
            {
                "axis": "size",
                "at": share,
                "bin": [low, high],
                "samples": int(members.sum()),
                "uniform": share,
                "box_iou": describe_interval(float(ious[members].mean()), means),
            }
        )
    return found


def subtract(first: LocalizationScores, last: LocalizationScores) -> dict[str, float]:
    """Difference of the means, with the same resamples for both."""
    members = first.samples.find_members(MIN_SAMPLES, first.exclude_from_mean)
    first_means, last_means = (
        average_known(each.samples.resample(resamples=RESAMPLES, seed=0)["box_iou"][members])
        for each in (first, last)
    )
    return describe_interval(
        first.mean["box_iou"].value - last.mean["box_iou"].value, first_means - last_means
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all models; the JSON is written after each."""
    bundles, sets = load_models(args), draw_sets(args)
    report: dict[str, Any] = {
        "benchmark": NAME,
        "data": {"generator": "passerby.synthetic, seed 0", "images": args.count},
        "partition": f"{PARTITION}/test; by identity 60 % train, 15 % val, 25 % test",
        "interval": f"95 %, bootstrap of the test identities, {RESAMPLES} resamples; not over trainings",
        "scene": {"difficulty": DIFFICULTY, "occlusion": 0.0},
        "scene_of_sizes": PLAIN._asdict(),
        "commit": find_commit(),
        "torch": torch.__version__,
        "models": {},
        "lost": [],
        "results": [],
    }
    for name, bundle in bundles.items():
        print(name, flush=True)
        found = measure(bundle, sets, args)
        report["models"][name] = describe_model(bundle)
        for key in ("results", "lost"):
            report[key] += [{"model": name, **each} for each in found.pop(key)]
        write(args.out, report := report | found)
    return report


def describe_model(bundle: Bundle) -> dict[str, Any]:
    """The network, its training data and its inputs."""
    keys = ("variant", "backbone", "dataset", "seed", "epochs", "best_epoch")
    return {
        "model": bundle.model.name,
        "input": [bundle.preprocess.height, bundle.preprocess.width],
        **{key: bundle.metadata.get(key) for key in keys},
        "inputs_in_test": list(bundle.model.guidance),
    }


# ---------------------------------------------------------------------- reporting


def print_table(report: Mapping[str, Any]) -> None:
    """Print the results."""
    print(f"{'model':<22}{'axis':<9}{'at':>7}{'samples':>9}{'uniform, %':>11}  IoU of boxes, %")
    for r in report["results"]:
        print(
            f"{r['model']:<22}{r['axis']:<9}{r['at']:>7.3g}{r['samples']:>9,}{100 * r['uniform']:>11.1f}  "
            f"{format_interval(r['box_iou'])}"
        )
    print("loss from the first to the last value, points")
    for r in report["lost"]:
        print(f"{r['model']:<22}{r['axis']:<25}  {format_interval(r['box_iou'], sign='+')}")


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """One panel per axis: a line with its interval for each model, the uniform map in grey."""
    figure, panels = load_figure(columns=len(AXES), height=4.2)
    for axes, (axis, (title, label)) in zip(panels, AXES.items(), strict=True):
        scale = 100 if axis == "size" else 1
        for name, colour, marker in zip(report["models"], cycle(COLOURS), cycle(MARKERS)):
            found = [r for r in report["results"] if (r["axis"], r["model"]) == (axis, name)]
            x = [scale * r["at"] for r in found]
            value, low, high = ([100 * r["box_iou"][key] for r in found] for key in ("value", "low", "high"))
            axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
            axes.plot(x, value, color=colour, marker=marker, markersize=5, linewidth=1.6, label=name)
        axes.plot(x, [100 * r["uniform"] for r in found], label="uniform map", **UNIFORM)
        axes.set_title(title, loc="left")
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
    panels[0].set_xscale("log")
    ticks = [100 * end for end in BINS[1:-1]]
    panels[0].set_xticks(ticks, [f"{each:g}" for each in ticks])
    panels[0].minorticks_off()
    panels[2].set_xticks([scene.others for scene in OTHERS])
    top = max(axes.get_ylim()[1] for axes in panels[1:])
    for axes in panels[1:]:
        axes.set_ylim(0, top)
    panels[0].set_ylabel("IoU of boxes on the test split (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, frameon=False)
    method = report["protocol"].split(";")[0]
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} synthetic people per set, the same in all; {method}; "
        f"{len(report['attributes'])} attributes; bands: 95 %, bootstrap of the test identities\n"
        "Left: half of the furniture, no other people; middle: no other people; right: half of the furniture",
    )


def main() -> None:
    """Measure, write, draw."""
    args = parse_arguments()
    report = read(args.out) if args.draw_only else run(args)
    print_table(report)
    draw_figure(report, args.figure)


if __name__ == "__main__":
    main()
