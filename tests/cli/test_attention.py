from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

import passerby.inference
from passerby.annotators.from_files import FromFiles
from passerby.bundle import Bundle, load
from passerby.cli import app
from passerby.errors import DataError, ModelError, SchemaError
from passerby.explain.attention_maps import compute_maps
from passerby.models import create_model
from passerby.schema import Attribute, AttributeSchema
from passerby.synthetic import SynthConfig, draw_person
from passerby.types import Preprocess
from passerby.visualization.attention_figure import draw_attention

NAMES = ("Hat", "Backpack", "Boots", "Hat, with a brim")
SCHEMA = AttributeSchema("toy", tuple(Attribute(name, f"has {name}") for name in NAMES))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    torch.manual_seed(1)
    for name in ("diaa", "baseline"):
        model = create_model(name, schema=SCHEMA, backbone="test_resnet")
        Bundle(model, Preprocess(96, 64), (0.0, 1.0, 0.0, 1.0)).save(folder / name)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for i, name in enumerate(("one.png", "more/one.png", "more/two.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        drawn = draw_person(SynthConfig(height=128, width=96), seed=0, index=i)
        Image.fromarray(drawn.image).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(bundle: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["attention", str(bundle), *arguments, "--device", "cpu"])


def list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_one_figure_of_all_pictures(bundles: Path, folder: Path) -> None:
    before = list_files(folder)
    result = run(bundles / "diaa", "one.png", "more", "--height", "96")
    assert result.exit_code == 0, result.output
    assert list_files(folder) == before | {"attention.png"}
    bundle = load(bundles / "diaa")
    maps = [compute_maps(bundle, path) for path in ("one.png", "more/one.png", "more/two.jpg")]
    with Image.open("attention.png") as image:
        figure = np.asarray(image, int)
        expected = np.asarray(draw_attention(maps, height_px=96), int)
    assert figure.shape == expected.shape
    assert np.abs(figure - expected).max() <= 2  # a batch of three rounds otherwise than one image alone
    assert result.stderr == f"attention.png: 3 images, {figure.shape[1]} × {figure.shape[0]} pixels\n"
    first = (folder / "attention.png").read_bytes()
    assert run(bundles / "diaa", "one.png", "more", "--height", "96").exit_code == 0
    assert (folder / "attention.png").read_bytes() == first


def test_options_reach_the_figure(bundles: Path, folder: Path) -> None:
    names = "attention3*confidence3,attention3+attention4"
    options = ("--attributes", "Boots, Hat", "--maps", names, "--columns", "1", "--height", "80")
    result = run(bundles / "diaa", "one.png", *options, "--out", "new/figure.tif")
    assert result.exit_code == 0, result.output
    expected = draw_attention(
        compute_maps(load(bundles / "diaa"), "one.png"),
        attributes=("Boots", "Hat"),
        names=names.split(","),
        columns=1,
        height_px=80,
    )
    with Image.open("new/figure.tif") as image:
        assert (np.asarray(image) == np.asarray(expected)).all()
    assert run(bundles / "diaa", "one.png", "--attributes", "Hat, with a brim").exit_code == 0


def test_raw_maps(bundles: Path, folder: Path) -> None:
    before = list_files(folder)
    result = run(bundles / "diaa", "one.png", "more", "--raw", "raw")
    assert result.exit_code == 0, result.output
    assert result.stderr == "raw: 3 files\n"
    made = {"raw/one.png.npz", "raw/more/one.png.npz", "raw/more/two.jpg.npz"}
    assert list_files(folder) == before | made
    bundle = load(bundles / "diaa")
    for name in made:
        source = name.removeprefix("raw/").removesuffix(".npz")
        maps = compute_maps(bundle, source)
        with np.load(name, allow_pickle=False) as file:
            assert str(file["source"]) == source
            assert tuple(file["attributes"]) == NAMES
            for map_name in ("attention3", "confidence3", "attention4", "confidence4"):
                np.testing.assert_allclose(file[f"map_{map_name}"], maps.maps[map_name], atol=1e-5)
    assert run(bundles / "diaa", "more/../one.png", "--raw", "again", "--out", "figure.png").exit_code == 0
    assert list_files(folder) == before | made | {"again/one.png.npz", "figure.png"}


def test_unreadable_pictures_are_skipped_and_named(bundles: Path, folder: Path) -> None:
    (folder / "more" / "broken.jpg").write_bytes((folder / "more" / "two.jpg").read_bytes()[:200])
    result = run(bundles / "diaa", "more", "--out", "figure.png", "--raw", "raw")
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    assert "skipped 1 of 3 images" in result.stderr
    assert "figure.png: 2 images" in result.stderr
    assert list_files(folder / "raw") == {"one.png.npz", "two.jpg.npz"}
    before = list_files(folder)
    result = run(bundles / "diaa", "more/broken.jpg")
    assert result.exit_code == 1
    assert "skipped 1 of 1 images" in result.stderr
    assert result.stdout == ""
    assert list_files(folder) == before


@pytest.mark.parametrize(
    ("error", "words", "bundle", "options"),
    [
        (ModelError, "baseline model has no attention maps.*diaa", "baseline", ()),
        (SchemaError, "'Backpak'; did you mean Backpack", "diaa", ("--attributes", "Hat,Backpak")),
        (ModelError, "'attention5'; the model has attention3", "diaa", ("--maps", "attention3,attention5")),
        (DataError, "no image format for figure.txt", "diaa", ("--out", "figure.txt")),
        (DataError, "no images at: gone.png", "diaa", ("gone.png",)),
    ],
    ids=["model", "attribute", "map", "suffix", "picture"],
)
def test_user_errors_leave_nothing(
    error: type[Exception], words: str, bundle: str, options: tuple[str, ...], bundles: Path, folder: Path
) -> None:
    """`main` prints these and ends with status 2."""
    before = list_files(folder)
    result = run(bundles / bundle, "one.png", "--raw", "raw", "--out", "figure.png", *options)
    with pytest.raises(error, match=words):
        raise result.exception or RuntimeError(result.output)
    assert list_files(folder) == before


def test_too_many_pictures_are_refused_before_any_work(bundles: Path, folder: Path) -> None:
    for i in range(15):
        (folder / "more" / f"{i}.png").write_bytes((folder / "one.png").read_bytes())
    result = run(bundles / "gone", "more", "--height", "4096")  # not even the bundle is looked at
    with pytest.raises(DataError, match="give fewer images"):
        raise result.exception or RuntimeError(result.output)


def test_a_figure_that_fails_leaves_the_old_one(
    bundles: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "attention.png").write_text("old")
    before = list_files(folder)

    def fail(*args: object, **options: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail)
        assert run(bundles / "diaa", "one.png").exit_code == 1
    with monkeypatch.context() as patch:
        patch.setattr("passerby.visualization.attention_figure.draw_attention", fail)
        assert run(bundles / "diaa", "one.png").exit_code == 1
    assert list_files(folder) == before
    assert (folder / "attention.png").read_text() == "old"
    with pytest.raises(DataError, match="cannot write"):
        raise run(bundles / "diaa", "one.png", "--out", "one.png/figure.png").exception or RuntimeError


def test_ranges_of_options(bundles: Path, folder: Path) -> None:
    assert run(bundles / "diaa", "one.png", "--columns", "0").exit_code == 2
    assert run(bundles / "diaa", "one.png", "--height", "10").exit_code == 2
    assert run(bundles / "diaa").exit_code == 2


def test_a_column_a_task_and_ready_masks(folder: Path) -> None:
    hat = Attribute("Hat", "wears a hat", task="head")
    schema = AttributeSchema("toy", (hat, Attribute("Bag", "carries a bag", task="accessory")))
    torch.manual_seed(2)
    model = create_model("man", schema=schema, backbone="test_resnet")
    Bundle(model, Preprocess(96, 64)).save(folder / "man")
    with Image.open("one.png") as photo:
        mask = Image.new("L", photo.size, 0)
    mask.paste(255, (0, 0, mask.width // 2, mask.height))
    (folder / "masks").mkdir()
    mask.save(folder / "masks" / "one.png")
    result = run(folder / "man", "one.png", "--by-task", "--masks", "masks", "--raw", "raw", "--out", "a.png")
    assert result.exit_code == 0, result.output
    raw = np.load(folder / "raw" / "one.png.npz")
    assert raw["maps"].tolist() == ["mask", "before", "after", "task"]
    assert (raw["map_after"][..., -1] == 0).all()
    assert (raw["map_before"][..., -1] > 0).any()
    auxiliary = passerby.inference.AuxiliaryInputs([FromFiles("masks", "masks")])
    maps = compute_maps(load(folder / "man"), "one.png", auxiliary=auxiliary)
    expected = draw_attention(maps, by_task=schema)
    with Image.open("a.png") as image:
        assert image.tobytes() == expected.tobytes()
    assert expected.size == draw_attention(maps, attributes=["Hat", "Bag"]).size
    wrong = run(folder / "man", "one.png", "--by-task", "--attributes", "Hat")
    assert wrong.exit_code == 2
    assert "either --attributes or --by-task" in wrong.output


def test_persons_of_a_table(bundles: Path, folder: Path) -> None:
    rows = ("one.png,10,0,50,128", "one.png,40,8,96,100", "more/two.jpg,,,,", "one.png,200,0,220,60")
    (folder / "people.csv").write_text("\n".join(("image,x0,y0,x1,y1", *rows)) + "\n")
    options = ("--out", "figure.png", "--raw", "raw")
    result = run(bundles / "diaa", "--table", "people.csv", *options)
    assert result.exit_code == 1
    assert "skipped: row 5: one.png: box outside the image" in result.stderr
    assert "skipped 1 of 4 persons" in result.stderr
    assert "figure.png: 3 persons" in result.stderr
    assert list_files(folder / "raw") == {"one_row2.png.npz", "one_row3.png.npz", "more/two_row4.jpg.npz"}
    expected = compute_maps(load(bundles / "diaa"), "one.png", crop=(40, 8, 96, 100))
    with np.load("raw/one_row3.png.npz") as file:
        assert (int(file["row"]), tuple(file["box"])) == (3, (40, 8, 96, 100))
        assert (file["picture"] == expected.picture).all()
        np.testing.assert_allclose(file["map_attention3"], expected.maps["attention3"], atol=1e-5)
    assert run(bundles / "diaa", "one.png", "--table", "people.csv").exit_code == 2
