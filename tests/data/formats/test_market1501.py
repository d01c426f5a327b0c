from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from passerby.data.formats import market1501
from passerby.errors import FormatError

NAMES = {
    "train": [f"{i:04d}" for i in range(2, 2 + 751)],
    "test": ["0001", *(f"{i:04d}" for i in range(1000, 1000 + 749))],
}
ORDERS = {"train": list(reversed(market1501.FIELDS)), "test": list(market1501.FIELDS)}


def create_struct(split: str) -> dict[str, Any]:
    """Random labels, fields ordered differently in the two splits as in the published file."""
    random = np.random.default_rng(len(split))
    count = len(NAMES[split])
    fields: dict[str, Any] = {
        name: random.integers(1, 5 if name == "age" else 3, size=(1, count), dtype=np.uint8)
        for name in ORDERS[split]
    }
    index = np.empty((1, count), dtype=object)
    index[0, :] = NAMES[split]
    return {**fields, "image_index": index}


@pytest.fixture
def struct() -> dict[str, dict[str, Any]]:
    return {"test": create_struct("test"), "train": create_struct("train")}


def save(root: Path, struct: dict[str, dict[str, Any]]) -> Path:
    path = root / "market_attribute.mat"
    scipy.io.savemat(path, {"market_attribute": struct})
    return path


def touch(root: Path, *images: str) -> None:
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()


def test_27_fields_make_30_columns() -> None:
    assert len(market1501.FIELDS) == 27
    assert len(market1501.SCHEMA) == 30
    assert [n for n in market1501.SCHEMA.names if n not in market1501.FIELDS] == [
        "age-young",
        "age-teenager",
        "age-adult",
        "age-old",
    ]


def test_fields_are_taken_by_name_in_both_parts(tmp_path: Path, struct: dict[str, dict[str, Any]]) -> None:
    identities = market1501.load_identities(save(tmp_path, struct))
    for split, members in identities.items():
        assert members.names == tuple(NAMES[split])
        assert members.labels.dtype == np.int8
        for column, name in enumerate(market1501.SCHEMA.names):
            if name.startswith("age-"):
                expected = struct[split]["age"][0] == 1 + market1501.AGES.index(name.removeprefix("age-"))
            else:
                expected = struct[split][name][0] == 2
            np.testing.assert_array_equal(members.labels[:, column], expected, err_msg=f"{split} {name}")


def test_without_images_nothing_is_read_by_default(tmp_path: Path, struct: dict[str, dict[str, Any]]) -> None:
    save(tmp_path, struct)
    with pytest.raises(FormatError, match=r"29,419 images are missing.*query 0 of 3,368.*--allow-missing"):
        market1501.read(tmp_path)


def test_without_images_there_is_a_row_an_identity(
    tmp_path: Path, struct: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, struct)
    with caplog.at_level(logging.WARNING):
        manifest = market1501.read(tmp_path, allow_missing=True)
    assert "one row per identity" in caplog.text
    assert len(manifest) == 1501
    assert manifest.images[0] == "bounding_box_train/0002"
    assert manifest.images[751] == "bounding_box_test/0001"
    train = manifest.select_split("official", "train")
    assert train.identities == NAMES["train"]
    np.testing.assert_array_equal(train.labels, market1501.load_identities(path)["train"].labels)


def test_images_take_the_labels_of_the_identity_in_their_name(
    tmp_path: Path, struct: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, struct)
    touch(
        tmp_path,
        "bounding_box_train/0003_c1s1_000451_03.jpg",
        "bounding_box_train/0003_c6s2_000451_00.png",
        "bounding_box_train/Thumbs.db",
        "bounding_box_test/0001_c2s1_000001_01.jpg",
        "bounding_box_test/0000_c3s1_000001_01.jpg",
        "bounding_box_test/-1_c3s1_000002_01.jpg",
        "query/0001_c5s1_001426_00.jpg",
    )
    with caplog.at_level(logging.WARNING):
        manifest = market1501.read(tmp_path, allow_missing=True)
    assert "29,415 images are missing" in caplog.text
    assert manifest.images == [
        "bounding_box_train/0003_c1s1_000451_03.jpg",
        "bounding_box_train/0003_c6s2_000451_00.png",
        "bounding_box_test/0001_c2s1_000001_01.jpg",
        "query/0001_c5s1_001426_00.jpg",
    ]
    assert manifest.identities == ["0003", "0003", "0001", "0001"]
    assert manifest.table.column("camera").to_pylist() == ["c1", "c6", "c2", "c5"]
    assert manifest.table.column("split:official").to_pylist() == ["train", "train", "test", None]
    identities = market1501.load_identities(path)
    expected = [identities["train"].labels[1]] * 2 + [identities["test"].labels[0]] * 2
    np.testing.assert_array_equal(manifest.labels, expected)


def test_complete_folders_need_no_permission(
    tmp_path: Path, struct: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, struct)
    touch(tmp_path, "bounding_box_train/0003_c1s1_000451_03.jpg", "query/0001_c5s1_001426_00.jpg")
    published = {"bounding_box_train": 1, "bounding_box_test": 0, "query": 1}
    monkeypatch.setattr(market1501, "IMAGES", published)
    assert len(market1501.read(tmp_path)) == 2
    touch(tmp_path, "query/0001_c5s1_001426_01.jpg")
    with pytest.raises(FormatError, match=r"query: expected 1 images.*got 2"):
        market1501.read(tmp_path, allow_missing=True)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("bounding_box_train/0001_c1s1_000451_03.jpg", "no labels for identity 0001 of .* of train"),
        ("query/0002_c1s1_000451_03.jpg", "no labels for identity 0002 of .* of test"),
        ("query/holiday.jpg", r"holiday\.jpg: expected a name such as"),
        ("query/0001_c7s1_000451_03.jpg", "camera 1 to 6"),
    ],
)
def test_image_that_does_not_belong_is_named(
    tmp_path: Path, struct: dict[str, dict[str, Any]], image: str, message: str
) -> None:
    save(tmp_path, struct)
    touch(tmp_path, image)
    with pytest.raises(FormatError, match=message):
        market1501.read(tmp_path, allow_missing=True)


def shorten(struct: dict[str, dict[str, Any]]) -> None:
    struct["test"] = {k: v[:, :-1] for k, v in struct["test"].items()}


def shorten_field(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["hat"] = struct["train"]["hat"][:, :-1]


def drop_field(struct: dict[str, dict[str, Any]]) -> None:
    del struct["train"]["upyellow"]


def add_field(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["boots"] = struct["train"]["hat"]


def put_zero(struct: dict[str, dict[str, Any]]) -> None:
    struct["test"]["hat"][0, 7] = 0


def put_three(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["gender"][0, 0] = 3


def put_age(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["age"][0, 0] = 5


def repeat_identity(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["image_index"][0, 1] = "0002"


def share_identity(struct: dict[str, dict[str, Any]]) -> None:
    struct["test"]["image_index"][0, 0] = "0002"


def misspell_identity(struct: dict[str, dict[str, Any]]) -> None:
    struct["train"]["image_index"][0, 0] = "2"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten, r"test\.image_index: expected 750 strings, got 749"),
        (shorten_field, r"train\.hat: expected 751 values, got 750"),
        (drop_field, "train: .*missing upyellow"),
        (add_field, "got also boots"),
        (put_zero, r"test\.hat: expected integers from 1 to 2, got 0"),
        (put_three, r"train\.gender: expected integers from 1 to 2, got 3"),
        (put_age, r"train\.age: expected integers from 1 to 4, got 5"),
        (repeat_identity, "751 different identities of four digits, got 0002 twice"),
        (share_identity, "share no identity, 1 are in both, such as 0002"),
        (misspell_identity, "four digits, got 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damaged_labels_are_named(
    tmp_path: Path, struct: dict[str, dict[str, Any]], damage: Any, message: str
) -> None:
    damage(struct)
    save(tmp_path, struct)
    with pytest.raises(FormatError, match=message):
        market1501.read(tmp_path, allow_missing=True)


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "market_attribute.mat", {"duke_attribute": {"train": 1, "test": 2}})
    with pytest.raises(FormatError, match="missing market_attribute, found duke_attribute"):
        market1501.read(tmp_path)


def test_missing_and_truncated_file_are_named(tmp_path: Path, struct: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(FormatError, match=r"market_attribute\.mat"):
        market1501.read(tmp_path)
    path = save(tmp_path, struct)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FormatError, match=r"market_attribute\.mat.*truncated"):
        market1501.read(tmp_path)


@pytest.mark.realdata
def test_real_labels_have_the_published_counts() -> None:
    root = Path(os.environ["PASSERBY_DATA"]) / "market1501" if "PASSERBY_DATA" in os.environ else None
    if root is None or not root.is_dir():
        pytest.skip("PASSERBY_DATA is unset or has no market1501/")
    path = root / "market_attribute.mat"
    identities = market1501.load_identities(path)
    assert {split: members.labels.shape for split, members in identities.items()} == {
        "train": (751, 30),
        "test": (750, 30),
    }
    ages = [i for i, n in enumerate(market1501.SCHEMA.names) if n.startswith("age-")]
    purple = market1501.SCHEMA.index("downpurple")
    for members in identities.values():
        assert (members.labels[:, ages].sum(axis=1) == 1).all()
    # The published file never says that a person of the test split wears purple below.
    assert identities["test"].labels[:, purple].sum() == 0
    assert identities["train"].labels[:, purple].sum() > 0
    content = scipy.io.loadmat(path)["market_attribute"][0, 0]
    for split, members in identities.items():
        for name in market1501.FIELDS[1:]:
            column = members.labels[:, market1501.SCHEMA.index(name)]
            assert column.sum() == (content[split][0, 0][name] == 2).sum()
    manifest = market1501.read(root, allow_missing=True)
    if not (root / "bounding_box_train").is_dir():
        assert len(manifest.select_split("official", "train")) == 751
        assert len(manifest.select_split("official", "test")) == 750
