from __future__ import annotations

from pathlib import Path

import pytest

from passerby.data.crop_check import CropCheck, check_crops
from passerby.data.manifest import Manifest
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))


def check(box: tuple[float, ...] | None, size: tuple[int, int] | None = (100, 60)) -> CropCheck:
    manifest = Manifest.create(
        "toy", SCHEMA, root=Path(), images=["a.jpg"], labels=[[0]], boxes=[box], partitions={}
    )
    return check_crops(manifest, {} if size is None else {"a.jpg": size})


@pytest.mark.parametrize("box", [None, (0, 0, 100, 60), (-1, -0.5, 101, 61), (10, 10, 18, 18)])
def test_a_usable_crop_is_not_reported(box):
    assert check(box) == CropCheck()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((100, 0, 130, 60), "a.jpg: box 100, 0, 130, 60 in 100 × 60 pixels"),
        ((-30, 0, -2.5, 60), "a.jpg: box -30, 0, -2.5, 60 in 100 × 60 pixels"),
    ],
)
def test_a_box_outside_its_image_is_reported_as_such(box, words):
    assert check(box) == CropCheck(outside=[words])


@pytest.mark.parametrize("box", [(-2, 0, 50, 50), (50, 0, 102, 50), (0, -9, 50, 50), (0, 0, 50, 999)])
def test_a_box_partly_outside_is_reported(box):
    numbers = ", ".join(map(str, box))
    assert check(box) == CropCheck(clipped=[f"a.jpg: box {numbers} in 100 × 60 pixels"])


def test_a_crop_of_a_few_pixels_is_reported():
    assert check((10, 10, 17, 60)) == CropCheck(small=["a.jpg: 7 × 50 pixels"])
    assert check((10, 10, 60, 12.5)) == CropCheck(small=["a.jpg: 50 × 2.5 pixels"])
    assert check(None, (4, 90)) == CropCheck(small=["a.jpg: 4 × 90 pixels"])


def test_a_crop_is_measured_after_clipping():
    assert check((96, 0, 150, 60)) == CropCheck(
        clipped=["a.jpg: box 96, 0, 150, 60 in 100 × 60 pixels"], small=["a.jpg: 4 × 60 pixels"]
    )


def test_an_image_that_was_not_read_is_not_checked():
    assert check((500, 0, 600, 60), None) == CropCheck()
