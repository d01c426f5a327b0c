"""UPAR (Specker, Cormier and Beyerer: Unified Pedestrian Attribute Recognition and Person Retrieval, 2023).

CSV files list images of PA-100K, PETA, RAP v2 and Market-1501 with 40 binary attributes each. Three versions
of the header circulate: `# image,Age-Young,…`, `,# Age-Young,…`, and the latter without the first cell.
The challenges published the files in nested folders (`phase1/train/train.csv`, `phase1/val_task1/val.csv`)
next to those of the data sets, and lists of images without labels for val and test.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath

import numpy as np

from passerby.data.formats.dataset_files import (
    find_images,
    find_pickle,
    keep_present,
    load_schema,
    refuse_pickle,
)
from passerby.data.formats.table.files import is_image_name
from passerby.data.manifest import Manifest, check_relative_path
from passerby.errors import FormatError
from passerby.images.missing_files import describe_missing

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("upar")
"""The 40 attributes, in the order of the file."""

FILES = {
    "train": ("train.csv", "train/train.csv"),
    "val": ("val_gt/val_gt.csv", "val.csv", "val_task1/val.csv", "val_task1/val_all.csv"),
    "test": ("test_gt/test_gt.csv", "test.csv", "test_task1/test.csv"),
}
"""Paths of the CSV file of each split below one of `FOLDERS`; those with labels have priority."""

FOLDERS = (
    *("", "annotations", "phase1", "annotations/phase1", "phase2", "phase2/annotations"),
    *("data", "data/annotations", "data/phase1", "data/annotations/phase1"),
)

DATASETS = {
    "market1501": ("market1501", "market", "market1501v15.09.15"),
    "pa100k": ("pa100k",),
    "peta": ("peta",),
    "rap2": ("rap2", "rapv2", "rap"),
}
"""Names of the folders of the data sets, in lower case and without `-` and `_`."""

NESTED = frozenset({"annotations", "phase1", "phase2", "train"})
"""Folders of the CSV files, which are below that of the data sets."""

SUBFOLDERS = ("images", "data", "release_data/release_data", "RAP_dataset")
"""Folders of the images of a data set, where they are not where the CSV file names them."""

MARKET_NAME = re.compile(r"(\d{4})_(c[1-6])s")

logger = logging.getLogger(__name__)


@dataclass
class _Rows:
    images: list[str] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read UPAR: the CSV files of train, val and test that exist, and their images.

    The number of rows depends on the release, so a file truncated between two lines looks like a shorter
    release; a file truncated within a line is detected. A list of images without labels is left out, with a
    warning.

    Args:
        root: Folder of the CSV files, or of `annotations/`, `phase1/` or `data/` with them. The folders
            `Market1501/`, `PA100k/` … are there or in a folder above, and may also be called `MARKET` and
            the like.
        allow_missing: Continue if images are missing: with the existing ones, or, if there are none, with all
            rows, as labels without images.

    Returns:
        A manifest with the partition `official`; its root is the folder of the data sets. Identity and camera
        are known for images of Market-1501.

    Raises:
        FormatError: If there is no file, a header or a row is not as published, a label is neither 0 nor 1,
            or an image is listed twice.
        ManifestError: If the path of an image is not below the root.
    """
    root = Path(root)
    rows = _Rows()
    for split, path in _find_tables(root).items():
        _read_table(path, split, rows)
    if not rows.images:
        raise FormatError(f"the CSV files under {root} have no labels; expected those of train, at least")
    _refuse_repeated(root, rows.images)
    base = _find_base(root, rows.images)
    found = _find_images(base, rows.images)
    if any(found):
        keep = keep_present(
            found, expected=rows.images, dataset="UPAR", where=base, allow_missing=allow_missing
        )
    else:
        _check_images_optional(root, rows.images, allow_missing=allow_missing)
        found, keep = list(rows.images), list(range(len(rows.images)))
    origins = [_find_identity(rows.images[row]) for row in keep]
    return Manifest.create(
        "upar",
        SCHEMA,
        root=base,
        images=[image for image in found if image is not None],
        labels=np.asarray(rows.labels, dtype=np.int8)[keep],
        partitions={"official": [rows.splits[row] for row in keep]},
        identities=[identity for identity, _ in origins],
        cameras=[camera for _, camera in origins],
    )


def _find_tables(root: Path) -> dict[str, Path]:
    """The CSV file of each split that has one."""
    tables: dict[str, Path] = {}
    for split, names in FILES.items():
        paths = (root / folder / name for name, folder in product(names, FOLDERS))
        if path := next((path for path in paths if path.is_file()), None):
            tables[split] = path
    if tables:
        return tables
    folds = sorted(path for folder in FOLDERS for path in (root / folder / "train").glob("train_[0-9].csv"))
    if folds:
        raise FormatError(
            f"found {', '.join(path.name for path in folds)} in {folds[0].parent}, the folds of the "
            f"challenge of 2023; copy one of them to train.csv there"
        )
    if pickle := find_pickle(root):
        refuse_pickle(pickle)
    raise FormatError(
        f"expected train.csv, val.csv or test.csv of UPAR under {root} (or in annotations/, "
        f"phase1/train/ and the like), found none; check --root"
    )


def _check_images_optional(root: Path, images: Sequence[str], *, allow_missing: bool) -> None:
    message = f"UPAR: none of the {len(images):,} images is under {root}, such as {images[0]}"
    if not allow_missing:
        listed = describe_missing(root, images)
        raise FormatError(
            f"{message}; add them, or use only the labels with --allow-missing. Missing:{listed}"
        )
    logger.warning("%s; continuing with the labels only", message)


def _read_table(path: Path, split: str, rows: _Rows) -> None:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(
            f"{path} is damaged or not a CSV file ({error}); copy or download it again"
        ) from error
    if lines and not is_image_name(lines[0][1][0]):
        header = lines.pop(0)[1]
        if lines and len(header) > 1:
            _check_header(path, header)
    elif not lines:
        _check_header(path, [])
    if not lines:
        raise FormatError(f"{path}: expected rows below the header, got none; the file is truncated")
    if not any("".join(cells[1:]).strip() for _, cells in lines):
        logger.warning(
            "UPAR: %s lists %s images without labels, which are left out; predict them with "
            "`passerby predict`",
            path,
            f"{len(lines):,}",
        )
        return
    for number, cells in lines:
        _read_row(path, number, cells, rows)
        rows.splits.append(split)


def _check_header(path: Path, header: Sequence[str]) -> None:
    names = [cell.strip().removeprefix("#").strip() for cell in header]
    if names[:1] in ([""], ["image"]):  # else the column of the images has no cell in the header
        names = names[1:]
    if tuple(names) != SCHEMA.names:
        first_wrong = next(
            (i for i, (a, b) in enumerate(zip(names, SCHEMA.names, strict=False)) if a != b), None
        )
        got = (
            f"{len(names)} columns"
            if first_wrong is None
            else f"{names[first_wrong]!r} for {SCHEMA.names[first_wrong]!r}"
        )
        raise FormatError(
            f"{path}: expected a header of an image column (`# image` or no name) and the 40 attributes of "
            f"UPAR from Age-Young to Accessory-Hat, got {got}; another version, or truncated?"
        )


def _read_row(path: Path, line: int, cells: Sequence[str], rows: _Rows) -> None:
    if len(cells) != 1 + len(SCHEMA):
        raise FormatError(
            f"{path}, line {line}: expected an image and 40 labels, got {len(cells)} cells; truncated?"
        )
    wrong = [i for i, cell in enumerate(cells[1:]) if cell.strip() not in ("0", "1")]
    if wrong:
        name, value = SCHEMA.names[wrong[0]], cells[1 + wrong[0]]
        raise FormatError(
            f"{path}, line {line}, {name}: expected 0 or 1, got {value!r}; copy or download it again"
        )
    rows.images.append(check_relative_path(cells[0].strip()))
    rows.labels.append([int(cell) for cell in cells[1:]])


def _refuse_repeated(root: Path, images: Sequence[str]) -> None:
    seen: set[str] = set()
    for image in images:
        if image in seen:
            raise FormatError(f"the CSV files under {root} list {image} twice; expected every image once")
        seen.add(image)


def _find_base(root: Path, images: Sequence[str]) -> Path:
    """The folder of the data sets: the root, `data/` in it, or one above; the root if none has a data set."""
    names = {PurePosixPath(image).parts[0] for image in images}
    bases = [root, root / "data", root.resolve().parent]
    while bases[-1].name in NESTED:
        bases.append(bases[-1].parent)
    for base in bases:
        if any(_find_folder(base, name) for name in names):
            return base
    return root


def _find_folder(base: Path, name: str) -> str | None:
    """The folder of a data set below a folder, whatever its spelling."""
    if (base / name).is_dir():
        return name
    known = next((names for names in DATASETS.values() if _normalise(name) in names), ())
    if not known or not base.is_dir():
        return None
    folders = sorted(path.name for path in base.iterdir() if path.is_dir())
    return next((folder for folder in folders if _normalise(folder) in known), None)


def _find_images(base: Path, images: Sequence[str]) -> list[str | None]:
    """Path of each image with any extension; lists each folder once."""
    by_folder: dict[str, dict[str, str]] = {}
    for folder in {PurePosixPath(image).parent.as_posix() for image in images}:
        dataset, *below = PurePosixPath(folder).parts
        if found := _find_folder(base, dataset):
            named = PurePosixPath(found, *below).as_posix()
            by_folder[folder] = find_images(base, named, *(f"{found}/{name}" for name in SUBFOLDERS))
    return [
        by_folder.get(PurePosixPath(image).parent.as_posix(), {}).get(PurePosixPath(image).stem)
        for image in images
    ]


def _normalise(folder: str) -> str:
    return re.sub(r"[-_\s]", "", folder).lower()


def _find_identity(image: str) -> tuple[str | None, str | None]:
    match = (
        MARKET_NAME.match(PurePosixPath(image).name)
        if _normalise(PurePosixPath(image).parts[0]) in DATASETS["market1501"]
        else None
    )
    return (f"market1501-{match[1]}", f"market1501-{match[2]}") if match else (None, None)
