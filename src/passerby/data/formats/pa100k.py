"""PA-100K (Liu et al.: HydraPlus-Net, ICCV 2017)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from passerby.data.formats.dataset_files import (
    add_guidance_files,
    find_file,
    find_images,
    keep_present,
    load_schema,
)
from passerby.data.formats.matlab import check_strings, load_mat, unpack_integers, unpack_strings
from passerby.data.manifest import Manifest
from passerby.errors import FormatError

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("pa100k")
"""The 26 attributes, in the order of the file."""

FOLDERS = ("data", "release_data/release_data", "release_data")
SPLIT_SIZES = {"train": 80_000, "val": 10_000, "test": 10_000}


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read PA-100K: `annotation.mat` with the images in `data/` or `release_data/release_data/`.

    Args:
        root: Folder of `annotation.mat`.
        allow_missing: Continue without missing images.

    Returns:
        A manifest with the partition `official`; PA-100K has neither identities nor cameras.

    Raises:
        FormatError: If a file is missing, truncated, of another version or out of range.
    """
    root = Path(root)
    path = find_file(root, "annotation.mat", "annotation/annotation.mat")
    content = _load_annotation(path)
    check_strings(content["attributes"], SCHEMA.names, what=f"{path.name}: attributes")
    files: list[str] = []
    splits: list[str | None] = []
    labels = []
    for split, size in SPLIT_SIZES.items():
        what = f"{path.name}: {split}"
        files += unpack_strings(content[f"{split}_images_name"], what=f"{what}_images_name", count=size)
        shape = (size, len(SCHEMA))
        labels.append(
            unpack_integers(content[f"{split}_label"], what=f"{what}_label", low=0, high=1, shape=shape)
        )
        splits += [split] * size
    if len(set(files)) != len(files):
        raise FormatError(
            f"{path}: expected every image once, {len(files) - len(set(files))} are repeated; copy it again"
        )
    stems = [PurePosixPath(f).stem for f in files]
    found = find_images(root, *FOLDERS)
    images = [found.get(s) for s in stems]
    folder = next((name for name in FOLDERS if (root / name).is_dir()), FOLDERS[0])
    expected = [f"{folder}/{file}" for file in files]
    rows = keep_present(images, expected=expected, dataset="PA-100K", where=root, allow_missing=allow_missing)
    manifest = Manifest.create(
        "pa100k",
        SCHEMA,
        root=root,
        images=[image for image in images if image is not None],
        labels=np.concatenate(labels)[rows].astype(np.int8),
        partitions={"official": [splits[r] for r in rows]},
    )
    return add_guidance_files(manifest, (stems[r] for r in rows))


def _load_annotation(path: Path) -> dict[str, Any]:
    content = load_mat(path, required=["attributes"])
    if "text_images_name" in content:  # sic; 1,599/200/200 rows
        raise FormatError(
            f"{path} is an incomplete copy that circulates (it misspells test_images_name as "
            f"text_images_name and has about 2,000 of 100,000 rows); get the complete annotation.mat of "
            f"PA-100K, with 80,000/10,000/10,000 rows"
        )
    wanted = [f"{split}_{kind}" for split in SPLIT_SIZES for kind in ("images_name", "label")]
    missing = [name for name in wanted if name not in content]
    if missing:
        raise FormatError(
            f"{path} lacks {', '.join(missing)}; it is truncated or another version, copy it again"
        )
    return content
