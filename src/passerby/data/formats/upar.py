"""UPAR (Specker, Cormier and Beyerer: Unified Pedestrian Attribute Recognition and Person Retrieval, 2023).

CSV files list images of PA-100K, PETA, RAP v2 and Market-1501 with 40 binary attributes each. Two versions of
the header circulate: `# image,Age-Young,…` and `,# Age-Young,…`.
"""

from __future__ import annotations

import csv
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from passerby.data.formats.dataset_files import find_images, keep_present, load_schema
from passerby.data.manifest import SPLITS, Manifest, check_relative_path
from passerby.errors import FormatError
from passerby.images.missing_files import describe_missing

__all__ = ["SCHEMA", "read"]

SCHEMA = load_schema("upar")
"""The 40 attributes, in the order of the file."""

MARKET_NAME = re.compile(r"(\d{4})_(c[1-6])s")

logger = logging.getLogger(__name__)


@dataclass
class _Rows:
    images: list[str] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)


def read(root: Path, *, allow_missing: bool = False) -> Manifest:
    """Read UPAR: the existing ones of `train.csv`, `val.csv` and `test.csv`, and their images.

    The number of rows depends on the release, so a file truncated between two lines looks like a shorter
    release; a file truncated within a line is detected.

    Args:
        root: Folder of the CSV files (or of `annotations/` with them) and of `Market1501/`, `PA100k/` ….
        allow_missing: Continue if images are missing: with the existing ones, or, if there are none, with all
            rows, as labels without images.

    Returns:
        A manifest with the partition `official`. Identity and camera are known for images of Market-1501.

    Raises:
        FormatError: If there is no file, a header or a row is not as published, a label is neither 0 nor 1,
            or an image is listed twice.
        ManifestError: If the path of an image is not below the root.
    """
    root = Path(root)
    rows = _Rows()
    for split in SPLITS:
        path = next(
            (p for p in (root / f"{split}.csv", root / "annotations" / f"{split}.csv") if p.is_file()), None
        )
        if path is not None:
            _read_table(path, split, rows)
    if not rows.images:
        raise FormatError(
            f"expected train.csv, val.csv or test.csv of UPAR under {root}, found none; check --root"
        )
    _refuse_repeated(root, rows.images)
    found = _find_images(root, rows.images)
    if any(found):
        keep = keep_present(
            found, expected=rows.images, dataset="UPAR", where=root, allow_missing=allow_missing
        )
    else:
        _check_images_optional(root, rows.images, allow_missing=allow_missing)
        found, keep = list(rows.images), list(range(len(rows.images)))
    images = [image for image in found if image is not None]
    origins = [_find_identity(image) for image in images]
    return Manifest.create(
        "upar",
        SCHEMA,
        root=root,
        images=images,
        labels=np.asarray(rows.labels, dtype=np.int8)[keep],
        partitions={"official": [rows.splits[row] for row in keep]},
        identities=[identity for identity, _ in origins],
        cameras=[camera for _, camera in origins],
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
            _check_header(path, next(reader, []))
            for cells in reader:
                _read_row(path, reader.line_num, cells, rows)
                rows.splits.append(split)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(
            f"{path} is damaged or not a CSV file ({error}); copy or download it again"
        ) from error
    if split not in rows.splits:
        raise FormatError(f"{path}: expected rows below the header, got none; the file is truncated")


def _check_header(path: Path, header: Sequence[str]) -> None:
    first, *names = [cell.strip().removeprefix("#").strip() for cell in header] or [""]
    if first not in ("", "image") or tuple(names) != SCHEMA.names:
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


def _find_images(root: Path, images: Sequence[str]) -> list[str | None]:
    """Path of each image with any extension; lists each folder once."""
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for folder in {PurePosixPath(image).parent.as_posix() for image in images}:
        by_folder[folder] = find_images(root, folder)
    return [by_folder[PurePosixPath(i).parent.as_posix()].get(PurePosixPath(i).stem) for i in images]


def _find_identity(image: str) -> tuple[str | None, str | None]:
    match = MARKET_NAME.match(PurePosixPath(image).name) if image.startswith("Market1501/") else None
    return (f"market1501-{match[1]}", f"market1501-{match[2]}") if match else (None, None)
