"""Files of figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from passerby.errors import DataError
from passerby.visualization.figure_file import check_figure, save_figure


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".pdf"])
def test_formats(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"figure{suffix}"
    save_figure(path, Image.new("RGB", (30, 20), "red"))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == ".pdf":
        assert path.read_bytes().startswith(b"%PDF")
    else:
        with Image.open(path) as image:
            assert image.size == (30, 20)


def test_invalid_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "figure.webp"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="cannot write"):
        save_figure(path, Image.new("RGB", (17_000, 2)))  # WebP allows at most 16,383
    assert path.read_bytes() == b"old"
    for name in ("figure", "figure.txt", "figure.psd"):
        with pytest.raises(DataError, match=r"use \.png"):
            save_figure(tmp_path / name, Image.new("RGB", (2, 2)))
        with pytest.raises(DataError, match=r"use \.png"):
            check_figure(tmp_path / name, count=1, height_px=256)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.webp"]
    with pytest.raises(DataError, match="give fewer images"):
        check_figure(tmp_path / "figure.png", count=1000, height_px=256)
