"""Loading speed of the packed cache compared with decoding JPEG files in each epoch.

Both sides pad by 10 px, crop at random, flip, and return batches of normalised float tensors.

- cache: `PackedCache` + `BatchLoader` + `normalise`.
- files: the usual `Dataset` of PIL + torchvision (`Resize`, `Pad`, `RandomCrop`, `RandomHorizontalFlip`,
  `ToTensor`, `Normalize`) in a `DataLoader` with two worker processes.

The photos are synthetic: smooth colours, shapes and grain, 200 × 400 px, JPEG quality 90. Rounds of the two
sides alternate, so that other load on the machine affects both; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv

from passerby.data.augmentation import Augmentation
from passerby.data.cache import PackedCache
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.data.normalise import normalise
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess

BATCH_SIZE = 64
TARGET_IMAGES_PER_S = 2000
TARGET_RATIO = 5


def draw_photo(generator: np.random.Generator) -> Image.Image:
    """An image as costly to decode as a photo: smooth colours, some edges, a little grain."""
    small = generator.integers(0, 256, (8, 4, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((200, 400), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, w, h = (int(v) for v in generator.integers((0, 0, 10, 10), (180, 380, 80, 160)))
        draw.ellipse((x, y, x + w, y + h), fill=tuple(generator.integers(0, 256, 3).tolist()))
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), np.int16)
    grain = generator.normal(0, 4, smooth.shape).astype(np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def write_photos(folder: Path, count: int) -> Manifest:
    """Write `count` photos, 200 of them distinct, and their manifest."""
    generator = np.random.default_rng(0)
    names = [f"{i:05d}.jpg" for i in range(count)]
    for name in names[:200]:
        draw_photo(generator).save(folder / name, quality=90)
    for i, name in enumerate(names[200:]):
        (folder / name).write_bytes((folder / names[i % 200]).read_bytes())
    schema = AttributeSchema("bench", (Attribute("Hat", "wears a hat"),))
    labels = np.zeros((count, 1), np.int8)
    return Manifest.create("bench", schema, root=folder, images=names, labels=labels, partitions={})


class Photos(Dataset[torch.Tensor]):
    """Decodes the photos."""

    def __init__(self, manifest: Manifest, preprocess: Preprocess) -> None:
        self.paths = [manifest.root / name for name in manifest.images]
        size = (preprocess.height, preprocess.width)
        self.transform = tv.Compose(
            [
                tv.Resize(size),
                tv.Pad(10),
                tv.RandomCrop(size),
                tv.RandomHorizontalFlip(),
                tv.ToTensor(),
                tv.Normalize(preprocess.mean, preprocess.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        tensor: torch.Tensor = self.transform(Image.open(self.paths[index]).convert("RGB"))
        return tensor


def feed_from_cache(loader: BatchLoader, preprocess: Preprocess) -> Callable[[], int]:
    """An epoch from the cache, normalised on the CPU into one buffer."""
    buffer = torch.empty(BATCH_SIZE, 3, preprocess.height, preprocess.width)

    def epoch() -> int:
        loader.set_epoch(loader.epoch + 1)
        return sum(len(normalise(batch.images, preprocess, out=buffer)) for batch in loader)

    return epoch


def feed_from_files(manifest: Manifest, preprocess: Preprocess, workers: int) -> Callable[[], int]:
    """An epoch from files; workers are persistent, so that their start is not measured."""
    loader = DataLoader(
        Photos(manifest, preprocess),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
    )
    return lambda: sum(len(images) for images in loader)


def measure(epoch: Callable[[], int]) -> float:
    """Images per second of one epoch."""
    start = time.perf_counter()
    return epoch() / (time.perf_counter() - start)


def run(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Build the cache, then alternate rounds of both sides."""
    preprocess = Preprocess(args.height, args.width)
    manifest = write_photos(folder, args.count)
    start = time.perf_counter()
    cache = PackedCache.build(manifest, preprocess, folder / "cache", workers=args.workers)
    build_s = time.perf_counter() - start
    loader = BatchLoader(
        cache,
        labels=manifest.labels,
        rows=np.arange(args.count),
        batch_size=BATCH_SIZE,
        augmentation=Augmentation(),
        shuffle=True,
        drop_last=True,
        workers=args.workers,
    )
    sides = {
        "cache": feed_from_cache(loader, preprocess),
        "files": feed_from_files(manifest.take(np.arange(args.count // 4)), preprocess, args.workers),
    }
    for epoch in sides.values():
        epoch()  # warm-up: workers start, pages of the cache are read
    rounds = [{name: measure(epoch) for name, epoch in sides.items()} for _ in range(args.rounds)]
    speeds = {name: statistics.median(r[name] for r in rounds) for name in sides}
    return {
        "cache_images_per_s": speeds["cache"],
        "files_images_per_s": speeds["files"],
        "ratio": speeds["cache"] / speeds["files"],
        "build_images_per_s": args.count / build_s,
    }


def main() -> int:
    """Print a table or JSON; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=3200, help="photos")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--workers", type=int, default=2, help="threads for the cache, processes for the files"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the other core loads
    with tempfile.TemporaryDirectory() as folder:
        result = run(args, Path(folder))
    fast = result["cache_images_per_s"] >= TARGET_IMAGES_PER_S and result["ratio"] >= TARGET_RATIO
    if args.json:
        print(json.dumps({**result, "reached": fast}, indent=1))
        return 0 if fast else 1
    print(f"{args.height} × {args.width}, {args.workers} workers, median of {args.rounds} rounds\n")
    print(f"{'source':<28}{'images/s':>10}{'ratio':>8}")
    print(f"{'JPEG files (PIL, DataLoader)':<28}{result['files_images_per_s']:>10.0f}{1:>7.1f}×")
    print(f"{'packed cache':<28}{result['cache_images_per_s']:>10.0f}{result['ratio']:>7.1f}×")
    print(f"\nbuilding the cache: {result['build_images_per_s']:.0f} images/s")
    print(f"target: ≥ {TARGET_IMAGES_PER_S} images/s and ≥ {TARGET_RATIO}×: {'yes' if fast else 'NO'}")
    return 0 if fast else 1


if __name__ == "__main__":
    sys.exit(main())
