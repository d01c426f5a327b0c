from __future__ import annotations

import os
from pathlib import Path

import pytest

from passerby.data.copies import (
    Contradiction,
    Overlap,
    find_contradictions,
    find_overlaps,
    hash_images,
    join_rows,
)
from passerby.data.manifest import Manifest
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Male", "is male")))
COPIES = {"a.jpg": "1", "b.jpg": "1", "c.jpg": "2"}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([["a", "a", "b", "a"]], [0, 0, 1, 0]),
        ([["b", "a", "b"]], [0, 1, 0]),  # numbered by first row, not by value
        ([["p", "q", "r", "s"], ["x", "y", "y", "z"]], [0, 1, 1, 2]),
        ([["p", "q", "r", "q"], ["x", "x", "y", "y"]], [0, 0, 0, 0]),  # a chain
        ([["x", "y"], ["y", "x"]], [0, 1]),  # equal values of different columns are unrelated
        ([[None, None, "a", "a"]], [0, 1, 2, 2]),
        ([[]], []),
    ],
)
def test_rows_with_a_common_value_are_joined(columns, expected):
    assert join_rows(*columns).tolist() == expected


def test_images_are_hashed_by_content(tmp_path):
    for name, content in {"a.jpg": b"1", "b.jpg": b"1", "c.jpg": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    images = ["a.jpg", "b.jpg", "c.jpg", "gone.jpg", "a.jpg"]
    manifest = Manifest.create(
        "toy", SCHEMA, root=tmp_path, images=images, labels=[[0, 0]] * 5, partitions={}
    )
    digests = hash_images(manifest)
    assert list(digests) == ["a.jpg", "b.jpg", "c.jpg"]
    assert digests["a.jpg"] == digests["b.jpg"] != digests["c.jpg"]


def test_what_is_no_regular_file_is_not_hashed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    manifest = Manifest.create(
        "toy", SCHEMA, root=tmp_path, images=["a.png", "b.png", "c.png"], labels=[[0, 0]] * 3, partitions={}
    )
    assert list(hash_images(manifest)) == ["a.png"]


def test_overlaps_of_splits_by_path_and_by_content():
    images = ["a.jpg", "b.jpg", "c.jpg", "c.jpg", "d.jpg", "d.jpg", "e.jpg", "e.jpg"]
    splits = ["test", "train", "val", "val", "train", None, "test", "val"]
    assert find_overlaps(images, splits, COPIES) == [
        Overlap(("a.jpg", "b.jpg"), ("train", "test")),
        Overlap(("e.jpg",), ("val", "test")),
    ]
    assert find_overlaps(images, splits, {}) == [Overlap(("e.jpg",), ("val", "test"))]


def test_contradictions_need_the_same_image_and_box():
    box, other = (0, 0, 4, 9), (1, 0, 4, 9)
    rows = [
        ("a.jpg", box, [1, 0]),
        ("b.jpg", box, [0, 0]),  # a copy of a.jpg that contradicts in Hat
        ("a.jpg", other, [0, 1]),  # another person
        ("c.jpg", None, [1, -1]),
        ("c.jpg", None, [1, 0]),  # an unknown label contradicts nothing
        ("d.jpg", None, [1, 0]),
        ("d.jpg", None, [0, 1]),
    ]
    images, boxes, labels = zip(*rows, strict=True)
    manifest = Manifest.create(
        "toy", SCHEMA, root=Path(), images=images, boxes=boxes, labels=labels, partitions={}
    )
    same_image = Contradiction(("d.jpg",), ("Hat", "Male"))
    assert find_contradictions(manifest, COPIES) == [Contradiction(("a.jpg", "b.jpg"), ("Hat",)), same_image]
    assert find_contradictions(manifest, {}) == [same_image]
