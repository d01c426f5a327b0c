from __future__ import annotations

import logging
from pathlib import Path

import pytest

from passerby.data.formats import market1501, mars
from passerby.errors import FormatError

HEADER = (
    "person-id,camera,tracklet,Tops.c,Bottoms.c,Age,Tops.l,Bottoms.l,shoulder bag,backpack,hat,handbag,hair,"
    "gender,Bottoms.t"
)
ROWS = [
    "1,2,58,8,0,1,1,1,0,0,0,0,1,1,0",
    "2,2,19,7,7,1,1,1,0,1,0,0,0,0,1",
    "1500,1,2,2,4,3,0,0,1,0,1,1,0,0,1",
]
LATER = ",".join(
    [
        *("person_id", "camera_id", "tracklets_id", "action", "angle", *(f"quality{i}" for i in range(7))),
        *("upcolor", "downcolor", "age", "up", "down", "bag", "backpack", "hat", "handbag", "hair"),
        *("gender", "btype"),
    ]
)
IMAGES = [
    "bbox_train/0001/0001C2T0058F001.jpg",
    "bbox_train/0001/0001C2T0058F002.jpg",
    "bbox_test/0002/0002C2T0019F001.jpg",
    "bbox_test/1500/1500C1T0002F030.jpg",
]


def write(root: Path, rows: list[str], header: str = HEADER, images: list[str] = IMAGES) -> None:
    (root / "mars_attributes.csv").write_text("\n".join([header, *rows]) + "\n")
    for image in [*images, "bbox_test/0000/0000C1T0001F001.jpg", "bbox_test/00-1/00-1C1T0001F001.jpg"]:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()


def list_positives(labels: object) -> list[str]:
    return [name for name, label in zip(mars.SCHEMA.names, labels, strict=True) if label]  # type: ignore[call-overload]


def test_labels_of_tracklets_belong_to_their_frames(tmp_path):
    write(tmp_path, ROWS)
    manifest = mars.read(tmp_path)
    assert manifest.images == IMAGES
    assert manifest.identities == ["0001", "0001", "0002", "1500"]
    assert manifest.table.column("camera").to_pylist() == ["c2", "c2", "c2", "c1"]
    assert manifest.table.column("split:official").to_pylist() == ["train", "train", "test", "test"]
    assert [list_positives(row) for row in manifest.labels] == [
        *[["upcomplex", "downwhite", "age-teenager", "up", "down", "hair", "gender"]] * 2,
        ["upred", "downblue", "age-teenager", "up", "down", "backpack", "clothes"],
        ["upgreen", "downgray", "age-old", "bag", "hat", "handbag", "clothes"],
    ]


def test_the_later_file_has_the_same_columns_behind_nine_others(tmp_path):
    later = [",".join([*row.split(",")[:3], *"450000010", *row.split(",")[3:]]) for row in ROWS]
    write(tmp_path, later, LATER)
    labels = mars.load_tracklets(tmp_path / "mars_attributes.csv")
    write(tmp_path, ROWS)
    earlier = mars.load_tracklets(tmp_path / "mars_attributes.csv")
    assert {key: row.tolist() for key, row in labels.items()} == {
        key: row.tolist() for key, row in earlier.items()
    }


def test_columns_with_several_values_are_categories():
    groups = mars.SCHEMA.group_by("category")
    assert {name: len(rows) for name, rows in groups.items() if len(rows) > 1} == {
        "upper colour": 9,
        "lower colour": 10,
        "age": 4,
    }
    assert {a.classes for a in mars.SCHEMA if a.category == "lower colour"} == {10}


def test_names_that_market1501_has_too_mean_the_same():
    for attribute in mars.SCHEMA:
        if attribute.name in market1501.SCHEMA and attribute.name != "bag":
            assert attribute.description == market1501.SCHEMA[attribute.name].description


def test_missing_tracklets_and_those_without_labels(tmp_path, caplog):
    write(tmp_path, ROWS[:2], images=[*IMAGES[:2], "bbox_train/0001/0001C1T0007F001.jpg"])
    with pytest.raises(FormatError, match=r"MARS: 1 of 2 tracklets have no image .*--allow-missing"):
        mars.read(tmp_path)
    with caplog.at_level(logging.WARNING):
        manifest = mars.read(tmp_path, allow_missing=True)
    assert manifest.images == IMAGES[:2]
    assert "left out 1 of 3 images, whose tracklets are not in mars_attributes.csv" in caplog.text


def test_no_image_at_all(tmp_path):
    write(tmp_path, ROWS, images=[])
    with pytest.raises(FormatError, match=r"3 of 3 tracklets have no image .*check --root"):
        mars.read(tmp_path, allow_missing=True)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (
            ROWS,
            HEADER.replace("person-id", "identity"),
            "expected person-id, camera, tracklet and 12 columns",
        ),
        (ROWS, HEADER.replace(",hat", ",hat,cap"), "row 2: expected 16 cells, got 15"),
        (
            [ROWS[0].replace("1,2,58,8", "1,2,58,9")],
            HEADER,
            "row 2, column 'Tops.c': expected a number from 0 to 8",
        ),
        ([ROWS[0][:-1]], HEADER, r"row 2, column 'Bottoms.t': expected a number from 0 to 1, got ''"),
        ([ROWS[0], ROWS[0][:-1] + "1"], HEADER, "row 3: the tracklet .* has other labels in an earlier row"),
    ],
)
def test_damaged_files_are_named(tmp_path, rows, header, message):
    write(tmp_path, rows, header)
    with pytest.raises(FormatError, match=message):
        mars.read(tmp_path)


def test_a_wrong_name_of_an_image_is_named(tmp_path):
    write(tmp_path, ROWS, images=[*IMAGES, "bbox_train/0001/0002C2T0058F003.jpg"])
    with pytest.raises(
        FormatError, match=r"0002C2T0058F003\.jpg: expected a name such as 0001C1T0001F001\.jpg"
    ):
        mars.read(tmp_path)
