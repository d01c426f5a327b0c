"""Images, manifests and annotators without networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.base import Kind, Sample
from passerby.data.manifest import Manifest
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))


class Toy:
    """An annotator by colours.

    A mask is where red is above 100, classes are the tens of green, and all keypoints are on the
    brightest blue pixel. `stop_after` raises an error after a number of samples.
    """

    def __init__(
        self, kind: Kind, *, needs: tuple[Kind, ...] = (), threshold: int = 100, stop_after: int = 10**9
    ):
        self.kind, self.needs, self.threshold, self.stop_after = kind, needs, threshold, stop_after
        self.name = "toy"
        self.classes = ("nothing", "one", "two") if kind == "parsing" else ()
        self.samples: list[Sample] = []

    def describe(self) -> Mapping[str, Any]:
        return {"method": "toy", "threshold": self.threshold}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        if len(self.samples) + len(samples) > self.stop_after:
            raise KeyboardInterrupt
        self.samples += samples
        return [self.answer(sample) for sample in samples]

    def answer(self, sample: Sample) -> NDArray[Any] | None:
        pixels = np.asarray(sample.image)
        if self.kind == "masks":
            found = (pixels[..., 0] > self.threshold).astype(np.uint8)
            return found if found.any() else None
        if self.kind == "parsing":
            return (pixels[..., 1] // 10 % 3).astype(np.uint8)
        y, x = np.unravel_index(pixels[..., 2].argmax(), pixels.shape[:2])
        return np.tile(np.array([x, y, 0.9], np.float32), (17, 1))


@pytest.fixture
def people(tmp_path: Path) -> Manifest:
    """Ten images of one person each: red above, blue point somewhere."""
    rng = np.random.default_rng(0)
    images = [f"images/{i:02d}.png" for i in range(10)]
    (tmp_path / "data" / "images").mkdir(parents=True)
    for image in images:
        pixels = rng.integers(0, 90, (24, 12, 3), dtype=np.uint8)
        pixels[4:20, 3:9, 0] = 200
        pixels[rng.integers(24), rng.integers(12), 2] = 255
        Image.fromarray(pixels).save(tmp_path / "data" / image)
    return Manifest.create(
        "toy", SCHEMA, root=tmp_path / "data", images=images, labels=[[1]] * 10, partitions={}
    )


@pytest.fixture
def crowd(tmp_path: Path) -> Manifest:
    """Three persons in one image, two in another of the same stem; one box reaches out."""
    root = tmp_path / "crowd"
    root.mkdir()
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 5:15, 0] = 200
    pixels[:, 30:40, 0] = 200
    pixels[12, 7, 2], pixels[20, 35, 2] = 200, 255
    for name in ("a.png", "a.bmp"):
        Image.fromarray(pixels).save(root / name)
    boxes = [(2.5, 8.2, 20.4, 33.9), (25, 0, 45, 40), (50, 30, 80, 80), (2.5, 8.2, 20.4, 33.9), None]
    return Manifest.create(
        "toy",
        SCHEMA,
        root=root,
        images=["a.png", "a.png", "a.png", "a.bmp", "a.bmp"],
        labels=[[1]] * 5,
        partitions={},
        boxes=boxes,
    )


@pytest.fixture
def make_toy() -> type[Toy]:
    return Toy
