from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from passerby.data.formats import pa100k, upar
from passerby.data.label_map import LabelMap
from passerby.errors import FormatError, ManifestError

HEADERS = {
    "with image": ",".join(["# image", *upar.SCHEMA.names]),
    "without image": ",".join(["", "# Age-Young", *upar.SCHEMA.names[1:]]),
    "without its cell": ",".join(["# Age-Young", *upar.SCHEMA.names[1:]]),
}
IMAGES = [
    "Market1501/bounding_box_train/0002_c1s1_000801_01.jpg",
    "PETA/images/00001.png",
    "PA100k/release_data/release_data/000001.jpg",
]


def labels_of(row: int) -> list[int]:
    return [int(i % (row + 2) == 0) for i in range(40)]


def table(images: list[str], *, header: str = HEADERS["with image"]) -> str:
    rows = [",".join([image, *map(str, labels_of(row))]) for row, image in enumerate(images)]
    return "\n".join([header, *rows]) + "\n"


def touch(root: Path, *images: str) -> None:
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_both_headers_are_read(tmp_path: Path, header: str) -> None:
    (tmp_path / "train.csv").write_text(table(IMAGES, header=header))
    touch(tmp_path, *IMAGES)
    manifest = upar.read(tmp_path)
    assert manifest.images == IMAGES
    np.testing.assert_array_equal(manifest.labels, [labels_of(row) for row in range(3)])
    assert manifest.identities == ["market1501-0002", None, None]
    assert manifest.table.column("camera").to_pylist() == ["market1501-c1", None, None]


def test_file_names_state_the_split(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.csv").write_text(table(IMAGES[:1]))
    (tmp_path / "val.csv").write_text(table(IMAGES[1:], header=HEADERS["without image"]))
    touch(tmp_path, *IMAGES)
    manifest = upar.read(tmp_path)
    assert manifest.table.column("split:official").to_pylist() == ["train", "val", "val"]


@pytest.mark.parametrize(
    ("root", "annotations"),
    [
        (".", "phase1"),
        (".", "annotations"),
        (".", "annotations/phase1"),
        ("phase1", "phase1"),
        ("annotations/phase1", "annotations/phase1"),
        ("phase1/train", "phase1"),
    ],
)
def test_folders_of_the_challenge(tmp_path: Path, root: str, annotations: str) -> None:
    """Nested CSV files, other names of the data sets' folders, and lists of images without labels."""
    train = tmp_path / annotations / "train"
    train.mkdir(parents=True)
    (train / "train.csv").write_text(table(IMAGES, header=HEADERS["without its cell"]))
    images = [
        "MARKET/bounding_box_train/0002_c1s1_000801_01.jpg",
        "PETA/images/00001.png",
        "pa100k/data/000001.jpg",
    ]
    touch(tmp_path, *images)
    manifest = upar.read(tmp_path / root)
    assert manifest.root.resolve() == tmp_path.resolve()
    assert manifest.images == images
    assert manifest.identities == ["market1501-0002", None, None]


@pytest.mark.parametrize("header", ["", "# image\n", HEADERS["with image"] + "\n"])
def test_lists_without_labels_are_left_out(
    tmp_path: Path, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in ("train", "val_task1"):
        (tmp_path / "phase1" / folder).mkdir(parents=True)
    (tmp_path / "phase1/train/train.csv").write_text(table(IMAGES[:2]))
    (tmp_path / "phase1/val_task1/val.csv").write_text(header + f"{IMAGES[2]}\n")
    touch(tmp_path, *IMAGES)
    with caplog.at_level(logging.WARNING):
        manifest = upar.read(tmp_path)
    assert manifest.table.column("split:official").to_pylist() == ["train", "train"]
    assert "val.csv lists 1 images without labels, which are left out" in caplog.text
    (tmp_path / "phase1/val_gt").mkdir()
    (tmp_path / "phase1/val_gt/val_gt.csv").write_text(table(IMAGES[2:]))
    assert upar.read(tmp_path).table.column("split:official").to_pylist() == ["train", "train", "val"]


def test_only_lists_without_labels_or_the_folds_of_2023(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text("\n".join(IMAGES))
    with pytest.raises(FormatError, match="have no labels"):
        upar.read(tmp_path)
    (tmp_path / "val.csv").unlink()
    (tmp_path / "phase1/train").mkdir(parents=True)
    (tmp_path / "phase1/train/train_0.csv").write_text(table(IMAGES))
    with pytest.raises(
        FormatError, match=r"found train_0\.csv .*the folds of the challenge of 2023; copy one"
    ):
        upar.read(tmp_path)


def test_windows_line_ends_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_bytes(b"\xef\xbb\xbf" + table(IMAGES).replace("\n", "\r\n").encode())
    touch(tmp_path, *IMAGES)
    assert len(upar.read(tmp_path)) == 3


def test_another_extension_of_a_image_is_found(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text(table(IMAGES))
    touch(tmp_path, IMAGES[0], IMAGES[2], "PETA/images/00001.jpg")
    assert upar.read(tmp_path).images[1] == "PETA/images/00001.jpg"


def test_missing_images_stop_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "val.csv").write_text(table(IMAGES))
    with pytest.raises(FormatError, match=r"none of the 3 images.*0002_c1s1.*--allow-missing"):
        upar.read(tmp_path)
    with caplog.at_level(logging.WARNING):
        labels_alone = upar.read(tmp_path, allow_missing=True)
    assert labels_alone.images == IMAGES
    assert "none of the 3 images" in caplog.text
    touch(tmp_path, IMAGES[1])
    with pytest.raises(FormatError, match=r"2 of 3 images are missing.*--allow-missing"):
        upar.read(tmp_path)
    with caplog.at_level(logging.WARNING):
        rest = upar.read(tmp_path, allow_missing=True)
    assert rest.images == IMAGES[1:2]
    assert rest.labels.tolist() == [labels_of(1)]
    assert "2 of 3 images are missing" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header"),
        (table(IMAGES).replace("Age-Adult", "Age-Middle"), "got 'Age-Middle' for 'Age-Adult'"),
        (table(IMAGES).replace(",Accessory-Hat", ""), "got 39 columns"),
        (table(IMAGES).replace("# image", "photo"), "expected a header"),
        (table([]), "no rows|rows below the header, got none"),
        (table(IMAGES)[:-3], "line 4: expected an image and 40 labels, got 40 cells; truncated"),
        (table(IMAGES)[:-2], "line 4, Accessory-Hat: expected 0 or 1, got ''"),
        (
            table(IMAGES).replace(f"{IMAGES[1]},1", f"{IMAGES[1]},2"),
            "line 3, Age-Young: expected 0 or 1, got '2'",
        ),
        (table(IMAGES).replace(f"{IMAGES[1]},1", f"{IMAGES[1]},-1"), "expected 0 or 1, got '-1'"),
        (table([IMAGES[0], IMAGES[0]]), "twice"),
    ],
)
def test_damaged_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "val.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        upar.read(tmp_path, allow_missing=True)


def test_image_in_two_splits_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(table(IMAGES))
    (tmp_path / "val.csv").write_text(table(IMAGES[1:2]))
    with pytest.raises(FormatError, match=r"00001\.png twice"):
        upar.read(tmp_path, allow_missing=True)


def test_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"train\.csv, val\.csv or test\.csv"):
        upar.read(tmp_path)


def test_binary_file_under_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_bytes(bytes(range(128, 256)) * 10)
    with pytest.raises(FormatError, match="damaged or not a CSV"):
        upar.read(tmp_path)


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/passwd", "PETA/../../x.png"])
def test_path_that_leaves_the_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "val.csv").write_text(table([path]))
    with pytest.raises(ManifestError, match="below the root"):
        upar.read(tmp_path, allow_missing=True)


def real_root() -> Path:
    root = Path(os.environ.get("PASSERBY_DATA", "")) / "upar"
    if "PASSERBY_DATA" not in os.environ or not (root / "val.csv").is_file():
        pytest.skip("PASSERBY_DATA is unset or has no upar/val.csv")
    return root


@pytest.mark.realdata
def test_real_rows_have_the_known_counts(tmp_path: Path) -> None:
    (tmp_path / "val.csv").symlink_to(real_root() / "val.csv")  # away from the images next to it
    manifest = upar.read(tmp_path, allow_missing=True)
    assert manifest.labels[manifest.split_rows("official", "val")].shape == (19_534, 40)
    sources = [image.split("/")[0] for image in manifest.images]
    assert {s: sources.count(s) for s in set(sources)} == {
        "PA100k": 15_791,
        "Market1501": 1_996,
        "PETA": 1_747,
    }
    assert sum(i is not None for i in manifest.identities) == 1_996


@pytest.mark.realdata
def test_mapped_attributes_agree_with_pa100k_where_both_label_a_image(tmp_path: Path) -> None:
    """Where UPAR took over the labels of PA-100K, all of them are equal."""
    import scipy.io

    root = real_root()
    file = root.parent / "pa100k" / "annotation.mat"
    if not file.is_file():
        pytest.skip("PASSERBY_DATA has no pa100k/annotation.mat")
    content = scipy.io.loadmat(file)
    theirs = {
        str(name[0][0]): row
        for split in ("train", "val", "test")
        for name, row in zip(content[f"{split}_images_name"], content[f"{split}_label"], strict=True)
    }
    (tmp_path / "val.csv").symlink_to(root / "val.csv")
    manifest = upar.read(tmp_path, allow_missing=True)
    images, labels = manifest.images, manifest.labels
    rows = [i for i, image in enumerate(images) if image.startswith("PA100k/")]
    other = np.stack([theirs[images[i].rsplit("/", 1)[1]] for i in rows])
    bound = LabelMap.load("pa100k-to-upar").bind(pa100k.SCHEMA.names, upar.SCHEMA.names)
    shared = [name for name, sources in zip(bound.names, bound.sources, strict=True) if len(sources) == 1]
    assert set(shared) >= {"Gender-Female", "Accessory-Hat", "Accessory-Backpack", "Age-Young"}
    mapped = bound.map_labels(other.astype(np.int8))
    for name in shared:
        ours = labels[rows, upar.SCHEMA.index(name)]
        np.testing.assert_array_equal(ours, mapped[:, bound.names.index(name)], err_msg=name)
