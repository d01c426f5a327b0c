"""Commands that read images of the user state that a model was trained on synthetic people only."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.models import create_model
from passerby.types import Preprocess

LINE = (
    "passerby: this model was trained on synthetic people only; its predictions for photos of real people "
    "are not meaningful\n"
)


@pytest.mark.parametrize("command", ["predict", "localize", "attention"])
@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({"domain": "synthetic people"}, LINE), ({"domain": "shop cameras"}, ""), ({}, "")],
)
def test_one_line_on_stderr(tmp_path: Path, command: str, *, metadata: dict[str, str], expected: str) -> None:
    model = create_model("diaa", schema=["Hat", "Bag"], backbone="test_resnet")
    Bundle(model, Preprocess(64, 48), metadata=dict(metadata)).save(tmp_path / "bundle")
    Image.new("RGB", (40, 80), "teal").save(tmp_path / "photo.png")
    out = ["--out", str(tmp_path / "figure.png")] if command == "attention" else []
    result = CliRunner().invoke(
        app, [command, str(tmp_path / "bundle"), str(tmp_path / "photo.png"), "--device", "cpu", *out]
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith(expected)
    assert ("synthetic" in result.stderr) == bool(expected)
