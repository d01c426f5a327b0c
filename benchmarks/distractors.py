"""Effect of other people in the image on all models: mA with 0, 1, 2 and 3 distractors.

Da-HAR (AAAI 2020) claims to attend to the target person and not to the surrounding people. The same people
are drawn four times, with exactly 0, 1, 2 and 3 others behind them; person, pose, labels, mask and street
furniture are equal in all sets (checked), and nothing occludes the person. Each model is trained once, on
one of the four views of each person, a quarter of the images with each number of others: a network trained
without other people cannot learn to ignore them. It is evaluated on the four test sets of the same people.

Images, epochs, optimiser and weighting of the loss (sb) are the same for all models. Each keeps the loss of
its method: MAN's category weights, MTMS's two stages with parsing, Da-HAR's loss of the mask, DIAA's focal
loss with history, SSPNet's mean over scales. All start with the backbone of the demo's baseline, which was
trained with GAP on the same attributes. That favours the baseline, so compare the losses of mA from 0 to 3
others. A model near 50 % has learned little and has little to lose, so read its loss together with its mA.

The models have different inputs. MAN takes the exact mask of the target as input, in training and in the
test, which identifies the target; `man-no-mask` is the same network without masks in the test, for which it
was not trained. SSPNet-K takes the target's exact keypoints in both. Da-HAR and MTMS use masks and parsing
maps in training only; `da-har-unsupervised` is a separate training of Da-HAR without masks, which shows
their effect. For these three, the JSON also has the IoU of the predicted masks or parsing maps.

    make demo                                       # writes demo/run/bundle
    python benchmarks/distractors.py                # draws, trains, writes the JSON and the figure
    python benchmarks/distractors.py --draw-only    # the figure from the committed JSON

A finished training is not repeated, and an interrupted one is resumed. The bundles stay in the run folders
below `--out`; `localization_axes.py` scores their heat maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.optimize import isotonic_regression

from _synthetic import (
    PARTITION,
    Floats,
    average_intervals,
    check_same_people,
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
from passerby.comparison.paired_scores import DEFAULT_METRICS as METRICS
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.evaluation.evaluation import Evaluation
from passerby.synthetic import ATTRIBUTES, SynthConfig


class Row(NamedTuple):
    """A model: its training, its test, and its style in the figure."""

    folder: str
    """Folder of its recipe `demo.yaml`."""
    title: str
    colour: str
    marker: str
    masks: bool = True
    """Whether the test has masks, for models that take them as input."""
    override: str = ""
    """Override of the recipe, for a separate training."""


BASELINE = "baseline"
ROWS = {
    BASELINE: Row("baseline", "baseline", "#555555", "s"),
    "man": Row("man", "MAN, given the mask", "#0072b2", "^"),
    "man-no-mask": Row("man", "MAN, no mask", "#0072b2", "v", masks=False),
    "mtms": Row("mtms", "MTMS", "#e69f00", "P"),
    "da-har": Row("da-har", "Da-HAR", "#d55e00", "o"),
    "da-har-unsupervised": Row(
        "da-har", "Da-HAR, unsupervised", "#d55e00", "d", override="model.arguments.mask_supervision=false"
    ),
    "diaa": Row("diaa", "DIAA", "#cc79a7", "X"),
    "sspnet": Row("sspnet", "SSPNet-S", "#009e73", "D"),
    "sspnet-r": Row("sspnet", "SSPNet-R", "#009e73", "<", override="model.arguments.locations=regions"),
    "sspnet-k": Row(
        "sspnet", "SSPNet-K, given keypoints", "#009e73", ">", override="model.arguments.locations=keypoints"
    ),
}
OTHERS = (0, 1, 2, 3)
SCENE = {"difficulty": 0.1, "occlusion": 0.0, "clutter": 0.5}
MTMS_FIRST_EPOCHS = 2
COUNT, EPOCHS = 6000, 12


@dataclass(frozen=True)
class Score:
    """Metrics of a test, or their differences, with those of each resample of the identities."""

    values: Mapping[str, float]
    samples: Mapping[str, Floats]

    @classmethod
    def compute(cls, test: Evaluation) -> Score:
        """Metrics of all attributes."""
        return cls(test.summary(), resample(test, ATTRIBUTES, METRICS))

    def __sub__(self, other: Score) -> Score:
        return Score(
            {name: self.values[name] - other.values[name] for name in METRICS},
            {name: self.samples[name] - other.samples[name] for name in METRICS},
        )

    def describe(self) -> dict[str, dict[str, float]]:
        """Values with intervals."""
        return {name: describe_interval(self.values[name], self.samples[name]) for name in METRICS}


def draw_sets(args: argparse.Namespace) -> tuple[Manifest, ...]:
    """The same people with each number of others."""
    sets = []
    for others in OTHERS:
        config = SynthConfig(height=128, width=96, distractors=others, **SCENE)
        sets.append(Manifest.load(draw(args.out, f"distractors-{others}", args.count, config)))
    check_same_people(sets)
    return tuple(sets)


def mix(sets: Sequence[Manifest]) -> Manifest:
    """The same rows, with images from the sets in turn."""
    first = sets[0]
    table = first.table
    for name in ("image", "mask", "parsing"):
        paths = enumerate(table.column(name).to_pylist())
        moved = [f"{sets[row % len(sets)].root.name}/{path}" for row, path in paths]
        table = table.set_column(table.column_names.index(name), name, pa.array(moved, pa.string()))
    return replace(first, dataset="drawn distractors, mixed", table=table, root=first.root.parent)


def measure(
    args: argparse.Namespace, name: str, seed: int, sets: Sequence[Manifest]
) -> tuple[Recipe, Bundle, list[Evaluation]]:
    """One training, evaluated with each number of others."""
    row = ROWS[name]
    mixed = args.out / "people" / f"distractors-mixed-{args.count}.parquet"
    trained, variant = (name, f"distractors-{name}") if row.override else (row.folder, "distractors")
    run = args.out / "distractors" / f"{trained}-{args.count}-{args.epochs}-seed{seed}"
    overrides = [f"seed={seed}", f"variant={variant}", "loss.arguments.weighting=sb"]
    overrides += [row.override] if row.override else []
    if row.folder == "mtms":
        overrides.append(f"loss.arguments.first_epochs={min(MTMS_FIRST_EPOCHS, args.epochs - 1)}")
    recipe, bundle = train_once(
        Path("recipes") / row.folder / "demo.yaml", run, manifest=mixed, args=args, overrides=overrides
    )
    tests = []
    for others, manifest in zip(OTHERS, sets, strict=True):
        data = manifest.select_split(PARTITION, "test")
        if not row.masks:
            data = data.with_guidance(masks=[None] * len(data))
        folder = run / f"test-{others}{'' if row.masks else '-no-mask'}"
        tests.append(score_once(bundle, recipe, folder, manifest=data))
    return recipe, bundle, tests


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate all models by seed; the JSON is written after each training."""
    sets = draw_sets(args)
    mix(sets).write(args.out / "people" / f"distractors-mixed-{args.count}.parquet")
    models: dict[str, Any] = {}
    results: list[dict[str, Any]] = []
    losses: list[dict[str, Any]] = []
    report: dict[str, Any] = {}
    for seed in args.seeds:
        baseline: list[Score] = []
        for name in dict.fromkeys((BASELINE, *args.models)):
            recipe, bundle, tests = measure(args, name, seed, sets)
            scores = [Score.compute(each) for each in tests]
            baseline = baseline or scores
            models[name] = describe_model(recipe, bundle, masks=ROWS[name].masks)
            key = {"model": name, "seed": seed}
            for others, each, score, base in zip(OTHERS, tests, scores, baseline, strict=True):
                found = {
                    **key,
                    "others": others,
                    "best_epoch": bundle.metadata["best_epoch"],
                    "n_test_identities": len(set(each.identities)),
                    **score.describe(),
                    "parsing_iou": {stage: scores.score for stage, scores in each.parsing.items()},
                    "attributes": mean_accuracy(each),
                }
                results.append(found | compare(name, score, base))
            lost = scores[0] - scores[-1]
            losses.append({**key, **lost.describe(), **compare(name, lost, baseline[0] - baseline[-1])})
            data = {"generator": "passerby.synthetic, seed 0", "images": args.count}
            report = {
                "benchmark": "distractors",
                **describe_setting(recipe, tests[0], data),
                "scene": SCENE,
                "training_others": f"{', '.join(map(str, OTHERS))}, a quarter of the images each",
                "models": models,
                "seeds": sorted({r["seed"] for r in results}),
                "lost": sorted(losses, key=sort_key),
                "results": sorted(results, key=sort_key),
            }
            write(args.results, report)
    return report


def describe_model(recipe: Recipe, bundle: Bundle, *, masks: bool) -> dict[str, Any]:
    """Arguments, loss and inputs of a model, in addition to images and labels."""
    model = bundle.model
    return {
        "arguments": recipe.model.arguments,
        "loss": recipe.loss.model_dump(mode="json"),
        "inputs_in_training": sorted({*model.guidance, *model.supervision}),
        "inputs_in_test": list(model.guidance) if masks else [],
    }


def compare(name: str, score: Score, baseline: Score) -> dict[str, Any]:
    """The difference to the baseline, on the same samples."""
    return {} if name == BASELINE else {"over_baseline": (score - baseline).describe()}


def sort_key(result: Mapping[str, Any]) -> tuple[int, int, int]:
    """Order of the tables."""
    return list(ROWS).index(result["model"]), result["seed"], result.get("others", 0)


def print_table(report: Mapping[str, Any]) -> None:
    """Print the results."""
    print(f"{'model':<20}{'seed':>4} {'others':>6}  {'mA, %':<22}{'over baseline, points':<23}F1, %  mAP, %")
    for r in report["results"]:
        over = format_interval(r["over_baseline"]["mA"], sign="+") if "over_baseline" in r else ""
        print(
            f"{r['model']:<20}{r['seed']:>4} {r['others']:>6}  {format_interval(r['mA']):<22}{over:<23}"
            f"{100 * r['f1']['value']:>5.1f}  {100 * r['mAP']['value']:>6.1f}"
        )
    print("loss of mA from 0 to 3 others, and its difference to the baseline, points")
    for r in report["lost"]:
        over = format_interval(r["over_baseline"]["mA"], sign="+") if "over_baseline" in r else ""
        print(f"{r['model']:<20}{r['seed']:>4} {'':>6}  {format_interval(r['mA']):<22}{over}")


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """Draw the mA of each model by number of others, and its loss from 0 to 3."""
    figure, (left, right) = load_figure(columns=2, height=4.4, widths=(1.5, 1))
    names = [name for name in ROWS if any(r["model"] == name for r in report["results"])]
    ends = {}
    for row_number, name in enumerate(names):
        row = ROWS[name]
        style: dict[str, Any] = {"color": row.colour, "marker": row.marker, "markersize": 7}
        if not row.masks or row.override:
            style |= {"linestyle": "--", "markerfacecolor": "white"}
        found = [r for r in report["results"] if r["model"] == name]
        mean = [average_intervals([r["mA"] for r in found if r["others"] == n])[0] for n in OTHERS]
        left.plot(OTHERS, mean, linewidth=1.8, **style)
        ends[name] = mean[-1]
        value, low, high = average_intervals([r["mA"] for r in report["lost"] if r["model"] == name])
        right.errorbar(value, row_number, xerr=[[value - low], [high - value]], capsize=3, **style)
    min_distance = 0.055 * (left.get_ylim()[1] - left.get_ylim()[0])
    for name, height in spread(ends, min_distance).items():
        left.plot([3.1, 3.35], [ends[name], height], color=ROWS[name].colour, linewidth=0.8)
        left.annotate(
            ROWS[name].title, (3.4, height), color=ROWS[name].colour, va="center", annotation_clip=False
        )
    left.set_xticks(OTHERS)
    left.set_xlim(-0.15, 5.2)
    left.spines["bottom"].set_bounds(-0.15, 3.1)
    left.set_xlabel("other people in the image")
    left.set_ylabel("mA on the test split (%)")
    left.set_title("Same people, more others", loc="left")
    right.set_yticks(range(len(names)), [ROWS[name].title for name in names])
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_xlim(left=min(0.0, right.get_xlim()[0]))
    right.set_xlabel("mA lost from 0 to 3 others (points)")
    right.set_title("Loss with three others", loc="left")
    epochs, seeds = report["settings"]["training"]["epochs"], len(report["seeds"])
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} synthetic people, {report['backbone']}, {epochs} epochs on 0 to 3 "
        f"others, {seeds} training(s) per model; bars: 95 %, bootstrap of the test identities\n"
        "In the test, MAN takes the person's exact mask as input (no mask: the same network without), "
        "SSPNet-K the exact\nkeypoints; Da-HAR and MTMS train with exact masks and parsing maps "
        "(unsupervised: labels only)",
    )


def spread(heights: Mapping[str, float], min_distance: float) -> dict[str, float]:
    """Heights of labels, moved as little as possible so that they do not overlap."""
    names = sorted(heights, key=lambda each: heights[each])
    steps = min_distance * np.arange(len(names))
    placed = isotonic_regression(np.array([heights[name] for name in names]) - steps).x + steps
    return dict(zip(names, placed.tolist(), strict=True))


def main() -> None:
    """Measure, write, draw."""
    parser = create_parser(__doc__, name="distractors", count=COUNT, epochs=EPOCHS)
    parser.add_argument("--models", nargs="+", choices=list(ROWS), default=list(ROWS))
    args = parse(parser)
    report = read(args.results) if args.draw_only else run(args)
    print_table(report)
    draw_figure(report, args.figure)


if __name__ == "__main__":
    main()
