from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from passerby.data.manifest import Manifest
from passerby.data.summary import AttributeCount, SharedIdentities, check_images, summarise
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Male", "is male")))


def make_manifest(root: Path, **changes: Any) -> Manifest:
    columns: dict[str, Any] = {
        "images": ["a.png", "b.png", "b.png", "c.png", "gone.png"],
        "labels": [[1, 0], [1, -1], [0, -1], [1, 1], [0, 0]],
        "partitions": {"official": ["train", "train", "train", "test", None]},
        "boxes": [None, (0, 0, 2, 2), (2, 2, 4, 4), None, None],
        "identities": ["p", "q", None, "p", None],
        "cameras": ["1", "2", "1", None, None],
    }
    return Manifest.create("toy", SCHEMA, root=root, **(columns | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / name)
    return tmp_path


def test_counts(root):
    summary = summarise(make_manifest(root))
    assert (summary.dataset, summary.rows, summary.images) == ("toy", 5, 4)
    assert summary.attributes == [AttributeCount("Hat", 3, 2, 0), AttributeCount("Male", 1, 2, 2)]
    assert [a.positive_ratio for a in summary.attributes] == [3 / 5, 1 / 3]
    assert summary.splits == {"official": {"train": 3, "test": 1}}
    assert (summary.identities, summary.without_identity, summary.cameras) == (2, 2, 2)
    assert summary.guidance == {"box": 2, "mask": 0, "parsing": 0, "keypoints": 0}
    assert summary.missing == ["gone.png"]
    assert summary.check is None


def test_positive_ratio_of_an_attribute_never_known_is_zero():
    assert AttributeCount("Hat", 0, 0, 7).positive_ratio == 0.0


def test_identities_shared_between_splits(root):
    # p is in train (one of three rows) and test; unknown identities are not shared
    assert summarise(make_manifest(root)).shared == {"official": SharedIdentities(1, 1, 1 / 3)}


def test_identities_shared_between_val_and_test_do_not_touch_train(root):
    partitions = {"s": ["val", "train", "train", "test", "test"]}
    assert summarise(make_manifest(root, partitions=partitions)).shared == {"s": SharedIdentities(1, 0, 0.0)}


def test_without_identities_sharing_is_not_reported(root):
    assert summarise(make_manifest(root, identities=None)).shared == {}


def test_check_finds_unreadable_images_and_exact_duplicates(root):
    (root / "b.png").write_bytes((root / "a.png").read_bytes())
    (root / "c.png").write_bytes((root / "c.png").read_bytes()[:40])
    check = check_images(make_manifest(root))
    assert check.duplicates == [["a.png", "b.png"]]
    assert [name for name, _ in check.unreadable] == ["c.png"]
    assert check.unreadable[0][1]
    assert str(root) not in check.unreadable[0][1]


def test_check_tells_empty_files(root):
    (root / "a.png").write_bytes(b"")
    (root / "b.png").write_bytes(b"")
    check = check_images(make_manifest(root))
    assert [name for name, _ in check.unreadable] == ["a.png", "b.png"]
    assert check.duplicates == []


def test_check_passes_over_missing_images_and_reads_each_once(root):
    steps: list[tuple[int, int]] = []
    check = check_images(
        make_manifest(root), workers=2, progress=lambda done, total: steps.append((done, total))
    )
    assert (check.unreadable, check.duplicates) == ([], [])
    assert steps == [(1, 3), (2, 3), (3, 3)]  # b.png shows two persons, gone.png does not exist


def test_largest_group_of_duplicates_comes_first(root):
    names = [f"{i}.png" for i in range(5)]
    for name, source in zip(names, ("a", "a", "c", "c", "c"), strict=True):
        (root / name).write_bytes((root / f"{source}.png").read_bytes())
    manifest = Manifest.create("toy", SCHEMA, root=root, images=names, labels=[[0, 0]] * 5, partitions={})
    assert check_images(manifest).duplicates == [["2.png", "3.png", "4.png"], ["0.png", "1.png"]]
    assert summarise(manifest, check=check_images(manifest)).check == check_images(manifest)


def test_a_box_that_misses_its_image_is_named(root):
    boxes = [(9, 9, 12, 12), None, None, None, None]
    [(picture, reason)] = check_images(make_manifest(root, boxes=boxes)).unreadable
    assert picture == "a.png"
    assert "expected a box that overlaps the image of 4 × 4 pixels" in reason
