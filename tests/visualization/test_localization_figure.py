"""The figures of heat maps and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import passerby.visualization.localization_figure as figure_module
from passerby.errors import DataError, SchemaError
from passerby.explain.boxes import Binarization
from passerby.explain.localization import Region
from passerby.types import Box
from passerby.visualization.figure_file import MAX_SIDE_PX
from passerby.visualization.localization_figure import check_grid_size, draw_localization, draw_localizations
from passerby.visualization.panel_grid import Panel, compose_grid
from toy_explanations import create_localization


def record_titles(monkeypatch: pytest.MonkeyPatch) -> list[list[list[str]]]:
    """Record the titles of the panels of each grid."""
    grids = []

    def record(lines: Sequence[Sequence[Panel | None]], **options: Any) -> Image.Image:
        grids.append([["" if panel is None else panel.title for panel in line] for line in lines])
        return compose_grid(lines, **options)

    monkeypatch.setattr(figure_module, "compose_grid", record)
    return grids


def test_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = record_titles(monkeypatch)
    draw_localizations([create_localization(2), create_localization(1, source="b.jpg")], height_px=64)
    assert grids[-1] == [["a.jpg", "attribute 0", "attribute 1"], ["b.jpg", "attribute 0"]]
    draw_localizations([create_localization(3)] * 2, columns=2, height_px=64)  # lines of similar length
    assert grids[-1] == [["a.jpg", "attribute 0", "attribute 1"], ["", "attribute 2"]] * 2
    draw_localizations([create_localization(4)] * 3, columns=3, height_px=64)  # images are columns
    assert grids[-1] == [["a.jpg"] * 3, *([f"attribute {i}"] * 3 for i in range(4))]
    draw_localizations([create_localization(0)], height_px=64)
    assert grids[-1] == [["a.jpg", ""]]


def test_size_of_a_grid() -> None:
    small, large = (draw_localizations([create_localization(2)] * 2, height_px=px) for px in (128, 256))
    text = 13  # 256 / 19
    column = 10 * text  # wider than the images of 128
    assert large.width == 8 + 3 * (column + 8)
    line = round(3.2 * text) + 256 + round(2.2 * text)
    legend = large.height - (8 + 2 * line + 8)
    assert 2 * 8 + 2 * round(1.7 * text) <= legend <= 2 * 8 + 6 * round(1.7 * text)
    assert small.height < large.height
    wide = create_localization(2, size=(300, 100))
    assert draw_localizations([wide], height_px=128).width == 8 + 3 * (128 + 8)
    assert draw_localization(wide, "attribute 1", height_px=128).width == 8 + 128 + 8


def test_texts_and_boxes_of_a_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    panels: list[Panel] = []

    def record(lines: Sequence[Sequence[Panel]], **options: Any) -> Image.Image:
        panels.extend(lines[0])
        return compose_grid(lines, **options)

    monkeypatch.setattr(figure_module, "compose_grid", record)
    found = create_localization(2, probabilities=(0.875, 0.25))
    draw_localizations([found], truth=[{"attribute 0": [Box(0, 0, 48, 96)]}], height_px=96)
    photo, yes, no = panels
    assert (photo.title, photo.subtitle) == ("a.jpg", "48 × 96 pixels")
    assert (yes.subtitle, yes.is_present, yes.caption) == (
        "87.50 %, present",
        True,
        "100 % of heat, IoU 0.50",
    )
    assert (no.subtitle, no.is_present, no.caption) == ("25.00 %, not present", False, "100 % of heat")
    assert (np.asarray(photo.image) == found.picture).all()
    line = np.asarray(yes.image)[46]  # the lower side of the box, between the dashes
    assert (line[5:-5] == (86, 193, 255)).all()
    top = np.asarray(yes.image)[1]
    assert {tuple(pixel) for pixel in top.tolist()} >= {(86, 193, 255), (255, 255, 255)}
    panels.clear()
    empty = replace(found, heat=np.zeros_like(found.heat), regions=((), ()))
    draw_localization(empty, "attribute 1", truth=[Box(0, 0, 9, 9)])
    assert panels[0].caption == "no heat, IoU 0.00"


def test_boxes_are_scaled_with_the_picture() -> None:
    found = create_localization(1, size=(200, 400), regions=((Region(Box(50, 100, 150, 300), 0.5),),))
    panel = np.asarray(figure_module._create_panel(found, 0, (), Image.new("RGB", (100, 200))).image)
    rows, columns = np.nonzero((panel == (86, 193, 255)).all(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (51, 148, 26, 73)


def test_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: list[str] = []

    def record(lines: Any, *, legend: Sequence[tuple[Any, str]], **options: Any) -> Image.Image:
        entries[:] = [text for _, text in legend]
        return compose_grid(lines, legend=legend, **options)

    monkeypatch.setattr(figure_module, "compose_grid", record)
    one = create_localization(notes=("no mask",))
    rule = Binarization("quantile", 0.9)
    other = create_localization(method="occlusion", binarization=rule, mode="components")
    draw_localizations([one, one, other], truth=[{}, {}, {}])
    assert len(entries) == 6
    assert "grad-cam-p" in entries[0]
    assert "box around the pixels with at least 50 % of the peak" in entries[1]
    assert "occlusion" in entries[2]
    assert "boxes around the connected components of the hottest 10 % of the image" in entries[3]
    assert entries[4:] == ["ground truth", "2 images: no mask"]
    draw_localization(one, "attribute 0")
    assert entries == ["no mask"]


def test_long_names_fit() -> None:
    name = "an attribute whose name is much too long for any column of a figure"
    found = create_localization(1, (8, 64), source="b" * 300, names=(name,), notes=("c" * 300, "d " * 300))
    for figure in (draw_localizations([found], height_px=64), draw_localization(found, name, height_px=64)):
        assert (np.asarray(figure)[:, -4:] == 255).all()  # nothing is cut off at the right


def test_invalid_arguments_are_rejected(tmp_path: Path) -> None:
    found = create_localization()
    with pytest.raises(DataError, match="at least one image"):
        draw_localizations([])
    with pytest.raises(DataError, match="columns ≥ 1"):
        draw_localizations([found], columns=0)
    with pytest.raises(DataError, match="height_px ≥ 64"):
        draw_localizations([found], height_px=63)
    with pytest.raises(DataError, match="height_px ≥ 64"):
        draw_localization(found, "attribute 0", height_px=63)
    with pytest.raises(SchemaError, match="'Hat' was not localised"):
        draw_localization(found, "Hat")
    with pytest.raises(ValueError, match="shorter"):
        draw_localizations([found, found], truth=[{}])
    with pytest.raises(DataError, match="give fewer"):
        draw_localizations([found], height_px=MAX_SIDE_PX + 1)
    with pytest.raises(DataError, match=r"use \.png"):
        check_grid_size(tmp_path / "a.txt", pictures=1, attributes=None)
    check_grid_size(tmp_path / "a.png", pictures=200, attributes=6)
    check_grid_size(tmp_path / "a.png", pictures=3, attributes=100)
    for pictures, attributes in ((1000, None), (200, 12), (3, 300)):
        with pytest.raises(DataError, match="give fewer"):
            check_grid_size(tmp_path / "a.png", pictures=pictures, attributes=attributes)


def test_a_person_in_an_image() -> None:
    whole = create_localization()
    region, box = Region(Box(120, 30, 168, 54), 1.0), Box(120, 30, 168, 126)
    truth = Box(130, 40, 150, 60)
    person = replace(whole, box=box, image_size=(200, 150), regions=((region,),))
    drawn = draw_localization(person, "attribute 0", truth=[truth], height_px=96)
    expected = draw_localization(
        replace(whole, regions=((Region(Box(0, 0, 48, 24), 1.0),),)),
        "attribute 0",
        truth=[Box(10, 10, 30, 30)],
        height_px=96,
    )
    assert drawn.tobytes() == expected.tobytes()


def test_title_of_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    subtitles = []

    def record(lines: Sequence[Sequence[Panel | None]], **options: Any) -> Image.Image:
        subtitles.extend(line[0].subtitle for line in lines if line[0] is not None)
        return compose_grid(lines, **options)

    monkeypatch.setattr(figure_module, "compose_grid", record)
    person = create_localization(row=4, box=Box(20.5, 0, 68, 96), image_size=(200, 96))
    draw_localizations([person, create_localization(row=5), create_localization()], height_px=64)
    assert subtitles == ["row 4, box 20.5 0 68 96", "row 5, 48 × 96 pixels", "48 × 96 pixels"]
