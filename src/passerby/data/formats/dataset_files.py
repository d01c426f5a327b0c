"""Which files of a data set are there: schema tables, pictures, masks, keypoints."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from passerby.data.manifest import check_relative_path
from passerby.errors import FormatError
from passerby.schema import AttributeSchema

__all__ = [
    "CLASSES_FILE",
    "IMAGE_EXTENSIONS",
    "GuidancePaths",
    "find_file",
    "find_guidance",
    "find_images",
    "keep_present",
    "load_classes",
    "load_keypoints",
    "load_schema",
    "read_classes",
]

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})
"""Endings by which a file counts as a picture, in lower case."""

CLASSES_FILE = "classes.txt"
"""Beside parsing maps: the names of their classes 0, 1, …, one a line."""

logger = logging.getLogger(__name__)


def load_schema(name: str) -> AttributeSchema:
    """Read the schema table `<name>.csv` that lies beside the readers."""
    return AttributeSchema.from_csv(Path(__file__).with_name(f"{name}.csv"), name=name)


def find_file(root: Path, *candidates: str) -> Path:
    """The first of several places where a file may lie.

    Raises:
        FormatError: If it lies in none of them; the message names all.
    """
    for candidate in candidates:
        if (root / candidate).is_file():
            return root / candidate
    raise FormatError(f"found no {' or '.join(candidates)} under {root}; check --root")


def find_images(root: Path, *folders: str) -> dict[str, str]:
    """Index the pictures that lie directly in some folders.

    Args:
        root: The data set's root.
        folders: Relative to the root; those that are not there are passed over, earlier ones win.

    Returns:
        The path relative to the root by stem, whatever the extension: `{"00001": "images/00001.jpg"}`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "images").mkdir()
        ...     (Path(root) / "images" / "00001.PNG").touch()
        ...     find_images(Path(root), "images")
        {'00001': 'images/00001.PNG'}
    """
    found: dict[str, str] = {}
    for folder in folders:
        if not (root / folder).is_dir():
            continue
        with os.scandir(root / folder) as entries:
            names = sorted(e.name for e in entries if e.is_file())
        for name in names:
            path = PurePosixPath(name)
            if path.suffix.lower() in IMAGE_EXTENSIONS:
                found.setdefault(path.stem, (Path(folder) / name).as_posix())
    return found


def keep_present(
    images: Sequence[str | None], *, dataset: str, where: Path, allow_missing: bool
) -> list[int]:
    """Decide what to do about pictures that are not there.

    Args:
        images: A path a row, None where no file was found.
        dataset: Name of the data set, for the message.
        where: Folder that was searched, for the message.
        allow_missing: Go on with the rest; the number of missing ones is then logged as a warning.

    Returns:
        The rows whose picture is there.

    Raises:
        FormatError: If pictures are missing and `allow_missing` is off, or if all are missing.
    """
    rows = [row for row, image in enumerate(images) if image is not None]
    missing = len(images) - len(rows)
    if not missing:
        return rows
    message = f"{dataset}: {missing:,} of {len(images):,} images are missing under {where}"
    if not rows:
        raise FormatError(f"{message}; check --root and the names of the folders")
    if not allow_missing:
        raise FormatError(f"{message}; add them, or go on with the other {len(rows):,} by --allow-missing")
    logger.warning("%s; going on with the other %s", message, f"{len(rows):,}")
    return rows


@dataclass(frozen=True)
class GuidancePaths:
    """What was found beside the pictures, one entry a picture; None where there is nothing."""

    masks: list[str | None]
    parsing: list[str | None]
    keypoints: list[list[float] | None]
    parsing_classes: tuple[str, ...] = ()
    """Names of the numbers in the parsing maps; empty where they are not stated, or there are no maps."""


def find_guidance(root: Path, stems: Iterable[str]) -> GuidancePaths:
    """Pick up `masks/<stem>.*`, `parsing/<stem>.*` and `keypoints_coco17.json` where they exist.

    Args:
        root: The data set's root.
        stems: Names of the pictures without folder and extension, in manifest order.

    Raises:
        FormatError: If the keypoints or the names of the parsing classes are damaged.
    """
    masks, parsing = find_images(root, "masks"), find_images(root, "parsing")
    keypoints = {PurePosixPath(name).stem: values for name, values in load_keypoints(root).items()}
    stems = list(stems)
    maps = [parsing.get(s) for s in stems]
    return GuidancePaths(
        masks=[masks.get(s) for s in stems],
        parsing=maps,
        keypoints=[keypoints.get(s) for s in stems],
        parsing_classes=load_classes(root, maps),
    )


def load_classes(root: Path, maps: Iterable[str | None]) -> tuple[str, ...]:
    """The names of the numbers in parsing maps, from `classes.txt` in their folder: one name a line.

    Args:
        root: The data set's root.
        maps: Paths relative to the root; None is passed over.

    Returns:
        The names; none if the maps do not all lie in one folder, or it has no such file.

    Raises:
        FormatError: If the file is no UTF-8, is empty or has a name twice.
    """
    folders = {PurePosixPath(path).parent for path in maps if path is not None}
    return read_classes(root / folders.pop()) if len(folders) == 1 else ()


def read_classes(folder: Path) -> tuple[str, ...]:
    """The names in a folder's `classes.txt`; none if there is no such file.

    Raises:
        FormatError: If the file is no UTF-8, is empty or has a name twice.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read {path} ({error}); save it as UTF-8, one name a line") from error
    names = tuple(line.strip() for line in lines)
    if not names or not all(names) or len(set(names)) < len(names):
        raise FormatError(
            f"{path}: expected the name of another parsing class in each line, got {len(names)} lines with "
            f"{len(set(names) - {''})} different names; mend or remove it"
        )
    return names


def load_keypoints(root: Path) -> dict[str, list[float]]:
    """Read `keypoints_coco17.json`: 17 × (x px, y px, score) by picture name; empty without the file.

    Raises:
        FormatError: If the file is no list of `{"image": name, "keypoints": [51 numbers]}`.
    """
    path = root / "keypoints_coco17.json"
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{path} is truncated or no JSON ({error}); copy it again or remove it") from error
    if not isinstance(entries, list):
        raise FormatError(f"{path}: expected a list of pictures, got {type(entries).__name__}; make it anew")
    return dict(_checked_keypoints(path, position, entry) for position, entry in enumerate(entries))


def _checked_keypoints(path: Path, position: int, entry: object) -> tuple[str, list[float]]:
    if isinstance(entry, Mapping) and isinstance(entry.get("image"), str):
        values = entry.get("keypoints")
        if (
            isinstance(values, list)
            and len(values) == 51
            and all(isinstance(v, int | float) and math.isfinite(v) for v in values)
        ):
            return check_relative_path(entry["image"]), values
    raise FormatError(
        f"{path}, entry {position}: expected an image name and 51 finite numbers (17 × x, y, score), "
        f"got {str(entry)[:80]}; make the file anew or remove it"
    )
