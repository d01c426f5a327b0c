from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from passerby.data.formats import peta, peta_archive
from passerby.data.summary import summarise
from passerby.errors import FormatError, ManifestError

ROWS = 19_000


def make_content() -> dict[str, Any]:
    """PETA.mat in full size, made up: row r (from 0) holds attribute r mod 105, identity r // 2 + 1."""
    data = np.zeros((ROWS, 109), np.uint16)
    data[:, 0] = np.arange(1, ROWS + 1)
    data[:, 1] = np.arange(ROWS) // 2 + 1
    data[np.arange(ROWS), 4 + np.arange(ROWS) % 105] = 1
    partitions = np.empty((5, 1), object)
    for k in range(5):
        order = np.roll(np.arange(1, ROWS + 1, dtype=np.uint16), -k)[:, None]
        partitions[k, 0] = {"train": order[:9500], "val": order[9500:11400], "test": order[11400:]}
    names = np.empty((105, 1), object)
    names[:, 0] = peta.SCHEMA.names
    selected = np.arange(5, 40, dtype=np.uint8)[None]
    return {"data": data, "attribute": names, "selected_attribute": selected, "partion_attribute": partitions}


def write_peta(root: Path, change: Callable[[dict[str, Any]], None] | None = None) -> None:
    content = make_content()
    if change:
        change(content)
    savemat(root / "PETA.mat", {"peta": content})


def add_images(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_peta(tmp_path)
    add_images(tmp_path, "images/00001.png", "images/00002.JPG", "images/09501.bmp", "images/19000.jpeg")
    return tmp_path


def test_reads_evaluated_attributes_splits_and_identities(root):
    manifest = peta.read(root, allow_missing=True)
    assert manifest.images == [
        "images/00001.png",
        "images/00002.JPG",
        "images/09501.bmp",
        "images/19000.jpeg",
    ]
    assert manifest.schema.names == peta.EVALUATED
    assert len(peta.EVALUATED) == 35
    assert manifest.identities == ["1", "1", "4751", "9500"]
    assert manifest.partition_names == tuple(f"official-{k}" for k in range(1, 6))
    expected = np.zeros((4, 35), np.int8)
    expected[0, 0] = expected[1, 1] = 1  # the other two hold attributes that are not evaluated
    np.testing.assert_array_equal(manifest.labels, expected)


def test_rows_of_partitions_count_from_one(root):
    """Row 1 of the file is the first image; off by one would put image 9,501 into train."""
    splits = peta.read(root, allow_missing=True).table
    assert splits.column("split:official-1").to_pylist() == ["train", "train", "val", "test"]
    assert splits.column("split:official-2").to_pylist() == ["test", "train", "train", "test"]


def test_all_attributes_on_demand(root):
    manifest = peta.read(root, allow_missing=True, attributes="all")
    assert len(manifest.schema) == 105
    assert manifest.labels.argmax(axis=1).tolist() == [0, 1, 9500 % 105, 18_999 % 105]


def test_missing_images_are_counted(root):
    with pytest.raises(FormatError, match=r"18,996 of 19,000 images are missing.*--allow-missing"):
        peta.read(root)


def test_guidance_next_to_the_images_is_found(root):
    add_images(root, "masks/00002.png")
    (root / "keypoints_coco17.json").write_text(json.dumps([{"image": "09501.jpg", "keypoints": [1.5] * 51}]))
    manifest = peta.read(root, allow_missing=True)
    assert manifest.paths("mask") == [None, "masks/00002.png", None, None]
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert np.isnan(keypoints[0]).all()
    assert (keypoints[2] == 1.5).all()


# ---------------------------------------------------------------------- damaged files


def set_value(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.__setitem__(key, value)


def set_cell(row: int, column: int, value: int) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["data"].__setitem__((row, column), value)


def change_partition(split: str, position: int, value: int) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["partion_attribute"][2, 0][split] = content["partion_attribute"][2, 0][split].copy()
        content["partion_attribute"][2, 0][split][position] = value

    return change


def swap_names(content: dict[str, Any]) -> None:
    content["attribute"][[0, 1]] = content["attribute"][[1, 0]]


def shorten_train(content: dict[str, Any]) -> None:
    record = content["partion_attribute"][0, 0]
    record["train"] = record["train"][:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("selected_attribute"), "missing selected_attribute"),
        (lambda c: c.__setitem__("data", c["data"][:-1]), "expected shape 19000 × 109, got 18999 × 109"),
        (lambda c: c.__setitem__("attribute", c["attribute"][:61]), "expected 105 strings, got 61"),
        (swap_names, "attribute: cell 1 is 'personalLess45', expected 'personalLess30'"),
        (set_cell(7, 50, 2), r"labels in data: expected integers from 0 to 1, got 2 at index \(7, 46\)"),
        (set_cell(7, 0, 9), "image numbers 1 to 19000"),
        (
            set_value("selected_attribute", np.arange(1, 36)[None]),
            "selected_attribute: .*from 5 to 109, got 1",
        ),
        (set_value("selected_attribute", np.arange(6, 41)[None]), "columns 5 to 39 of data"),
        (
            lambda c: c.__setitem__("partion_attribute", c["partion_attribute"][:4]),
            "expected 5 partitions, got 4",
        ),
        (shorten_train, "partion_attribute 1: expected 9,500 rows in train, got 9,499"),
        (
            change_partition("test", 0, 0),
            "partion_attribute 3: test: expected integers from 1 to 19000, got 0",
        ),
        (change_partition("val", 0, 3), "partion_attribute 3: row 3 occurs in train and again in val"),
    ],
)
def test_other_versions_and_damage_are_named(tmp_path, change, message):
    write_peta(tmp_path, change)
    with pytest.raises(FormatError, match=message):
        peta.read(tmp_path, allow_missing=True)


def test_truncated_and_absent_files_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"found no PETA\.mat or PETA/PETA\.mat"):
        peta.read(tmp_path)
    write_peta(tmp_path)
    content = (tmp_path / "PETA.mat").read_bytes()
    (tmp_path / "PETA.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="truncated, damaged"):
        peta.read(tmp_path)


# ---------------------------------------------------------------------- the original layout


def write_mapping(root: Path, lines: list[str]) -> None:
    (root / "file_mapping.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def archive_root(tmp_path: Path) -> Path:
    """Three images in the original layout, in another order than their numbers."""
    write_peta(tmp_path)
    originals = {
        19000: "PETA dataset/VIPeR/archive/001_90_2.bmp",
        1: "PETA dataset/CUHK/archive/0002.png",
        2: "PETA dataset/GRID/archive/0453_2_30392_85_19_53_175.jpeg",
    }
    add_images(tmp_path, *originals.values())
    write_mapping(tmp_path, [f"PETA/{name},PETA/images/{n:05d}.png" for n, name in originals.items()])
    return tmp_path


def test_original_layout_goes_by_number_not_by_line(archive_root):
    manifest = peta.read(archive_root, allow_missing=True)
    assert manifest.images == [
        "PETA dataset/CUHK/archive/0002.png",
        "PETA dataset/GRID/archive/0453_2_30392_85_19_53_175.jpeg",
        "PETA dataset/VIPeR/archive/001_90_2.bmp",
    ]
    assert manifest.identities == ["1", "1", "9500"]
    assert manifest.table.column("camera").to_pylist() == [None, "GRID-2", "VIPeR-2"]


@pytest.mark.parametrize("folder", [".", ".."])
def test_the_mapping_file_under_its_other_name(archive_root, folder):
    expected = peta.read(archive_root, allow_missing=True)
    (archive_root / "file_mapping.txt").rename(archive_root / folder / "peta_file_mapping.txt")
    manifest = peta.read(archive_root, allow_missing=True)
    assert manifest.images == expected.images
    assert manifest.table.column("camera").to_pylist() == expected.table.column("camera").to_pylist()
    (archive_root / folder / "peta_file_mapping.txt").unlink()


def test_original_layout_below_a_peta_folder(archive_root):
    (archive_root / "PETA").mkdir()
    (archive_root / "PETA dataset").rename(archive_root / "PETA" / "PETA dataset")
    assert peta.read(archive_root, allow_missing=True).images[0] == "PETA/PETA dataset/CUHK/archive/0002.png"


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("PETA/PETA dataset/CUHK/archive/0002.png", FormatError, "line 1: expected `original path,"),
        ("PETA/PETA dataset/CUHK/archive/0002.png,PETA/images/x.png", FormatError, "line 1"),
        (
            "PETA/PETA dataset/CUHK/archive/0002.png,PETA/images/19001.png",
            FormatError,
            "from 1 to 19000 once, got 19001",
        ),
        ("0002.png,PETA/images/00001.png", FormatError, "expected `PETA dataset/<subset>/archive/<file>`"),
        ("../CUHK/archive/0002.png,PETA/images/00001.png", ManifestError, "below the root"),
        ("/CUHK/archive/0002.png,PETA/images/00001.png", ManifestError, "below the root"),
    ],
)
def test_damaged_mapping_is_named(tmp_path, line, error, message):
    write_mapping(tmp_path, [line])
    with pytest.raises(error, match=message):
        peta_archive.load_archive(tmp_path / "file_mapping.txt", count=ROWS)


def test_mapping_with_a_number_twice_is_refused(tmp_path):
    write_mapping(tmp_path, [f"PETA dataset/CUHK/archive/{n}.png,PETA/images/00001.png" for n in (1, 2)])
    with pytest.raises(FormatError, match="line 2: expected each number from 1 to 19000 once, got 1"):
        peta_archive.load_archive(tmp_path / "file_mapping.txt", count=ROWS)


@pytest.mark.parametrize(
    ("subset", "name", "key"),
    [
        ("CUHK", "0002.png", "0002.png"),
        ("3DPeS", "100_3_FRAME_26_RGB.bmp", "100"),
        ("MIT", "00001_male_back.jpg", "00001"),
    ],
)
def test_label_key(subset, name, key):
    assert peta_archive.get_label_key(subset, name) == key


@pytest.mark.parametrize(
    ("name", "camera"),
    [
        ("PRID/archive/0001_a.png", "PRID-a"),
        ("TownCentre/archive/0_16.jpg", "TownCentre"),
        ("CUHK/archive/0002.png", None),
    ],
)
def test_camera_from_the_original_name(name, camera):
    assert peta_archive.find_camera(f"PETA dataset/{name}") == camera


def test_label_file_is_spelled_otherwise_and_has_more_names(tmp_path):
    path = tmp_path / "Label.txt"
    path.write_text(
        "001 personalMale footwearSneakers accessoryFaceMask\n"
        "\n"
        "002 accessoryShawl lowerBodyLogo personalLess30\n"
        "001 footwearSneakers personalMale\n"
    )
    labels = peta_archive.load_label_file(path, frozenset(peta.SCHEMA.names))
    assert labels == {"001": {"personalMale", "footwearSneaker"}, "002": {"personalLess30"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("001 personalMail\n", "line 1: unknown attribute 'personalMail'"),
        ("001 personalMale\n001 hairLong\n", "line 2: '001' occurs twice with different attributes"),
    ],
)
def test_damaged_label_file_is_named(tmp_path, text, message):
    (tmp_path / "Label.txt").write_text(text)
    with pytest.raises(FormatError, match=message):
        peta_archive.load_label_file(tmp_path / "Label.txt", frozenset(peta.SCHEMA.names))


def write_whole_archive(root: Path) -> None:
    """The original layout, whole: odd numbers from CUHK, even ones from MIT, labels of the .mat file."""
    cuhk, mit, lines = [], [], []
    for n in range(1, ROWS + 1):
        name = peta.SCHEMA.names[(n - 1) % 105].replace("footwearSneaker", "footwearSneakers")
        if n % 2:
            cuhk.append(f"{n:05d}.png {name}")
            lines.append(f"PETA/PETA dataset/CUHK/archive/{n:05d}.png,PETA/images/{n:05d}.png")
        else:
            mit.append(f"{n:05d} {name}")
            lines.append(f"PETA/PETA dataset/MIT/archive/{n:05d}_male_back.jpg,PETA/images/{n:05d}.png")
    write_mapping(root, lines)
    for subset, labels in {"CUHK": cuhk, "MIT": mit}.items():
        add_images(root, f"PETA dataset/{subset}/archive/Label.txt")
        (root / f"PETA dataset/{subset}/archive/Label.txt").write_text("\n".join(labels))


@pytest.mark.slow
def test_labels_from_text_agree_and_differences_are_counted(root, caplog):
    write_whole_archive(root)
    path = root / "PETA dataset/MIT/archive/Label.txt"
    from_mat = peta.read(root, allow_missing=True, attributes="all")
    from_text = peta.read(root, allow_missing=True, attributes="all", labels="text")
    assert "differ in 0 of 1,995,000 labels" in caplog.text
    np.testing.assert_array_equal(from_text.labels, from_mat.labels)
    path.write_text(path.read_text().replace("00002 personalLess45", "00002 personalLess45 hairLong"))
    changed = peta.read(root, allow_missing=True, attributes="all", labels="text")
    assert "differ in 1 of" in caplog.text
    assert changed.labels[1, peta.SCHEMA.index("hairLong")] == 1


def test_labels_from_text_need_every_image(root):
    with pytest.raises(FormatError, match=r"file_mapping\.txt with 19000 lines"):
        peta.read(root, allow_missing=True, labels="text")
    write_whole_archive(root)
    path = root / "PETA dataset/MIT/archive/Label.txt"
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(FormatError, match="has no line '00002'"):
        peta.read(root, allow_missing=True, labels="text")
    path.unlink()
    with pytest.raises(FormatError, match=r"expected Label\.txt next to the images"):
        peta.read(root, allow_missing=True, labels="text")


# ---------------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def real_root() -> Path:
    folder = os.environ.get("PASSERBY_DATA")
    if not folder or not (Path(folder) / "peta").is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with peta/")
    return Path(folder) / "peta"


@pytest.mark.realdata
def test_real_peta(real_root):
    manifest = peta.read(real_root)
    assert (len(manifest), len(manifest.schema)) == (19_000, 35)
    summary = summarise(manifest)
    assert summary.missing == []
    assert summary.identities == 8_699
    for k in range(1, 6):
        assert summary.splits[f"official-{k}"] == {"train": 9_500, "val": 1_900, "test": 7_600}
    assert round(100 * summary.shared["official-1"].train_share) == 57
    assert summary.guidance == {"box": 0, "mask": 19_000, "parsing": 0, "keypoints": 19_000}
    labels = manifest.labels
    assert set(np.unique(labels)) == {0, 1}
    # labels belong to identities, so equal identities have equal labels
    first = {identity: row for row, identity in reversed(list(enumerate(manifest.identities)))}
    np.testing.assert_array_equal(labels, labels[[first[i] for i in manifest.identities]])


@pytest.mark.realdata
def test_real_peta_with_all_attributes(real_root):
    manifest = peta.read(real_root, attributes="all")
    assert len(manifest.schema) == 105
    assert manifest.select_attributes(peta.EVALUATED).labels.sum() == peta.read(real_root).labels.sum()
