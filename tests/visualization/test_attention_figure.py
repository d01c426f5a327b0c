"""The attention figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from passerby.bundle import Bundle
from passerby.errors import DataError, ModelError, SchemaError
from passerby.explain.attention_maps import AttentionMaps, compute_maps
from passerby.models import create_model
from passerby.synthetic import SynthConfig, draw_person
from passerby.types import Preprocess
from passerby.visualization import attention_block, attention_figure, typography
from passerby.visualization.attention_figure import draw_attention
from passerby.visualization.attention_selection import choose_attributes, choose_maps
from passerby.visualization.figure_file import MAX_SIDE_PX
from passerby.visualization.overlay import draw_overlay
from toy_explanations import NAMES, SCHEMA, create_maps, create_spotlight


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(draw_person(SynthConfig(height=128, width=96), seed=0, index=3).image)


def test_the_default_maps_of_diaa(photo: Image.Image) -> None:
    torch.manual_seed(0)
    maps = compute_maps(
        Bundle(create_model("diaa", schema=SCHEMA, backbone="test_resnet"), Preprocess(96, 64)), photo
    )
    assert choose_maps(maps) == ("attention3", "attention4")
    shown = draw_attention(maps)
    assert shown == draw_attention(maps, names=("attention3", "attention4"))
    assert shown != draw_attention(maps, names=("attention3*confidence3", "attention4*confidence4"))


def record_cells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, int], NDArray[np.float32]]]:
    """Record the position of each overlay in its block, and its map."""
    cells = []
    draw = attention_block._draw_cell

    def record(
        block: Image.Image, at: tuple[int, int], picture: object, values: object, *more: object
    ) -> None:
        cells.append((at, values))
        draw(block, at, picture, values, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(attention_block, "_draw_cell", record)
    return cells  # type: ignore[return-value]


def test_one_column_per_attribute_and_one_row_per_map(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = record_cells(monkeypatch)
    maps = compute_maps(create_spotlight(), photo)
    figure = draw_attention(maps, attributes=("Boots", "Hat"), names=("spot", "even"), height_px=96)
    assert len({x for (x, _), _ in cells}) == len({y for (_, y), _ in cells}) == 2
    ordered = [values for _, values in sorted(cells, key=lambda cell: (cell[0][1], cell[0][0]))]
    expected = [maps.maps["spot"][2], maps.maps["spot"][0], maps.maps["even"][0]]  # shared by all
    for values, wanted in zip(ordered, expected, strict=True):
        assert (values == wanted).all()
    for (x, y), values in cells:
        panel = figure.crop((x, y, x + 40, y + 96))
        assert panel == draw_overlay(maps.picture, values)
    assert any((np.asarray(figure.crop((8, y, 48, y + 96))) == maps.picture).all() for (_, y), _ in cells)


def test_attributes_beyond_the_columns_are_in_further_lines(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = record_cells(monkeypatch)
    maps = compute_maps(create_spotlight(), photo)
    wide, tall = (draw_attention(maps, names=["spot"], columns=columns) for columns in (3, 2))
    assert wide.width > tall.width
    assert wide.height < tall.height
    (x0, y0), (x1, y1), (x2, y2) = (at for at, _ in cells[3:])
    assert y0 == y1 < y2
    assert x0 == x2 < x1
    cells.clear()
    draw_attention(maps, attributes=("Hat", "Bag", "Boots", "Hat"), names=["spot"], columns=3)
    assert len({y for (_, y), _ in cells}) == len({x for (x, _), _ in cells}) == 2  # two and two


def test_blocks_of_several_pictures_are_stacked(photo: Image.Image) -> None:
    bundle = create_spotlight()
    one, two = compute_maps(bundle, photo), compute_maps(bundle, photo.transpose(Image.Transpose.ROTATE_90))
    both = np.asarray(draw_attention([one, two], height_px=96))
    tops = []
    for maps in (one, two):
        size = maps.picture.shape[:2]
        tops.append(
            [
                y
                for y in range(both.shape[0] - size[0])
                if (both[y : y + size[0], 8 : 8 + size[1]] == maps.picture).all()
            ]
        )
    assert [len(found) for found in tops] == [1, 1]
    assert tops[0][0] + 3 * 96 <= tops[1][0]  # three maps each
    alone = np.asarray(draw_attention(one, height_px=96))
    assert (both[: tops[0][0] + 96, : alone.shape[1]] == alone[: tops[0][0] + 96]).all()


def test_texts(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    write = typography.write_line

    def record(draw: object, at: tuple[int, int], text: str, **options: object) -> None:
        texts.append(text)
        write(draw, at, text, **options)  # type: ignore[arg-type]

    for module in (attention_figure, attention_block, typography):
        monkeypatch.setattr(module, "write_line", record)
    draw_attention(compute_maps(create_spotlight(), photo), names=["spot", "even"])
    for text in ("<image>", *NAMES, "88.08 %, present", "50.00 %, not present", "11.92 %, present"):
        assert texts.count(text) == 1, text
    assert texts.count("peak 40.0 × mean") == texts.count("1") == 3
    assert texts.count("peak 1.0 × mean") == texts.count("0.75") == 1  # shared
    assert texts.count("0") == 4
    assert "spot (8 × 5)" in texts
    assert "even (2 × 2)" in texts
    assert texts[-1].startswith("Each map has its own scale")
    texts.clear()
    draw_attention(create_maps(zero=np.zeros((2, 2), np.float32)))
    assert texts.count("all 0") == 1


def test_long_names_fit_in_a_small_figure() -> None:
    name = "an attribute whose name is much too long for any column of a figure"
    picture = np.zeros((64, 8, 3), np.uint8)
    maps = AttentionMaps(
        "b" * 300, picture, (name,), (1.0,), (0.5,), {"spot": np.ones((1, 2, 1), np.float32)}
    )
    figure = np.asarray(draw_attention(maps, height_px=64))
    assert figure.shape[0] > 64
    assert (figure[:, -4:] == 255).all()  # nothing is cut off at the right


def test_default_attributes() -> None:
    names = tuple("ABCDEFGHIJ")
    picture = np.zeros((4, 4, 3), np.uint8)

    def choose(probabilities: tuple[float, ...]) -> str:
        thresholds = (0.9,) + (0.5,) * 9
        return "".join(choose_attributes(AttentionMaps("", picture, names, probabilities, thresholds, {})))

    few = (0.8, 0.1, 0.6, 0.2, 0.55, 0.3, 0.4, 0.0, 0.05, 0.01)
    assert choose(few) == "CEAGFD"  # present ones first, A (0.8 under 0.9) after them
    assert choose((0.95, *([0.6] * 8), 0.0)) == "ABCDEFGHI"  # all that are present


def test_invalid_arguments_are_rejected(photo: Image.Image) -> None:
    maps = compute_maps(create_spotlight(), photo)
    with pytest.raises(DataError, match="at least one image"):
        draw_attention([])
    with pytest.raises(DataError, match="columns ≥ 1"):
        draw_attention(maps, columns=0)
    with pytest.raises(DataError, match="height_px ≥ 64"):
        draw_attention(maps, height_px=63)
    with pytest.raises(DataError, match="at least one attribute and one map"):
        draw_attention(maps, attributes=())
    with pytest.raises(SchemaError, match=r"no attribute 'Cap'.*Hat, Bag, Boots"):
        draw_attention(maps, attributes=("Cap",))
    with pytest.raises(ModelError, match=r"no map 'sport'.*did you mean spot"):
        draw_attention(maps, names=("sport",))
    with pytest.raises(DataError, match="give fewer"):
        draw_attention(maps, height_px=MAX_SIDE_PX)
