from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import passerby.visualization.attention_figure as figure_module
import passerby.visualization.typography as lettering
from passerby.bundle import Bundle
from passerby.errors import DataError, ImageError, ModelError, SchemaError
from passerby.explain.attention_maps import AttentionMaps, combine_maps, compute_maps, save_maps, stream_maps
from passerby.inference.predictor import Skipped
from passerby.models import MODELS, AttributeModel, create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.synthetic import SynthConfig, draw_person
from passerby.types import Guidance, Output, Preprocess
from passerby.visualization.attention_figure import choose_attributes, choose_maps, draw_attention
from passerby.visualization.figure_file import MAX_SIDE_PX, check_figure, save_figure
from passerby.visualization.overlay import draw_overlay

NAMES = ("Hat", "Bag", "Boots")
SCHEMA = AttributeSchema("toy", tuple(Attribute(name, f"has {name}") for name in NAMES))
CELLS = ((0, 1), (3, 0), (7, 4))  # row, column of the one bright cell of each attribute


class Spotlight(AttributeModel):
    """Looks at one fixed cell of 8 × 5 for each attribute; "red" looks where the picture is red."""

    name, arguments, has_maps = "spotlight", {}, True

    def __init__(self, maps: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(SCHEMA)
        self.bias = nn.Parameter(torch.tensor([2.0, 0.0, -2.0]))
        self.norm = nn.BatchNorm2d(3)
        self.given = maps

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        if self.training:
            raise RuntimeError("expected evaluation mode")
        images = self.norm(images)
        count = len(images)
        spot = torch.zeros(count, len(SCHEMA), 8, 5)
        for i, (row, column) in enumerate(CELLS):
            spot[:, i, row, column] = 1
        redness = nn.functional.adaptive_avg_pool2d(images[:, :1] - images[:, 1:2], (16, 10))
        maps = {
            "spot": spot,
            "even": torch.full((count, 1, 2, 2), 0.25),
            "red": (4 * redness).flatten(2).softmax(2).view(count, 1, 16, 10),
        }
        logits = self.bias + 0 * images.mean((1, 2, 3))[:, None]
        return Output(logits, maps=maps if self.given is None else self.given)


def create_spotlight(maps: Mapping[str, Tensor] | None = None, *, resize: str = "stretch") -> Bundle:
    return Bundle(Spotlight(maps), Preprocess(96, 40, resize=resize), (0.5, 0.5, 0.1))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(draw_person(SynthConfig(height=128, width=96), seed=0, index=3).image)


def create_maps(**maps: NDArray[np.float32]) -> AttentionMaps:
    picture = np.full((32, 20, 3), 128, np.uint8)
    given = {name: np.broadcast_to(values, (3, *values.shape)).copy() for name, values in maps.items()}
    return AttentionMaps("a.jpg", picture, NAMES, (0.9, 0.5, 0.2), (0.5, 0.5, 0.1), given)


def find_brightest(image: Image.Image) -> tuple[int, int]:
    """Row and column of the lightest pixel, the middle of it where there are several."""
    lightness = np.asarray(image.convert("L"), np.int64)
    rows, columns = np.nonzero(lightness == lightness.max())
    return round(rows.mean()), round(columns.mean())


# ---------------------------------------------------------------------- computing


def test_what_is_computed(photo: Image.Image) -> None:
    bundle = create_spotlight()
    maps = compute_maps(bundle, photo)
    prediction = bundle(photo)
    assert maps.source == "<image>"
    assert (maps.names, maps.thresholds) == (NAMES, (0.5, 0.5, 0.1))
    assert maps.probabilities == pytest.approx(prediction.probabilities)
    assert maps.present == prediction.present == ("Hat", "Boots")  # 0.5 is not above 0.5
    assert (maps.picture == bundle.prepare(photo).permute(1, 2, 0).numpy()).all()
    assert {name: values.shape for name, values in maps.maps.items()} == {
        "spot": (3, 8, 5),
        "even": (3, 2, 2),
        "red": (3, 16, 10),
    }
    assert all(values.dtype == np.float32 for values in maps.maps.values())
    for i, cell in enumerate(CELLS):
        assert maps.maps["spot"][i][cell] == 1
        assert maps.maps["spot"][i].sum() == 1


def test_mode_and_state_are_left_alone(photo: Image.Image) -> None:
    bundle = create_spotlight()
    bundle.model.train()
    bundle.model.norm.eval()  # type: ignore[union-attr, operator]
    before = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    one, two = compute_maps(bundle, photo), compute_maps(bundle, photo)
    assert bundle.model.training
    assert not bundle.model.norm.training  # type: ignore[union-attr]
    assert all(torch.equal(value, before[name]) for name, value in bundle.model.state_dict().items())
    assert all(parameter.grad is None for parameter in bundle.model.parameters())
    assert all((one.maps[name] == two.maps[name]).all() for name in one.maps)
    assert draw_attention(one) == draw_attention(two)


def test_many_pictures_in_order_and_unreadable_ones_named(photo: Image.Image, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for i in (0, 2, 3, 4):
        photo.rotate(90 * i, expand=True).save(paths[i])
    paths[1].write_text("no picture")
    bundle = create_spotlight()
    items = list(stream_maps(bundle, paths, batch_size=2))
    assert isinstance(items[1], Skipped)
    assert "1.png" in items[1].reason
    for i in (0, 2, 3, 4):
        item, alone = items[i], compute_maps(bundle, paths[i])
        assert isinstance(item, AttentionMaps)
        assert item.source == str(paths[i])
        assert (item.picture == alone.picture).all()
        np.testing.assert_allclose(item.maps["red"], alone.maps["red"], rtol=1e-5)
    assert list(stream_maps(bundle, [])) == []
    with pytest.raises(ImageError, match=r"1\.png"):
        compute_maps(bundle, paths[1])
    with pytest.raises(DataError, match="batch_size"):
        next(stream_maps(bundle, paths, batch_size=0))


def test_a_model_without_maps_is_refused_by_name(photo: Image.Image) -> None:
    bundle = Bundle(create_model("baseline", schema=SCHEMA, backbone="test_resnet"), Preprocess(64, 48))
    with pytest.raises(ModelError, match=r"a baseline model has no maps to show.*diaa"):
        compute_maps(bundle, photo)


def test_what_has_maps_says_so(photo: Image.Image) -> None:
    for name in MODELS:
        bundle = Bundle(create_model(name, schema=SCHEMA, backbone="test_resnet"), Preprocess(64, 48))
        output = bundle.model(torch.zeros(1, 3, 64, 48))
        assert bool(output.maps) == bundle.model.has_maps, name


@pytest.mark.parametrize(
    "values",
    [torch.ones(3, 8, 5), torch.ones(1, 2, 8, 5), torch.ones(2, 3, 8, 5)],
    ids=["axes", "attributes", "pictures"],
)
def test_maps_of_a_wrong_shape_are_refused(values: Tensor, photo: Image.Image) -> None:
    with pytest.raises(
        ModelError, match=r"expected the map 'odd' of a spotlight model as \(1, 3 or 1, h, w\)"
    ):
        compute_maps(create_spotlight({"odd": values}), photo)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.1])
def test_maps_of_wrong_numbers_are_refused(wrong: float, photo: Image.Image) -> None:
    with pytest.raises(ModelError, match="expected finite numbers"):
        compute_maps(create_spotlight({"odd": torch.full((1, 3, 2, 2), wrong)}), photo)


def test_diaa(photo: Image.Image) -> None:
    torch.manual_seed(0)
    bundle = Bundle(create_model("diaa", schema=SCHEMA, backbone="test_resnet"), Preprocess(96, 64))
    maps = compute_maps(bundle, photo)
    assert list(maps.maps) == ["attention3", "confidence3", "attention4", "confidence4"]
    assert maps.maps["attention3"].shape == (3, 6, 4)
    assert maps.maps["attention4"].shape == (3, 3, 2)
    for name in ("attention3", "attention4"):
        np.testing.assert_allclose(maps.maps[name].sum((1, 2)), 1, rtol=1e-5)
    assert choose_maps(maps) == ("attention3", "attention4")
    shown = draw_attention(maps)
    assert shown == draw_attention(maps, names=("attention3", "attention4"))
    assert shown != draw_attention(maps, names=("attention3*confidence3", "attention4*confidence4"))


# ---------------------------------------------------------------------- combining


def test_products_and_means() -> None:
    small = np.float32([[1, 3]])
    large = np.float32([[1, 2, 3, 4], [5, 6, 7, 8]])
    maps = create_maps(small=small, large=large, zero=np.zeros((1, 2), np.float32))
    enlarged = np.float32([[1, 1.5, 2.5, 3]] * 2)  # centres of the cells at 0.5 and 2.5 of four
    assert combine_maps(maps, "small").shape == (3, 1, 2)
    np.testing.assert_allclose(combine_maps(maps, "small*large")[1], enlarged * large)
    mean = combine_maps(maps, " small + large ")
    np.testing.assert_allclose(mean[2], (enlarged / enlarged.sum() + large / large.sum()) / 2, rtol=1e-6)
    np.testing.assert_allclose(mean.sum((1, 2)), 1, rtol=1e-6)
    mixed = combine_maps(maps, "small*large+large")[0]
    product = enlarged * large
    np.testing.assert_allclose(mixed, (product / product.sum() + large / large.sum()) / 2, rtol=1e-6)
    np.testing.assert_allclose(combine_maps(maps, "small+zero")[0], [[0.125, 0.375]])
    assert mean.dtype == mixed.dtype == np.float32


def test_unknown_maps_are_refused_with_a_proposal() -> None:
    maps = create_maps(attention3=np.ones((2, 2), np.float32))
    with pytest.raises(ModelError, match=r"no map 'atention3'.*gives attention3; did you mean attention3"):
        combine_maps(maps, "atention3")
    for wrong in ("", "attention3*", "attention3+x"):
        with pytest.raises(ModelError, match="the model gives attention3"):
            combine_maps(maps, wrong)


# ---------------------------------------------------------------------- overlays


@pytest.mark.parametrize("size", [(64, 40), (96, 40), (37, 51)])
@pytest.mark.parametrize("cell", CELLS)
def test_the_brightest_place_is_the_cell(size: tuple[int, int], cell: tuple[int, int]) -> None:
    values = np.zeros((8, 5), np.float32)
    values[cell] = 1
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    for picture in (np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8), noise):
        drawn = draw_overlay(picture, values)
        assert drawn.size == size[::-1]
        row, column = find_brightest(drawn)
        assert (row * 8 // size[0], column * 5 // size[1]) == cell


def test_orientation_from_picture_to_overlay() -> None:
    """A red patch low on the left is seen there by the model and drawn there."""
    pixels = np.full((192, 80, 3), 120, np.uint8)
    pixels[144:168, 8:24] = (250, 20, 20)
    maps = compute_maps(create_spotlight(), pixels)
    row, column = find_brightest(draw_overlay(np.zeros_like(maps.picture), maps.maps["red"][0]))
    assert abs(row - 77.5) <= 4
    assert abs(column - 7.5) <= 3


# ---------------------------------------------------------------------- the figure


def find_cells(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, int], NDArray[np.float32]]]:
    """Notes where each overlay is put in its block, and of which map."""
    cells = []
    draw = figure_module._draw_cell

    def note(block: Image.Image, at: tuple[int, int], picture: object, values: object, *more: object) -> None:
        cells.append((at, values))
        draw(block, at, picture, values, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(figure_module, "_draw_cell", note)
    return cells  # type: ignore[return-value]


def test_a_column_an_attribute_and_a_row_a_map(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = find_cells(monkeypatch)
    maps = compute_maps(create_spotlight(), photo)
    figure = draw_attention(maps, attributes=("Boots", "Hat"), names=("spot", "even"), height_px=96)
    assert len({x for (x, _), _ in cells}) == len({y for (_, y), _ in cells}) == 2
    by_place = [values for _, values in sorted(cells, key=lambda cell: (cell[0][1], cell[0][0]))]
    expected = [maps.maps["spot"][2], maps.maps["spot"][0], maps.maps["even"][0]]  # all share the even one
    for values, should in zip(by_place, expected, strict=True):
        assert (values == should).all()
    for (x, y), values in cells:
        split = figure.crop((x, y, x + 40, y + 96))
        assert split == draw_overlay(maps.picture, values)
    assert any((np.asarray(figure.crop((8, y, 48, y + 96))) == maps.picture).all() for (_, y), _ in cells)


def test_attributes_beyond_the_columns_follow_below(
    photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = find_cells(monkeypatch)
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


def test_blocks_of_several_pictures_follow_each_other(photo: Image.Image) -> None:
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


def test_what_is_written(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    write = lettering.write_line

    def note(pen: object, at: tuple[int, int], text: str, **options: object) -> None:
        texts.append(text)
        write(pen, at, text, **options)  # type: ignore[arg-type]

    for module in (figure_module, lettering):
        monkeypatch.setattr(module, "write_line", note)
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


def test_small_narrow_and_long_names_fit() -> None:
    name = "an attribute whose name is much too long for any column of a figure"
    picture = np.zeros((64, 8, 3), np.uint8)
    maps = AttentionMaps(
        "b" * 300, picture, (name,), (1.0,), (0.5,), {"spot": np.ones((1, 2, 1), np.float32)}
    )
    figure = np.asarray(draw_attention(maps, height_px=64))
    assert figure.shape[0] > 64
    assert (figure[:, -4:] == 255).all()  # nothing is cut off at the right


def test_attributes_that_are_shown_unless_named() -> None:
    names = tuple("ABCDEFGHIJ")
    picture = np.zeros((4, 4, 3), np.uint8)

    def choose(probabilities: tuple[float, ...]) -> str:
        thresholds = (0.9,) + (0.5,) * 9
        return "".join(choose_attributes(AttentionMaps("", picture, names, probabilities, thresholds, {})))

    few = (0.8, 0.1, 0.6, 0.2, 0.55, 0.3, 0.4, 0.0, 0.05, 0.01)
    assert choose(few) == "CEAGFD"  # present ones first, A (0.8 under 0.9) after them
    assert choose((0.95, *([0.6] * 8), 0.0)) == "ABCDEFGHI"  # all that are present


def test_refusals_of_figures(photo: Image.Image) -> None:
    maps = compute_maps(create_spotlight(), photo)
    with pytest.raises(DataError, match="at least one picture"):
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


# ---------------------------------------------------------------------- files


def test_raw_files_round_trip(photo: Image.Image, tmp_path: Path) -> None:
    maps = compute_maps(create_spotlight(), photo)
    save_maps(tmp_path / "new" / "a.npz", maps)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as file:
        assert str(file["source"]) == "<image>"
        assert tuple(file["attributes"]) == NAMES
        assert file["probabilities"] == pytest.approx(maps.probabilities)
        assert file["thresholds"] == pytest.approx(maps.thresholds)
        assert (file["picture"] == maps.picture).all()
        assert tuple(file["maps"]) == tuple(maps.maps)
        for name, values in maps.maps.items():
            assert file[f"map_{name}"].dtype == np.float32
            assert (file[f"map_{name}"] == values).all()
    first = (tmp_path / "new" / "a.npz").read_bytes()
    save_maps(tmp_path / "new" / "a.npz", maps)
    assert (tmp_path / "new" / "a.npz").read_bytes() == first
    with pytest.raises(DataError, match="cannot write"):
        save_maps(tmp_path / "new" / "a.npz" / "b.npz", maps)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tif", ".pdf"])
def test_figures_of_every_kind(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"figure{suffix}"
    save_figure(path, Image.new("RGB", (30, 20), "red"))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == ".pdf":
        assert path.read_bytes().startswith(b"%PDF")
    else:
        with Image.open(path) as image:
            assert image.size == (30, 20)


def test_figures_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "figure.webp"
    path.write_bytes(b"old")
    with pytest.raises(DataError, match="cannot write"):
        save_figure(path, Image.new("RGB", (17_000, 2)))  # WebP knows no sides above 16,383
    assert path.read_bytes() == b"old"
    for name in ("figure", "figure.txt", "figure.psd"):
        with pytest.raises(DataError, match=r"end it in \.png"):
            save_figure(tmp_path / name, Image.new("RGB", (2, 2)))
        with pytest.raises(DataError, match=r"end it in \.png"):
            check_figure(tmp_path / name, count=1, height_px=256)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.webp"]
    with pytest.raises(DataError, match="give fewer pictures"):
        check_figure(tmp_path / "figure.png", count=1000, height_px=256)
