from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from passerby.data.image_check import check_images
from passerby.data.manifest import Manifest
from passerby.images import limits
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))


def make_manifest(root: Path, *names: str, **columns) -> Manifest:
    return Manifest.create(
        "toy", SCHEMA, root=root, images=names, labels=[[0]] * len(names), partitions={}, **columns
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        Image.new("RGB", (4, 5), (number, 0, 0)).save(tmp_path / name)
    Image.linear_gradient("L").save(tmp_path / "gradient.png")
    return tmp_path


def test_content_size_and_perceptual_hash_of_readable_images(root):
    check = check_images(make_manifest(root, "a.png", "gradient.png"))
    assert check.sizes == {"a.png": (4, 5), "gradient.png": (256, 256)}
    assert list(check.digests) == ["a.png", "gradient.png"]
    assert list(check.hashes) == ["gradient.png"]  # the other one has one colour
    assert check.unreadable == []
    assert check.duplicates == []


def test_unreadable_images_and_exact_duplicates_are_found(root):
    (root / "b.png").write_bytes((root / "a.png").read_bytes())
    (root / "c.png").write_bytes((root / "c.png").read_bytes()[:40])
    check = check_images(make_manifest(root, "a.png", "b.png", "c.png"))
    assert check.duplicates == [["a.png", "b.png"]]
    assert [name for name, _ in check.unreadable] == ["c.png"]
    assert check.unreadable[0][1]
    assert str(root) not in check.unreadable[0][1]


def test_empty_files_are_unreadable(root):
    (root / "a.png").write_bytes(b"")
    (root / "b.png").write_bytes(b"")
    check = check_images(make_manifest(root, "a.png", "b.png"))
    assert [name for name, _ in check.unreadable] == ["a.png", "b.png"]
    assert check.duplicates == []


def test_missing_images_are_left_out_and_each_is_read_once(root):
    steps: list[tuple[int, int]] = []
    check = check_images(
        make_manifest(root, "a.png", "b.png", "b.png", "c.png", "gone.png"),
        workers=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert (check.unreadable, check.duplicates) == ([], [])
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_largest_group_of_duplicates_comes_first(root):
    names = [f"{i}.png" for i in range(5)]
    for name, source in zip(names, ("a", "a", "c", "c", "c"), strict=True):
        (root / name).write_bytes((root / f"{source}.png").read_bytes())
    assert check_images(make_manifest(root, *names)).duplicates == [
        ["2.png", "3.png", "4.png"],
        ["0.png", "1.png"],
    ]


def test_an_image_with_a_box_outside_is_readable(root):
    check = check_images(make_manifest(root, "a.png", boxes=[(9, 9, 12, 12)]))
    assert check.unreadable == []
    assert check.sizes == {"a.png": (4, 5)}


def test_the_reason_is_stated_without_the_root(root, monkeypatch):
    (root / "a.png").write_bytes(b"")
    (root / "c.png").write_bytes(b"no image")
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 100)
    reasons = dict(check_images(make_manifest(root, "a.png", "c.png", "gradient.png")).unreadable)
    assert reasons["a.png"] == "the file is empty"
    assert reasons["c.png"].startswith("it is damaged")
    assert reasons["gradient.png"].startswith("expected a file of at most 100 bytes")
