"""Make the pictures of README and docs: drawn people, the demo's report in a browser, DIAA's attention.

make demo && .venv/bin/passerby train recipes/diaa/demo.yaml --out demo/diaa
.venv/bin/python scripts/draw_readme_pictures.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from passerby.bundle import Bundle
from passerby.data.synthetic import SynthConfig, draw_person
from passerby.inference import compute_maps, draw_attention

IMAGES = Path("docs/images")
REPORT = Path("demo/report.html")
DIAA = Path("demo/diaa/bundle")
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
    """Where DIAA's demo looks for three attributes in two drawn people of its test part."""
    bundle = Bundle.load(DIAA)
    people = [Path(f"demo/people/images/{number:06d}.jpg") for number in (52, 5)]
    figure = draw_attention(
        [compute_maps(bundle, person) for person in people],
        attributes=("Hat", "boots", "Glasses"),
        names=("attention3",),
    )
    figure.quantize(128).save(IMAGES / "attention.png", optimize=True)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw_people()
    shoot_report()
    show_attention()
