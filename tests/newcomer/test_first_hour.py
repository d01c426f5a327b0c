"""The first hour of a newcomer: a spreadsheet and photos as people have them, and the commands of the guide.

The spreadsheet comes from Excel: semicolons, a byte order mark, an index column, several persons per photo,
empty cells, a column with several values, and columns that are no attributes. It has no splits.
No step needs a change of the file.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from passerby.data.manifest import Manifest
from passerby.synthetic import ATTRIBUTES, SynthConfig, draw_person

pytestmark = pytest.mark.slow

PHOTOS, PERSONS = 40, 3
WIDTH, HEIGHT = 48, 96
COLUMNS = ("", "Photo", "x0", "y0", "x1", "y1", "Hat", "Backpack", "Sleeves", "Date", "Notes")


def draw_photos(folder: Path, *, count: int, first: int) -> list[dict[str, str]]:
    """Draw photos of three persons side by side; return one row per person."""
    rows = []
    (folder / "photos").mkdir(parents=True)
    for number in range(count):
        photo = Image.new("RGB", (PERSONS * WIDTH, HEIGHT))
        for place in range(PERSONS):
            index = first + number * PERSONS + place
            person = draw_person(SynthConfig(height=HEIGHT, width=WIDTH), seed=3, index=index)
            photo.paste(Image.fromarray(person.image), (place * WIDTH, 0))
            labels = dict(zip(ATTRIBUTES, person.labels, strict=True))
            known = index % 10 != 9  # every tenth label of a hat is missing
            cells = (
                str(len(rows)),
                f"photos/img{number:03d}.jpg",
                *(str(v) for v in (place * WIDTH, 0, (place + 1) * WIDTH, HEIGHT)),
                ("yes" if labels["Hat"] else "no") if known else "",
                "1" if labels["Backpack"] else "0",
                "short" if labels["ShortSleeve"] else "long" if labels["LongSleeve"] else "",
                f"{1 + number % 28:02d}.03.2026",
                f"number {len(rows)}, seen in photo {number}",
            )
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
        photo.save(folder / "photos" / f"img{number:03d}.jpg", quality=92)
    return rows


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


class Newcomer:
    """Runs commands in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; fail with its output if the exit status is another one."""
        done = subprocess.run(
            [sys.executable, "-m", "passerby", *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(tmp_path_factory.mktemp("newcomer"))


def test_spreadsheet_to_report(newcomer: Newcomer) -> None:
    folder = newcomer.folder
    rows = draw_photos(folder / "shop", count=PHOTOS, first=0)
    table = folder / "shop" / "people.csv"
    write_table(table, rows)
    before = table.read_bytes()

    # The first attempt names both columns that are no attributes, and how to leave them out.
    refused = newcomer.run("prepare", "table", "--root", "shop", "--out", "shop.parquet", status=2)
    assert "Date" in refused.stderr
    assert "Notes" in refused.stderr
    assert "--ignore" in refused.stderr
    assert not (folder / "shop.parquet").exists()

    prepare = ("prepare", "table", "--root", "shop", "--out", "shop.parquet", "--ignore", "Date,Notes")
    newcomer.run(*prepare, "--partition", "random")
    manifest = Manifest.load(folder / "shop.parquet")
    assert len(manifest) == PHOTOS * PERSONS
    assert manifest.schema.names == ("Hat", "Backpack", "Sleeves=long", "Sleeves=short")
    assert manifest.schema["Sleeves=long"].category == manifest.schema["Sleeves=short"].category == "Sleeves"
    assert int((manifest.labels[:, 0] == -1).sum()) == PHOTOS * PERSONS // 10
    assert manifest.labels[:, 0].tolist() == [{"yes": 1, "no": 0, "": -1}[r["Hat"]] for r in rows]
    splits = manifest.table.column("split:random-0").to_pylist()
    for split in ("train", "val", "test"):
        assert splits.count(split) > 0
    assert len({(i, s) for i, s in zip(manifest.images, splits, strict=True)}) == PHOTOS

    train = ("train", "baseline/own", "--data", "shop.parquet", "--out", "run", "--set", "training.epochs=2")
    trained = newcomer.run(*train, "--test", "--results", "scores")
    assert "mA" in trained.stdout
    assert (folder / "run" / "bundle").is_dir()

    newcomer.run("evaluate", "run/bundle", "--data", "shop.parquet", "--out", "test")
    scores = json.loads((folder / "test" / "evaluation.json").read_text(encoding="utf-8"))
    assert scores["partition"] == "random-0"
    assert scores["split"] == "test"

    # New photos with boxes, in a table of the same form.
    new = draw_photos(folder / "new", count=4, first=1000)
    write_table(folder / "new" / "people.csv", new)
    predict = ("predict", "run/bundle", "--table", "new/people.csv", "--format", "jsonl")
    newcomer.run(*predict, "--out", "found.jsonl")
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(found) == 4 * PERSONS
    assert [f["box"] for f in found] == [[float(r[k]) for k in ("x0", "y0", "x1", "y1")] for r in new]
    assert set(found[0]["probabilities"]) == set(manifest.schema.names)

    localize = ("localize", "run/bundle", "--table", "new/people.csv", "--attributes", "Hat")
    newcomer.run(*localize, "--out", "where.png", "--jsonl", "where.jsonl", "--folder", "where")
    lines = (folder / "where.jsonl").read_text(encoding="utf-8").splitlines()
    boxes: list[object] = []
    for person, line in zip(found, lines, strict=True):
        where = json.loads(line)
        assert [where[key] for key in ("source", "row", "box")] == [
            person[k] for k in ("source", "row", "box")
        ]
        assert (where["width"], where["height"]) == (PERSONS * WIDTH, HEIGHT)
        hat = where["attributes"]["Hat"]
        assert hat["probability"] == pytest.approx(person["probabilities"]["Hat"], abs=1e-4)
        boxes += hat["boxes"]
        for box in hat["boxes"]:
            left, top, right, bottom = box["xyxy"]
            assert person["box"][0] <= left < right <= person["box"][2]
            assert person["box"][1] <= top < bottom <= person["box"][3]
    assert boxes
    drawings = {f"img{i // PERSONS:03d}_row{i + 2}.jpg.Hat.png" for i in range(len(found))}
    assert {path.name for path in (folder / "where").iterdir()} == drawings
    with Image.open(folder / "where.png") as figure:
        assert figure.height > len(lines) * 256  # a line for each person, 256 pixels high

    newcomer.run("report", "run", "test", "--out", "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Sleeves=short" in page
    assert table.read_bytes() == before
