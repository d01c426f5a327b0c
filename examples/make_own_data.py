"""Create an example of your own data: photos, and a CSV file with some labels missing.

    python examples/make_own_data.py shop

writes `shop/photos/*.jpg` and `shop/labels.csv`. The photos are synthetic; the next steps are the same for
real photos (docs/get-started/own-photos.md).
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

from PIL import Image

from passerby.synthetic import ATTRIBUTES, SynthConfig, draw_person

COLUMNS = ("Hat", "Backpack", "Skirt&Dress", "LongSleeve")
CELLS = {1: "1", 0: "0", -1: ""}


def main(folder: Path, count: int = 240) -> None:
    """Draw the photos and write the table; one label in ten is left empty (unknown)."""
    rng = random.Random(0)
    (folder / "photos").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "split", *COLUMNS))
        for i in range(count):
            person = draw_person(SynthConfig(height=128, width=96), seed=7, index=i)
            path = Path("photos") / f"customer{i:03d}.jpg"
            Image.fromarray(person.image).save(folder / path, quality=90)
            labels = [int(person.labels[ATTRIBUTES.index(name)]) for name in COLUMNS]
            known = [-1 if rng.random() < 0.1 else label for label in labels]
            split = ("train", "train", "train", "val", "test")[i // 4 % 5]  # four photos per person
            writer.writerow((path.as_posix(), split, *(CELLS[label] for label in known)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
