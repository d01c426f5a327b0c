"""A small data set of drawn people, its evaluation and a run folder, for tests of evaluations and reports."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from passerby.data.manifest import Manifest
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS
from passerby.schema import Attribute, AttributeSchema

NAMES = {
    "Hat": ("wears a hat", "head"),
    "RedShirt": ("wears a red top", "torso"),
    "Skirt": ("wears a skirt", "bottom"),
    "Bag": ("carries a bag", "all"),
    "Umbrella <open>": ("holds an open umbrella & walks", "all"),
}
SCHEMA = AttributeSchema("drawn", tuple(Attribute(n, d, body_part=p) for n, (d, p) in NAMES.items()))


def draw_figure(labels: np.ndarray, shade: int) -> Image.Image:
    """A person of a few shapes according to its labels."""
    image = Image.new("RGB", (48, 96), (200 - shade, 210, 180 + shade))
    draw = ImageDraw.Draw(image)
    draw.rectangle((16, 54, 31, 92), fill=(50, 50, 90))
    if labels[2] == 1:
        draw.polygon(((18, 50), (30, 50), (38, 76), (10, 76)), fill=(120, 60, 140))
    draw.rectangle((13, 26, 34, 56), fill=(190, 40, 40) if labels[1] == 1 else (60, 120, 90))
    draw.ellipse((16, 8, 31, 26), fill=(224, 180, 150))
    if labels[0] == 1:
        draw.rectangle((13, 5, 34, 11), fill=(30, 30, 30))
    if labels[3] == 1:
        draw.rectangle((34, 42, 44, 58), fill=(120, 80, 30))
    if labels[4] == 1:
        draw.pieslice((2, 0, 46, 26), 180, 360, fill=(30, 90, 190))
    return image


def create_manifest(root: Path) -> Manifest:
    """Sixty images, 20 per split; 5 % of the labels are unknown; no umbrella in the test split."""
    rng = np.random.default_rng(0)
    labels = (rng.random((60, len(SCHEMA))) < (0.4, 0.5, 0.3, 0.5, 0.3)).astype(np.int8)
    labels[40:, 4] = 0
    labels[rng.random(labels.shape) < 0.05] = -1
    images = [f"images/{i:03d}.png" for i in range(60)]
    (root / "images").mkdir()
    for i, image in enumerate(images):
        draw_figure(labels[i], i).save(root / image)
    return Manifest.create(
        "drawn",
        SCHEMA,
        root=root,
        images=images,
        labels=labels,
        partitions={"official": ["train"] * 20 + ["val"] * 20 + ["test"] * 20},
        boxes=[(0.0, 0.0, 48.0, 90.0) if i % 2 else None for i in range(60)],
        identities=[f"p{i // 2}" for i in range(60)],
    )


METADATA = {
    "model": "baseline",
    "variant": "sb",
    "backbone": "mobilenetv2_100",
    "pretraining": "imagenet",
    "dataset": "drawn",
    "partition": "official",
    "selection": "best mA on val",
    "ema": None,
    "seed": 3,
    "epochs": 12,
    "best_epoch": 9,
    "seconds": 61.5,
    "environment": {"device": "cpu", "commit": "abcdef012345", "torch": "2.15.0"},
}


def create_evaluation(
    manifest: Manifest, *, split: str = "test", protocol: str = "default", seed: int = 0
) -> Evaluation:
    """Predictions that are mostly correct, with noise."""
    rows = manifest.split_rows("official", split)
    chosen = manifest.take(rows)
    rng = np.random.default_rng(seed)
    logits = np.where(chosen.labels == 1, 1.2, -1.2) + rng.normal(0, 1.4, chosen.labels.shape)
    probs = (1 / (1 + np.exp(-logits))).astype(np.float32)
    rules = load_protocol(protocol)
    thresholds = rules.choose_thresholds((0.5,) * len(manifest.schema))
    return Evaluation(
        dataset="drawn",
        partition="official",
        split=split,
        protocol=rules,
        thresholds=thresholds,
        schema=manifest.schema,
        images=chosen.images,
        identities=chosen.identities,
        boxes=chosen.boxes(),
        rows=rows,
        probs=probs,
        labels=chosen.labels,
        root=manifest.root,
        input_size=(96, 48),
        device="cpu",
        seconds=0.5,
        metadata=METADATA,
    )


def write_run(folder: Path, *, seed: int = 0, epochs: int = 12) -> Path:
    """A run folder as training writes it."""
    rng = np.random.default_rng(seed)
    (folder / "logs").mkdir(parents=True)
    columns = "epoch step train_loss lr val_loss val_mA val_accuracy val_precision val_recall val_f1"
    columns += " val_mAP seconds"
    with (folder / "logs" / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split())
        for e in range(epochs):
            loss = 0.6 * 0.8**e + 0.1
            gain = 1 - 0.8 ** (e + 1) + rng.normal(0, 0.01)
            scores = [0.5 + 0.35 * gain, 0.6 * gain, 0.7 * gain, 0.7 * gain, 0.75 * gain, 0.7 * gain]
            rate = 1e-4 if e < 8 else 1e-5
            writer.writerow([e, 30 * (e + 1), loss, rate, loss + 0.05, *(max(0.0, s) for s in scores), 4.2])
    (folder / "recipe.yaml").write_text("variant: sb\nseed: 3\nnote: <b>not bold</b>\n")
    (folder / "environment.json").write_text(json.dumps({"torch": "2.15.0", "device": "cpu"}))
    outcome = {"best_epoch": 9, "val_scores": {"mA": 0.8}, "seconds": 50.4}
    (folder / "outcome.json").write_text(json.dumps(outcome))
    return folder


def make_result(**changes: Any) -> Result:
    """A score file; `changes` are fields of `Result`."""
    values: dict[str, Any] = {
        "model": "baseline",
        "variant": "sb",
        "backbone": "mobilenetv2_100",
        "pretraining": "imagenet",
        "dataset": "peta",
        "partition": "official-1",
        "split": "test",
        "input_size": (256, 192),
        "protocol": {"name": "default", "best_epoch": 7},
        "seed": 0,
        "epochs": 30,
        "device": "cpu",
        "commit": "abc",
        "metrics": {**dict.fromkeys(METRICS, 0.8), "per_attribute": {"Hat": {"mA": 0.7, "AP": None}}},
        "seconds": 12.5,
    }
    return Result(**{**values, **changes})
