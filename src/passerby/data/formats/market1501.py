"""Market-1501 (Zheng et al., ICCV 2015) with the attributes of Lin et al. (Pattern Recognition 2019).

The file holds 27 fields for each *identity*; an image has the labels of the identity in its name. 26 fields
have two values and become one column each, `age` has four and becomes four: 27 fields give 30 columns.

| column | 1 if the field is | 0 if |
|---|---|---|
| `age-young`, `-teenager`, `-adult`, `-old` | `age` = 1, 2, 3, 4 | any other age |
| `gender` | 2, female | 1, male |
| `hair` | 2, long | 1, short |
| `up` | 2, short sleeves | 1, long sleeves |
| `down` | 2, short | 1, long |
| `clothes` | 2, trousers or shorts | 1, dress or skirt |
| `hat`, `backpack`, `bag`, `handbag`, colours | 2, yes | 1, no |

The structs `train` and `test` have different orders of fields, so fields are read by name, not by position.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import add_guidance_files, find_file, find_images, load_schema
from passerby.data.formats.matlab import load_mat, unpack_integers, unpack_strings, unpack_struct
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["FIELDS", "SCHEMA", "Identities", "load_identities", "read"]

SCHEMA = load_schema("market1501")
"""The 30 columns of the 27 fields, in the order of `test` in the file."""

AGES = ("young", "teenager", "adult", "old")
"""Meaning of the values 1 to 4 of the field `age`."""

FIELDS = ("age", *(name for name in SCHEMA.names if not name.startswith("age-")))
"""The 27 fields of the file."""

IDENTITIES = {"train": 751, "test": 750}
FOLDERS = {"bounding_box_train": "train", "bounding_box_test": "test", "query": "test"}
IMAGES = {"bounding_box_train": 12_936, "bounding_box_test": 13_115, "query": 3_368}
"""Published number of images with a labelled identity; `bounding_box_test` has 6,617 more."""

UNLABELLED = frozenset({"-1", "0000"})
"""Identities of junk and distractor images, which have no attributes."""

IMAGE_NAME = re.compile(r"(?P<identity>-1|\d{4})_(?P<camera>c[1-6])s\d_\d+_\d+")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identities:
    """The labels of one split.

    Shape:
        names: I identities, such as `0002`.
        labels: (I, 30) int8 in {0, 1}, columns as `SCHEMA`.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int8]


def load_identities(path: Path) -> dict[str, Identities]:
    """Read `market_attribute.mat`.

    Returns:
        The labels of the 751 identities of `train` and of the 750 of `test`.

    Raises:
        FormatError: If the file is missing, truncated, of another version, or a label is out of range.
    """
    content = load_mat(path, required=["market_attribute"])
    splits = unpack_struct(
        content["market_attribute"], required=["train", "test"], what=f"{path.name}: market_attribute"
    )
    identities = {split: _unpack_split(splits[split], split, path.name) for split in IDENTITIES}
    shared = set(identities["train"].names) & set(identities["test"].names)
    if shared:
        raise FormatError(
            f"{path}: expected train and test to share no identity, {len(shared)} are in both, such as "
            f"{min(shared)}; copy or download the file again"
        )
    return identities


def _unpack_split(value: NDArray[Any], split: str, file: str) -> Identities:
    count = IDENTITIES[split]
    fields = unpack_struct(value, required=[*FIELDS, "image_index"], what=f"{file}: {split}")
    further = sorted(set(fields) - {*FIELDS, "image_index"})
    if further:
        raise FormatError(
            f"{file}: {split}: expected the 27 fields of Market-1501 and image_index, got also "
            f"{', '.join(further[:5])}: another version or another data set?"
        )
    names = unpack_strings(fields["image_index"], what=f"{file}: {split}.image_index", count=count)
    wrong = [n for n in names if not re.fullmatch(r"\d{4}", n)]
    if wrong or len(set(names)) != count:
        again = [n for n, times in Counter(names).items() if times > 1]
        raise FormatError(
            f"{file}: {split}.image_index: expected {count} different identities of four digits, got "
            f"{wrong[0] if wrong else again[0] + ' twice'}; copy or download the file again"
        )
    columns = []
    for name in FIELDS:
        values = unpack_integers(
            fields[name],
            what=f"{file}: {split}.{name}",
            low=1,
            high=len(AGES) if name == "age" else 2,
            shape=(None,),
        )
        if len(values) != count:
            raise FormatError(
                f"{file}: {split}.{name}: expected {count} values, got {len(values)}; truncated?"
            )
        columns += [values == 1 + a for a in range(len(AGES))] if name == "age" else [values == 2]
    return Identities(tuple(names), np.stack(columns, axis=1).astype(np.int8))


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read Market-1501: `market_attribute.mat` with `bounding_box_train/`, `bounding_box_test/` and `query/`.

    Args:
        root: Folder of the images and of `market_attribute.mat` (or `attribute/market_attribute.mat`).
        allow_missing: Continue if images are missing: with the existing ones, or, if there are none, with one
            row per *identity*, whose image is the common prefix of its file names (`bounding_box_train/0002`)
            and not a file.

    Returns:
        A manifest with identities, cameras and the partition `official`: `bounding_box_train` is train,
        `bounding_box_test` is test, `query` is in neither. There is no official validation split. Junk (`-1`)
        and distractors (`0000`) have no labels and are excluded.

    Raises:
        FormatError: If a file is missing, truncated, of another version or out of range.
    """
    root = Path(root)
    path = find_file(root, "market_attribute.mat", "attribute/market_attribute.mat")
    identities = load_identities(path)
    images = {folder: _find_labelled(root, folder) for folder in FOLDERS}
    _check_counts(root, {folder: len(found) for folder, found in images.items()}, allow_missing=allow_missing)
    if not any(images.values()):
        return _create_identity_rows(root, identities)
    paths: list[str] = []
    labels = []
    names: list[str | None] = []
    cameras: list[str | None] = []
    for folder, split in FOLDERS.items():
        rows = {name: row for row, name in enumerate(identities[split].names)}
        for image, identity, camera in images[folder]:
            if identity not in rows:
                raise FormatError(
                    f"{path}: no labels for identity {identity} of {image} among the identities of {split}; "
                    f"is the image in the right folder?"
                )
            paths.append(image)
            names.append(identity)
            cameras.append(camera)
            labels.append(identities[split].labels[rows[identity]])
    partition: list[str | None] = [
        None if p.startswith("query/") else FOLDERS[PurePosixPath(p).parts[0]] for p in paths
    ]
    manifest = Manifest.create(
        "market1501",
        SCHEMA,
        root=root,
        images=paths,
        labels=np.stack(labels),
        partitions={"official": partition},
        identities=names,
        cameras=cameras,
    )
    return add_guidance_files(manifest, (PurePosixPath(p).stem for p in paths))


def _find_labelled(root: Path, folder: str) -> list[tuple[str, str, str]]:
    """Path, identity and camera of the images of a folder that show a labelled identity."""
    found = []
    for stem, image in find_images(root, folder).items():
        match = IMAGE_NAME.match(stem)
        if match is None:
            raise FormatError(
                f"{root / image}: expected a name such as 0002_c1s1_000451_03.jpg (identity, camera 1 to 6, "
                f"sequence, frame, box); rename or remove the file"
            )
        if match["identity"] not in UNLABELLED:
            found.append((image, match["identity"], match["camera"]))
    return found


def _check_counts(root: Path, counts: dict[str, int], *, allow_missing: bool) -> None:
    further = [folder for folder, count in counts.items() if count > IMAGES[folder]]
    if further:
        folder = further[0]
        raise FormatError(
            f"{root / folder}: expected {IMAGES[folder]:,} images of labelled identities, got "
            f"{counts[folder]:,}; another version of Market-1501?"
        )
    missing = sum(IMAGES.values()) - sum(counts.values())
    if not missing:
        return
    have = ", ".join(f"{folder} {count:,} of {IMAGES[folder]:,}" for folder, count in counts.items())
    message = f"Market-1501: {missing:,} images are missing under {root} ({have})"
    if not allow_missing:
        raise FormatError(f"{message}; add them, or continue without them with --allow-missing")
    rest = "the others" if any(counts.values()) else "one row per identity, because no image exists"
    logger.warning("%s; continuing with %s", message, rest)


def _create_identity_rows(root: Path, identities: dict[str, Identities]) -> Manifest:
    folders = {"train": "bounding_box_train", "test": "bounding_box_test"}
    rows = [(split, name) for split, members in identities.items() for name in members.names]
    return Manifest.create(
        "market1501",
        SCHEMA,
        root=root,
        images=[f"{folders[split]}/{name}" for split, name in rows],
        labels=np.concatenate([members.labels for members in identities.values()]),
        partitions={"official": [split for split, _ in rows]},
        identities=[name for _, name in rows],
    )
