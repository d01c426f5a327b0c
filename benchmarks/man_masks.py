"""Effect of the masks on a trained MAN: evaluated with all-ones masks and with masks of other identities.

The masks of other identities are a control: a network that uses its masks must score lower with them. Each
image gets the mask of a random image of another identity, stretched to its size.

    python benchmarks/man_masks.py runs/man/bundle peta.parquet --partition official-1 --results results

writes a score file for each; their variants end in `-masks-ones` and `-masks-others`. Compare them with the
score file of the correct masks by `passerby compare`, which adds intervals of the differences. With
`--manifest others.parquet --images FOLDER` it instead writes a manifest with the masks of other identities,
for training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.bundle import load
from passerby.data.manifest import Manifest
from passerby.evaluation import evaluate
from passerby.images.decode import load_map, read_size

DRAW_SEED = 20
OTHERS = "masks-of-others"


def permute_identities(manifest: Manifest) -> NDArray[np.int64]:
    """A permutation of the rows in which each row is replaced by one of another identity."""
    draw = np.random.default_rng(DRAW_SEED)
    names = [f"row {row}" if name is None else name for row, name in enumerate(manifest.identities)]
    _, person, counts = np.unique(names, return_inverse=True, return_counts=True)
    most = int(counts.max())
    if 2 * most > len(names):
        raise SystemExit(
            f"expected each identity in at most half of the images, got one in {most} of {len(names)}"
        )
    order = np.lexsort((draw.permutation(len(names)), draw.permutation(len(counts))[person]))
    permuted = np.empty_like(order)
    permuted[order] = np.roll(
        order, -most
    )  # images of an identity are contiguous, and at most `most` of them
    return permuted


def exchange_masks(manifest: Manifest, folder: Path) -> Manifest:
    """A manifest with masks of other identities; `folder` gets these masks and links to all other files."""
    (folder / OTHERS).mkdir(parents=True)
    for entry in manifest.root.resolve().iterdir():
        (folder / entry.name).symlink_to(entry)
    masks, others = manifest.paths("mask"), permute_identities(manifest)
    written: list[str | None] = []
    for row, image in enumerate(manifest.images):
        path = masks[others[row]]
        written.append(None if path is None else f"{OTHERS}/{row}.png")
        if path is not None:
            mask = Image.fromarray(255 * (load_map(manifest.root / path) > 0).astype(np.uint8))
            mask.resize(read_size(manifest.root / image)).save(folder / f"{OTHERS}/{row}.png")
    return Manifest.create(
        manifest.dataset,
        manifest.schema,
        root=folder,
        images=manifest.images,
        labels=manifest.labels,
        partitions={
            name: manifest.table.column(f"split:{name}").to_pylist() for name in manifest.partition_names
        },
        boxes=manifest.boxes(),
        identities=manifest.identities,
        masks=written,
    )


def main() -> None:
    """Evaluate twice, or write the manifest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="folder of a trained MAN")
    parser.add_argument("data", type=Path, help="manifest with masks")
    parser.add_argument("--partition", default="official-1")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--manifest", type=Path, help="write this manifest instead of evaluating")
    parser.add_argument("--images", type=Path, help="folder for the masks of that manifest")
    arguments = parser.parse_args()
    manifest = Manifest.load(arguments.data)
    if arguments.manifest:
        exchange_masks(manifest, arguments.images).write(arguments.manifest)
        return
    bundle = load(arguments.bundle)
    variant = bundle.metadata["variant"]
    test = manifest.select_split(arguments.partition, "test")
    with tempfile.TemporaryDirectory(prefix="passerby-") as folder:
        tests = {
            "ones": test.with_guidance(masks=[None] * len(test)),
            "others": exchange_masks(test, Path(folder) / "others"),
        }
        for kind, data in tests.items():
            found = evaluate(bundle, data, partition=arguments.partition)
            path = found.write_result(arguments.results, variant=f"{variant}-masks-{kind}")
            print(f"{kind:>8}  mA {100 * found.scores.mA:.2f}  F1 {100 * found.scores.f1:.2f}  {path}")


if __name__ == "__main__":
    main()
