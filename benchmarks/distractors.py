"""What other people in the picture cost the baseline and the models: mA with 0, 1, 2 and 3 distractors.

Da-HAR (AAAI 2020) claims to look at the target and not at who surrounds it. The same people are drawn four
times, with exactly 0, 1, 2 and 3 others behind them; target, pose, labels, mask and street furniture are the
same each time (checked), and nothing stands in front. Each model is trained once, on pictures of which a
quarter has each number of others, one of the four views of a person each: a network that has never seen a
second person cannot learn to ignore one. It is scored on the four test sets of the same people.

Pictures, epochs, optimiser and weighting of the loss (sb) are the same for all. Each keeps the loss that its
method is about: MAN's category weights, MTMS's two stages with parsing, Da-HAR's loss of the mask, DIAA's
focal loss with history, SSPNet's mean over scales. All start with the backbone of the demo's baseline, which
was trained under GAP on the same attributes. That favours the baseline, so what counts is how much each loses
from 0 to 3 others; but a model near 50 % has learned little and has little to lose, so read that loss beside
the mA.

Not all are told the same. MAN is given the exact mask of the target, in training and in the test, so it need
not find out who is meant; `man-no-mask` is the same network without masks in the test, on which it was not
trained. SSPNet-K is given the target's exact keypoints in both. Da-HAR and MTMS are told masks and parsing
maps in training alone; `da-har-unsupervised` is Da-HAR without, a training of its own that says what its
masks are worth. For these three the JSON has the IoU of their masks or parsing maps as well.

    make demo                                       # leaves demo/run/bundle
    python benchmarks/distractors.py                # draws, trains, writes the JSON and the figure
    python benchmarks/distractors.py --draw-only    # the figure from the committed JSON

A training that is finished is not repeated; one that was interrupted goes on. The bundles stay in the run
folders below `--out`; `localization_axes.py` asks them where they look.
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
    """A model as it is trained and tested, and how it is drawn."""

    folder: str
    """Of its recipe `demo.yaml`."""
    title: str
    colour: str
    marker: str
    masks: bool = True
    """Whether the test has masks, for those that look at them."""
    change: str = ""
    """What differs from the recipe, for a training of its own."""


BASELINE = "baseline"
ROWS = {
    BASELINE: Row("baseline", "baseline", "#555555", "s"),
    "man": Row("man", "MAN, told the mask", "#0072b2", "^"),
    "man-no-mask": Row("man", "MAN, no mask", "#0072b2", "v", masks=False),
    "mtms": Row("mtms", "MTMS", "#e69f00", "P"),
    "da-har": Row("da-har", "Da-HAR", "#d55e00", "o"),
    "da-har-unsupervised": Row(
        "da-har", "Da-HAR, no mask told", "#d55e00", "d", change="model.arguments.mask_supervision=false"
    ),
    "diaa": Row("diaa", "DIAA", "#cc79a7", "X"),
    "sspnet": Row("sspnet", "SSPNet-S", "#009e73", "D"),
    "sspnet-r": Row("sspnet", "SSPNet-R", "#009e73", "<", change="model.arguments.locations=regions"),
    "sspnet-k": Row(
        "sspnet", "SSPNet-K, told keypoints", "#009e73", ">", change="model.arguments.locations=keypoints"
    ),
}
OTHERS = (0, 1, 2, 3)
SCENE = {"difficulty": 0.1, "occlusion": 0.0, "clutter": 0.5}
MTMS_FIRST_EPOCHS = 2
COUNT, EPOCHS = 6000, 12


@dataclass(frozen=True)
class Score:
    """The metrics of a test, or a difference between two, with those of each resample of the people."""

    values: Mapping[str, float]
    samples: Mapping[str, Floats]

    @classmethod
    def compute(cls, test: Evaluation) -> Score:
        """Of all attributes."""
        return cls(test.summary(), resample(test, ATTRIBUTES, METRICS))

    def __sub__(self, other: Score) -> Score:
        return Score(
            {name: self.values[name] - other.values[name] for name in METRICS},
            {name: self.samples[name] - other.samples[name] for name in METRICS},
        )

    def describe(self) -> dict[str, dict[str, float]]:
        """With intervals."""
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
    """The same rows, the picture of each from another set in turn."""
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
    """One training, scored with each number of others."""
    row = ROWS[name]
    mixed = args.out / "people" / f"distractors-mixed-{args.count}.parquet"
    trained, variant = (name, f"distractors-{name}") if row.change else (row.folder, "distractors")
    run = args.out / "distractors" / f"{trained}-{args.count}-{args.epochs}-seed{seed}"
    changes = [f"seed={seed}", f"variant={variant}", "loss.arguments.weighting=sb"]
    changes += [row.change] if row.change else []
    if row.folder == "mtms":
        changes.append(f"loss.arguments.first_epochs={min(MTMS_FIRST_EPOCHS, args.epochs - 1)}")
    recipe, bundle = train_once(
        Path("recipes") / row.folder / "demo.yaml", run, manifest=mixed, args=args, changes=changes
    )
    tests = []
    for others, people in zip(OTHERS, sets, strict=True):
        data = people.select_split(PARTITION, "test")
        if not row.masks:
            data = data.with_guidance(masks=[None] * len(data))
        folder = run / f"test-{others}{'' if row.masks else '-no-mask'}"
        tests.append(score_once(bundle, recipe, folder, manifest=data))
    return recipe, bundle, tests


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All models of a seed, then the next seed; the JSON is written after each training."""
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
            models[name] = describe_system(recipe, bundle, masks=ROWS[name].masks)
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
            data = {"generator": "passerby.synthetic, seed 0", "pictures": args.count}
            report = {
                "benchmark": "distractors",
                **describe_setting(recipe, tests[0], data),
                "scene": SCENE,
                "training_others": f"{', '.join(map(str, OTHERS))}, a quarter of the pictures each",
                "models": models,
                "seeds": sorted({r["seed"] for r in results}),
                "lost": sorted(losses, key=sort_key),
                "results": sorted(results, key=sort_key),
            }
            write(args.results, report)
    return report


def describe_system(recipe: Recipe, bundle: Bundle, *, masks: bool) -> dict[str, Any]:
    """What sets a model apart: its network, its loss, and what it is told beside picture and labels."""
    model = bundle.model
    return {
        "arguments": recipe.model.arguments,
        "loss": recipe.loss.model_dump(mode="json"),
        "told_in_training": sorted({*model.guidance, *model.supervision}),
        "told_in_test": list(model.guidance) if masks else [],
    }


def compare(name: str, score: Score, baseline: Score) -> dict[str, Any]:
    """The difference to the baseline, on the same people."""
    return {} if name == BASELINE else {"over_baseline": (score - baseline).describe()}


def sort_key(result: Mapping[str, Any]) -> tuple[int, int, int]:
    """Order of the tables."""
    return list(ROWS).index(result["model"]), result["seed"], result.get("others", 0)


def print_table(report: Mapping[str, Any]) -> None:
    """The result for a person."""
    print(f"{'model':<20}{'seed':>4} {'others':>6}  {'mA, %':<22}{'over baseline, points':<23}F1, %  mAP, %")
    for r in report["results"]:
        over = format_interval(r["over_baseline"]["mA"], sign="+") if "over_baseline" in r else ""
        print(
            f"{r['model']:<20}{r['seed']:>4} {r['others']:>6}  {format_interval(r['mA']):<22}{over:<23}"
            f"{100 * r['f1']['value']:>5.1f}  {100 * r['mAP']['value']:>6.1f}"
        )
    print("mA lost from the first to the last, and what is lost more than by the baseline, points")
    for r in report["lost"]:
        over = format_interval(r["over_baseline"]["mA"], sign="+") if "over_baseline" in r else ""
        print(f"{r['model']:<20}{r['seed']:>4} {'':>6}  {format_interval(r['mA']):<22}{over}")


def draw_figure(report: Mapping[str, Any], path: Path) -> None:
    """MA of each model as the others grow more, and what it loses from the first to the last."""
    figure, (left, right) = load_figure(columns=2, height=4.4, widths=(1.5, 1))
    names = [name for name in ROWS if any(r["model"] == name for r in report["results"])]
    ends = {}
    for place, name in enumerate(names):
        row = ROWS[name]
        style: dict[str, Any] = {"color": row.colour, "marker": row.marker, "markersize": 7}
        if not row.masks or row.change:
            style |= {"linestyle": "--", "markerfacecolor": "white"}
        found = [r for r in report["results"] if r["model"] == name]
        mean = [average_intervals([r["mA"] for r in found if r["others"] == n])[0] for n in OTHERS]
        left.plot(OTHERS, mean, linewidth=1.8, **style)
        ends[name] = mean[-1]
        value, low, high = average_intervals([r["mA"] for r in report["lost"] if r["model"] == name])
        right.errorbar(value, place, xerr=[[value - low], [high - value]], capsize=3, **style)
    least = 0.055 * (left.get_ylim()[1] - left.get_ylim()[0])
    for name, height in spread(ends, least).items():
        left.plot([3.1, 3.35], [ends[name], height], color=ROWS[name].colour, linewidth=0.8)
        left.annotate(
            ROWS[name].title, (3.4, height), color=ROWS[name].colour, va="center", annotation_clip=False
        )
    left.set_xticks(OTHERS)
    left.set_xlim(-0.15, 5.2)
    left.spines["bottom"].set_bounds(-0.15, 3.1)
    left.set_xlabel("other people in the picture")
    left.set_ylabel("mA on the test split (%)")
    left.set_title("Same people, more others", loc="left")
    right.set_yticks(range(len(names)), [ROWS[name].title for name in names])
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_xlim(left=min(0.0, right.get_xlim()[0]))
    right.set_xlabel("mA lost from 0 to 3 others (points)")
    right.set_title("What three others cost", loc="left")
    epochs, seeds = report["settings"]["training"]["epochs"], len(report["seeds"])
    save_figure(
        figure,
        path,
        f"{report['data']['pictures']:,} drawn people, {report['backbone']}, {epochs} epochs on 0 to 3 "
        f"others, {seeds} training(s) a model; bars: 95 %, bootstrap of the test identities\n"
        "In the test MAN is given the person's exact mask (no mask: the same network without), SSPNet-K the "
        "exact\nkeypoints; in training Da-HAR and MTMS learn from exact masks and parsing maps "
        "(no mask told: labels alone)",
    )


def spread(heights: Mapping[str, float], least: float) -> dict[str, float]:
    """Heights of labels, moved as little as may be so that they do not overlap."""
    names = sorted(heights, key=lambda each: heights[each])
    steps = least * np.arange(len(names))
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
