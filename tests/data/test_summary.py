from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from passerby.data.copies import Contradiction, Overlap
from passerby.data.crop_check import CropCheck
from passerby.data.formats import FORMATS
from passerby.data.image_check import check_images
from passerby.data.manifest import Manifest
from passerby.data.summary import AttributeCount, SharedIdentities, UnmeasuredAttributes, summarise
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
    assert (summary.missing, summary.similar) == (["gone.png"], {})
    (root / "Gone.jpg").touch()
    assert summarise(make_manifest(root)).similar == {"gone.png": "Gone.jpg"}
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


def test_without_reading_images_copies_and_crops_are_unknown(root):
    (root / "c.png").write_bytes((root / "a.png").read_bytes())
    summary = summarise(make_manifest(root))
    assert summary.check is None
    assert summary.overlaps == {"official": []}
    assert summary.near_duplicates == {}


def test_faults_of_images_are_part_of_the_summary(root):
    (root / "b.png").write_bytes((root / "a.png").read_bytes())
    (root / "c.png").write_bytes(b"no image")
    manifest = make_manifest(root, boxes=[None, (-9, 0, 12, 12), (4, 4, 20, 20), None, None])
    faults = summarise(manifest, check=check_images(manifest)).check
    assert faults is not None
    assert [name for name, _ in faults.unreadable] == ["c.png"]
    assert faults.duplicates == [["a.png", "b.png"]]
    assert faults.crops == CropCheck(
        outside=["b.png: box 4, 4, 20, 20 in 4 × 4 pixels"],
        clipped=["b.png: box -9, 0, 12, 12 in 4 × 4 pixels"],
        small=["a.png: 4 × 4 pixels", "b.png: 4 × 4 pixels"],
    )


def test_images_and_copies_in_several_splits(root):
    partitions = {
        "own": ["train", "val", "test", "test", None],
        "good": ["train", "test", "test", "train", None],
    }
    (root / "c.png").write_bytes((root / "a.png").read_bytes())
    manifest = make_manifest(root, partitions=partitions)
    across = Overlap(("a.png", "c.png"), ("train", "test"))
    assert summarise(manifest, check=check_images(manifest)).overlaps == {
        "own": [across, Overlap(("b.png",), ("val", "test"))],
        "good": [],
    }
    assert summarise(manifest).overlaps == {"own": [Overlap(("b.png",), ("val", "test"))], "good": []}


def test_near_duplicates_in_several_splits(root):
    photo = Image.linear_gradient("L").rotate(30)
    photo.save(root / "a.png")
    photo.resize((90, 90)).save(root / "c.png")
    manifest = make_manifest(root)
    found = summarise(manifest, check=check_images(manifest)).near_duplicates["official"]
    assert found.images == 2
    assert found.examples[0].images == ("a.png", "c.png")
    assert found.examples[0].splits == ("train", "test")


def test_repeated_rows_and_contradictory_labels(root):
    columns = {
        "images": ["a.png", "a.png", "a.png", "b.png", "b.png"],
        "labels": [[1, 0], [1, -1], [0, 0], [1, 1], [0, 1]],
        "boxes": [None, None, None, (0, 0, 2, 2), (2, 2, 4, 4)],
    }
    summary = summarise(make_manifest(root, **columns))
    assert summary.repeated_rows == 2
    assert summary.contradictions == [Contradiction(("a.png",), ("Hat",))]


def test_attributes_that_cannot_be_measured_by_split(root):
    labels = [[1, 0], [0, -1], [0, 1], [0, -1], [1, -1]]
    partitions = {"own": ["train", "train", "train", "test", "val"], "all": ["train"] * 5}
    assert summarise(make_manifest(root, labels=labels, partitions=partitions)).unmeasured == {
        "own": {
            "val": UnmeasuredAttributes((), ("Hat",), ("Male",)),
            "test": UnmeasuredAttributes(("Hat",), (), ("Male",)),
        },
        "all": {},
    }


@pytest.mark.realdata
def test_real_peta_has_one_copy_and_known_near_duplicates():
    folder = os.environ.get("PASSERBY_DATA")
    if not folder or not (Path(folder) / "peta").is_dir():
        pytest.skip("PASSERBY_DATA does not name a folder with peta/")
    manifest = FORMATS["peta"](Path(folder) / "peta")
    summary = summarise(manifest, check=check_images(manifest))
    images = ("images/01474.jpg", "images/01475.jpg")
    found = {name: overlaps for name, overlaps in summary.overlaps.items() if overlaps}
    assert found == {
        "official-2": [Overlap(images, ("val", "test"))],
        "official-5": [Overlap(images, ("train", "val"))],
    }
    assert summary.near_duplicates["official-1"].images == 146
    assert summary.contradictions == []
