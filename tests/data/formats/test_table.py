from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.formats import table
from passerby.errors import DataError, FormatError, ManifestError, SchemaError

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
        ("", FormatError, "expected a column `image`, got nothing"),
        ("photo,Hat\na.jpg,1\n", FormatError, "expected a column `image`, got photo, Hat"),
        ("image,Hat,Hat\na.jpg,1,0\n", FormatError, r"different names, got \['Hat'\]"),
        ("image,Hat,\na.jpg,1,0\n", FormatError, "one without a name"),
        ("image,x0,y0,Hat\na.jpg,1,1,0\n", FormatError, "got only x0, y0"),
        ("image,identity\na.jpg,1\n", FormatError, "expected attribute columns; it has none"),
        ("image,Hat\na.jpg,1\na.jpg\n", FormatError, "row 2: expected 2 cells, got 1"),
        ("image,Hat\na.jpg,1\n,1\n", FormatError, "row 2, column 'image': expected the path of an image"),
        (
            "image,Hat\na.jpg,1\na.jpg,2\n",
            FormatError,
            "row 2, column 'Hat': expected 1, 0 or nothing .*got '2'",
        ),
        ("image,Hat\na.jpg,yes\n", FormatError, "row 1, column 'Hat'"),
        ("image,Hat\n../a.jpg,1\n", ManifestError, "row 1, column 'image': .*below the root"),
        ("image,Hat\n/etc/a.jpg,1\n", ManifestError, "below the root"),
        ("image,mask,Hat\na.jpg,../m.png,1\n", ManifestError, "column 'mask': .*below the root"),
        ("image,mask,Hat\na.jpg,m.png,1\n", DataError, "row 1: mask m.png does not exist under"),
        ("image,x0,y0,x1,y1,Hat\na.jpg,5,5,5,9,1\n", FormatError, "row 1: expected x1 > x0"),
        ("image,x0,y0,x1,y1,Hat\na.jpg,5,5,,9,1\n", FormatError, "row 1: expected x1 > x0"),
        (
            "image,x0,y0,x1,y1,Hat\na.jpg,5,5,nan,9,1\n",
            FormatError,
            "column 'x1': expected a finite number of pixels",
        ),
        (
            "image,keypoints,Hat\na.jpg,1 2 3,1\n",
            FormatError,
            r"expected 51 numbers \(17 × x, y, score\), got 3",
        ),
        (
            "image,split,Hat\na.jpg,training,1\n",
            ManifestError,
            "partition 'own': expected the splits train, val, test",
        ),
        ('image,Hat\n"a.jpg,1\n', FormatError, "not a CSV file"),
    ],
)
def test_damage_is_named(root, text, error, message):
    write(root, text)
    with pytest.raises(error, match=message):
        table.read(root)


def test_rows_keep_their_number_after_missing_ones_are_left_out(root):
    write(root, "image,Hat\ngone.jpg,1\na.jpg,7\n")
    with pytest.raises(FormatError, match="row 2, column 'Hat'"):
        table.read(root, allow_missing=True)


def test_no_table_or_several_raise_an_error(tmp_path):
    with pytest.raises(FormatError, match="expected a folder with a table"):
        table.read(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="found none"):
        table.read(tmp_path)
    write(tmp_path, CSV, "a.csv")
    write(tmp_path, CSV, "b.csv")
    with pytest.raises(FormatError, match=r"found a\.csv, b\.csv; choose one with --table"):
        table.read(tmp_path)
    with pytest.raises(FormatError, match=r"expected a table at .*c\.csv"):
        table.read(tmp_path, table=tmp_path / "c.csv")
    with pytest.raises(FormatError, match=r"expected a table at .*c\.parquet"):
        table.read(tmp_path, table=tmp_path / "c.parquet")


def test_truncated_parquet_and_other_encodings_raise_an_error(root):
    pq.write_table(pa.table({"image": ["a.jpg"], "Hat": [1]}), root / "t.parquet")
    content = (root / "t.parquet").read_bytes()
    (root / "t.parquet").write_bytes(content[:-20])
    with pytest.raises(FormatError, match="truncated or not a Parquet file"):
        table.read(root, table=root / "t.parquet")
    (root / "mine.csv").write_bytes("image,Hüt\na.jpg,1\n".encode("latin-1"))
    with pytest.raises(FormatError, match="not a CSV file in UTF-8"):
        table.read(root)


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
