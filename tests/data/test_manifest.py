from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from passerby.data.manifest import Manifest, check_relative_path
from passerby.errors import ManifestError, SchemaError
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Male", "is male")))
POINTS = [float(i) for i in range(51)]


def make_manifest(root: Path, *, parsing_classes: Sequence[str] = (), **changes: Any) -> Manifest:
    columns: dict[str, Any] = {
        "images": ["a.jpg", "b/b.png", "b/b.png"],
        "labels": [[1, 0], [0, -1], [-1, 1]],
        "partitions": {"official": ["train", "val", "test"], "half": ["train", None, "test"]},
        "boxes": [None, (1, 2, 11, 32.5), (20, 2, 31, 30)],
        "identities": ["p", None, "p"],
        "cameras": ["c", None, None],
        "masks": ["m/a.png", None, None],
        "keypoints": [None, POINTS, None],
    }
    manifest = Manifest.create("toy", SCHEMA, root=root, **(columns | changes))
    return manifest.with_guidance(parsing_classes=parsing_classes)


# ---------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a.jpg", "a.jpg"), ("a\\b.jpg", "a/b.jpg"), ("a/./b.jpg", "a/b.jpg"), ("12:30/a.jpg", "12:30/a.jpg")],
)
def test_relative_paths_pass(path, expected):
    assert check_relative_path(path) == expected


@pytest.mark.parametrize(
    "path", ["", ".", "/etc/passwd", "../a.jpg", "a/../../b.jpg", "..\\a.jpg", "C:/a.jpg", "c:\\a.jpg", "\\a"]
)
def test_paths_that_leave_the_root_are_refused(path):
    with pytest.raises(ManifestError, match="below the root"):
        check_relative_path(path)


# ---------------------------------------------------------------------- create


def test_create_keeps_every_column(tmp_path):
    manifest = make_manifest(tmp_path)
    assert len(manifest) == 3
    assert manifest.images == ["a.jpg", "b/b.png", "b/b.png"]
    assert manifest.labels.dtype == np.int8
    assert manifest.labels.tolist() == [[1, 0], [0, -1], [-1, 1]]
    assert manifest.boxes() == [None, (1, 2, 11, 32.5), (20, 2, 31, 30)]
    assert manifest.identities == ["p", None, "p"]
    assert manifest.paths("mask") == ["m/a.png", None, None]
    assert manifest.paths("parsing") == [None] * 3
    keypoints = manifest.keypoints()
    assert keypoints is not None
    assert np.isnan(keypoints[[0, 2]]).all()
    assert keypoints[1].tolist() == np.reshape(POINTS, (17, 3)).tolist()


def test_no_keypoints_at_all_is_none(tmp_path):
    assert make_manifest(tmp_path, keypoints=None).keypoints() is None


def test_no_rows_at_all(tmp_path):
    empty = make_manifest(tmp_path).take([])
    assert empty.labels.shape == (0, 2)
    assert empty.images == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [[1, 0]]}, r"expected labels of shape \(3, 2\), got \(1, 2\)"),
        ({"labels": [[1, 0], [0, 1], [2, 1]]}, r"got also \[2\]"),
        ({"labels": [[1, 0], [0, 1], [0.5, 1]]}, r"got also \[0\.5\]"),
        ({"images": ["a.jpg", "b.jpg", "../c.jpg"]}, "below the root"),
        ({"masks": ["/m.png", None, None]}, "below the root"),
        ({"masks": [None]}, "column 'mask': expected 3 values, got 1"),
        ({"boxes": [None, None, (5, 5, 5, 9)]}, "row 2: expected a box"),
        ({"boxes": [None, None, (5, 5, 6)]}, "row 2: expected 4 numbers, got 3"),
        ({"boxes": [None, None, (0, 0, float("nan"), 9)]}, "row 2: expected a box"),
        ({"boxes": [None, None, (0, 0, float("inf"), 9)]}, "row 2: expected a box"),
        ({"keypoints": [None, None, [1.0]]}, "expected 51 numbers, got 1"),
        (
            {"partitions": {"s": ["train", "valid", None]}},
            "partition 's': expected the splits .* got .*valid",
        ),
        ({"partitions": {"s": ["train"]}}, "expected 3 values, got 1"),
        ({"identities": ["p"]}, "column 'identity': expected 3 values, got 1"),
        (
            {"parsing_classes": ["a", "a"]},
            "at most 255 parsing classes with unique names, got 2: 'a', 'a'",
        ),
        ({"parsing_classes": [str(i) for i in range(256)]}, "at most 255 parsing classes"),
        ({"parsing_classes": [""]}, "at most 255 parsing classes"),
    ],
)
def test_create_refuses_what_is_out_of_range(tmp_path, change, message):
    with pytest.raises(ManifestError, match=message):
        make_manifest(tmp_path, **change)


# ---------------------------------------------------------------------- choosing rows and columns


def test_take_and_split(tmp_path):
    manifest = make_manifest(tmp_path)
    assert manifest.take(np.array([2, 0])).labels.tolist() == [[-1, 1], [1, 0]]
    assert manifest.partition_names == ("official", "half")
    assert manifest.split_rows("half", "test").tolist() == [2]
    assert manifest.select_split("official", "val").images == ["b/b.png"]


def test_unknown_split_or_empty_split_lists_the_alternatives(tmp_path):
    manifest = make_manifest(tmp_path)
    with pytest.raises(ManifestError, match="no partition 'mine' in this manifest; it has official, half"):
        manifest.select_split("mine", "train")
    with pytest.raises(
        ManifestError, match=r"'half' has no rows in the split val \(rows: train 1, val 0, test 1\)"
    ):
        manifest.select_split("half", "val")


def test_with_partition_adds_one_and_keeps_the_original(tmp_path):
    manifest = make_manifest(tmp_path)
    more = manifest.with_partition("mine", ["test", None, "train"])
    assert more.split_rows("mine", "train").tolist() == [2]
    assert "mine" not in manifest.partition_names


@pytest.mark.parametrize(
    ("name", "splits", "message"),
    [
        ("official", ["train"] * 3, "partition 'official' exists already"),
        ("mine", ["train"] * 2, "expected 3 values, got 2"),
        ("mine", ["train", "test", "dev"], "got .*dev"),
    ],
)
def test_with_partition_refuses(tmp_path, name, splits, message):
    with pytest.raises(ManifestError, match=message):
        make_manifest(tmp_path).with_partition(name, splits)


def test_select_attributes_moves_names_and_labels_together(tmp_path):
    swapped = make_manifest(tmp_path).select_attributes(["Male", "Hat"])
    assert swapped.schema.names == ("Male", "Hat")
    assert swapped.labels.tolist() == [[0, 1], [-1, 0], [1, -1]]
    with pytest.raises(SchemaError, match="no attribute 'Hut'; did you mean Hat"):
        swapped.select_attributes(["Hut"])


# ---------------------------------------------------------------------- guidance


def test_parsing_classes_stay_with_the_rows(tmp_path):
    manifest = make_manifest(tmp_path, parsing=["p.png", None, None], parsing_classes=["nothing", "hat"])
    assert manifest.parsing_classes == ("nothing", "hat")
    for other in (
        manifest.take([2]),
        manifest.select_split("official", "val"),
        manifest.with_partition("mine", ["test", None, "train"]),
        manifest.select_attributes(["Hat"]),
        manifest.with_guidance(masks=[None] * 3),
    ):
        assert other.parsing_classes == ("nothing", "hat")


def test_with_guidance_replaces_what_is_given(tmp_path):
    manifest = make_manifest(tmp_path, parsing=["p.png", None, None], parsing_classes=["nothing", "hat"])
    new = manifest.with_guidance(masks=[None, "m\\b.png", None], keypoints=[POINTS, None, None])
    assert new.paths("mask") == [None, "m/b.png", None]
    assert new.paths("parsing") == ["p.png", None, None]
    assert np.isnan(new.keypoints()[1]).all()
    assert manifest.paths("mask") == ["m/a.png", None, None]
    assert new.table.column_names == manifest.table.column_names
    assert manifest.with_guidance().table.equals(manifest.table)
    other = manifest.with_guidance(parsing=["q.png"] * 3)
    assert (other.paths("parsing"), other.parsing_classes) == (["q.png"] * 3, ())
    named = manifest.with_guidance(parsing_classes=["all", "else"])
    assert (named.paths("parsing"), named.parsing_classes) == (["p.png", None, None], ("all", "else"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": ["a.png"]}, "column 'mask': expected 3 values, got 1"),
        ({"parsing": ["../a.png", None, None]}, "below the root"),
        ({"keypoints": [[1.0], None, None]}, "expected 51 numbers, got 1"),
        ({"parsing_classes": ["a", "a"]}, "unique names"),
    ],
)
def test_with_guidance_checks_as_create_does(tmp_path, change, message):
    with pytest.raises(ManifestError, match=message):
        make_manifest(tmp_path).with_guidance(**change)


# ---------------------------------------------------------------------- fingerprint


def test_fingerprint_depends_on_content_not_root(tmp_path):
    manifest = make_manifest(tmp_path)
    assert manifest.fingerprint == make_manifest(tmp_path / "elsewhere").fingerprint
    assert manifest.fingerprint == manifest.take([0, 1, 2]).fingerprint
    manifest.write(tmp_path / "m.parquet")
    assert Manifest.load(tmp_path / "m.parquet").fingerprint == manifest.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [[1, 0], [0, -1], [-1, 0]]},
        {"images": ["a.jpg", "b/b.png", "b/c.png"]},
        {"boxes": [None, (1, 2, 11, 32.5), (20, 2, 31, 31)]},
        {"boxes": [(1, 2, 11, 32.5), None, (20, 2, 31, 30)]},
        {"keypoints": [None, None, POINTS]},
        {"keypoints": [None, POINTS[::-1], None]},
        {"identities": [None, "p", "p"]},
        {"masks": None, "parsing": ["m/a.png", None, None]},
        {"partitions": {"official": ["train", "val", "test"], "third": ["train", None, "test"]}},
    ],
)
def test_fingerprint_changes_with_any_cell(tmp_path, change):
    assert make_manifest(tmp_path, **change).fingerprint != make_manifest(tmp_path).fingerprint


def test_fingerprint_contains_parsing_classes_only_if_they_are_stated(tmp_path):
    manifest = make_manifest(tmp_path)
    # the fingerprint of passerby 0.1, which caches and runs contain
    assert (
        manifest.fingerprint == make_manifest(tmp_path, parsing_classes=()).fingerprint == "b5b7382edd6a42d2"
    )
    prints = {
        make_manifest(tmp_path, parsing_classes=c).fingerprint for c in ((), ("a",), ("b",), ("a", "b"))
    }
    assert len(prints) == 4


def test_fingerprint_changes_with_order(tmp_path):
    manifest = make_manifest(tmp_path)
    assert manifest.take([1, 0, 2]).fingerprint != manifest.fingerprint
    assert manifest.select_attributes(["Male", "Hat"]).fingerprint != manifest.fingerprint


# ---------------------------------------------------------------------- files


def test_what_is_written_is_what_is_read(tmp_path):
    manifest = make_manifest(tmp_path / "data")
    manifest.write(tmp_path / "out" / "m.parquet")
    loaded = Manifest.load(tmp_path / "out" / "m.parquet")
    assert loaded.dataset == "toy"
    assert loaded.schema == SCHEMA
    assert loaded.table.equals(manifest.table)
    assert loaded.root == tmp_path / "data"
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["m.parquet"]


def test_parsing_classes_are_written_and_files_without_them_read(tmp_path):
    path = tmp_path / "m.parquet"
    make_manifest(tmp_path, parsing_classes=["nothing", "hat"]).write(path)
    assert Manifest.load(path).parsing_classes == ("nothing", "hat")
    edit(path, lambda table, meta: meta.pop("parsing_classes") and None)
    assert Manifest.load(path).parsing_classes == ()
    edit(path, lambda table, meta: meta.update(parsing_classes=5))
    with pytest.raises(ManifestError, match="not a manifest of passerby"):
        Manifest.load(path)


def test_domain_is_written_and_kept_by_every_change(tmp_path):
    plain = make_manifest(tmp_path)
    manifest = replace(plain, domain="synthetic people")
    assert manifest.fingerprint == plain.fingerprint
    changed = manifest.take([0]).select_attributes(manifest.schema.names[:1]).with_guidance()
    changed.with_partition("mine", ["test"]).write(tmp_path / "m.parquet")
    assert Manifest.load(tmp_path / "m.parquet").domain == "synthetic people"
    plain.write(tmp_path / "plain.parquet")
    assert Manifest.load(tmp_path / "plain.parquet").domain is None


def test_folder_with_data_and_manifest_can_be_moved(tmp_path):
    make_manifest(tmp_path / "old" / "data").write(tmp_path / "old" / "m.parquet")
    (tmp_path / "old").rename(tmp_path / "new")
    assert Manifest.load(tmp_path / "new" / "m.parquet").root == tmp_path / "new" / "data"


def test_a_link_to_a_manifest_finds_the_images(tmp_path):
    make_manifest(tmp_path / "data").write(tmp_path / "data" / "m.parquet")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.parquet").symlink_to(tmp_path / "data" / "m.parquet")
    assert Manifest.load(tmp_path / "elsewhere" / "link.parquet").root == (tmp_path / "data").resolve()


def test_root_can_be_given(tmp_path):
    make_manifest(tmp_path / "data").write(tmp_path / "m.parquet")
    assert Manifest.load(tmp_path / "m.parquet", root=tmp_path / "x").root == tmp_path / "x"


def test_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path, monkeypatch):
    manifest = make_manifest(tmp_path)
    manifest.write(tmp_path / "m.parquet")
    before = (tmp_path / "m.parquet").read_bytes()

    def fail(table: pa.Table, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        manifest.write(tmp_path / "m.parquet")
    assert (tmp_path / "m.parquet").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.parquet"]


def edit(path: Path, change: Any) -> None:
    """Change a manifest behind passerby's back."""
    table = pq.ParquetFile(path).read()
    meta = json.loads(table.schema.metadata[b"passerby"])
    table = change(table, meta) or table
    pq.write_table(table.replace_schema_metadata({"passerby": json.dumps(meta)}), path)


def set_column(name: str, values: Any) -> Any:
    return lambda table, meta: table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_column("image", pa.array(["a.jpg", "../b.png", "c.png"])), "below the root"),
        (set_column("image", pa.array(["a.jpg", None, "c.png"])), "rows without image"),
        (set_column("mask", pa.array(["/etc/passwd", None, None])), "below the root"),
        (set_column("label:Hat", pa.array([1, 0, 3], pa.int8())), "column 'label:Hat': expected labels"),
        (set_column("label:Hat", pa.array([1, 0, None], pa.int8())), "column 'label:Hat': expected labels"),
        (set_column("label:Hat", pa.array([1, 0, 1], pa.int64())), "expected int8, got int64"),
        (set_column("split:half", pa.array(["train", "dev", None])), "partition 'half': expected the splits"),
        (
            set_column("box", pa.array([None, None, [3, 3, 2, 2]], pa.list_(pa.float32(), 4))),
            "expected a box",
        ),
        (lambda table, meta: table.drop_columns("label:Male"), "expected one column 'label:Male', got 0"),
        (lambda table, meta: table.drop_columns("keypoints"), "expected one column 'keypoints', got 0"),
        (lambda table, meta: meta.pop("schema") and None, "not a manifest of passerby"),
        (lambda table, meta: meta.pop("version") and None, "not a manifest of passerby"),
        (lambda table, meta: meta.update(version=99), "has format 99, this version reads format 1"),
    ],
)
def test_edited_manifests_are_refused(tmp_path, change, message):
    path = tmp_path / "m.parquet"
    make_manifest(tmp_path).write(path)
    edit(path, change)
    with pytest.raises(ManifestError, match=message):
        Manifest.load(path)


def test_absent_truncated_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "m.parquet"
    with pytest.raises(ManifestError, match=r"no manifest at .*create one with `passerby prepare`"):
        Manifest.load(path)
    make_manifest(tmp_path).write(path)
    path.write_bytes(path.read_bytes()[:-30])
    (tmp_path / "labels.csv").write_text("image,Hat\na.jpg,1\n")
    with pytest.raises(
        ManifestError, match=r"got the table .*`passerby prepare table --root .*labels\.parquet`"
    ):
        Manifest.load(tmp_path / "labels.csv")
    with pytest.raises(ManifestError, match="not a manifest of passerby, or is damaged"):
        Manifest.load(path)
    path.write_text("image,label\n")
    with pytest.raises(ManifestError, match="not a manifest"):
        Manifest.load(path)
    pq.write_table(pa.table({"image": ["a.jpg"]}), path)
    with pytest.raises(ManifestError, match="not a manifest"):
        Manifest.load(path)


# ---------------------------------------------------------------------- boxes in fractions


def test_boxes_in_fractions_are_refused(tmp_path):
    boxes = [None, (0.1, 0.2, 0.5, 0.9), (0, 0, 1, 1)]
    with pytest.raises(
        ManifestError,
        match=r"row 1: expected a box .* in pixels, got \[0\.1, 0\.2, 0\.5, 0\.9\]; 2 of 2 boxes look like "
        r"fractions of the image: multiply left and right by its width, top and bottom by its height",
    ):
        make_manifest(tmp_path, boxes=boxes)


def test_boxes_in_fractions_are_refused_in_an_edited_file(tmp_path):
    path = tmp_path / "m.parquet"
    make_manifest(tmp_path).write(path)
    table = pq.read_table(path)
    boxes = pa.array([None, (1, 2, 11, 32), (-0.02, 0.1, 0.5, 0.9)], pa.list_(pa.float32(), 4))
    pq.write_table(table.set_column(table.column_names.index("box"), "box", boxes), path)
    with pytest.raises(ManifestError, match=r"row 2: expected a box .* 1 of 2 boxes look like fractions"):
        Manifest.load(path)


def test_a_box_of_more_than_one_pixel_is_no_fraction(tmp_path):
    assert make_manifest(tmp_path, boxes=[None, (0, 0, 1.5, 1), (0, 0, 1, 2)]).boxes()[1] == (0, 0, 1.5, 1)
