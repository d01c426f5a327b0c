"""Shared code of the measurements on synthetic people: data sets, training, intervals, JSON, figures."""

from __future__ import annotations

import argparse
import filecmp
import json
import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import timm
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from passerby.bundle import Bundle
from passerby.comparison.paired_scores import find_clusters
from passerby.config import Recipe, load_recipe
from passerby.data.formats import FORMATS
from passerby.data.manifest import Manifest
from passerby.evaluation import evaluate
from passerby.evaluation.commit import find_commit
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.loading import Loading
from passerby.io import write_json
from passerby.metrics.bootstrap import WeightedMetrics, draw_multiplicities
from passerby.synthetic import SynthConfig, write_dataset
from passerby.training import train

PARTITION = "own"
RESAMPLES = 1000
LEARNING_RATE, WARMUP_EPOCHS = 1e-3, 0.3  # lower than from scratch
Floats = NDArray[np.float64]


def create_parser(description: str, *, name: str, count: int, epochs: int) -> argparse.ArgumentParser:
    """Options of all scripts."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/synthetic"), help="data sets and run folders")
    parser.add_argument("--results", type=Path, default=Path(f"results/synthetic/{name}.benchmark.json"))
    parser.add_argument("--figure", type=Path, default=Path(f"docs/images/{name}.png"))
    parser.add_argument("--count", type=int, default=count, help="images per set, in all splits")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the training runs")
    parser.add_argument(
        "--start",
        type=Path,
        default=Path("demo/run/bundle"),
        help="baseline whose backbone initialises all models",
    )
    parser.add_argument("--draw-only", action="store_true", help="only draw the figure from --results")
    parser.add_argument("--quick", action="store_true", help="tiny smoke test; writes only to --out")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the options; a quick run does not change the committed files."""
    args = parser.parse_args()
    if args.quick:
        args.out /= "quick"
        args.count, args.epochs, args.seeds = 160, 1, args.seeds[:1]
        args.results, args.figure = args.out / args.results.name, args.out / args.figure.name
    return args


def draw(out: Path, name: str, count: int, config: SynthConfig, *, seed: int = 0) -> Path:
    """Draw a data set and prepare its manifest, unless both exist."""
    folder, manifest = out / "people" / f"{name}-{count}", out / "people" / f"{name}-{count}.parquet"
    wanted = json.loads(json.dumps(asdict(config)))
    about = folder / "synth.json"
    if not about.is_file() or json.loads(about.read_text(encoding="utf-8"))["config"] != wanted:
        print(f"drawing {name}", flush=True)
        write_dataset(folder, count, config, seed=seed, overwrite=True)
        manifest.unlink(missing_ok=True)
    if not manifest.is_file():
        FORMATS["table"](folder, name=f"drawn {name}").write(manifest)
    return manifest


def check_same_people(sets: Sequence[Manifest]) -> None:
    """Check that the sets differ only in the surroundings of the people."""
    for a, b in pairwise(sets):
        known = ["boxes.json", *map(str, a.paths("parsing"))]
        same = a.table.equals(b.table) and all(
            filecmp.cmp(a.root / path, b.root / path, shallow=False) for path in known
        )
        assert same, f"labels, keypoints, boxes or parsing of {a.dataset} and {b.dataset} differ"


def extract_backbone(bundle: Path, out: Path) -> Path:
    """Write the backbone of a baseline as a weights file for `model.pretrained`."""
    model = Bundle.load(bundle, device="cpu").model
    backbone = str(model.arguments["backbone"])
    network = timm.create_model(backbone, num_classes=0)
    trained = cast(torch.nn.Module, model.backbone).state_dict()
    weights = {**network.state_dict(), **{k.removeprefix("network."): v for k, v in trained.items()}}
    path = out / f"{backbone} of the demo's baseline.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return path


def train_once(
    recipe: Path, run: Path, *, manifest: Path, args: argparse.Namespace, overrides: Sequence[str]
) -> tuple[Recipe, Bundle]:
    """Train with a recipe; resume an unfinished run, reuse a finished one."""
    start = extract_backbone(args.start, args.out)
    settings = {
        "data.manifest": manifest,
        "data.cache": args.out / "cache",
        "model.pretrained": start,
        "optimizer.lr": LEARNING_RATE,
        "schedule.warmup_epochs": WARMUP_EPOCHS,
        "training.epochs": args.epochs,
        "training.workers": 1,
    }
    loaded = load_recipe(recipe, [*(f"{key}={value}" for key, value in settings.items()), *overrides])
    print(run, flush=True)
    logging.basicConfig(level=logging.INFO, format="  %(message)s")
    outcome = train(loaded, run, resume=True)
    return loaded, Bundle.load(outcome.bundle, device="auto")


def score_once(
    bundle: Bundle, recipe: Recipe, folder: Path, *, manifest: Manifest | None = None
) -> Evaluation:
    """Evaluate on the test split of the recipe's or another manifest, or load the stored evaluation."""
    if not (folder / "evaluation.json").is_file():
        evaluate(
            bundle,
            manifest or Manifest.load(recipe.data.manifest),
            partition=PARTITION,
            split="test",
            protocol=recipe.protocol,
            loading=Loading(cache=recipe.data.cache, workers=1),
        ).write(folder)
    return Evaluation.load(folder)


def resample(
    evaluation: Evaluation, names: Sequence[str], metrics: Sequence[str] = ("mA",)
) -> dict[str, Floats]:
    """Metrics over some attributes in each resample of the identities; equal draws for equal samples."""
    predictions = evaluation.predictions.select(names)
    weighted = WeightedMetrics(
        predictions.probs,
        predictions.labels,
        thresholds=[evaluation.thresholds[evaluation.schema.names.index(name)] for name in names],
        unknown=evaluation.protocol.unknown,
        metrics=metrics,
    )
    draws = draw_multiplicities(find_clusters(predictions, "identity"), resamples=RESAMPLES, seed=0)
    drawn = [weighted.compute(multiplicities) for multiplicities in draws]
    return {metric: np.concatenate([each[metric] for each in drawn]) for metric in metrics}


def describe_interval(value: float, samples: Floats) -> dict[str, float]:
    """A value with its 95 % percentile interval."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": round(value, 5), "low": round(float(low), 5), "high": round(float(high), 5)}


def format_interval(values: Mapping[str, float], sign: str = "") -> str:
    """An interval in per cent."""
    value, low, high = (format(100 * values[key], f"{sign}.1f") for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def average_intervals(found: Sequence[Mapping[str, float]]) -> tuple[float, float, float]:
    """Value, lower and upper bound in per cent, averaged over the seeds."""
    value, low, high = (100 * statistics.fmean(f[key] for f in found) for key in ("value", "low", "high"))
    return value, low, high


def mean_accuracy(evaluation: Evaluation) -> dict[str, float]:
    """The mA of each attribute on the test split."""
    values = evaluation.scores.per_attribute_mA.tolist()
    return {name: round(value, 5) for name, value in zip(evaluation.schema.names, values, strict=True)}


def describe_setting(recipe: Recipe, evaluation: Evaluation, data: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the measurement for the JSON, without paths."""
    return {
        "data": dict(data),
        "partition": f"{PARTITION}/test; by identity 60 % train, 15 % val, 25 % test",
        "protocol": evaluation.protocol_line,
        "interval": f"95 %, bootstrap of the test identities, {RESAMPLES} resamples; not over trainings",
        "backbone": evaluation.metadata.get("backbone"),
        "pretraining": evaluation.metadata.get("pretraining"),
        "commit": find_commit(),
        "torch": torch.__version__,
        "device": evaluation.device,
        "settings": recipe.model_dump(
            mode="json", include={"input", "augmentation", "optimizer", "schedule", "training"}
        ),
    }


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write the JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, values)


def read(path: Path) -> dict[str, Any]:
    """Read the JSON."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def load_figure(*, columns: int, height: float, widths: Sequence[float] | None = None) -> tuple[Figure, Any]:
    """A figure 1000 px wide with its axes in a row."""
    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "axes.edgecolor": "#888888",
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10, height), dpi=100, layout="constrained")
        axes = figure.subplots(1, columns, width_ratios=widths)
    return figure, axes


def save_figure(figure: Figure, path: Path, note: str) -> None:
    """Write a PNG with few colours and a note below the axes."""
    figure.supxlabel(note, fontsize=8, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)
    small.save(path, optimize=True)
