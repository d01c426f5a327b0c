from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.parsing import COARSE_CLASSES
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema(
    "tiny",
    (
        Attribute("RedTop", "wears something red above", body_part="torso"),
        Attribute("BlueBottom", "wears something blue below", body_part="bottom"),
        Attribute("Bright", "stands in bright light"),
    ),
)


@pytest.fixture
def manifest_path(tmp_path: Path) -> Path:
    """48 images of 24×16 whose three attributes show in their colours; some labels are unknown.

    Their parsing maps say upper and lower.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (48, 3)).astype(np.int8)
    root = tmp_path / "people"
    for folder in ("images", "parsing"):
        (root / folder).mkdir(parents=True)
    names, maps = [], []
    for i, (red, blue, bright) in enumerate(labels):
        picture = rng.integers(0, 60, (24, 16, 3)).astype(np.uint8) + np.uint8(80 * bright)
        picture[:12, :, 0] += np.uint8(100 * red)
        picture[12:, :, 2] += np.uint8(100 * blue)
        names.append(f"images/{i:03d}.png")
        Image.fromarray(picture).save(root / names[-1])
        maps.append(f"parsing/{i:03d}.png")
        Image.fromarray(np.repeat(np.uint8([2, 3]), 12)[:, None].repeat(16, 1)).save(root / maps[-1])
    labels[rng.random(labels.shape) < 0.1] = -1
    splits = ["train"] * 32 + ["val"] * 8 + ["test"] * 8
    manifest = Manifest.create(
        "tiny",
        SCHEMA,
        root=root,
        images=names,
        labels=labels,
        parsing=maps,
        partitions={"own": splits},
    ).with_guidance(parsing_classes=COARSE_CLASSES)
    manifest.write(tmp_path / "tiny.parquet")
    return tmp_path / "tiny.parquet"


@pytest.fixture
def make_recipe(manifest_path: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe that trains a tiny network for three epochs of four steps; sections can be overridden."""

    def make(**sections: dict[str, object]) -> Recipe:
        values: dict[str, dict[str, object]] = {
            "data": {"manifest": manifest_path, "partition": "own", "cache": tmp_path / "cache"},
            "input": {"height": 24, "width": 16},
            "augmentation": {"pad_px": 2},
            "model": {"pretrained": False, "arguments": {"backbone": "test_resnet", "dropout": 0.2}},
            "optimizer": {"name": "adamw", "lr": 3e-3},
            "schedule": {"name": "cosine", "warmup_epochs": 0.5},
            "training": {"epochs": 3, "batch_size": 8, "accelerator": "cpu", "workers": 0},
        }
        for name, section in sections.items():
            values[name] = {**values[name], **section} if name in values else section
        return Recipe.model_validate(values)

    return make
