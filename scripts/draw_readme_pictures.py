"""Make the pictures of README and docs: drawn people, the demo's report in a browser, what models look at.

make demo
for model in diaa man mtms; do .venv/bin/passerby train recipes/$model/demo.yaml --out demo/$model; done
.venv/bin/python scripts/draw_readme_pictures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle
from passerby.explain.attention_maps import compute_maps
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.synthetic import SynthConfig, draw_person
from passerby.visualization.attention_figure import draw_attention

IMAGES = Path("docs/images")
REPORT = Path("demo/report.html")
PEOPLE = Path("demo/people")
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def draw_people(columns: int = 8, rows: int = 2) -> None:
    """A sheet of drawn people."""
    sheet = Image.new("RGB", (192 * columns, 256 * rows))
    for i in range(columns * rows):
        person = draw_person(SynthConfig(difficulty=0.1, views_per_identity=1), seed=3, index=i)
        sheet.paste(Image.fromarray(person.image), (i % columns * 192, i // columns * 256))
    sheet.resize((sheet.width * 3 // 4, sheet.height * 3 // 4), Image.Resampling.LANCZOS).save(
        IMAGES / "people.jpg", quality=85
    )


def shoot_report(height: int = 1500) -> None:
    """The top of the report, 1280 pixels wide."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium here to take the picture of the report with; install one")
    target = IMAGES / "report.png"
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *CHROMIUM.split(), f"--user-data-dir={profile}", f"--window-size=1280,{height}"]
        page = REPORT.resolve().as_uri()
        subprocess.run([*command, f"--screenshot={target.resolve()}", page], check=True, capture_output=True)
    Image.open(target).convert("RGB").quantize(128).save(target, optimize=True)


def show_attention() -> None:
    """Where DIAA's demo looks for three attributes in two drawn people of its test split."""
    bundle = Bundle.load("demo/diaa/bundle")
    people = [find_person(number) for number in (52, 5)]
    figure = draw_attention(
        [compute_maps(bundle, person) for person in people],
        attributes=("Hat", "boots", "Glasses"),
        names=("attention3",),
    )
    figure.quantize(128).save(IMAGES / "attention.png", optimize=True)


def show_tasks() -> None:
    """What MAN's demo leaves of a drawn person, and where it looks for each task."""
    bundle = Bundle.load("demo/man/bundle")
    auxiliary = AuxiliaryInputs([FromFiles("masks", PEOPLE / "masks")])
    maps = compute_maps(bundle, find_person(5), auxiliary=auxiliary)
    figure = draw_attention(maps, by_task=bundle.schema, columns=7, height_px=192)
    figure.quantize(128).save(IMAGES / "man.png", optimize=True)


def show_parsing() -> None:
    """The parsing maps of MTMS's demo beside the truth, and its attribute maps, of two drawn people."""
    bundle = Bundle.load("demo/mtms/bundle")
    auxiliary = AuxiliaryInputs([FromFiles("parsing", PEOPLE / "parsing", classes=bundle.model.parsing_classes)])
    figure = draw_attention(
        [compute_maps(bundle, find_person(number), auxiliary=auxiliary) for number in (52, 5)],
        attributes=("Hat", "Backpack", "boots"),
        height_px=192,
    )
    figure.quantize(128).save(IMAGES / "mtms.png", optimize=True)


def find_person(number: int) -> Path:
    """A picture of the demo."""
    return PEOPLE / "images" / f"{number:06d}.jpg"


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw_people()
    shoot_report()
    show_attention()
    show_tasks()
    show_parsing()
