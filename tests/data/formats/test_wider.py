"""WIDER-Attribute: no real files here, so small stand-ins with the counts set to theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from passerby.data.formats import wider
from passerby.errors import FormatError, ImageError, ManifestError

YES = [1] + [0] * 12 + [-1]


def make_image(name: str, *boxes: list[float], attribute: list[int] | None = None) -> dict[str, Any]:
    targets = [{"bbox": list(b), "attribute": attribute or YES} for b in boxes]
    return {"file_name": name, "scene_id": 0, "targets": targets}


def write_wider(root: Path, trainval: list[Any], test: list[Any], *, folder: str = ".") -> None:
    (root / folder).mkdir(exist_ok=True)
    for name, images in zip(wider.FILES, (trainval, test), strict=True):
        (root / folder / name).write_text(json.dumps({"images": images}))


def draw_images(root: Path, *names: str, size: tuple[int, int] = (40, 30), **options: Any) -> None:
    for name in names:
        (root / "Image" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(root / "Image" / name, **options)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Three images of 40 × 30 px with five persons, some of whom leave their image."""
    monkeypatch.setattr(wider, "PERSONS", 5)
    write_wider(
        tmp_path,
        [
            make_image("train/0--Parade/a.jpg", [1, 2, 10, 20], [-5, -5, 20, 20]),
            make_image("val/1--Riot/b.jpg", [30, 20, 50, 50], [100, 100, 5, 5]),
        ],
        [make_image("test/2--Group/c.jpg", [0, 0, 40, 30])],
    )
    draw_images(tmp_path, "train/0--Parade/a.jpg", "val/1--Riot/b.jpg", "test/2--Group/c.jpg")
    return tmp_path


def test_labels_of_the_file_change_places(root):
    manifest = wider.read(root)
    assert manifest.labels[0].tolist() == [1] + [-1] * 12 + [0]  # file: 1 yes, 0 unspecified, -1 no


def test_parts_come_from_the_file_names(root):
    manifest = wider.read(root)
    assert manifest.images[0] == "Image/train/0--Parade/a.jpg"
    assert manifest.table.column("split:official").to_pylist() == ["train", "train", "val", "test"]


def test_boxes_are_clipped_and_those_outside_left_out_and_both_raise_an_error(root, caplog):
    manifest = wider.read(root)
    assert manifest.boxes() == [(1, 2, 11, 22), (0, 0, 15, 15), (30, 20, 40, 30), (0, 0, 40, 30)]
    assert (
        "2 boxes exceed their image and were clipped; first: wider_attribute_trainval.json, image 0, target"
        in caplog.text
    )
    assert (
        "1 boxes have no pixel in their image and were removed; first: wider_attribute_trainval.json"
        in caplog.text
    )


def test_size_is_that_of_the_upright_image(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw_images(root, "test/2--Group/c.jpg", exif=exif)  # shown as 30 × 40
    assert wider.read(root).boxes()[-1] == (0, 0, 30, 30)


def test_annotation_in_its_own_folder(root):
    (root / "Anno").mkdir()
    for name in wider.FILES:
        (root / name).rename(root / "Anno" / name)
    assert len(wider.read(root)) == 4


def test_missing_images_are_counted(root):
    (root / "Image/val/1--Riot/b.jpg").unlink()
    with pytest.raises(FormatError, match="2 of 5 images are missing"):
        wider.read(root)
    assert len(wider.read(root, allow_missing=True)) == 3


def test_other_counts_are_refused(root, monkeypatch):
    monkeypatch.setattr(wider, "PERSONS", 57_524)
    with pytest.raises(FormatError, match="expected 57,524 persons in at most 13,789 images, got 5 in 3"):
        wider.read(root)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ({"scene_id": 0}, FormatError, "image 0: expected file_name and targets"),
        (make_image("a.jpg"), FormatError, "begins with train/, val/ or test/"),
        (make_image("train/../../a.jpg"), ManifestError, "below the root"),
        (make_image("train/a.jpg", [0, 0, 5]), FormatError, "target 0: expected 4 finite numbers"),
        (make_image("train/a.jpg", [0, 0, 5, float("inf")]), FormatError, "expected 4 finite numbers"),
        (make_image("train/a.jpg", [0, 0, 5, 5], attribute=[1] * 13), FormatError, "and 13 labels"),
        (make_image("train/a.jpg", [0, 0, 5, 5], attribute=[2] * 14), FormatError, "14 labels -1, 0 or 1"),
        (
            {"file_name": "train/a.jpg", "targets": [{"bbox": [0, 0, 1, 1]}]},
            FormatError,
            "target 0: expected bbox",
        ),
    ],
)
def test_damaged_entries_are_named(tmp_path, image, error, message):
    write_wider(tmp_path, [image], [])
    with pytest.raises(error, match=message):
        wider.read(tmp_path)


@pytest.mark.parametrize("text", ['{"images": [', "[]", "{}"])
def test_truncated_files_are_named(tmp_path, text):
    write_wider(tmp_path, [], [])
    (tmp_path / wider.FILES[0]).write_text(text)
    with pytest.raises(FormatError, match=r"trainval\.json is truncated or not JSON with a list"):
        wider.read(tmp_path)


def test_unreadable_image_is_named(root):
    (root / "Image/test/2--Group/c.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"cannot read the image .*c\.jpg"):
        wider.read(root)
