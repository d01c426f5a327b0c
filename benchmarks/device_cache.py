"""Training speed with images decoded from files, from the packed cache, or from the device cache.

Four variants of the same training: a network with random weights, 35 attributes, binary cross-entropy and
Adam. All pad by 10 px, crop at random, flip, vary brightness, contrast and saturation by ± 20 % and
normalise:

- files: the usual `Dataset` of PIL + torchvision in a `DataLoader` with worker processes; 32 bits.
- cache: `PackedCache` + `BatchLoader`, with the same number of threads; 32 bits.
- device_cache: `DeviceCacheLoader`, bfloat16 autocast, channels last.
- compiled: the same with a compiled network.

The photos are synthetic: 200 × 400 px, JPEG of quality 90. A round is one epoch of each variant in turn;
the first round is discarded. Each round gives ratios to `files` of the same round; their medians and
quartiles are printed. Target on a GPU: device_cache or compiled trains on 6 times as many images per second
as `files`. On a CPU, the network takes nearly all of the time, so the defaults are small and there is no
target.

    python benchmarks/device_cache.py --out device_cache.json    # on a GPU 9,600 images per epoch, as in PETA
    python benchmarks/device_cache.py --quick                # smoke test
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv

from loader import write_photos
from models import parse_size
from passerby.data.augmentation import Augmentation
from passerby.data.cache import PackedCache
from passerby.data.device_cache import DeviceCacheLoader
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.data.normalise import normalise
from passerby.evaluation.commit import find_commit
from passerby.io import write_json
from passerby.losses import create_loss
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

SIDES = ("files", "cache", "device_cache", "compiled")
ATTRIBUTES = 35
JITTER = 0.2
TARGET = 6.0
DEFAULTS = {
    "cuda": {"count": 9600, "batch": 256, "rounds": 7, "sides": SIDES},
    "cpu": {"count": 48, "batch": 8, "rounds": 3, "sides": SIDES[:3]},  # compiling takes minutes there
}
QUICK = {"count": 16, "rounds": 2, "size": (64, 48), "sides": SIDES[:3], "workers": 1}
Pairs = Iterable[tuple[Tensor, Tensor]]


class Photos(Dataset[tuple[Tensor, Tensor]]):
    """Decodes the photos."""

    def __init__(self, manifest: Manifest, labels: Tensor, preprocess: Preprocess) -> None:
        self.paths, self.labels = [manifest.root / name for name in manifest.images], labels
        size = (preprocess.height, preprocess.width)
        self.transform = tv.Compose(
            [
                tv.Resize(size),
                tv.Pad(10),
                tv.RandomCrop(size),
                tv.RandomHorizontalFlip(),
                tv.ColorJitter(JITTER, JITTER, JITTER),
                tv.ToTensor(),
                tv.Normalize(preprocess.mean, preprocess.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.transform(Image.open(self.paths[index]).convert("RGB")), self.labels[index]


def feed_from_files(
    manifest: Manifest, labels: Tensor, preprocess: Preprocess, args: argparse.Namespace
) -> Callable[[], Pairs]:
    """Epochs from files, with persistent workers."""
    loader = DataLoader(
        Photos(manifest, labels, preprocess),
        args.batch,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        pin_memory=args.device == "cuda",
    )

    def epoch() -> Pairs:
        for images, labels in loader:
            yield images.to(args.device, non_blocking=True), labels.to(args.device, non_blocking=True)

    return epoch


def feed_from_cache(loader: BatchLoader, preprocess: Preprocess, device: str) -> Callable[[], Pairs]:
    """Epochs from one of the two cache loaders, normalised on the device."""

    def epoch() -> Pairs:
        loader.set_epoch(loader.epoch + 1)
        for batch in loader:
            batch = batch.to(device)
            yield normalise(batch.images, preprocess), batch.labels

    return epoch


def create_step(args: argparse.Namespace, *, fast: bool, compiled: bool) -> Callable[[Tensor, Tensor], None]:
    """One training step of a new network; `fast` means bfloat16 autocast and channels last."""
    schema = AttributeSchema("bench", tuple(Attribute(f"a{i}", "is there") for i in range(ATTRIBUTES)))
    layout = torch.channels_last if fast else torch.contiguous_format
    model = create_model("baseline", schema=schema, backbone=args.backbone)
    model = model.to(args.device, memory_format=layout).train()
    if compiled:
        model.compile()
    criterion = create_loss(
        "bce", positive_ratio=torch.full((ATTRIBUTES,), 0.5), rows=torch.arange(args.count), schema=schema
    ).to(args.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(args.device, torch.bfloat16, enabled=fast):
            output = model(images.contiguous(memory_format=layout))
            loss = criterion(output, labels)["total"]
        loss.backward()
        optimizer.step()

    return step


def create_sides(
    manifest: Manifest, preprocess: Preprocess, args: argparse.Namespace
) -> dict[str, Callable[[], int]]:
    """An epoch of each variant; it returns its number of images."""
    labels = np.random.default_rng(0).integers(0, 2, (args.count, ATTRIBUTES), np.int8)
    cache = PackedCache.build(manifest, preprocess, manifest.root / "cache", workers=max(1, args.workers))
    options: dict[str, Any] = {
        "labels": labels,
        "rows": np.arange(args.count),
        "batch_size": args.batch,
        "augmentation": Augmentation(10, brightness=JITTER, contrast=JITTER, saturation=JITTER),
        "shuffle": True,
        "drop_last": True,
    }

    def create(side: str) -> Callable[[], int]:
        if side == "files":
            feed = feed_from_files(manifest, torch.from_numpy(labels), preprocess, args)
        elif side == "cache":
            feed = feed_from_cache(
                BatchLoader(cache, workers=args.workers, **options), preprocess, args.device
            )
        else:
            device_cache = DeviceCacheLoader(cache, device=args.device, **options)
            feed = feed_from_cache(device_cache, preprocess, args.device)
        step = create_step(args, fast=side in ("device_cache", "compiled"), compiled=side == "compiled")

        def epoch() -> int:
            done = 0
            for images, targets in feed():
                step(images, targets)
                done += len(images)
            return done

        return epoch

    return {side: create(side) for side in args.sides}


def measure(epoch: Callable[[], int], device: str) -> float:
    """Images per second of one epoch."""
    start = time.perf_counter()
    done = epoch()
    if device == "cuda":
        torch.cuda.synchronize()
    return done / (time.perf_counter() - start)


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the rounds."""
    preprocess = Preprocess(*args.size)
    sides = create_sides(write_photos(folder, args.count), preprocess, args)
    rounds = [
        {name: measure(epoch, args.device) for name, epoch in sides.items()} for _ in range(args.rounds + 1)
    ][1:]
    results = {}
    for name in sides:
        ratios = [speeds[name] / speeds["files"] for speeds in rounds]
        low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
        speed = statistics.median(speeds[name] for speeds in rounds)
        results[name] = {"images_per_s": speed, "ratio": ratio, "quartiles": [low, high]}
    best = max(
        (results[name]["ratio"] for name in ("device_cache", "compiled") if name in results), default=0.0
    )
    return {
        **{name: getattr(args, name) for name in ("backbone", "size", "batch", "count", "rounds", "workers")},
        "device": args.device,
        "gpu": torch.cuda.get_device_name() if args.device == "cuda" else None,
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "machine": platform.machine(),
        "torch": torch.__version__,
        "commit": find_commit(),
        "results": results,
        "target": TARGET if args.device == "cuda" else None,
        "reached": best >= TARGET if args.device == "cuda" else None,
    }


def print_table(report: dict[str, Any]) -> None:
    """Print the results."""
    height, width = report["size"]
    print(
        f"{report['backbone']}, {height} × {width}, {report['count']} images per epoch, "
        f"{report['batch']} per step, {report['workers']} workers, {report['gpu'] or report['device']}, "
        f"load {report['load']:.1f}, torch {report['torch']}\n"
    )
    print(f"{'variant':<12}{'images/s':>12}{'× files':>10}  quartiles")
    for name, result in report["results"].items():
        low, high = result["quartiles"]
        print(f"{name:<12}{result['images_per_s']:>12.0f}{result['ratio']:>10.2f}  {low:.2f}–{high:.2f}")
    if report["target"] is None:
        print(f"\ntarget: ≥ {TARGET:g}× by device_cache or compiled on a GPU; this was a CPU")
    else:
        print(f"\ntarget: ≥ {TARGET:g}× by device_cache or compiled: {'yes' if report['reached'] else 'NO'}")


def parse() -> argparse.Namespace:
    """Read the options; the defaults depend on the device."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", help="timm model (default: mobilenetv2_100)")
    parser.add_argument("--size", type=parse_size, help="height x width (default: 256x192)")
    parser.add_argument("--batch", type=int, help="images per step (default: 256, on a CPU 8)")
    parser.add_argument("--count", type=int, help="images per epoch (default: 9600, on a CPU 48)")
    parser.add_argument("--rounds", type=int, help="measured rounds (default: 7, on a CPU 3)")
    parser.add_argument(
        "--workers", type=int, help="processes for files, threads for cache (default: one per core)"
    )
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="variants; files is always included")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if available")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--quick", action="store_true", help="tiny smoke test")
    args = parser.parse_args()
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    defaults = {"backbone": "mobilenetv2_100", "size": (256, 192), "workers": len(os.sched_getaffinity(0))}
    defaults |= DEFAULTS[args.device] | (QUICK if args.quick else {})
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    args.sides = [side for side in SIDES if side == "files" or side in args.sides]
    return args


def main() -> None:
    """Print a table and write JSON; a missed target is reported, the exit code is 0."""
    args = parse()
    with tempfile.TemporaryDirectory() as folder:
        report = run(args, Path(folder))
    print_table(report)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.out, report)


if __name__ == "__main__":
    main()
