"""WIDER-Attribute (Li et al.: Human Attribute Recognition by Deep Hierarchical Contexts, ECCV 2016)."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from passerby.data.formats.dataset_files import find_file, keep_present, load_schema
from passerby.data.manifest import SPLITS, Manifest, check_relative_path
from passerby.errors import FormatError
from passerby.images.decode import read_size

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("wider")
"""The 14 attributes, in the order of the files."""

IMAGES = 13_789
PERSONS = 57_524
FILES = ("wider_attribute_trainval.json", "wider_attribute_test.json")
LABELS = {-1: 0, 0: -1, 1: 1}
"""Labels of the files (absent, unspecified, present) as labels of a manifest; 0 and −1 are swapped."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Person:
    image: str
    box: tuple[float, float, float, float]
    labels: list[int]
    split: str
    where: str


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read WIDER-Attribute: the two JSON files (also in `Anno/`) with the images in `Image/`.

    Boxes that exceed their image are clipped to it, and those without a pixel in it are removed; a warning
    with their number and the first one is logged.

    Args:
        root: Folder of `Image/`.
        allow_missing: Continue without missing images.

    Returns:
        A manifest with the partition `official`, one row per person; the first folder of the file name is
        the split.

    Raises:
        FormatError: If a file is missing, truncated, has another number of rows or a value out of range.
        ImageError: If an image cannot be read; its size is needed to clip the boxes.
    """
    root = Path(root)
    persons = [p for name in FILES for p in _load_persons(find_file(root, name, f"Anno/{name}"))]
    count = len({p.image for p in persons})
    if len(persons) != PERSONS or count > IMAGES:
        raise FormatError(
            f"WIDER-Attribute: expected {PERSONS:,} persons in at most {IMAGES:,} images, "
            f"got {len(persons):,} in {count:,}; copy {' and '.join(FILES)} again"
        )
    folder = next((f for f in ("Image", "Images", ".") if (root / f).is_dir()), ".")
    paths = {image: root / folder / image for image in dict.fromkeys(p.image for p in persons)}
    sizes = {image: read_size(path) if path.is_file() else None for image, path in paths.items()}
    kept = keep_present(
        [p.image if sizes[p.image] else None for p in persons],
        expected=[p.image for p in persons],
        dataset="WIDER-Attribute (counted by person)",
        where=root / folder,
        allow_missing=allow_missing,
    )
    boxes = _clip_boxes([persons[r] for r in kept], sizes)
    rows = [(persons[r], box) for r, box in zip(kept, boxes, strict=True) if box is not None]
    return Manifest.create(
        "wider",
        SCHEMA,
        root=root,
        images=[check_relative_path(f"{folder}/{p.image}") for p, _ in rows],
        labels=np.array([p.labels for p, _ in rows], dtype=np.int8).reshape(-1, len(SCHEMA)),
        partitions={"official": [p.split for p, _ in rows]},
        boxes=[box for _, box in rows],
    )


def _load_persons(path: Path) -> Iterator[_Person]:
    try:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError) as error:
        raise FormatError(
            f"{path} is truncated or not JSON with a list `images` ({type(error).__name__}: {error}); "
            f"copy it again"
        ) from error
    for position, image in enumerate(images):
        where = f"{path.name}, image {position}"
        try:
            name = check_relative_path(image["file_name"])
            targets = list(image["targets"])
        except (KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{where}: expected file_name and targets, got {str(image)[:80]}") from error
        split = name.split("/", 1)[0]
        if split not in SPLITS:
            raise FormatError(
                f"{where}: expected a file name that begins with train/, val/ or test/, got {name!r}"
            )
        for number, target in enumerate(targets):
            yield _read_target(target, image=name, split=split, where=f"{where}, target {number}")


def _read_target(target: Mapping[str, Any], *, image: str, split: str, where: str) -> _Person:
    try:
        box = [float(v) for v in target["bbox"]]
        labels = [LABELS[v] for v in target["attribute"]]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{where}: expected bbox [x, y, width, height] and {len(SCHEMA)} labels -1, 0 or 1, "
            f"got {str(target)[:120]}"
        ) from error
    if len(box) != 4 or not all(map(math.isfinite, box)) or len(labels) != len(SCHEMA):
        raise FormatError(
            f"{where}: expected 4 finite numbers and {len(SCHEMA)} labels, got {box} and {len(labels)} labels"
        )
    x, y, width, height = box
    return _Person(image, (x, y, x + width, y + height), labels, split, where)


def _clip_boxes(
    persons: list[_Person], sizes: Mapping[str, tuple[int, int] | None]
) -> list[tuple[float, float, float, float] | None]:
    clipped, outside = [], []
    boxes: list[tuple[float, float, float, float] | None] = []
    for person in persons:
        width, height = sizes[person.image] or (0, 0)
        x0, y0, x1, y1 = person.box
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            outside.append(person.where)
            boxes.append(None)
            continue
        if box != person.box:
            clipped.append(person.where)
        boxes.append(box)
    if clipped:
        logger.warning(
            "WIDER-Attribute: %s boxes exceed their image and were clipped; first: %s",
            f"{len(clipped):,}",
            clipped[0],
        )
    if outside:
        logger.warning(
            "WIDER-Attribute: %s boxes have no pixel in their image and were removed; first: %s",
            f"{len(outside):,}",
            outside[0],
        )
    return boxes
