from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from passerby.data.formats.table.columns import find_columns, read_splits
from passerby.data.formats.table.files import Table
from passerby.errors import FormatError


def make_table(**columns: list[Any]) -> Table:
    count = len(next(iter(columns.values())))
    return Table(dict(columns), [f"t.csv, row {number}" for number in range(2, 2 + count)])


@pytest.mark.parametrize(
    "name",
    [
        *("image", "Image", "IMAGE", "image_id", "imageId", "image_path", "Image Path", "image_name"),
        *("img", "img_path", "file", "filename", "file_name", "FileName", "filepath", "path"),
        *("photo", "Photo", "picture", "pic"),
    ],
)
def test_the_image_by_its_usual_names(name):
    assert find_columns(make_table(**{"Hat": ["1"], name: ["a.jpg"]})).image == name


def test_the_image_by_option_or_by_its_cells(caplog):
    table = make_table(image_id=["17"], crop=["c.jpg"], file_name=["a.jpg"], Hat=["1"])
    with caplog.at_level(logging.WARNING):
        columns = find_columns(table)
    assert columns.image == "file_name"
    assert columns.others == ("crop", "Hat")
    assert "left out the column image_id: another column has the images" in caplog.text
    assert find_columns(table, image="crop").image == "crop"
    assert find_columns(table, image="crop").others == ("Hat",)
    assert find_columns(table, image="crop", labels=["image_id"]).others == ("image_id", "Hat")
    with pytest.raises(FormatError, match="--image-column: no column crops; the table has image_id, crop"):
        find_columns(table, image="crops")


def test_no_image_or_several_name_the_option():
    with pytest.raises(
        FormatError,
        match=r"t\.csv: expected a column `image` .*got portrait, Hat; name it with --image-column portrait",
    ):
        find_columns(make_table(portrait=["a.jpg"], Hat=["1"]))
    with pytest.raises(FormatError, match=r"path, file may all be the image; .*--image-column path"):
        find_columns(make_table(path=["a.jpg"], file=["b.jpg"]))


@pytest.mark.parametrize(
    ("names", "has_size"),
    [
        (("x0", "y0", "x1", "y1"), False),
        (("x1", "y1", "x2", "y2"), False),
        (("xmin", "ymin", "xmax", "ymax"), False),
        (("x_min", "y_min", "x_max", "y_max"), False),
        (("Left", "Top", "Right", "Bottom"), False),
        (("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), False),
        (("x", "y", "w", "h"), True),
        (("x", "y", "width", "height"), True),
        (("left", "top", "width", "height"), True),
    ],
)
def test_boxes_by_their_usual_names(names, has_size):
    columns = find_columns(make_table(image=["a.jpg"], **{name: ["1"] for name in reversed(names)}))
    assert columns.box == names
    assert columns.box_has_size is has_size
    assert columns.others == ()


def test_single_words_of_a_box_are_attributes():
    columns = find_columns(make_table(image=["a.jpg"], top=["1"], bottom=["0"], width=["3"]))
    assert columns.box == ()
    assert columns.others == ("top", "bottom", "width")


def test_a_box_in_one_cell_is_ambiguous():
    with pytest.raises(FormatError, match=r"t\.csv: column 'bbox': four numbers .*--ignore bbox"):
        find_columns(make_table(image=["a.jpg"], bbox=["1 2 3 4"]))
    assert find_columns(make_table(image=["a.jpg"], bbox=["1 2 3 4"]), ignore=["bbox"]).others == ()


def test_other_columns_by_their_usual_names(caplog):
    table = make_table(image=["a.jpg"], PID=["7"], cam_id=["2"], subset=["dev"], Hat=["1"])
    with caplog.at_level(logging.WARNING):
        columns = find_columns(table)
    assert (columns.identity, columns.camera, columns.partitions) == ("PID", "cam_id", {"own": "subset"})
    assert columns.others == ("Hat",)
    assert "read the columns 'PID' as identity, 'cam_id' as camera, 'subset' as split" in caplog.text


def test_what_was_read_is_logged_in_the_right_number(caplog):
    table = make_table(
        image=["a.jpg"], path=["b"], file=["c"], x=["1"], y=["2"], w=["3"], h=["4"], pid=["7"], Hat=["1"]
    )
    with caplog.at_level(logging.WARNING):
        find_columns(table)
    assert caplog.messages == [
        "read the column 'pid' as identity",
        "read the columns 'x', 'y', 'w', 'h' as the box (left, top, width, height, in pixels)",
        "left out the columns path, file: another column has the images",
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_numbers_of_rows_are_left_out_unless_named(caplog, position):
    columns = {"image": ["a.jpg", "b.jpg"], "Hat": ["1", "0"]}
    items = list(columns.items())
    items.insert(position, ("id", ["1", "2"]))
    table = replace(make_table(**dict(items)), numbering=frozenset({"id"}))
    assert find_columns(table, ignore=["id"]).others == ("Hat",)
    assert find_columns(table, image="id").image == "id"
    assert sorted(find_columns(table, labels=["id"]).others) == ["Hat", "id"]
    assert "numbers the rows" not in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert find_columns(table).others == ("Hat",)
    assert caplog.messages == ["left out the column 'id', which only numbers the rows"]


def test_labels_under_the_name_of_another_column(caplog):
    table = make_table(image=["a.jpg", "b.jpg"], mask=["1", "0"], camera=["0", "1"])
    with caplog.at_level(logging.WARNING):
        columns = find_columns(table)
    assert (columns.mask, columns.camera, columns.others) == (None, "camera", ("mask",))
    assert caplog.messages == [
        "the column 'camera' was read as the number of the camera, but has only labels; if it is an "
        "attribute, name all columns of labels with --attributes"
    ]
    caplog.clear()
    assert find_columns(table, labels=["camera", "mask"]).others == ("mask", "camera")
    paths = make_table(image=["a.jpg", "b.jpg"], mask=["m/a.png", ""], camera=["1", "2"])
    assert (find_columns(paths).mask, find_columns(paths).camera) == ("mask", "camera")
    assert find_columns(make_table(image=["a.jpg"], mask=[""])).mask == "mask"
    assert find_columns(make_table(image=["a.jpg"], camera=["1"])).camera == "camera"
    assert not caplog.messages


def test_a_set_that_is_no_split_is_an_attribute():
    assert find_columns(make_table(image=["a.jpg"], set=["red"])).others == ("set",)
    both = find_columns(make_table(image=["a.jpg"], subset=["red"], set=["dev"]))
    assert (both.partitions, both.others) == ({"own": "set"}, ("subset",))
    assert find_columns(make_table(image=["a.jpg"], Mask=["1"])).others == ("Mask",)  # a mask on the face


def test_ignored_columns_are_left_out():
    table = make_table(image=["a.jpg"], identity=["x"], Hat=["1"])
    assert find_columns(table, ignore=["identity"]).identity is None
    with pytest.raises(FormatError, match="--ignore: no column Cap; the table has image, identity, Hat"):
        find_columns(table, ignore=["Cap"])
    with pytest.raises(FormatError, match=r"no column hat, Zip, identiy; .*; did you mean Hat, identity\?$"):
        find_columns(table, ignore=["hat", "Zip", "identiy"])


def test_splits(caplog):
    names = [
        "Train",
        "training",
        "VAL",
        "valid",
        "Validation",
        "dev",
        "TEST",
        "testing",
        "train+val",
        "",
        None,
    ]
    with caplog.at_level(logging.WARNING):
        splits = read_splits(make_table(split=names), "split")
    assert splits == [*["train"] * 2, *["val"] * 4, *["test"] * 2, "train", None, None]
    assert caplog.messages == ["rows of trainval are in the split train (1)"]
    with pytest.raises(
        FormatError, match=r"t\.csv, row 3, column 'split': expected train, val, test .*'day'"
    ):
        read_splits(make_table(split=["train", "day"]), "split")
