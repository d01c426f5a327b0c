from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from passerby.cli import app
from passerby.errors import DataError

runner = CliRunner()


def test_synth_writes_the_requested_images(tmp_path: Path) -> None:
    out = tmp_path / "people"
    arguments = ["--height", "64", "--width", "48", "--seed", "4", "--difficulty", "0.9", "--views", "2"]
    result = runner.invoke(app, ["synth", "--out", str(out), "--count", "5", *arguments])
    assert result.exit_code == 0, result.output
    assert "Wrote 5 images of 3 identities" in result.output
    with Image.open(out / "images" / "000004.jpg") as image:
        assert image.size == (48, 64)
    about = json.loads((out / "synth.json").read_text())
    assert about["seed"] == 4
    assert about["config"]["difficulty"] == 0.9
    assert about["config"]["views_per_identity"] == 2


def test_every_option_reaches_the_generator(tmp_path: Path) -> None:
    options = {
        "imbalance": 0.5,
        "distractors": 1.5,
        "occlusion": 0.4,
        "clutter": 0.1,
        "object-scale": 0.7,
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    small = ["--height", "64", "--width", "48", "--format", "png"]
    result = runner.invoke(app, ["synth", "--out", str(tmp_path / "p"), "--count", "1", *small, *flags])
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "p" / "synth.json").read_text())["config"]
    assert {name: config[name.replace("-", "_")] for name in options} == options
    assert (tmp_path / "p" / "images" / "000000.png").is_file()


def test_a_foreign_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    result = runner.invoke(app, ["synth", "--out", str(tmp_path), "--count", "1"])
    assert isinstance(result.exception, DataError)
    assert (tmp_path / "note.txt").exists()


def test_out_of_range_is_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["synth", "--out", str(tmp_path / "p"), "--count", "1", "--difficulty", "7"])
    assert result.exit_code == 2
    assert not (tmp_path / "p").exists()
