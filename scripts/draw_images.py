"""Draw the images of README and docs that come from the demo: drawn people, attention maps, localisation.

make demo
.venv/bin/passerby train diaa/demo --out demo/diaa
.venv/bin/passerby train baseline/demo --set model.name=passerby --set training.epochs=8 \
    --set variant=demo-passerby --out demo/passerby
.venv/bin/python scripts/draw_images.py
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from passerby.bundle import Bundle
from passerby.data.formats.table import read as read_table
from passerby.explain import compute_maps, localize_many
from passerby.explain.localization import Localization
from passerby.synthetic import SynthConfig, draw_person, write_dataset
from passerby.types import Box
from passerby.visualization import draw_attention, draw_localizations
from passerby.visualization.contact_sheet import draw_contact_sheet

IMAGES = Path("docs/images")
PEOPLE = Path("demo/people")


def main() -> None:
    """Draw all images."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw_people()
    draw_annotations()
    draw_attention_maps()
    draw_heat_maps()


def draw_people(columns: int = 8, rows: int = 2) -> None:
    """A grid of drawn people, for the home page of the docs."""
    grid = Image.new("RGB", (192 * columns, 256 * rows))
    for i in range(columns * rows):
        person = draw_person(SynthConfig(difficulty=0.1, views_per_identity=1), seed=3, index=i)
        grid.paste(Image.fromarray(person.image), (i % columns * 192, i // columns * 256))
    grid.resize((grid.width * 3 // 4, grid.height * 3 // 4), Image.Resampling.LANCZOS).save(
        IMAGES / "people.jpg", quality=85
    )


def draw_annotations() -> None:
    """A contact sheet of twelve drawn people with masks, parsing maps and keypoints."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "people"
        write_dataset(root, 12, SynthConfig(difficulty=0.1), seed=0)
        sheet = draw_contact_sheet(read_table(root), columns=3)
    sheet.save(IMAGES / "annotate.jpg", quality=80)


def draw_attention_maps() -> None:
    """Attention of DIAA for three attributes of two people of the demo's test split."""
    bundle = Bundle.load("demo/diaa/bundle")
    figure = draw_attention(
        [compute_maps(bundle, locate_person(number)) for number in (52, 5)],
        attributes=("Hat", "boots", "Glasses"),
        names=("attention3",),
    )
    figure.quantize(128).save(IMAGES / "attention.png", optimize=True)


def draw_heat_maps() -> None:
    """Heat maps, boxes and ground truth of `passerby` for three attributes of two people, for the README."""
    attributes = ("Hat", "boots", "Backpack")
    paths = [locate_person(number) for number in (1424, 772)]
    boxes = json.loads((PEOPLE / "boxes.json").read_text(encoding="utf-8"))
    truth = [
        {name: [Box(*box)] for name, box in boxes[f"images/{path.name}"].items() if name in attributes}
        for path in paths
    ]
    items = localize_many(Bundle.load("demo/passerby/bundle"), paths, attributes=attributes)
    localizations = [item for item in items if isinstance(item, Localization)]
    draw_localizations(localizations, truth=truth, height_px=256).save(
        IMAGES / "localization.jpg", quality=88
    )


def locate_person(number: int) -> Path:
    """Path of an image of the demo."""
    return PEOPLE / "images" / f"{number:06d}.jpg"


if __name__ == "__main__":
    main()
