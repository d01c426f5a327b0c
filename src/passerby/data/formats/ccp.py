"""CCP (Yang, Luo and Lin: Clothing Co-Parsing by Joint Image Segmentation and Labeling, CVPR 2014).

1,004 of its photos have a label for each pixel. A photo has an attribute if at least one pixel has its
label, so the 58 labels other than `null` give 58 attributes. Photos that only have tags for the full image
are not read.

The column `parsing` of the manifest contains the `.mat` files. Their classes are those of CCP, 0 … 58, not
those of Look-Into-Person; `load_pixels` reads them. `passerby annotate --parsing-from relabel` converts
them to the classes of Look-Into-Person (`TO_LIP`) or to the six coarse ones (`TO_COARSE`). The tables are
in `ccp_parsing.csv`; the rules are our own:

- An ambiguous label becomes `UNKNOWN_CLASS`, which losses ignore. In both tables: `skin` (face, arms or
  legs), `accessories`, `belt` (over trousers or a dress), `necklace` (neck or chest), `intimate` and
  `swimwear`. Only for Look-Into-Person: all shoes, `bracelet`, `ring` and `watch`, because it distinguishes
  left and right.
- Bags are carried: a coarse class, but background in Look-Into-Person, as in its annotations.
- Blazer, cape, coat, jacket and suit are Coat; bodysuit and romper Jumpsuits; leggings Pants; stockings and
  tights Socks; earrings Face; a tie belongs to the upper clothes.

A model trained on CCP alone therefore has no examples of bare arms and legs or of Look-Into-Person's shoes,
and of faces hardly more than hair, hats and glasses.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import (
    find_file,
    find_guidance,
    find_images,
    keep_present,
    load_schema,
)
from passerby.data.formats.matlab import check_strings, load_mat, unpack_integers
from passerby.data.manifest import Manifest
from passerby.data.partitions import shuffled_partition
from passerby.errors import FormatError
from passerby.images.decode import read_size
from passerby.parsing import COARSE_CLASSES, LIP_CLASSES, UNKNOWN_CLASS

__all__ = ["CLASSES", "SCHEMA", "TO_COARSE", "TO_LIP", "load_pixels", "read"]

SCHEMA = load_schema("ccp")
"""The 58 labels except for `null`: attribute i has pixel value i + 1."""

CLASSES = ("null", *SCHEMA.names)
"""Names of the 59 pixel values."""


def _load_table(column: str, classes: tuple[str, ...]) -> tuple[int, ...]:
    numbers = {"unknown": UNKNOWN_CLASS} | {name: number for number, name in enumerate(classes)}
    with Path(__file__).with_name("ccp_parsing.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: numbers[row[column]] for row in csv.DictReader(file)}
    return tuple(rows[name] for name in CLASSES)


TO_LIP = _load_table("lip", LIP_CLASSES)
"""The number in `passerby.parsing.LIP_CLASSES` of each of `CLASSES`, 255 if ambiguous."""

TO_COARSE = _load_table("coarse", COARSE_CLASSES)
"""The number in `passerby.parsing.COARSE_CLASSES` of each of `CLASSES`, 255 if ambiguous."""

PHOTOS = 1_004
ANNOTATIONS = "annotations/pixel-level"


def read(root: Path, *, allow_missing: bool = False, seed: int = 0) -> Manifest:
    """Read CCP: `photos/NNNN.jpg`, `annotations/pixel-level/NNNN.mat` and `label_list.mat`.

    Args:
        root: Folder of `label_list.mat`.
        allow_missing: Continue without missing photos and annotations.
        seed: Seed of the partition.

    Returns:
        A manifest with the partition `random-<seed>`: CCP has no official one, so 70 % of the 1,004 photos
        are drawn for train, 10 % for val and 20 % for test. The split of a photo does not depend on which
        others exist. Identities are unknown, so a person may occur in several splits.

    Raises:
        FormatError: If a file is missing, truncated or of another version, a label is out of range, or an
            annotation and its photo have different sizes.
        ImageError: If a photo cannot be read.
        DataError: If the seed is negative.
    """
    root = Path(root)
    path = find_file(root, "label_list.mat")
    names = load_mat(path, required=["label_list"])["label_list"]
    check_strings(names, CLASSES, what=f"{path.name}: label_list")
    numbers = [f"{number:04d}" for number in range(1, PHOTOS + 1)]
    found = find_images(root, "photos")
    pixels = [f"{ANNOTATIONS}/{number}.mat" for number in numbers]
    images = [found.get(n) if (root / p).is_file() else None for n, p in zip(numbers, pixels, strict=True)]
    rows = keep_present(
        images,
        expected=[p if n in found else f"photos/{n}.jpg" for n, p in zip(numbers, pixels, strict=True)],
        dataset="CCP (photos with annotation)",
        where=root,
        allow_missing=allow_missing,
    )
    paths = [image for image in images if image is not None]
    labels = np.zeros((len(rows), len(SCHEMA)), np.int8)
    for i, row in enumerate(rows):
        labels[i, _find_tags(root, image=paths[i], pixels=pixels[row])] = 1
    splits = shuffled_partition(PHOTOS, seed=seed)
    guidance = find_guidance(root, (numbers[row] for row in rows))
    manifest = Manifest.create(
        "ccp",
        SCHEMA,
        root=root,
        images=paths,
        labels=labels,
        partitions={f"random-{seed}": [splits[row] for row in rows]},
        masks=guidance.masks,
        parsing=[pixels[row] for row in rows],
        keypoints=guidance.keypoints,
    )
    return manifest.with_guidance(parsing_classes=CLASSES)


def load_pixels(path: Path) -> NDArray[np.uint8]:
    """Read the labels of one photo.

    Returns:
        (H, W) uint8 in 0 … 58: 0 is `null`, i + 1 is attribute i of `SCHEMA`.

    Raises:
        FormatError: If the file is missing, truncated, or a label is out of range.
    """
    values = load_mat(path, required=["groundtruth"])["groundtruth"]
    what = f"{path.name}: groundtruth"
    checked = unpack_integers(values, what=what, low=0, high=len(SCHEMA), shape=(None, None))
    return checked.astype(np.uint8)


def _find_tags(root: Path, *, image: str, pixels: str) -> NDArray[np.int64]:
    """Positions in `SCHEMA` of the labels that occur in a photo."""
    values = load_pixels(root / pixels)
    width, height = read_size(root / image)
    if values.shape != (height, width):
        raise FormatError(
            f"{root / pixels}: expected {height} × {width} labels (height × width), the size of {image}, "
            f"got {values.shape[0]} × {values.shape[1]}; the annotation belongs to another photo"
        )
    counts = np.bincount(values.reshape(-1), minlength=1 + len(SCHEMA))
    return np.flatnonzero(counts[1:])
