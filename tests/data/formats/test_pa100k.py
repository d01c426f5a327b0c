from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from passerby.data.formats import pa100k
from passerby.errors import FormatError

SIZES = {"train": 80_000, "val": 10_000, "test": 10_000}


def make_cells(strings: list[str]) -> np.ndarray[Any, Any]:
    cells = np.empty((len(strings), 1), object)
    cells[:, 0] = strings
    return cells


@pytest.fixture(scope="module")
def complete() -> dict[str, Any]:
    """annotation.mat with made-up labels, full in size: image n holds attribute n mod 26."""
    content: dict[str, Any] = {"attributes": make_cells(list(pa100k.SCHEMA.names))}
    number = 0
    for split, size in SIZES.items():
        numbers = np.arange(number + 1, number + size + 1)
        content[f"{split}_images_name"] = make_cells([f"{n:06d}.jpg" for n in numbers])
        labels = np.zeros((size, 26), np.uint8)
        labels[np.arange(size), numbers % 26] = 1
        content[f"{split}_label"] = labels
        number += size
    return content


def add_images(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def read_changed(complete, tmp_path, monkeypatch) -> Callable[..., Any]:
    """Read the data set after a change of its annotation; a real file of 100,000 names takes ten seconds."""

    def read(change: Callable[[dict[str, Any]], object] = len, *, allow_missing: bool = True) -> Any:
        content = dict(complete)
        change(content)
        (tmp_path / "annotation.mat").touch()
        monkeypatch.setattr(pa100k, "load_mat", lambda path, required: content)
        return pa100k.read(tmp_path, allow_missing=allow_missing)

    return read


@pytest.mark.parametrize("folder", ["data", "release_data/release_data"])
def test_reads_both_layouts_and_counts_missing_images(tmp_path, read_changed, folder, caplog):
    add_images(tmp_path, *(f"{folder}/{n}" for n in ("000001.jpg", "080001.png", "100000.jpg")))
    with pytest.raises(FormatError, match=r"99,997 of 100,000 images are missing.*--allow-missing"):
        read_changed(allow_missing=False)
    manifest = read_changed()
    assert "99,997 of 100,000 images are missing" in caplog.text
    assert manifest.images == [f"{folder}/000001.jpg", f"{folder}/080001.png", f"{folder}/100000.jpg"]
    assert manifest.table.column("split:official").to_pylist() == ["train", "val", "test"]
    assert manifest.labels.sum(axis=1).tolist() == [1, 1, 1]
    assert manifest.labels.argmax(axis=1).tolist() == [1, 80_001 % 26, 100_000 % 26]
    assert manifest.identities == [None] * 3


def test_mutilated_copy_is_refused_with_its_name(tmp_path):
    content: dict[str, Any] = {"attributes": make_cells(list(pa100k.SCHEMA.names))}
    for split, size in {"train": 1_599, "val": 200, "test": 200}.items():
        name = "text" if split == "test" else split
        content[f"{name}_images_name"] = make_cells([f"{i:06d}.jpg" for i in range(1, size + 1)])
        content[f"{split}_label"] = np.zeros((size, 26), np.uint8)
    savemat(tmp_path / "annotation.mat", content)
    with pytest.raises(FormatError, match=r"incomplete copy.*text_images_name.*80,000/10,000/10,000"):
        pa100k.read(tmp_path)


def set_label(value: int) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["val_label"] = content["val_label"].copy()
        content["val_label"][3, 5] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("test_label"), "lacks test_label"),
        (
            lambda c: c.update(val_images_name=c["val_images_name"][:-1]),
            "val_images_name: expected 10000 strings, got 9999",
        ),
        (
            lambda c: c.update(train_label=c["train_label"][:, :25]),
            "train_label: expected shape 80000 × 26, got 80000 × 25",
        ),
        (
            lambda c: c.update(attributes=c["attributes"][::-1]),
            "attributes: cell 1 is 'boots', expected 'Female'",
        ),
        (lambda c: c.update(val_images_name=c["test_images_name"]), "every image once, 10000 are repeated"),
        (set_label(2), r"val_label: expected integers from 0 to 1, got 2 at index \(3, 5\)"),
    ],
)
def test_other_versions_and_damage_are_named(read_changed, change, message):
    with pytest.raises(FormatError, match=message):
        read_changed(change)


@pytest.mark.slow
def test_reads_a_real_mat_file(tmp_path, complete):
    savemat(tmp_path / "annotation.mat", complete)
    add_images(tmp_path, "data/000003.jpg")
    assert pa100k.read(tmp_path, allow_missing=True).labels.argmax(axis=1).tolist() == [3]


def test_truncated_file_is_named(tmp_path):
    savemat(tmp_path / "annotation.mat", {"attributes": make_cells(list(pa100k.SCHEMA.names))})
    content = (tmp_path / "annotation.mat").read_bytes()
    (tmp_path / "annotation.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="truncated, damaged"):
        pa100k.read(tmp_path)


@pytest.mark.realdata
def test_real_pa100k():
    folder = os.environ.get("PASSERBY_DATA")
    if not folder or not (Path(folder) / "pa100k").is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with pa100k/")
    root = Path(folder) / "pa100k"
    content = pa100k._load_annotation(root / "annotation.mat")
    assert [content[f"{p}_label"].shape for p in SIZES] == [(80_000, 26), (10_000, 26), (10_000, 26)]
    manifest = pa100k.read(root, allow_missing=True)
    assert (len(manifest), len(manifest.schema)) == (1_000, 26)
    assert manifest.images[0] == "data/000001.jpg"
    assert None not in manifest.paths("mask")
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert not np.isnan(keypoints).any()
    with pytest.raises(FormatError, match="99,000 of 100,000 images are missing"):
        pa100k.read(root)
