"""Time of each model relative to the baseline on the same backbone, in inference and in training.

- inference: the forward pass in evaluation mode, with 1 and 32 images. Target: at most the ratio of the two
  networks' multiply-accumulates, plus 5 %.
- training: forward pass, the loss of the model (DIAA's with its history past the burn-in; the baseline's is
  the binary cross-entropy), backward pass, Adam, and the statistics of the model (SSPNet's hits at each
  scale). Targets: 1.25 times the baseline's step for DIAA, 1.6 times for SSPNet.

Weights and images are random; neither affects the time. Rounds of the model and of the baseline alternate,
and each pair gives a ratio, so that other load on the machine affects both; the median and the quartiles of
the ratios are printed. The number of threads is torch's default (OMP_NUM_THREADS).

    python benchmarks/models.py --backbone resnet50 --size 224x224
    python benchmarks/models.py --models sspnet-r,sspnet-s --backbone resnet50 --batch 1 8 --train-batch 8
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Callable
from typing import Any

import torch

from passerby.inference.timing import compare_speed, create_guidance, prepare_forward
from passerby.losses import create_loss
from passerby.models import AttributeModel, create_model
from passerby.models.complexity import compute_complexity
from passerby.schema import BODY_PARTS, TASKS, Attribute, AttributeSchema
from passerby.types import Batch

BACKBONE_ONLY = {"masked": False, "multi_task": False, "hidden": (1, 1, 1)}
"""Reduces MAN to the stages of its backbone: a lower bound for any head."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "diaa": ("diaa", {}),
    "diaa, upsample": ("diaa", {"aggregation": "upsample"}),
    "diaa, max-pool": ("diaa", {"aggregation": "max-pool"}),
    "diaa, strided-conv": ("diaa", {"aggregation": "strided-conv"}),
    "man": ("man", {}),
    "man, light": ("man", {"stride": 8}),
    "man, backbone only": ("man", BACKBONE_ONLY),
    "man, light, backbone only": ("man", {"stride": 8, **BACKBONE_ONLY}),
    "da-har": ("da-har", {}),
    "da-har, narrow": ("da-har", {"fusion_channels": 64, "attention_channels": 128}),
    "mtms": ("mtms", {}),
    "mtms, s2": ("mtms", {"attention": False}),
    "mtms, s1": ("mtms", {"attention": False, "predict_from": "stage1"}),
    "mtms, multi-task": ("mtms", {"attention": False, "hierarchical": False}),
    "passerby": ("passerby", {}),
    "sspnet-r": ("sspnet", {"locations": "regions", "smoothing": False}),
    "sspnet-k": ("sspnet", {"locations": "keypoints"}),
    "sspnet-s": ("sspnet", {}),
    "sspnet-r, narrow": ("sspnet", {"locations": "regions", "smoothing": False, "pyramid_channels": 64}),
    "sspnet-k, narrow": ("sspnet", {"locations": "keypoints", "pyramid_channels": 64}),
    "sspnet-s, narrow": ("sspnet", {"pyramid_channels": 64}),
}
"""Model and arguments by the printed name. Narrow pyramids are those of the recipes for MobileNetV2, whose
stages are narrower than ResNet-50's."""

CRITERIA = {
    "baseline": "bce",
    "da-har": "da-har",
    "diaa": "diaa",
    "man": "category",
    "mtms": "mtms",
    "passerby": "bce",
    "sspnet": "hierarchical",
}
TARGET_OVER_GMACS = 1.05
TARGETS_TRAINING = {"diaa": 1.25, "sspnet": 1.6}
TRAINED = ("diaa", *(name for name in MODELS if name.startswith("sspnet")))
TRAINING_ROWS = 9_500  # training samples of PETA
Side = Callable[[], None]


def create(name: str, args: argparse.Namespace, device: str) -> AttributeModel:
    """A network with random weights."""
    model, arguments = MODELS.get(name, ("baseline", {}))
    schema = AttributeSchema(
        "bench",
        tuple(
            Attribute(f"a{i}", "is there", body_part=BODY_PARTS[i % 4], task=TASKS[i % 6])  # 6 as in PETA
            for i in range(args.attributes)
        ),
    )
    return create_model(model, schema=schema, backbone=args.backbone, **arguments).to(device)


def prepare_training(model: AttributeModel, images: torch.Tensor) -> Side:
    """A training step with the loss of the model."""
    count, attributes = len(images), len(model.schema)
    labels = torch.randint(0, 2, (count, attributes), dtype=torch.int8, device=images.device)
    rows = torch.randperm(TRAINING_ROWS)[:count].to(images.device)
    guidance = create_guidance(images)
    batch = Batch(images, labels, rows, guidance)
    criterion = create_loss(
        CRITERIA[model.name],
        positive_ratio=torch.full((attributes,), 0.3),
        rows=torch.arange(TRAINING_ROWS),
        schema=model.schema,
    ).to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    model.train()
    output = model(images, guidance)
    for _ in range(10):  # past the burn-in, until the history is full
        criterion(output, labels, batch)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = model(images, guidance)
        criterion(output, labels, batch)["total"].backward()
        model.observe(output, labels)
        optimizer.step()

    return step


def compare(baseline: Side, model: Side, seconds: float, device: str) -> dict[str, Any]:
    """Alternate short rounds of both sides."""
    speed = compare_speed(baseline, model, seconds=seconds, device=device)
    return {
        "pairs": speed.pairs,
        "baseline_s": speed.baseline_s,
        "model_s": speed.other_s,
        "ratio": speed.ratio,
        "quartiles": list(speed.quartiles),
    }


def run_inference(name: str, args: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """One model and the baseline at each batch size."""
    baseline, model = create("baseline", args, device), create(name, args, device)
    macs = [compute_complexity(model, size_px=args.size).macs for model in (baseline, model)]
    results = []
    for count in args.batch:
        images = torch.randn(count, 3, *args.size, device=device)
        sides = (prepare_forward(baseline, images), prepare_forward(model, images))
        settings = {
            "model": name,
            "task": "inference",
            "device": device,
            "batch": count,
            "size_px": args.size,
        }
        result = {**settings, **compare(*sides, args.seconds, device), "gmacs_ratio": macs[1] / macs[0]}
        results.append({**result, "target": TARGET_OVER_GMACS * macs[1] / macs[0]})
    return results


def run_training(name: str, args: argparse.Namespace, device: str) -> dict[str, Any]:
    """Training steps of one model and of the baseline."""
    images = torch.randn(args.train_batch, 3, *args.train_size, device=device)
    sides = tuple(prepare_training(create(side, args, device), images) for side in ("baseline", name))
    settings = {"model": name, "task": "training", "device": device, "batch": len(images)}
    macs = [
        compute_complexity(create(side, args, "cpu"), size_px=args.train_size).macs
        for side in ("baseline", name)
    ]
    result = compare(sides[0], sides[1], args.train_seconds, device)
    return {
        **settings,
        "size_px": args.train_size,
        **result,
        "gmacs_ratio": macs[1] / macs[0],
        "target": TARGETS_TRAINING[MODELS[name][0]],
    }


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything on every device."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    results: list[dict[str, Any]] = []
    for device in devices if args.device == "all" else [args.device]:
        for name in args.models:
            results += run_inference(name, args, device)
        results += [run_training(name, args, device) for name in args.models if name in TRAINED]
    for result in results:
        result["reached"] = result["ratio"] <= result["target"]
    return {
        "backbone": args.backbone,
        "attributes": args.attributes,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "machine": platform.machine(),
        "gpu": torch.cuda.get_device_name() if "cuda" in devices else None,
        "torch": torch.__version__,
        "results": results,
    }


def print_table(report: dict[str, Any]) -> None:
    """Print the results."""
    gpu = f", {report['gpu']}" if report["gpu"] else ""
    print(
        f"{report['backbone']}, {report['attributes']} attributes, {report['threads']} threads, "
        f"load {report['load']:.1f}, torch {report['torch']}{gpu}\n"
    )
    print(f"{'task':<30}{'model':<28}{'ms/image':>9}{'× baseline':>12} {'quartiles':<13}", end="")
    print(f"{'pairs':>6}{'× GMACs':>9}{'target':>8}")
    for r in report["results"]:
        size = "×".join(map(str, r["size_px"]))
        task = f"{r['device']}, {r['task']}, {r['batch']} of {size}"
        low, high = r["quartiles"]
        print(
            f"{task:<30}{r['model']:<28}{1000 * r['model_s'] / r['batch']:>9.2f}{r['ratio']:>12.3f} ",
            end="",
        )
        verdict = "reached" if r["reached"] else "MISSED"
        print(f"{f'{low:.3f}–{high:.3f}':<13}{r['pairs']:>6}{r['gmacs_ratio']:>9.3f}", end="")
        print(f"{r['target']:>8.3f} {verdict}")


def parse_models(text: str) -> tuple[str, ...]:
    """Names of `MODELS`; a comma followed by a space is part of a name."""
    names = tuple(re.split(",(?! )", text))
    if unknown := set(names) - set(MODELS):
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; choose from {'; '.join(MODELS)}")
    return names


def parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = text.lower().replace("×", "x").split("x")
    return int(height), int(width)


def main() -> None:
    """Print a table or JSON; a missed target is reported, the exit code is 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=parse_models, default=tuple(MODELS), help="names, separated by commas"
    )
    parser.add_argument("--backbone", default="mobilenetv2_100", help="such as resnet50")
    parser.add_argument("--attributes", type=int, default=35)
    parser.add_argument(
        "--size", type=parse_size, default=(256, 192), help="input of inference, height x width"
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32], help="batch sizes of inference")
    parser.add_argument("--train-size", type=parse_size, default=(128, 96))
    parser.add_argument("--train-batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4, help="duration for each model and batch size")
    parser.add_argument(
        "--train-seconds", type=float, default=15, help="duration for the training of each model"
    )
    parser.add_argument("--device", choices=("all", "cpu", "cuda"), default="all")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    report = run(args)
    if args.json:
        print(json.dumps(report, indent=1))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
