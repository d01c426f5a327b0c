from __future__ import annotations

import csv
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from passerby.data.formats import ccp
from passerby.data.packing import UNKNOWN_CLASS
from passerby.errors import DataError, FormatError, ImageError
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES, LIP_TO_COARSE, convert_parsing

HEIGHT, WIDTH = 6, 4


def save_names(root: Path, names: list[str]) -> None:
    cells = np.empty((1, len(names)), dtype=object)
    cells[0, :] = names
    scipy.io.savemat(root / "label_list.mat", {"label_list": cells})


def save_pixels(root: Path, number: int, values: np.ndarray) -> Path:
    path = root / "annotations" / "pixel-level" / f"{number:04d}.mat"
    scipy.io.savemat(path, {"groundtruth": values})
    return path


def values_of(number: int) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[0, 0] = number
    values[-1, -1] = 58
    return values


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "annotations" / "pixel-level").mkdir(parents=True)
    save_names(tmp_path, ["null", *ccp.SCHEMA.names])
    for number in (1, 2, 30):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photos" / f"{number:04d}.jpg")
        save_pixels(tmp_path, number, values_of(number))
    return tmp_path


def test_tags_are_the_labels_that_occur(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        manifest = ccp.read(root, allow_missing=True)
    assert "1,001 of 1,004 images are missing" in caplog.text
    assert manifest.images == ["photos/0001.jpg", "photos/0002.jpg", "photos/0030.jpg"]
    tags = [[ccp.SCHEMA.names[i] for i in np.flatnonzero(row)] for row in manifest.labels]
    assert tags == [["accessories", "wedges"], ["bag", "wedges"], ["panties", "wedges"]]
    assert manifest.paths("parsing") == [f"annotations/pixel-level/{n}.mat" for n in ("0001", "0002", "0030")]
    for number, path in zip((1, 2, 30), manifest.paths("parsing"), strict=True):
        assert path is not None
        np.testing.assert_array_equal(ccp.load_pixels(root / path), values_of(number))


def test_missing_photos_stop_by_default(root: Path) -> None:
    with pytest.raises(FormatError, match=r"1,001 of 1,004 images are missing.*--allow-missing"):
        ccp.read(root)


def test_photo_without_annotation_and_annotation_without_photo_are_left_out(root: Path) -> None:
    (root / "photos" / "0001.jpg").unlink()
    (root / "annotations" / "pixel-level" / "0002.mat").unlink()
    assert ccp.read(root, allow_missing=True).images == ["photos/0030.jpg"]


def test_complete_set_needs_no_permission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccp, "PHOTOS", 10)
    for number in range(3, 11):
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "photos" / f"{number:04d}.jpg")
        save_pixels(root, number, values_of(number))
    assert ccp.read(root).images == [f"photos/{number:04d}.jpg" for number in range(1, 11)]


def test_keypoints_are_picked_up(root: Path) -> None:
    points = [float(i) for i in range(51)]
    (root / "keypoints_coco17.json").write_text(json.dumps([{"image": "0002.jpg", "keypoints": points}]))
    keypoints = ccp.read(root, allow_missing=True).keypoints()
    assert keypoints is not None
    assert keypoints[1].ravel().tolist() == points
    assert np.isnan(keypoints[[0, 2]]).all()


def test_split_is_named_by_its_seed_and_stays_when_photos_go(root: Path) -> None:
    first = ccp.read(root, allow_missing=True, seed=3)
    assert first.partition_names == ("random-3",)
    splits = dict(zip(first.images, first.table.column("split:random-3").to_pylist(), strict=True))
    (root / "photos" / "0001.jpg").unlink()
    second = ccp.read(root, allow_missing=True, seed=3)
    assert second.table.column("split:random-3").to_pylist() == [splits[i] for i in second.images]


def test_negative_seed_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="seed of 0 or above, got -1"):
        ccp.read(root, allow_missing=True, seed=-1)


def test_label_out_of_range_is_named(root: Path) -> None:
    values = values_of(1)
    values[2, 3] = 59
    save_pixels(root, 1, values)
    with pytest.raises(
        FormatError, match=r"0001\.mat: groundtruth: .*from 0 to 58, got 59 at index \(2, 3\)"
    ):
        ccp.read(root, allow_missing=True)


def test_annotation_of_another_size_is_named(root: Path) -> None:
    save_pixels(root, 2, values_of(2).T)
    with pytest.raises(FormatError, match=r"0002\.mat: expected 6 × 4 labels.*got 4 × 6"):
        ccp.read(root, allow_missing=True)


def test_truncated_annotation_is_named(root: Path) -> None:
    path = save_pixels(root, 30, values_of(30))
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(FormatError, match=r"0030\.mat.*truncated"):
        ccp.read(root, allow_missing=True)


def test_image_level_annotation_in_its_place_is_named(root: Path) -> None:
    path = root / "annotations" / "pixel-level" / "0001.mat"
    scipy.io.savemat(path, {"tags": np.array([[1, 5]])})
    with pytest.raises(FormatError, match="missing groundtruth, found tags"):
        ccp.read(root, allow_missing=True)


def test_unreadable_photo_is_named(root: Path) -> None:
    (root / "photos" / "0002.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"cannot read the image .*0002\.jpg"):
        ccp.read(root, allow_missing=True)


def test_another_label_list_is_refused(root: Path) -> None:
    names = ["null", *ccp.SCHEMA.names]
    save_names(root, names[:-1])
    with pytest.raises(FormatError, match="expected 59 strings, got 58"):
        ccp.read(root)
    save_names(root, [*names[1:], "null"])
    with pytest.raises(FormatError, match="label_list: cell 1 is 'accessories', expected 'null'"):
        ccp.read(root)
    (root / "label_list.mat").unlink()
    with pytest.raises(FormatError, match=r"label_list\.mat"):
        ccp.read(root)


def test_parsing_table_has_the_classes_in_order() -> None:
    with Path(ccp.__file__).with_name("ccp_parsing.csv").open(encoding="utf-8", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == list(ccp.CLASSES)
    assert len(ccp.CLASSES) == len(ccp.TO_LIP) == len(ccp.TO_COARSE) == 59


@pytest.mark.parametrize(
    ("name", "lip", "coarse"),
    [
        ("null", "Background", "background"),
        ("bag", "Background", "carried"),
        ("wallet", "Background", "carried"),
        ("hair", "Hair", "head"),
        ("glasses", "Sunglasses", "head"),
        ("jacket", "Coat", "upper"),
        ("dress", "Dress", "upper"),
        ("gloves", "Glove", "upper"),
        ("t-shirt", "UpperClothes", "upper"),
        ("jeans", "Pants", "lower"),
        ("tights", "Socks", "lower"),
        ("wedges", None, "feet"),
        ("watch", None, "upper"),
        ("skin", None, None),
        ("belt", None, None),
    ],
)
def test_label_becomes_a_parsing_class(name: str, lip: str | None, coarse: str | None) -> None:
    at = ccp.CLASSES.index(name)
    assert ccp.TO_LIP[at] == (UNKNOWN_CLASS if lip is None else LIP_CLASSES.index(lip))
    assert ccp.TO_COARSE[at] == (UNKNOWN_CLASS if coarse is None else COARSE_CLASSES.index(coarse))


def test_both_parsing_tables_agree() -> None:
    carried = COARSE_CLASSES.index("carried")
    for name, lip, coarse in zip(ccp.CLASSES, ccp.TO_LIP, ccp.TO_COARSE, strict=True):
        if lip != UNKNOWN_CLASS:
            assert coarse == (carried if name in ("bag", "purse", "wallet") else LIP_TO_COARSE[lip]), name


def test_stored_labels_become_coarse_classes(root: Path) -> None:
    values = values_of(1 + ccp.SCHEMA.names.index("skin"))
    path = save_pixels(root, 1, values)
    coarse = convert_parsing(ccp.load_pixels(path), ccp.TO_COARSE)
    assert (coarse[0, 0], coarse[1, 0], coarse[-1, -1]) == (UNKNOWN_CLASS, 0, COARSE_CLASSES.index("feet"))


@pytest.mark.realdata
def test_real_photos_have_the_known_counts() -> None:
    root = Path(os.environ.get("PASSERBY_DATA", "")) / "ccp"
    if "PASSERBY_DATA" not in os.environ or not root.is_dir():
        pytest.skip("PASSERBY_DATA is unset or has no ccp/")
    manifest = ccp.read(root, allow_missing=True)
    assert manifest.labels.shape == (604, 58)
    positives = dict(zip(ccp.SCHEMA.names, manifest.labels.sum(axis=0).tolist(), strict=True))
    assert positives["skin"] == 603
    assert positives["hair"] == 576
    assert positives["dress"] == 164
    assert [n for n, count in positives.items() if count == 0] == [
        "bra",
        "clogs",
        "earrings",
        "intimate",
        "panties",
        "swimwear",
    ]
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert np.isfinite(keypoints).all()
    assert sum(len(manifest.split_rows("random-0", p)) for p in ("train", "val", "test")) == 604
