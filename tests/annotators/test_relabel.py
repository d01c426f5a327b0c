from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from typer.testing import CliRunner, Result

from passerby.annotators.base import Annotator, Sample
from passerby.annotators.relabel import CONVERSIONS, Relabel, list_coarse_names
from passerby.cli import app
from passerby.data.formats import ccp
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError
from passerby.images.decode import load_map
from passerby.parsing import CLASS_LISTS, COARSE_CLASSES, LIP_CLASSES, LIP_TO_COARSE, UNKNOWN_CLASS

BAG, HAIR, SKIN, BOOTS = (ccp.CLASSES.index(name) for name in ("bag", "hair", "skin", "boots"))
WIDTH, HEIGHT = 8, 12


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(
        app, ["annotate", *map(str, arguments), "--device", "cpu"]
    )


def succeed(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def draw(number: int) -> np.ndarray:
    """Hair above skin above boots, a bag beside."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[1:4, 2:6], values[4:8, 2:6], values[8:11, 2:6], values[5, 6] = HAIR, SKIN, BOOTS, BAG
    values[0, number] = HAIR
    return values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder as CCP's with three photos, prepared."""
    root = tmp_path / "ccp"
    (root / "photos").mkdir(parents=True)
    (root / ccp.ANNOTATIONS).mkdir(parents=True)
    cells = np.empty((1, len(ccp.CLASSES)), dtype=object)
    cells[0, :] = ccp.CLASSES
    scipy.io.savemat(root / "label_list.mat", {"label_list": cells})
    for number in (1, 2, 3):
        Image.new("RGB", (WIDTH, HEIGHT), (120, 90, 60)).save(root / "photos" / f"{number:04d}.jpg")
        scipy.io.savemat(root / ccp.ANNOTATIONS / f"{number:04d}.mat", {"groundtruth": draw(number)})
    ccp.read(root, allow_missing=True).write(tmp_path / "ccp.parquet")
    return tmp_path / "ccp.parquet"


# ---------------------------------------------------------------------- the annotator


def test_relabel_keeps_the_contract() -> None:
    relabel: Annotator = Relabel(ccp.CLASSES, "lip")
    assert (relabel.kind, relabel.name, relabel.needs) == ("parsing", "relabel", ("parsing",))
    assert relabel.classes == LIP_CLASSES
    json.dumps(relabel.describe())
    assert relabel.describe() != Relabel(ccp.CLASSES, "coarse").describe()
    assert Relabel(LIP_CLASSES, "coarse").table == LIP_TO_COARSE
    picture = Image.new("RGB", (2, 1))
    maps = relabel.annotate([Sample(picture, parsing=np.array([[HAIR, SKIN]], np.uint8)), Sample(picture)])
    assert maps[0].tolist() == [[LIP_CLASSES.index("Hair"), UNKNOWN_CLASS]]
    assert maps[1] is None
    with pytest.raises(DataError, match="got 59"):
        relabel.annotate([Sample(picture, parsing=np.array([[59, 0]], np.uint8))])


def test_every_conversion_has_a_number_for_each_class_and_no_number_without_a_name() -> None:
    for names, tables in CONVERSIONS.items():
        for to, table in tables.items():
            assert len(table) == len(names)
            assert set(table) <= {*range(len(CLASS_LISTS[to])), UNKNOWN_CLASS}
    coarse = list_coarse_names()
    assert (coarse["wallet"], coarse["skin"], coarse["upperclothes"]) == ("carried", "unknown", "upper")
    assert set(coarse.values()) == {*COARSE_CLASSES, "unknown"}


@pytest.mark.parametrize(
    ("names", "to", "message"),
    [
        ((), "lip", "does not name the classes.*--parsing-from files --parsing-classes"),
        (
            COARSE_CLASSES,
            "lip",
            "expected parsing maps that can be converted to lip.*got 6 classes: back",
        ),
        (LIP_CLASSES, "lip", "classes of lip already; leave out relabel"),
        (LIP_CLASSES, "atr", "expected lip or coarse"),
    ],
)
def test_impossible_conversions_are_refused(names: tuple[str, ...], to: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Relabel(names, to)


# ---------------------------------------------------------------------- the command


@pytest.mark.parametrize(("to", "table"), [("lip", ccp.TO_LIP), ("coarse", ccp.TO_COARSE)])
def test_ccps_own_maps_become_those_of_another_list(path: Path, to: str, table: tuple[int, ...]) -> None:
    result = succeed(path, "--parsing-from", "relabel", "--parsing-classes", to)
    assert "Rows by --missing" not in result.output
    new = Manifest.load(path.with_name("ccp-annotated.parquet"))
    assert new.parsing_classes == CLASS_LISTS[to]
    for number, relative in zip((1, 2, 3), new.paths("parsing"), strict=True):
        assert relative == f"annotations/parsing/photos/{number:04d}.png"
        with Image.open(new.root / relative) as image:
            assert image.mode == "L"
        np.testing.assert_array_equal(load_map(new.root / relative), np.array(table)[draw(number)])


def test_changed_maps_are_relabelled_again_and_only_these(path: Path) -> None:
    asked = (path, "--parsing-from", "relabel", "--parsing-classes", "coarse")
    succeed(*asked)
    new = Manifest.load(path.with_name("ccp-annotated.parquet"))
    files = [new.root / relative for relative in new.paths("parsing")]
    before = [file.stat().st_mtime_ns for file in files]
    scipy.io.savemat(new.root / ccp.ANNOTATIONS / "0002.mat", {"groundtruth": draw(5)})
    succeed(*asked)
    after = [file.stat().st_mtime_ns for file in files]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    np.testing.assert_array_equal(load_map(files[1]), np.array(ccp.TO_COARSE)[draw(5)])
    result = run(path, "--parsing-from", "relabel", "--parsing-classes", "lip")
    assert isinstance(result.exception, ConfigError)
    assert 'to: "coarse" before, "lip" now' in str(result.exception)


def test_from_lip_to_coarse_goes_elsewhere_than_the_maps_of_lip(path: Path) -> None:
    succeed(path, "--parsing-from", "relabel", "--parsing-classes", "lip")
    lip = path.with_name("ccp-annotated.parquet")
    asked = (lip, "--parsing-from", "relabel", "--parsing-classes", "coarse")
    result = run(*asked, "--redo")
    assert isinstance(result.exception, ConfigError)
    assert "would overwrite the parsing it reads" in str(result.exception)
    succeed(*asked, "--into", "coarse")
    new = Manifest.load(path.with_name("ccp-annotated-annotated.parquet"))
    assert new.parsing_classes == COARSE_CLASSES
    assert load_map(new.root / new.paths("parsing")[0])[2, 3] == COARSE_CLASSES.index("head")


@pytest.mark.parametrize("relabelled", [False, True])
def test_masks_come_from_ccps_maps(path: Path, relabelled: bool) -> None:
    more = ("--parsing-from", "relabel", "--parsing-classes", "lip") if relabelled else ()
    succeed(path, "--masks-from", "parsing", *more)
    new = Manifest.load(path.with_name("ccp-annotated.parquet"))
    assert new.parsing_classes == (LIP_CLASSES if relabelled else ccp.CLASSES)
    for number, relative in zip((1, 2, 3), new.paths("mask"), strict=True):
        person = (draw(number) != 0) & (draw(number) != BAG)
        np.testing.assert_array_equal(load_map(new.root / relative) > 0, person)


def test_relabel_needs_maps_and_classes(path: Path) -> None:
    result = run(path, "--parsing-from", "relabel")
    assert "--parsing-from relabel: choose the target classes" in str(result.exception)
    bare = Manifest.load(path).with_guidance(parsing=[None] * 3)
    bare.write(path)
    result = run(path, "--parsing-from", "relabel", "--parsing-classes", "lip")
    assert isinstance(result.exception, ConfigError)
    assert "expected a manifest with parsing maps" in str(result.exception)


@pytest.mark.realdata
def test_true_masks_and_maps_of_ccp(tmp_path: Path) -> None:
    folder = Path(os.environ.get("PASSERBY_DATA", "")) / "ccp"
    if not os.environ.get("PASSERBY_DATA") or not folder.is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with ccp/")
    root, numbers = tmp_path / "ccp", ("0001", "0400", "1004")
    for name in ("label_list.mat", *(f"photos/{n}.jpg" for n in numbers)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, root / name)
    (root / ccp.ANNOTATIONS).mkdir(parents=True)
    for n in numbers:
        shutil.copy(folder / ccp.ANNOTATIONS / f"{n}.mat", root / ccp.ANNOTATIONS)
    path = tmp_path / "ccp.parquet"
    ccp.read(root, allow_missing=True).write(path)
    succeed(path, "--masks-from", "parsing", "--parsing-from", "relabel", "--parsing-classes", "coarse")
    new = Manifest.load(path.with_name("ccp-annotated.parquet"))
    assert new.parsing_classes == COARSE_CLASSES
    for n, mask, parsing in zip(numbers, new.paths("mask"), new.paths("parsing"), strict=True):
        true = np.array(ccp.TO_COARSE)[ccp.load_pixels(root / ccp.ANNOTATIONS / f"{n}.mat")]
        np.testing.assert_array_equal(load_map(root / parsing), true)
        np.testing.assert_array_equal(load_map(root / mask) > 0, ~np.isin(true, (0, 5)))
        assert {1, 2} <= set(np.unique(true))
