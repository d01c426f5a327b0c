"""Parsing maps of a model: given with predictions, drawn beside attention, and as commands write them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle
from passerby.cli import app
from passerby.errors import ConfigError, DataError, ModelError
from passerby.explain.attention_maps import AttentionMaps, compute_maps, save_maps
from passerby.images.decode import load_map, read_image
from passerby.images.placement import resize_map, restore_map
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import PictureBatch, Skipped
from passerby.inference.predictor import Predictor
from passerby.inference.sources import find_images
from passerby.inference.writers import write_parsing
from passerby.models import create_model
from passerby.parsing import COARSE_CLASSES
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Prediction, Preprocess
from passerby.visualization.attention_figure import draw_attention
from passerby.visualization.overlay import draw_overlay

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
SIZES = ((40, 90), (64, 48), (31, 77))


def create_bundle(model: str = "mtms") -> Bundle:
    torch.manual_seed(0)
    arguments = {"parsing_classes": "coarse"} if model == "mtms" else {}
    model = create_model(model, schema=SCHEMA, backbone="test_resnet", **arguments)
    return Bundle(model, Preprocess(64, 48, resize="pad"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i, (width, height) in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"p{i}.png")
    return folder


@pytest.fixture
def truth(photos: Path, tmp_path: Path) -> Path:
    """True maps of all photos: upper, and lower from the middle on."""
    folder = tmp_path / "truth"
    folder.mkdir()
    for i, (width, height) in enumerate(SIZES):
        values = np.full((height, width), 2, np.uint8)
        values[height // 2 :] = 3
        write_parsing(folder / f"p{i}.png", values)
    return folder


@pytest.mark.parametrize("resize", ["stretch", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_restored_maps_equal_the_original(resize: str, size: tuple[int, int]) -> None:
    """What is enlarged and brought back is what it was."""
    width, height = size
    values = np.random.default_rng(0).integers(0, 6, (height, width), np.uint8)
    preprocess = Preprocess(4 * height, 6 * width, resize=resize)  # type: ignore[arg-type]
    again = restore_map(resize_map(values, preprocess), size, preprocess)
    np.testing.assert_array_equal(again, values)


def test_predictions_have_maps_of_the_size_of_their_pictures(photos: Path) -> None:
    bundle = create_bundle()
    paths = find_images([str(photos)])
    plain = Predictor(bundle)(paths)
    assert all(prediction.parsing is None for prediction in plain)
    parsed = Predictor(bundle, parse=True, batch_size=2)(paths)
    assert [p.to_dict() for p in parsed] == [p.to_dict() for p in plain]
    for prediction, (width, height) in zip(parsed, SIZES, strict=True):
        assert prediction.parsing is not None
        assert prediction.parsing.shape == (height, width)
    _, maps = bundle.parse_batch(bundle.prepare(paths[0])[None])
    assert list(maps) == ["stage1", "stage2"]
    expected = restore_map(maps["stage2"][0].numpy(), SIZES[0], bundle.preprocess)
    first = parsed.predictions[0].parsing
    assert first is not None
    np.testing.assert_array_equal(first, expected)


def test_models_without_parsing_maps_are_refused(photos: Path) -> None:
    bundle = create_bundle("baseline")
    with pytest.raises(ModelError, match=r"a baseline model computes no parsing maps; .* da-har, mtms"):
        Predictor(bundle, parse=True)
    with pytest.raises(ModelError, match="computes no parsing maps"):
        bundle.parse_batch(bundle.prepare(photos / "p0.png")[None])


def test_a_parsing_file_has_class_indices_and_colours(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    write_parsing(tmp_path / "new" / "a.png", values)
    np.testing.assert_array_equal(load_map(tmp_path / "new" / "a.png"), values)
    colours = np.asarray(read_image(tmp_path / "new" / "a.png")).reshape(6, 3)
    assert len({tuple(colour) for colour in colours.tolist()}) == 6
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write"):
        write_parsing(tmp_path / "file" / "a.png", values)


def guide_with(truth: Path) -> AuxiliaryInputs:
    return AuxiliaryInputs([FromFiles("parsing", truth, classes=COARSE_CLASSES)])


def test_probability_maps_share_a_scale() -> None:
    """The same value has the same colour in every map, though one is twice as bright as the other."""
    picture = np.zeros((32, 32, 3), np.uint8)
    values = {"low": np.full((1, 4, 4), 0.4, np.float32), "high": np.full((1, 4, 4), 0.8, np.float32)}
    colours = {}
    for names in ((), ("low", "high")):
        maps = AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), values, (), names)
        figure = np.asarray(draw_attention(maps, height_px=64)).astype(int)
        cells = [
            np.asarray(draw_overlay(picture, each[0], scale=1.0 if names else None))
            for each in values.values()
        ]
        colours[names] = [tuple(cell[16, 16].tolist()) for cell in cells]
        found = {tuple(colour) for colour in figure.reshape(-1, 3).tolist()}
        assert set(colours[names]) <= found
    assert len(set(colours[()])) == 1  # an even map is violet, whatever its value
    assert len(set(colours["low", "high"])) == 2


def test_parsing_maps_with_attention_maps(photos: Path, truth: Path, tmp_path: Path) -> None:
    bundle = create_bundle()
    maps = compute_maps(bundle, photos / "p0.png", auxiliary=guide_with(truth))
    assert list(maps.parsing) == ["truth", "stage1", "stage2"]
    assert maps.parsing_classes == COARSE_CLASSES
    assert maps.notes == ()
    true: NDArray[np.uint8] = np.full((90, 40), 2, np.uint8)
    true[45:] = 3
    np.testing.assert_array_equal(maps.parsing["truth"], resize_map(true, bundle.preprocess))
    assert {each.shape for each in maps.parsing.values()} == {(64, 48)}
    (truth / "p1.png").unlink()
    without = compute_maps(bundle, photos / "p1.png", auxiliary=guide_with(truth))
    assert list(without.parsing) == ["stage1", "stage2"]
    assert without.notes == ("no true parsing map",)
    assert list(compute_maps(bundle, photos / "p0.png").parsing) == ["stage1", "stage2"]
    save_maps(tmp_path / "a.npz", maps)
    kept = np.load(tmp_path / "a.npz")
    assert kept["parsing"].tolist() == ["truth", "stage1", "stage2"]
    np.testing.assert_array_equal(kept["parsing_stage1"], maps.parsing["stage1"])
    assert tuple(kept["parsing_classes"]) == COARSE_CLASSES
    wide, narrow = (
        draw_attention(each, height_px=128)
        for each in (maps, compute_maps(create_bundle("diaa"), photos / "p0.png"))
    )
    assert wide.width > narrow.width
    colours = {tuple(colour) for colour in np.asarray(wide).reshape(-1, 3).tolist()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours  # upper, lower: in the truth and the legend


# ---------------------------------------------------------------------- commands


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    create_bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_predict_draws_the_maps_in_a_folder(saved: Path, photos: Path, tmp_path: Path) -> None:
    broken = tmp_path / "photos" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(b"no image")
    (tmp_path / "photos" / "p0.png").write_bytes((photos / "p0.png").read_bytes())
    text = run("predict", saved, tmp_path / "photos", "--parsing", tmp_path / "maps")
    assert f"{tmp_path / 'maps'}: 1 parsing map" in text
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["classes.txt", "p0.png"]
    assert (tmp_path / "maps" / "classes.txt").read_text().split() == list(COARSE_CLASSES)
    prediction = next(iter(Predictor(create_bundle(), parse=True)([photos / "p0.png"])))
    assert not isinstance(prediction, Skipped)
    assert prediction.parsing is not None
    np.testing.assert_array_equal(load_map(tmp_path / "maps" / "p0.png"), prediction.parsing)
    (tmp_path / "photos" / "p0.jpg").write_bytes((photos / "p0.png").read_bytes())
    with pytest.raises(ConfigError, match=r"several images have the same output file .*p0\.png"):
        run("predict", saved, tmp_path / "photos", "--parsing", tmp_path / "others")
    assert not (tmp_path / "others").exists()
    with pytest.raises(ConfigError, match=r"--parsing: .*p0\.png exists already"):
        run("predict", saved, photos, "--parsing", photos)


def test_each_box_has_a_map_of_its_size(
    saved: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("image,x0,y0,x1,y1\np0.png,0,0,20,80\np0.png,10.5,4,60,70\np0.png,,,,\n")
    maps, out = tmp_path / "maps", tmp_path / "out.jsonl"
    arguments = ["predict", saved, "--table", table, "--root", photos, "--parsing", maps]
    arguments += ["--format", "jsonl", "--out", out]

    def interrupt(self: Predictor, batches: Iterable[PictureBatch]) -> Iterator[Prediction | Skipped]:
        yield from islice(real(self, batches), 1)
        raise KeyboardInterrupt

    real = Predictor._stream
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_stream", interrupt)
        assert "keeps 1 row;" in run(*arguments)
    assert "2 parsing maps" in run(*arguments, "--resume")
    rows = [json.loads(line)["row"] for line in out.read_text().splitlines()]
    sizes = [load_map(maps / f"p0_row{row}.png").shape for row in rows]
    assert sizes == [(80, 20), (66, 30), (90, 40)]
    assert len(list(maps.glob("*.png"))) == 3
    (expected,) = Predictor(create_bundle(), parse=True)([photos / "p0.png"], boxes=[(10.5, 4, 60, 70)])
    assert expected.parsing is not None
    np.testing.assert_array_equal(load_map(maps / f"p0_row{rows[1]}.png"), expected.parsing)


def test_attention_shows_the_ground_truth(saved: Path, photos: Path, truth: Path) -> None:
    figures = [truth.parent / name for name in ("with.png", "without.png")]
    run("attention", saved, photos, "--true-parsing", truth, "--out", figures[0], "--height", 96)
    run("attention", saved, photos, "--out", figures[1], "--height", 96)
    one, other = (read_image(figure).width for figure in figures)
    assert one > other
    (truth / "classes.txt").write_text("nothing\nsomething\n")
    message = r"--true-parsing: expected maps with the classes background.*have nothing, something"
    with pytest.raises(ConfigError, match=message):
        run("attention", saved, photos, "--true-parsing", truth, "--out", figures[0])
