from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.formats import peta, table
from passerby.data.manifest import Manifest
from passerby.errors import DataError, FormatError, ManifestError, SchemaError
from spreadsheets import write_xlsx

CSV = """image,x0,y0,x1,y1,Hat,Wears a cape,identity,camera,split
a.jpg,,,,,1,0,p1,c1,train
b/b.png,1,2,11,32.5,0,,p2,,test
b/b.png,20,2,31,30,-1,1,,,
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    for name in ("a.jpg", "b/b.png"):
        (tmp_path / name).touch()
    (tmp_path / "mine.csv").write_text(CSV)
    return tmp_path


def write(root: Path, text: str, name: str = "mine.csv") -> None:
    (root / name).write_text(text)


def test_reads_labels_boxes_and_the_rest(root):
    manifest = table.read(root)
    assert manifest.dataset == "mine"
    assert manifest.root == root
    assert manifest.schema.names == ("Hat", "Wears a cape")
    assert manifest.images == ["a.jpg", "b/b.png", "b/b.png"]
    assert manifest.labels.tolist() == [[1, 0], [0, -1], [-1, 1]]  # empty and -1 are unknown
    assert manifest.boxes() == [None, (1, 2, 11, 32.5), (20, 2, 31, 30)]
    assert manifest.identities == ["p1", "p2", None]
    assert manifest.table.column("camera").to_pylist() == ["c1", None, None]
    assert manifest.partition_names == ("own",)
    assert manifest.table.column("split:own").to_pylist() == ["train", "test", None]


def test_only_image_and_attributes_are_needed(root):
    write(root, "image,Hat\na.jpg,1\n")
    manifest = table.read(root)
    assert manifest.labels.tolist() == [[1]]
    assert manifest.partition_names == ()
    assert manifest.boxes() == [None]


def test_the_table_may_be_the_root(root):
    assert table.read(root / "mine.csv").root == root


def test_further_partitions(root):
    write(root, "image,split,split:night,Hat\na.jpg,train,val,1\n")
    manifest = table.read(root)
    assert manifest.table.column("split:night").to_pylist() == ["val"]
    assert manifest.partition_names == ("own", "night")


def test_spreadsheet_conventions_are_read(root):
    """Byte order mark, CRLF, floats and words for labels, blanks, an empty last line."""
    text = "image, Hat,Bag,Coat\r\na.jpg,1.0,TRUE, 0 \r\nb/b.png,false,-1.0,\r\n\r\n"
    (root / "mine.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert table.read(root).labels.tolist() == [[1, 1, 0], [0, -1, -1]]


def test_parquet_gives_the_same_as_csv(root):
    columns: dict[str, list[Any]] = {
        "image": ["a.jpg", "b/b.png", "b/b.png"],
        "Hat": [1.0, 0.0, float("nan")],
        "Wears a cape": [False, None, True],
        "keypoints": [None, [0.5] * 51, None],
        "x0": [None, 1, 20],
        "y0": [None, 2, 2],
        "x1": [None, 11, 31],
        "y1": [None, 32.5, 30],
    }
    pq.write_table(pa.table(columns), root / "mine.parquet")
    manifest = table.read(root, table=root / "mine.parquet")
    from_csv = table.read(root)
    assert manifest.labels.tolist() == from_csv.labels.tolist()
    assert manifest.boxes() == from_csv.boxes()
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert np.isnan(keypoints[0]).all()
    assert (keypoints[1] == 0.5).all()


def test_guidance_columns(root):
    for name in ("m.png", "p.png"):
        (root / name).touch()
    points = " ".join(["2.5"] * 51)
    write(
        root,
        f"image,mask,parsing,keypoints,Hat\na.jpg,m.png,p.png,{points},1\n"
        f'b/b.png,,,"{json.dumps([1] * 51)}",1\n',
    )
    manifest = table.read(root)
    assert manifest.paths("mask") == ["m.png", None]
    assert manifest.paths("parsing") == ["p.png", None]
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert keypoints[:, 0, 0].tolist() == [2.5, 1]


def test_missing_images_are_counted_and_their_rows_left_out(root):
    (root / "b/b.png").unlink()
    with pytest.raises(FormatError, match="mine: 2 of 3 images are missing"):
        table.read(root)
    manifest = table.read(root, allow_missing=True)
    assert manifest.labels.tolist() == [[1, 0]]
    assert manifest.identities == ["p1"]


# ---------------------------------------------------------------------- schema


def test_columns_of_a_known_data_set_get_its_descriptions(root):
    write(root, "image,Backpack,Female\na.jpg,1,0\n")
    schema = table.read(root).schema
    assert schema.names == ("Backpack", "Female")
    assert (schema["Female"].category, schema["Backpack"].body_part) == ("sex", "torso")


def test_other_columns_describe_themselves(root):
    assert table.read(root).schema["Wears a cape"].description == "has the attribute 'Wears a cape'"


def test_given_schema_chooses_and_describes_the_columns(root):
    write(root, "name,description,body_part\nHat,wears any hat,head\n", "schema.csv")
    manifest = table.read(root, table=root / "mine.csv", schema=root / "schema.csv", name="ours")
    assert manifest.dataset == manifest.schema.name == "ours"
    assert manifest.schema["Hat"].description == "wears any hat"
    assert manifest.labels.tolist() == [[1], [0], [-1]]


def test_given_attributes_are_taken_in_their_order(root):
    assert table.read(root, attributes=["Wears a cape", "Hat"]).labels[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("schema", "error", "message"),
    [
        (
            "name,description\nCloak,wears a cloak\n",
            FormatError,
            "expected columns for Cloak; it has Hat, Wears a cape",
        ),
        ("name,colour\nHat,red\n", SchemaError, "expected the columns of passerby.schema.Attribute"),
    ],
)
def test_schema_that_does_not_fit_is_refused(root, schema, error, message):
    write(root, schema, "schema.csv")
    with pytest.raises(error, match=message):
        table.read(root, table=root / "mine.csv", schema=root / "schema.csv")


# ---------------------------------------------------------------------- damaged tables


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "expected a header with a column `image`, got nothing"),
        (
            "portrait,Hat\na,1\n",
            FormatError,
            r"expected a column `image` .*got portrait, Hat; .* --image-column NAME",
        ),
        ("image,Hat,Hat\na.jpg,1,0\n", FormatError, "different names, got Hat twice"),
        ("image,Hat,\na.jpg,1,0\n", FormatError, "column 3 has cells but no name"),
        ("image,x0,y0,Hat\na.jpg,1,1,0\n", FormatError, "got only x0, y0"),
        ("image,identity\na.jpg,1\n", FormatError, "expected attribute columns; it has none"),
        ("image,Hat\na.jpg,1\na.jpg\n", FormatError, "row 3: expected 2 cells, got 1"),
        ("image,Hat\na.jpg,1\n,1\n", FormatError, "row 3, column 'image': expected the path of an image"),
        (
            "image,Hat\na.jpg,1\na.jpg,2\n",
            FormatError,
            "Hat: the numbers 1 and 2, such as '2' in mine.csv, row 3; --absent 2 if",
        ),
        ("image,Hat\na.jpg,often\n", FormatError, "Hat: a single value, such as 'often' in mine.csv, row 2"),
        ("image,Hat\n../a.jpg,1\n", ManifestError, "row 2, column 'image': .*below the root"),
        ("image,Hat\n/etc/a.jpg,1\n", ManifestError, "below the root"),
        ("image,mask,Hat\na.jpg,../m.png,1\n", ManifestError, "column 'mask': .*below the root"),
        ("image,mask,Hat\na.jpg,m.png,1\n", DataError, "row 2: mask m.png does not exist under"),
        ("image,x0,y0,x1,y1,Hat\na.jpg,5,5,5,9,1\n", FormatError, "row 2: expected x1 > x0"),
        ("image,x0,y0,x1,y1,Hat\na.jpg,5,5,,9,1\n", FormatError, "row 2: a box without x1; fill in"),
        (
            "image,x0,y0,x1,y1,Hat\na.jpg,5,5,inf,9,1\n",
            FormatError,
            "column 'x1': expected a finite number of pixels",
        ),
        (
            "image,keypoints,Hat\na.jpg,1 2 3,1\n",
            FormatError,
            r"expected 51 numbers \(17 × x, y, score\), got 3",
        ),
        (
            "image,split,Hat\na.jpg,day,1\n",
            FormatError,
            "row 2, column 'split': expected train, val, test or nothing .*got 'day'",
        ),
        ('image,Hat\n"a.jpg,1\n', FormatError, "not a CSV file"),
    ],
)
def test_damage_is_named(root, text, error, message):
    write(root, text)
    with pytest.raises(error, match=message):
        table.read(root)


def test_rows_keep_their_number_after_missing_ones_are_left_out(root):
    write(root, "image,split,Hat\ngone.jpg,train,1\na.jpg,day,1\n")
    with pytest.raises(FormatError, match=r"mine.csv, row 3, column 'split'"):
        table.read(root, allow_missing=True)


def test_no_table_or_several_raise_an_error(tmp_path):
    with pytest.raises(FormatError, match="expected a folder with a table"):
        table.read(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="found none"):
        table.read(tmp_path)
    write(tmp_path, CSV, "a.csv")
    write(tmp_path, CSV, "b.csv")
    with pytest.raises(FormatError, match=r"found a\.csv, b\.csv; choose with --table"):
        table.read(tmp_path)
    with pytest.raises(FormatError, match=r"expected a table at .*c\.csv"):
        table.read(tmp_path, table=tmp_path / "c.csv")
    with pytest.raises(FormatError, match=r"expected a table at .*c\.parquet"):
        table.read(tmp_path, table=tmp_path / "c.parquet")


def test_truncated_parquet_and_binary_files_raise_an_error(root):
    pq.write_table(pa.table({"image": ["a.jpg"], "Hat": [1]}), root / "t.parquet")
    content = (root / "t.parquet").read_bytes()
    (root / "t.parquet").write_bytes(content[:-20])
    with pytest.raises(FormatError, match="truncated or not a Parquet file"):
        table.read(root, table=root / "t.parquet")
    (root / "mine.csv").write_bytes(b"image,Hat\na.jpg,\x00\x81\n")
    with pytest.raises(FormatError, match="not a text table in UTF-8, UTF-16 or Windows-1252"):
        table.read(root)


# ---------------------------------------------------------------------- columns, labels, several files


def read_csv(root: Path, text: str, **options: Any) -> Manifest:
    write(root, text)
    return table.read(root, **options)


def test_a_spreadsheet_of_a_newcomer_is_read_without_an_edit(root, caplog):
    """Semicolons, decimal commas, a mark of the encoding, another header, unknowns, remarks, a category."""
    rows = [
        "Filename;PersonID;xmin;ymin;xmax;ymax;Hat;Coat;upper_colour;Notes",
        "a.jpg;p1;1,5;2;30,5;70;yes;1;Red;too dark",
        "b/b.png;p1;0;0;10;20;no;0;blue;",
        "b/b.png;p2;10;0;20;20;NaN;2;red;blurred",
        "b/b.png;7;20;0;30;20;n/a;;?;cut off",
    ]
    (root / "mine.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    with caplog.at_level(logging.WARNING):
        manifest = table.read(root, ignore=["Notes"], unknown=["2"])
    assert manifest.schema.names == ("Hat", "Coat", "upper_colour=blue", "upper_colour=Red")
    assert manifest.labels.tolist() == [[1, 1, 0, 1], [0, 0, 1, 0], [-1, -1, 0, 1], [-1, -1, -1, -1]]
    assert manifest.boxes()[0] == (1.5, 2, 30.5, 70)
    assert manifest.identities == ["p1", "p1", "p2", "7"]
    assert "read the columns 'Filename' as image, 'PersonID' as identity" in caplog.text
    assert "column 'upper_colour' has 2 values and became one attribute for each: blue, Red" in caplog.text


def test_values_of_a_column_are_one_category_of_the_schema(root):
    manifest = read_csv(root, "image,age\n" + "".join(f"a.jpg,{i % 3 + 1}\n" for i in range(6)))
    assert manifest.schema.names == ("age=1", "age=2", "age=3")
    assert manifest.schema.group_by("category") == {"age": (0, 1, 2)}
    assert [attribute.classes for attribute in manifest.schema] == [3, 3, 3]
    assert manifest.schema["age=1"].description == "has the age '1'"
    assert manifest.labels[:3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_schema_may_describe_the_values_of_a_column(root):
    write(root, "name,description,category,classes\nage=2,is grown,age,3\nage=4,is old,age,3\n", "schema.csv")
    text = "image,age\na.jpg,2\na.jpg,2\na.jpg,3\na.jpg,3\na.jpg,\n"
    manifest = read_csv(root, text, table=root / "mine.csv", schema=root / "schema.csv")
    assert manifest.schema["age=4"].description == "is old"
    assert manifest.labels.tolist() == [[1, 0], [1, 0], [0, 0], [0, 0], [-1, -1]]  # nobody is 4
    write(root, "name,description\nage,is of age\n", "schema.csv")
    with pytest.raises(FormatError, match="'age' has several values: describe age=2, age=3 in the schema"):
        table.read(root, table=root / "mine.csv", schema=root / "schema.csv")


@pytest.mark.parametrize("named", [True, False], ids=["by --table", "found"])
def test_several_files_are_splits(root, named):
    (root / "mine.csv").unlink()
    write(root, "image,Hat\na.jpg,1\n", "test.csv")
    write(root, "Hat,image\n0,b/b.png\n", "valid.csv")
    write(root, "image,Hat\na.jpg,0\na.jpg,1\n", "Train.csv")
    files = [root / "test.csv", root / "Train.csv", root / "valid.csv"] if named else None
    manifest = table.read(root, table=files)
    assert manifest.dataset == root.name
    assert manifest.table.column("split:own").to_pylist() == ["train", "train", "val", "test"]
    assert manifest.labels[:, 0].tolist() == [0, 1, 0, 1]


def test_a_file_given_twice_is_an_error(root):
    write(root, "image,Hat\na.jpg,1\n", "train.csv")
    write(root, "image,Hat\na.jpg,0\n", "test.csv")
    files = [root / "train.csv", root / "test.csv", root / "b" / ".." / "train.csv"]
    with pytest.raises(FormatError, match=r"--table: .*train\.csv is given twice; name each file once"):
        table.read(root, table=files)


@pytest.mark.parametrize("option", ["ignore", "attributes", "categorical"])
def test_columns_of_similar_names_are_proposed(root, option):
    with pytest.raises(FormatError, match=r"; did you mean Hat\?$"):
        table.read(root, **{option: ["hat"]})


def test_a_manifest_is_no_table(root):
    table.read(root).write(root / "own.parquet")
    message = r"own\.parquet is already a manifest, which `passerby prepare` wrote; use it as it is"
    with pytest.raises(FormatError, match=message):
        table.read(root, table=root / "own.parquet")


def test_a_file_of_trainval(root, caplog):
    (root / "mine.csv").unlink()
    write(root, "image,Hat\na.jpg,1\na.jpg,0\n", "labels_trainval.csv")
    write(root, "image,Hat\na.jpg,1\n", "labels_test.csv")
    with caplog.at_level(logging.WARNING):
        manifest = table.read(root)
    assert manifest.table.column("split:own").to_pylist() == ["train", "train", "test"]
    assert "rows of trainval are in the split train (2); there is no val split" in caplog.text


def test_several_files_must_agree_and_be_named_after_splits(root):
    write(root, "image,Hat\na.jpg,1\n", "train.csv")
    write(root, "image,Cap\na.jpg,1\n", "val.csv")
    with pytest.raises(
        FormatError, match=r"val\.csv: expected the columns of train\.csv; it lacks Hat and has also Cap"
    ):
        table.read(root, table=[root / "train.csv", root / "val.csv"])
    write(root, "image,Hat\na.jpg,1\n", "more.csv")
    with pytest.raises(FormatError, match=r"cannot tell the split of more\.csv by its name"):
        table.read(root, table=[root / "train.csv", root / "more.csv"])


def test_a_column_split_takes_precedence_over_names_of_files(root):
    write(root, "image,split,Hat\na.jpg,test,1\n", "train.csv")
    write(root, "image,split,Hat\na.jpg,train,1\n", "more.csv")
    manifest = table.read(root, table=[root / "train.csv", root / "more.csv"])
    assert manifest.table.column("split:own").to_pylist() == ["test", "train"]


@pytest.mark.parametrize("column", ["Split", "set", "Subset", "split:own"])
def test_a_column_of_splits_by_another_name_takes_precedence_too(root, column):
    write(root, f"image,{column},Hat\na.jpg,test,1\n", "train.csv")
    write(root, f"image,{column},Hat\na.jpg,train,1\n", "val.csv")
    files = [root / "train.csv", root / "val.csv"]
    manifest = table.read(root, table=files)
    assert manifest.schema.names == ("Hat",)
    assert manifest.table.column("split:own").to_pylist() == ["test", "train"]
    manifest = table.read(root, table=files, ignore=[column])
    if column != "split:own":
        assert manifest.table.column("split:own").to_pylist() == ["train", "val"]


def test_numbers_of_rows_in_one_of_several_files(root, caplog):
    write(root, "id,image,Hat\n1,a.jpg,1\n2,a.jpg,0\n", "train.csv")
    write(root, "id,image,Hat\n3,a.jpg,1\n3,a.jpg,0\n", "val.csv")
    files = [root / "train.csv", root / "val.csv"]
    assert table.read(root, table=files, ignore=["id"]).schema.names == ("Hat",)
    write(root, "id,image,Hat\n1,a.jpg,1\n2,a.jpg,0\n", "val.csv")
    with caplog.at_level(logging.WARNING):
        assert table.read(root, table=files).schema.names == ("Hat",)
    assert caplog.messages == ["left out the column 'id', which only numbers the rows"]


def test_the_numbers_may_be_the_names_of_images(root):
    for name in "12":
        (root / f"{name}.jpg").touch()
    manifest = read_csv(root, "Hat,id\n1,1\n0,2\n", image_column="id")
    assert manifest.images == ["1.jpg", "2.jpg"]


def test_columns_of_the_schema_are_labels(root):
    write(root, "name,description\ncamera,carries a camera\n", "schema.csv")
    manifest = read_csv(root, "image,camera\na.jpg,1\n", table=root / "mine.csv", schema=root / "schema.csv")
    assert manifest.labels.tolist() == [[1]]
    assert manifest.table.column("camera").to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ('image,x0,y0,x1,y1,Hat\na.jpg,0,0,"1,000","2,000",1\n', None),
        ('image,x0,y0,x1,y1,Hat\na.jpg,0,0,"1,234",20,1\n', None),
        ("image,x0,y0,x1,y1,Hat\na.jpg,0,0,12.000,23.125,1\n", (0, 0, 12, 23.125)),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0;0;1.000;2.000;1\n", None),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0;0;1,000;2,000;1\n", None),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0,5;0;1.234;20;1\n", None),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0,5;0;12,125;20,000;1\n", (0.5, 0, 12.125, 20)),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0.5;0;12.125;20;1\n", (0.5, 0, 12.125, 20)),
        ("image;x0;y0;x1;y1;Hat\na.jpg;0,5;0;12,5;20;1\n", (0.5, 0, 12.5, 20)),
    ],
)
def test_thousands_are_not_read_as_fractions(root, text, box):
    if box is None:
        with pytest.raises(
            FormatError, match=r"row 2, column 'x1': expected .*write it without a separator of"
        ):
            read_csv(root, text)
    else:
        assert read_csv(root, text).boxes() == [box]


def test_boxes_in_fractions_are_named_by_their_row(root):
    with pytest.raises(FormatError, match=r"mine\.csv, row 3: expected a box in pixels, got the fractions"):
        read_csv(root, "image,x0,y0,x1,y1,Hat\na.jpg,1,2,3,4,1\na.jpg,0.1,0.2,0.5,0.9,0\n")


def test_labels_that_mean_absent(root):
    manifest = read_csv(root, "image,Hat,face\na.jpg,x,none\na.jpg,,beard\n", absent=["", "none"])
    assert manifest.schema.names == ("Hat", "face=beard")
    assert manifest.labels.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a.jpg 1 0\nb/b.png -1 1\n"),
        ("list.csv", "a.jpg,1,0\nb/b.png,,1\n"),
        ("list.lst", "a.jpg\t1\t0\nb/b.png\t-1\t1\n"),
    ],
)
def test_lists_without_header(root, name, text):
    write(root, text, name)
    write(root, "Hat\nWears a cape\n", "attributes.txt")
    with pytest.raises(FormatError, match=r"row 1: expected a header, got the image .*--attribute-names"):
        table.read(root, table=root / name)
    manifest = table.read(root, table=root / name, attribute_names=root / "attributes.txt")
    assert manifest.schema.names == ("Hat", "Wears a cape")
    assert manifest.images == ["a.jpg", "b/b.png"]
    assert manifest.labels.tolist() == [[1, 0], [-1, 1]]


def test_blanks_in_the_paths_of_a_list(root):
    (root / "my photo.jpg").touch()
    write(root, "my photo.jpg 1 0\n", "list.txt")
    write(root, "Hat\nCape\n", "names.txt")
    manifest = table.read(root, table=root / "list.txt", attribute_names=root / "names.txt")
    assert manifest.images == ["my photo.jpg"]


def test_absolute_paths_below_the_root_become_relative(root):
    manifest = read_csv(root, f"image,Hat\n{root / 'a.jpg'},1\n{root / 'b' / 'b.png'},0\n")
    assert manifest.images == ["a.jpg", "b/b.png"]
    with pytest.raises(
        ManifestError, match=rf"row 2, .*below the root folder {root}.*set --root to a folder"
    ):
        read_csv(root, f"image,Hat\n{root.parent / 'a.jpg'},1\n")


def test_names_without_extension_are_completed(root):
    assert read_csv(root, "image_id,Hat\na,1\nb/b,0\n").images == ["a.jpg", "b/b.png"]


def test_boxes_by_position_and_size(root):
    manifest = read_csv(root, "image,x,y,w,h,Hat\na.jpg,10,20,30,40,1\na.jpg,,,,,0\n")
    assert manifest.boxes() == [(10, 20, 40, 60), None]
    with pytest.raises(FormatError, match="row 2: expected a width and height above 0"):
        read_csv(root, "image,x,y,w,h,Hat\na.jpg,10,20,0,40,1\n")


def test_splits_by_other_names(root, caplog):
    with caplog.at_level(logging.WARNING):
        manifest = read_csv(
            root, "image,Subset,Hat\na.jpg,Train,1\na.jpg,VALID,1\na.jpg,dev,0\na.jpg,TEST,0\n"
        )
    assert manifest.table.column("split:own").to_pylist() == ["train", "val", "val", "test"]
    with caplog.at_level(logging.WARNING):
        manifest = read_csv(root, "image,split,Hat\na.jpg,trainval,1\na.jpg,test,0\n")
    assert manifest.table.column("split:own").to_pylist() == ["train", "test"]
    assert (
        "rows of trainval are in the split train (1); there is no val split: add one with --partition"
        in caplog.text
    )


def test_pickles_are_never_opened(root):
    (root / "mine.csv").unlink()
    (root / "dataset_all.pkl").write_bytes(b"\x80\x04cos\nsystem\n")
    for options in ({}, {"table": root / "dataset_all.pkl"}):
        with pytest.raises(FormatError, match=r"dataset_all\.pkl is a Python pickle.*#export-a-pickle"):
            table.read(root, **options)
    with pytest.raises(FormatError, match="is a Python pickle"):
        table.read(root / "dataset_all.pkl")
    with pytest.raises(FormatError, match="is a Python pickle"):
        peta.read(root)


def test_images_of_a_withdrawn_data_set_are_refused(root):
    text = "image,Hat\nDukeMTMC-reID/bounding_box_train/0001_c2_f0046182.jpg,1\n"
    with pytest.raises(DataError, match="belongs to DukeMTMC, which its authors withdrew in 2019"):
        read_csv(root, text)


def test_the_documented_export_of_a_pickle(tmp_path, monkeypatch):
    page = (Path(__file__).parents[4] / "docs/reference/data-formats.md").read_text(encoding="utf-8")
    recipe = page.split("## Export a pickle")[1].split("```text\n")[1].split("```")[0]
    data = SimpleNamespace(
        image_name=["1.png", "2.png", "3.png"],
        attr_name=["Hat", "Bag"],
        label=np.array([[1, 0], [0, 1], [0, 2]]),
        partition={
            "train": [np.array([1])],
            "val": [np.array([0])],
            "trainval": [np.array([0, 1])],
            "test": [[2]],
        },
    )
    monkeypatch.chdir(tmp_path)
    Path("dataset_all.pkl").write_bytes(pickle.dumps(data))
    exec(recipe, {})
    for name in data.image_name:
        Path(name).touch()
    manifest = table.read(tmp_path, unknown=["2"])
    assert manifest.images == data.image_name
    assert manifest.labels.tolist() == [[1, 0], [0, 1], [0, -1]]
    assert manifest.table.column("split:own").to_pylist() == ["val", "train", "test"]


def test_tables_that_are_found_in_the_root(root, caplog):
    write_xlsx(root / "mine.xlsx", {"s": [["image", "Hat"], ["a.jpg", 1.0]]})
    with caplog.at_level(logging.WARNING):
        assert len(table.read(root)) == 3
    assert "left out mine.xlsx, because there is a CSV file of the same name" in caplog.text
    (root / "mine.csv").rename(root / "train.csv")
    (root / "mine.xlsx").rename(root / "val.xlsx")
    with pytest.raises(FormatError, match=r"val\.xlsx: expected the columns of train\.csv"):
        table.read(root)
    (root / "val.xlsx").rename(root / "more.xlsx")
    with pytest.raises(FormatError, match=r"found train\.csv, more\.xlsx; choose with --table"):
        table.read(root)


def test_the_schema_is_no_table(root):
    write(root, "name,description\nHat,wears any hat\n", "schema.csv")
    assert table.read(root, schema=root / "schema.csv").schema.names == ("Hat",)


def test_named_attributes_may_have_the_name_of_another_column(root):
    manifest = read_csv(root, "image,Camera,Hat\na.jpg,1,0\na.jpg,0,1\n", attributes=["Camera"])
    assert manifest.labels.tolist() == [[1], [0]]
    assert manifest.table.column("camera").to_pylist() == [None, None]


def test_ignored_columns_are_not_read(root):
    text = "image,mask,Hat\na.jpg,nowhere.png,1\na.jpg,,0\n"
    assert read_csv(root, text, ignore=["mask"]).paths("mask") == [None, None]
    assert read_csv(root, "image,mask\na.jpg,1\na.jpg,0\n", attributes=["mask"]).labels.tolist() == [[1], [0]]


def test_single_values_of_a_column_can_be_named(root):
    text = "image,colour,Hat\na.jpg,red,1\na.jpg,blue,0\na.jpg,red,0\n"
    assert read_csv(root, text, attributes=["Hat", "colour=red"]).labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert read_csv(root, text, attributes=["colour"]).schema.names == ("colour=blue", "colour=red")


@pytest.mark.parametrize(
    ("about", "domain"),
    [
        ('{"generator": 1, "domain": "synthetic people"}', "synthetic people"),
        ('{"generator": 1}', "synthetic people"),  # of passerby 0.2
        ('{"synth": "a song list"}', None),
        (None, None),
    ],
)
def test_domain_of_a_data_set_that_synth_wrote(root, about, domain):
    if about is not None:
        (root / "synth.json").write_text(about)
    assert table.read(root).domain == domain


@pytest.mark.parametrize("about", ["{", "3"])
def test_damaged_file_of_synth(root, about):
    (root / "synth.json").write_text(about)
    with pytest.raises(FormatError, match=r"synth\.json is damaged .* give the domain with --domain"):
        table.read(root)


@pytest.mark.parametrize("box", [",,,", "nan,nan,NaN,nan"])
def test_boxes_without_numbers_are_the_full_image(root, box):
    write(root, f"image,x,y,w,h,Hat\na.jpg,{box},1\nb/b.png,1,2,3,4,0\n")
    assert table.read(root).boxes() == [None, (1, 2, 4, 6)]


@pytest.mark.parametrize("box", ["1,,3,", "1,nan,3,nan"])
def test_incomplete_boxes_are_named(root, box):
    write(root, f"image,x,y,w,h,Hat\na.jpg,{box},1\nb/b.png,1,2,3,4,0\n")
    message = r"row 2: a box without y, h; fill in these cells, or empty all of x, y, w, h for the full image"
    with pytest.raises(FormatError, match=message):
        table.read(root)


def test_boxes_of_nan_in_parquet_are_the_full_image(root):
    nan = float("nan")
    sides = {"x0": [nan, 1.0], "y0": [nan, 2.0], "x1": [nan, 4.0], "y1": [nan, 6.0]}
    pq.write_table(pa.table({"image": ["a.jpg", "b/b.png"], **sides, "Hat": [1, 0]}), root / "t.parquet")
    assert table.read(root, table=root / "t.parquet").boxes() == [None, (1, 2, 4, 6)]
