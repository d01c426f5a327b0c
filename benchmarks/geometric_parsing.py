"""Agreement of geometric parsing with CCP's pixel labels: nearest limbs compared with horizontal bands.

Both use the true mask: all labelled pixels except carried objects. Pixels whose label has no unique body part
(mostly skin, see `passerby.data.formats.ccp`) belong to the mask and are not scored; so head means hair, hats
and glasses, and bare arms and legs do not count.

- limbs: `GeometricParser` with the data set's keypoints, which come from a detector.
- bands: head, upper, lower, feet from the top of the mask to its bottom, cut at three fixed fractions of its
  height, chosen by the best mean IoU on the training split.

    PASSERBY_DATA=... python benchmarks/geometric_parsing.py           # measures on the test split
    PASSERBY_DATA=... python benchmarks/geometric_parsing.py --tune    # tunes the body shape on train

Photos with a garment that counts as upper down to its hem (dress, coat etc.) are hard for both, as no
keypoint marks its end; the other photos are also scored separately.

IoU and accuracy are computed over the pixels of all photos; intervals are over photos.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.base import Sample
from passerby.annotators.geometric import (
    BodyShape,
    GeometricParser,
    complete_pose,
    find_nearest_part,
    list_limbs,
)
from passerby.data.formats import ccp
from passerby.evaluation.commit import find_commit
from passerby.io import write_json
from passerby.metrics.bootstrap import draw_multiplicities
from passerby.parsing import COARSE_CLASSES, UNKNOWN_CLASS, convert_parsing

PARTITION = "random-0"
PARTS = COARSE_CLASSES[1:5]
LEVELS = 100
RESAMPLES = 1000
LONG = ("bodysuit", "cape", "coat", "dress", "romper")
TUNE_STRIDE = 6
STEPS = (0.08, 0.04, 0.02)
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Photo:
    """True classes of a photo, the mask derived from them, and keypoints of a detector."""

    truth: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    long: bool
    """Whether it shows one of the garments in `LONG`."""

    @property
    def mask(self) -> NDArray[np.uint8]:
        """All labelled pixels except carried objects."""
        return (~np.isin(self.truth, (0, COARSE_CLASSES.index("carried")))).astype(np.uint8)


def load_photos(root: Path) -> dict[str, list[Photo]]:
    """Photos of the train and test splits, without the one whose pixels are all labelled `null`."""
    logging.getLogger("passerby").setLevel(logging.ERROR)  # the JSON has the number of photos
    manifest = ccp.read(root, allow_missing=True)
    keypoints, paths = manifest.keypoints(), manifest.paths("parsing")
    if keypoints is None:
        raise SystemExit(f"{root} has no keypoints_coco17.json")
    long = manifest.labels[:, [ccp.SCHEMA.names.index(name) for name in LONG]].any(axis=1)
    found: dict[str, list[Photo]] = {}
    for split in ("train", "test"):
        rows = manifest.split_rows(PARTITION, split)
        truths = [convert_parsing(ccp.load_pixels(root / str(paths[row])), ccp.TO_COARSE) for row in rows]
        photos = [Photo(t, keypoints[row], bool(long[row])) for t, row in zip(truths, rows, strict=True)]
        found[split] = [photo for photo in photos if photo.mask.any()]
    return found


# ---------------------------------------------------------------------- both methods


def parse_by_limbs(photos: Sequence[Photo]) -> list[NDArray[np.uint8]]:
    """One map per photo; empty where the parser fails."""
    parser, maps = GeometricParser(), []
    for photo in photos:
        blank = Image.new("RGB", photo.truth.shape[::-1])
        (parsing,) = parser.annotate([Sample(blank, mask=photo.mask, keypoints=photo.keypoints)])
        maps.append(np.zeros_like(photo.truth) if parsing is None else parsing)
    return maps


def parse_by_bands(photos: Sequence[Photo], cuts: Sequence[float]) -> list[NDArray[np.uint8]]:
    """One map per photo, cut at fractions of the mask's height."""
    return [
        photo.mask * (1 + np.digitize(measure_height(photo), cuts)).astype(np.uint8)[:, None]
        for photo in photos
    ]


def measure_height(photo: Photo) -> Floats:
    """Height of the middle of each row, (H,): 0 is the top of the mask and 1 its bottom."""
    rows = np.flatnonzero(photo.mask.any(axis=1))
    return (np.arange(len(photo.truth)) - rows[0] + 0.5) / (rows[-1] + 1 - rows[0])


def fit_bands(photos: Sequence[Photo]) -> list[float]:
    """The three cuts, in steps of 0.01, with the best mean IoU."""
    counts = np.zeros((len(PARTS), LEVELS), np.int64)
    for photo in photos:
        inside = photo.mask.any(axis=1)
        levels = np.floor(measure_height(photo)[inside] * LEVELS).astype(np.int64)
        for k in range(len(PARTS)):
            pixels = (photo.truth[inside] == k + 1).sum(axis=1)
            counts[k] += np.bincount(levels, pixels, minlength=LEVELS).astype(np.int64)
    below = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))  # pixels of each class above each cut
    cut = np.array([(a, b, c) for a in range(LEVELS) for b in range(a, LEVELS) for c in range(b, LEVELS)])
    ends = np.pad(cut, ((0, 0), (1, 1)), constant_values=((0, 0), (0, LEVELS)))
    bands = np.stack([below[:, ends[:, k + 1]] - below[:, ends[:, k]] for k in range(len(PARTS))])
    hits = np.stack([bands[k, k] for k in range(len(PARTS))])
    unions = bands.sum(axis=1) + counts.sum(axis=1)[:, None] - hits
    best = cut[(hits / unions).mean(axis=0).argmax()]
    return [int(b) / LEVELS for b in best]


# ---------------------------------------------------------------------- agreement


def count_pairs(truth: NDArray[np.uint8], found: NDArray[np.uint8]) -> Counts:
    """Pixels by true and predicted part (0 for none), (4, 5); pixels of unknown part are excluded."""
    scored = (truth > 0) & (truth <= len(PARTS))
    pairs = (truth[scored].astype(np.int64) - 1) * 5 + found[scored]
    return np.bincount(pairs, minlength=20).reshape(4, 5)


def compute_scores(pairs: Floats) -> dict[str, Floats]:
    """IoU of each part, their mean and the accuracy, from (..., 4, 5) counts."""
    hits = np.diagonal(pairs[..., 1:], axis1=-2, axis2=-1)
    unions = pairs.sum(axis=-1) + pairs[..., 1:].sum(axis=-2) - hits
    iou = hits / unions
    scores = {part: iou[..., k] for k, part in enumerate(PARTS)}
    return {**scores, "mean": iou.mean(axis=-1), "accuracy": hits.sum(axis=-1) / pairs.sum(axis=(-2, -1))}


def measure(photos: Sequence[Photo], cuts: Sequence[float]) -> dict[str, Any]:
    """All results for a set of photos."""
    methods = {"limbs": parse_by_limbs(photos), "bands": parse_by_bands(photos, cuts)}
    pairs, samples, results = {}, {}, {}
    for name, maps in methods.items():
        pairs[name] = np.stack([count_pairs(p.truth, m) for p, m in zip(photos, maps, strict=True)])
        draws = np.concatenate(
            list(draw_multiplicities(np.arange(len(photos)), resamples=RESAMPLES, seed=0)), 1
        )
        samples[name] = compute_scores(np.einsum("nb,nij->bij", draws, pairs[name]))
        overall = compute_scores(pairs[name].sum(axis=0).astype(np.float64))
        results[name] = {k: describe_interval(float(v), samples[name][k]) for k, v in overall.items()}
    results["limbs_over_bands"] = {
        k: describe_interval(
            results["limbs"][k]["value"] - results["bands"][k]["value"],
            samples["limbs"][k] - samples["bands"][k],
        )
        for k in samples["limbs"]
    }
    total = pairs["limbs"].sum(axis=0)
    found_as = {
        part: dict(zip(("nothing", *PARTS), np.round(row / row.sum(), 4).tolist(), strict=True))
        for part, row in zip(PARTS, total, strict=True)
    }
    unparsed = sum(not found.any() for found in methods["limbs"])
    return {
        "photos": len(photos),
        "unparsed_by_limbs": unparsed,
        "results": results,
        "limbs_found_as": found_as,
    }


def describe_interval(value: float, samples: Floats) -> dict[str, float]:
    """A value with its 95 % percentile interval."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": round(value, 5), "low": round(float(low), 5), "high": round(float(high), 5)}


# ---------------------------------------------------------------------- tuning


def tune(photos: Sequence[Photo]) -> BodyShape:
    """Coordinate ascent of the mean IoU over the fields of `BodyShape`, on a pixel grid of each photo."""
    bodies = []
    for photo in photos:
        pose = complete_pose(photo.keypoints)
        thin = photo.truth[::TUNE_STRIDE, ::TUNE_STRIDE]
        y, x = np.nonzero((thin > 0) & (thin <= len(PARTS)))
        if pose is not None:
            bodies.append((x * float(TUNE_STRIDE), y * float(TUNE_STRIDE), thin[y, x], pose))

    def rate(shape: BodyShape) -> float:
        pairs = [
            count_pairs(truth, find_nearest_part(x, y, list_limbs(*pose, shape)))
            for x, y, truth, pose in bodies
        ]
        return float(compute_scores(np.sum(pairs, axis=0).astype(np.float64))["mean"])

    shape = BodyShape()
    best = rate(shape)
    for step in STEPS:
        before = -1.0
        while best > before:
            before = best
            for change in [(f.name, sign * step) for f in fields(shape) for sign in (1, -1)]:
                tried = replace(shape, **{change[0]: round(getattr(shape, change[0]) + change[1], 3)})
                rating = rate(tried) if getattr(tried, change[0]) >= 0 else 0.0
                if rating > best + 1e-4:
                    shape, best = tried, rating
        print(f"step {step}: mean IoU {100 * best:.2f} % on train, {shape}", flush=True)
    return shape


# ---------------------------------------------------------------------- report


def format_table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Percentages with their intervals, as Markdown."""
    heads = ("IoU", *(name.replace("_", " ") for name in results))
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * len(results) + "|"]
    for key in results["limbs"]:
        cells = [key]
        for found in results.values():
            value, low, high = (format(100 * found[key][name], ".1f") for name in ("value", "low", "high"))
            cells.append(f"{value} ({low} to {high})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("PASSERBY_DATA")
    parser.add_argument(
        "--root", type=Path, default=Path(data) / "ccp" if data else None, help="folder of CCP"
    )
    default = Path("results/geometric-parsing/geometric-parsing.benchmark.json")
    parser.add_argument("--results", type=Path, default=default)
    parser.add_argument("--table", action="store_true", help="only print the table of --results")
    parser.add_argument("--tune", action="store_true", help="only tune the body shape on the training split")
    args = parser.parse_args()
    if args.table:
        print(format_table(json.loads(args.results.read_text())["all"]["results"]), end="")
        return
    if args.root is None:
        parser.error("set PASSERBY_DATA or give --root")
    photos = load_photos(args.root)
    if args.tune:
        tune(photos["train"])
        return
    cuts = fit_bands(photos["train"])
    report: dict[str, Any] = {
        "benchmark": "geometric-parsing",
        "data": {"name": "ccp", "photos": {split: len(members) for split, members in photos.items()}},
        "split": f"{PARTITION}/test; body shape and cuts of the bands were chosen on {PARTITION}/train",
        "mask": "true: all labelled pixels except carried objects",
        "scored": f"pixels of {', '.join(PARTS)}; not of unknown part ({UNKNOWN_CLASS}), mostly skin",
        "interval": f"95 %, bootstrap of the test photos, {RESAMPLES} resamples",
        "commit": find_commit(),
        "settings": {"limbs": GeometricParser().describe(), "bands": {"cuts": cuts}},
        "all": measure(photos["test"], cuts),
        "without_long_garments": {
            "without": LONG,
            **measure([photo for photo in photos["test"] if not photo.long], cuts),
        },
    }
    args.results.parent.mkdir(parents=True, exist_ok=True)
    write_json(args.results, report)
    for name in ("all", "without_long_garments"):
        print(f"{name}: {report[name]['photos']} photos")
        print(format_table(report[name]["results"]))


if __name__ == "__main__":
    main()
