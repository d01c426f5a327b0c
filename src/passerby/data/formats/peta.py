"""PETA (Deng, Luo, Loy and Tang: Pedestrian Attribute Recognition At Far Distance, ACM Multimedia 2014)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import (
    add_guidance_files,
    find_file,
    find_images,
    keep_present,
    load_schema,
)
from passerby.data.formats.matlab import (
    check_strings,
    load_mat,
    unpack_integers,
    unpack_partitions,
    unpack_struct,
)
from passerby.data.formats.peta_archive import Archive, find_camera, load_archive, load_label_files
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["EVALUATED", "SCHEMA", "read"]

SCHEMA = load_schema("peta")
"""All 105 attributes, in the order of the file; the first 35 are evaluated."""

EVALUATED = SCHEMA.names[:35]
"""Names of the attributes that published results evaluate."""

MAPPINGS = ("file_mapping.txt", "peta_file_mapping.txt")
"""Names under which the mapping file circulates."""

ROWS = 19_000
ID_COLUMNS = 4
PARTITION_SIZES = {"train": 9_500, "val": 1_900, "test": 7_600}

logger = logging.getLogger(__name__)


def read(
    root: Path,
    *,
    allow_missing: bool = False,
    attributes: Literal["evaluated", "all"] = "evaluated",
    labels: Literal["mat", "text"] = "mat",
) -> Manifest:
    """Read PETA: `PETA.mat` with `images/NNNNN.*`, or with the original `PETA dataset/<subset>/archive/…`.

    Args:
        root: Folder of `PETA.mat`. The original layout, and cameras, also require the mapping file there or
            in the folder above: `file_mapping.txt` or `peta_file_mapping.txt`.
        allow_missing: Continue without missing images.
        attributes: The 35 evaluated ones or all 105.
        labels: From `PETA.mat`, as published results; or from the `Label.txt` files of the original layout,
            which logs the number of differing labels.

    Returns:
        A manifest with the partitions `official-1` … `official-5` and identities. Some identities occur in
        several splits of a partition.

    Raises:
        FormatError: If a file is missing, truncated, of another version or out of range.
    """
    root = Path(root)
    content = _load_annotation(find_file(root, "PETA.mat", "PETA/PETA.mat"))
    mapping = _find_mapping(root)
    archive = load_archive(mapping, count=ROWS) if mapping else Archive({})
    if labels == "text":
        content = _replace_labels(content, root, archive)
    stems = [f"{number:05d}" for number in range(1, ROWS + 1)]
    found = find_images(root, "images", "PETA/images")
    images = [found.get(s) or archive.find_original(root, n) for n, s in enumerate(stems, start=1)]
    expected = [f"images/{stem}.png" for stem in stems]
    rows = keep_present(images, expected=expected, dataset="PETA", where=root, allow_missing=allow_missing)
    names = [archive.names.get(r + 1) for r in rows]
    manifest = Manifest.create(
        "peta",
        SCHEMA,
        root=root,
        images=[image for image in images if image is not None],
        labels=content.labels[rows],
        partitions={k: [splits[r] for r in rows] for k, splits in content.partitions.items()},
        identities=[str(content.identities[r]) for r in rows],
        cameras=[find_camera(n) if n else None for n in names],
    )
    manifest = add_guidance_files(manifest, (stems[r] for r in rows))
    return manifest if attributes == "all" else manifest.select_attributes(EVALUATED)


def _find_mapping(root: Path) -> Path | None:
    folders = (root, root / "PETA", root.resolve().parent)
    paths = (folder / name for folder in folders for name in MAPPINGS)
    return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True)
class _Annotation:
    labels: NDArray[np.int8]
    identities: NDArray[np.int64]
    partitions: dict[str, list[str | None]]


def _load_annotation(path: Path) -> _Annotation:
    record = unpack_struct(
        load_mat(path, required=["peta"])["peta"],
        required=["data", "attribute", "selected_attribute", "partion_attribute"],  # sic
        what=f"{path.name}: peta",
    )
    check_strings(record["attribute"], SCHEMA.names, what=f"{path.name}: attribute")
    shape = (ROWS, ID_COLUMNS + len(SCHEMA))
    data = unpack_integers(record["data"], what=f"{path.name}: data", low=0, high=ROWS, shape=shape)
    unpack_integers(data[:, ID_COLUMNS:], what=f"{path.name}: labels in data", low=0, high=1)
    if not np.array_equal(data[:, 0], np.arange(1, ROWS + 1)):
        raise FormatError(
            f"{path}: expected the image numbers 1 to {ROWS} in column 1 of data; copy it again"
        )
    selected = unpack_integers(
        record["selected_attribute"],
        what=f"{path.name}: selected_attribute",
        low=ID_COLUMNS + 1,  # numbers of columns of data, not of attributes, starting at 1
        high=shape[1],
        shape=(None,),
    )
    evaluated = tuple(SCHEMA.names[i - 1 - ID_COLUMNS] for i in selected)
    if evaluated != EVALUATED:
        raise FormatError(
            f"{path}: expected selected_attribute to be the columns 5 to 39 of data, "
            f"got {selected.tolist()[:5]} …; another version?"
        )
    partitions = unpack_partitions(
        record["partion_attribute"], sizes=PARTITION_SIZES, rows=ROWS, what=f"{path.name}: partion_attribute"
    )
    return _Annotation(data[:, ID_COLUMNS:].astype(np.int8), data[:, 1], partitions)


def _replace_labels(content: _Annotation, root: Path, archive: Archive) -> _Annotation:
    if len(archive.names) != ROWS:
        raise FormatError(
            f"labels from Label.txt require {' or '.join(MAPPINGS)} with {ROWS} lines under {root}, "
            f"got {len(archive.names)}"
        )
    positives = load_label_files(root, archive, frozenset(SCHEMA.names))
    labels = np.array([[n in positives[i] for n in SCHEMA.names] for i in range(1, ROWS + 1)], dtype=np.int8)
    differing = int((labels != content.labels).sum())
    logger.warning(
        "PETA: Label.txt and PETA.mat differ in %s of %s labels", f"{differing:,}", f"{labels.size:,}"
    )
    return _Annotation(labels, content.identities, content.partitions)
