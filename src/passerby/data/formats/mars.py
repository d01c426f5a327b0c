"""MARS (Zheng et al., ECCV 2016) with the attributes of Chen, Li and Wang (PRCV 2019, arXiv 1901.05742).

The file has a row for each *tracklet*; an image has the labels of the identity, camera and tracklet in its
name. Of the twelve properties, three have several values and become one exclusive attribute for each:

| column | values from 0 |
|---|---|
| colour of the top | black, purple, green, blue, gray, white, yellow, red, complex (several colours) |
| colour of the bottom | white, purple, black, green, gray, pink, yellow, blue, brown, complex |
| age | young, teenager, adult, old |

The other nine have the values 0 and 1, with the meaning and the names of Market-1501 (`up` = 1: short
sleeves, `clothes` = 1: trousers or shorts, `gender` = 1: female); identities that both data sets label have
the same labels. Two versions of the file circulate: 15 columns (`person-id`, `camera`, `tracklet`, …) and 24
(`person_id`, `camera_id`, `tracklets_id`, …). The latter has nine further columns on motion, pose and image
quality before the same twelve; they are not read, because their values are not documented.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import find_file, find_images, load_schema
from passerby.data.formats.table.files import Table, load_table, normalise_cell
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["SCHEMA", "SIZES", "load_tracklets", "read"]

SCHEMA = load_schema("mars")
"""The 32 attributes, in the order of the columns of the file."""

SIZES = (9, 10, 4, *[2] * 9)
"""Number of values of the last twelve columns of the file."""

IDS = (("person", "personid"), ("camera", "cameraid"), ("tracklet", "trackletsid"))
WIDTHS = (15, 24)
"""Number of columns of the two versions of the file."""

FOLDERS = {"bbox_train": "train", "bbox_test": "test"}
UNLABELLED = frozenset({"0000", "00-1"})
"""Identities of distractor and junk images, which have no attributes."""

IMAGE_NAME = re.compile(r"(?P<identity>\d{4}|00-1)C(?P<camera>[1-6])T(?P<tracklet>\d{4})F\d+")

logger = logging.getLogger(__name__)

Tracklet = tuple[int, int, int]
"""Identity, camera and tracklet."""


def load_tracklets(path: Path) -> dict[Tracklet, NDArray[np.int8]]:
    """Read `mars_attributes.csv`.

    Returns:
        The 32 labels, each 0 or 1, of each identity, camera and tracklet.

    Raises:
        FormatError: If the file is missing, of another version, or a value is out of range.
    """
    table = load_table(path)
    names = [name for name in table.columns if name not in table.numbering]
    ids = [re.sub(r"[^a-z]", "", name.lower()) for name in names[:3]]
    if len(names) not in WIDTHS or any(i not in known for i, known in zip(ids, IDS, strict=False)):
        raise FormatError(
            f"{path}: expected person-id, camera, tracklet and 12 columns of attributes (or 21 in the later "
            f"version), got {len(names)} columns from {', '.join(names[:4])}; another data set?"
        )
    numbers = _read_numbers(table, [*names[:3], *names[-len(SIZES) :]])
    labels = np.concatenate(
        [
            np.eye(size, dtype=np.int8)[column] if size > 2 else column[:, None].astype(np.int8)
            for size, column in zip(SIZES, numbers.T[3:], strict=True)
        ],
        axis=1,
    )
    tracklets: dict[Tracklet, NDArray[np.int8]] = {}
    for place, (identity, camera, tracklet), row in zip(table.places, numbers[:, :3], labels, strict=True):
        key = (int(identity), int(camera), int(tracklet))
        if not np.array_equal(tracklets.setdefault(key, row), row):
            raise FormatError(
                f"{place}: the tracklet {key} has other labels in an earlier row; copy it again"
            )
    return tracklets


def _read_numbers(table: Table, names: list[str]) -> NDArray[np.int64]:
    """(N, 3 + 12) integers: the ids and the values."""
    limits = (10_000, 7, 10_000, *SIZES)
    columns = []
    for name, limit in zip(names, limits, strict=True):
        texts = [normalise_cell(cell) for cell in table.columns[name]]
        for place, text in zip(table.places, texts, strict=True):
            if not (text.isdecimal() and int(text) < limit):
                raise FormatError(
                    f"{place}, column {name!r}: expected a number from 0 to {limit - 1}, got {text!r}; "
                    f"copy the file again"
                )
        columns.append(list(map(int, texts)))
    return np.array(columns, dtype=np.int64).T.reshape(-1, len(names))


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read MARS: `mars_attributes.csv` with `bbox_train/NNNN/` and `bbox_test/NNNN/`.

    Args:
        root: Folder of the images and of `mars_attributes.csv` (or `info/mars_attributes.csv`).
        allow_missing: Continue without the images of missing tracklets.

    Returns:
        A manifest with one row per frame, identities, cameras and the partition `official`: `bbox_train` is
        train and `bbox_test` is test. There is no official validation split. Junk (`00-1`) and distractors
        (`0000`) are excluded.

    Raises:
        FormatError: If a file is missing, of another version or out of range, or tracklets have no images.
    """
    root = Path(root)
    path = find_file(root, "mars_attributes.csv", "info/mars_attributes.csv")
    tracklets = load_tracklets(path)
    images: list[str] = []
    splits: list[str] = []
    keys: list[Tracklet] = []
    for image, split, key in _find_labelled(root):
        images.append(image)
        splits.append(split)
        keys.append(key)
    _check_missing(root, tracklets, set(keys), allow_missing=allow_missing)
    rows = [row for row, key in enumerate(keys) if key in tracklets]
    if len(rows) < len(keys):
        logger.warning(
            "MARS: left out %s of %s images, whose tracklets are not in %s",
            f"{len(keys) - len(rows):,}",
            f"{len(keys):,}",
            path.name,
        )
    return Manifest.create(
        "mars",
        SCHEMA,
        root=root,
        images=[images[row] for row in rows],
        labels=np.stack([tracklets[keys[row]] for row in rows]),
        partitions={"official": [splits[row] for row in rows]},
        identities=[f"{keys[row][0]:04d}" for row in rows],
        cameras=[f"c{keys[row][1]}" for row in rows],
    )


def _find_labelled(root: Path) -> Iterator[tuple[str, str, Tracklet]]:
    """Path, split and tracklet of the images of labelled identities."""
    for folder, split in FOLDERS.items():
        if not (root / folder).is_dir():
            continue
        for identity in sorted(path.name for path in (root / folder).iterdir() if path.is_dir()):
            if identity in UNLABELLED:
                continue
            for stem, image in find_images(root, f"{folder}/{identity}").items():
                match = IMAGE_NAME.fullmatch(stem)
                if match is None or match["identity"] != identity:
                    raise FormatError(
                        f"{root / image}: expected a name such as 0001C1T0001F001.jpg (identity, camera, "
                        f"tracklet, frame) in the folder of the identity; rename or remove the file"
                    )
                yield image, split, (int(identity), int(match["camera"]), int(match["tracklet"]))


def _check_missing(
    root: Path, tracklets: Mapping[Tracklet, object], found: set[Tracklet], *, allow_missing: bool
) -> None:
    missing = [key for key in tracklets if key not in found]
    if not missing:
        return
    message = f"MARS: {len(missing):,} of {len(tracklets):,} tracklets have no image under {root}"
    if len(missing) == len(tracklets):
        raise FormatError(f"{message}; check --root and the folders bbox_train and bbox_test")
    if not allow_missing:
        raise FormatError(f"{message}; add them, or continue without them with --allow-missing")
    logger.warning("%s; continuing with the others", message)
