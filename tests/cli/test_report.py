"""`passerby report`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from passerby.cli import app
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.protocols import load_protocol
from passerby.schema import Attribute, AttributeSchema


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with a log and an evaluation of four samples."""
    images = [f"{i}.png" for i in range(4)]
    for image in images:
        Image.new("RGB", (20, 40), "teal").save(tmp_path / image)
    Evaluation(
        dataset="toy",
        partition="random",
        split="test",
        protocol=load_protocol("default"),
        thresholds=(0.5,),
        schema=AttributeSchema("toy", (Attribute("Hat", "wears a hat"),)),
        images=images,
        identities=[None] * 4,
        boxes=[None] * 4,
        rows=np.arange(4),
        probs=np.array([[0.9], [0.2], [0.6], [0.1]], np.float32),
        labels=np.array([[1], [1], [0], [0]], np.int8),
        root=tmp_path,
        input_size=(40, 20),
        device="cpu",
        seconds=0.1,
    ).write(tmp_path / "run" / "test")
    (tmp_path / "run" / "logs").mkdir()
    (tmp_path / "run" / "logs" / "metrics.csv").write_text("epoch,train_loss,val_mA\n0,0.7,0.5\n1,0.5,0.6\n")
    return tmp_path


def invoke(*arguments: object) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(app, ["report", *map(str, arguments)])
    return result.stderr, result.exception


def test_report_of_a_run_folder(folder: Path) -> None:
    output, error = invoke(folder / "run", "--out", folder / "r.html", "--title", "Hats & more")
    assert error is None
    html = (folder / "r.html").read_text(encoding="utf-8")
    assert "): 1 evaluation, 1 run\n" in output
    assert "Hats &amp; more" in html
    assert "data:image/jpeg" in html
    assert "50.0" in html


def test_moved_pictures_are_given_or_left_out(folder: Path) -> None:
    (folder / "moved").mkdir()
    for i in range(4):
        (folder / f"{i}.png").rename(folder / "moved" / f"{i}.png")
    _, error = invoke(folder / "run", "--out", folder / "r.html")
    assert isinstance(error, DataError)
    assert not (folder / "r.html").exists()
    assert invoke(folder / "run", "--out", folder / "a.html", "--root", folder / "moved")[1] is None
    assert invoke(folder / "run", "--out", folder / "b.html", "--no-images")[1] is None
    assert "<img" in (folder / "a.html").read_text(encoding="utf-8")
    assert "<img" not in (folder / "b.html").read_text(encoding="utf-8")


def test_other_folders_are_rejected(folder: Path) -> None:
    _, error = invoke(folder / "moved", "--out", folder / "r.html")
    assert isinstance(error, DataError)
