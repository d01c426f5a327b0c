"""Find the files of a data set: schema tables, images, masks, parsing maps, keypoints."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from passerby.data.manifest import Manifest, check_relative_path
from passerby.errors import FormatError
from passerby.images.limits import IMAGE_SUFFIXES
from passerby.images.missing_files import describe_missing, describe_similar
from passerby.schema import AttributeSchema

__all__ = [
    "CLASSES_FILE",
    "PICKLES",
    "GuidancePaths",
    "add_guidance_files",
    "find_file",
    "find_guidance",
    "find_images",
    "find_pickle",
    "keep_present",
    "load_classes",
    "load_keypoints",
    "load_schema",
    "read_classes",
    "refuse_pickle",
]

PICKLES = frozenset({".pkl", ".pickle"})
"""Extensions of Python pickles, in lower case."""

PICKLE_RECIPE = "docs/reference/data-formats.md#export-a-pickle"
"""Where the documentation shows how to export a pickle to CSV."""

CLASSES_FILE = "classes.txt"
"""File in the folder of parsing maps with the names of their classes 0, 1, …, one per line."""

logger = logging.getLogger(__name__)


def load_schema(name: str) -> AttributeSchema:
    """Read the schema table `<name>.csv` of this package."""
    return AttributeSchema.from_csv(Path(__file__).with_name(f"{name}.csv"), name=name)


def find_file(root: Path, *candidates: str) -> Path:
    """The first existing path of several candidates.

    Raises:
        FormatError: If none exists; the message lists all. A Python pickle in their place is refused.
    """
    for candidate in candidates:
        if (root / candidate).is_file():
            return root / candidate
    if pickle := find_pickle(root):
        refuse_pickle(pickle)
    similar = "".join(map(describe_similar, (root / candidate for candidate in candidates)))
    raise FormatError(f"found no {' or '.join(candidates)} under {root}{similar}; check --root")


def find_pickle(root: Path) -> Path | None:
    """The first Python pickle in a folder, or the path itself if it is one; None if there is none."""
    paths = sorted(root.iterdir()) if root.is_dir() else [root]
    return next((path for path in paths if path.suffix.lower() in PICKLES and path.is_file()), None)


def refuse_pickle(path: Path) -> NoReturn:
    """State why a Python pickle is not read, and how to export it.

    Raises:
        FormatError: Always.
    """
    raise FormatError(
        f"{path} is a Python pickle. Opening one can run any code that its author put in it, so passerby "
        f"never does. If you trust it, export it once in the environment that it came from, to a CSV file "
        f"with the columns image, split and one per attribute (an example: {PICKLE_RECIPE}), and read that "
        f"with `passerby prepare table`"
    )


def find_images(root: Path, *folders: str) -> dict[str, str]:
    """Index the images of some folders (without subfolders).

    A link to a file counts as one, wherever it leads; what is not a regular file is left out.

    Args:
        root: Root of the data set.
        folders: Relative to the root; missing ones are skipped, earlier ones have priority.

    Returns:
        Path relative to the root by stem, for any extension: `{"00001": "images/00001.jpg"}`.

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
            names = sorted(e.name for e in entries if _is_regular_file(e))
        for name in names:
            path = PurePosixPath(name)
            if path.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(path.stem, (Path(folder) / name).as_posix())
    return found


def _is_regular_file(entry: os.DirEntry[str]) -> bool:
    # Only Path.is_file accepts links that lead to themselves; it is slower.
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and Path(entry).is_file())


def keep_present(
    images: Sequence[str | None],
    *,
    expected: Sequence[str],
    dataset: str,
    where: Path,
    allow_missing: bool,
) -> list[int]:
    """Select the rows whose image exists.

    Args:
        images: One path per row, None for a missing file.
        expected: Path of each row's image relative to `where`, for the message.
        dataset: Name of the data set, for the message.
        where: Folder that was searched, for the message.
        allow_missing: Continue with the other rows and log the missing images as a warning.

    Returns:
        Numbers of the rows whose image exists.

    Raises:
        FormatError: If images are missing and `allow_missing` is false, or if all are missing. The message
            lists the first ones, and files of similar names.
    """
    rows = [row for row, image in enumerate(images) if image is not None]
    missing = len(images) - len(rows)
    if not missing:
        return rows
    message = f"{dataset}: {missing:,} of {len(images):,} images are missing under {where}"
    paths = [path for path, image in zip(expected, images, strict=True) if image is None]
    listed = describe_missing(where, paths)
    if not rows:
        raise FormatError(f"{message}; check --root and the folder names. Missing:{listed}")
    if not allow_missing:
        raise FormatError(
            f"{message}; add them, or continue with the other {len(rows):,} with --allow-missing. "
            f"Missing:{listed}"
        )
    logger.warning("%s; continuing with the other %s. Missing:%s", message, f"{len(rows):,}", listed)
    return rows


@dataclass(frozen=True)
class GuidancePaths:
    """Masks, parsing maps and keypoints of a data set, one entry per image; None if missing."""

    masks: list[str | None]
    parsing: list[str | None]
    keypoints: list[list[float] | None]
    parsing_classes: tuple[str, ...] = ()
    """Class names of the parsing maps; empty if unknown, or without maps."""


def find_guidance(root: Path, stems: Iterable[str]) -> GuidancePaths:
    """Find `masks/<stem>.*`, `parsing/<stem>.*` and the entries of `keypoints_coco17.json`.

    Args:
        root: Root of the data set.
        stems: Image names without folder and extension, in manifest order.

    Raises:
        FormatError: If the keypoints or the class names of the parsing maps are invalid.
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


def add_guidance_files(manifest: Manifest, stems: Iterable[str]) -> Manifest:
    """Add the masks, parsing maps and keypoints below the root to a manifest; see `find_guidance`.

    Args:
        manifest: The manifest.
        stems: Names of its files without folder and extension, one per row.

    Raises:
        FormatError: As `find_guidance`.
    """
    found = find_guidance(manifest.root, stems)
    return manifest.with_guidance(
        masks=found.masks,
        parsing=found.parsing,
        keypoints=found.keypoints,
        parsing_classes=found.parsing_classes,
    )


def load_classes(root: Path, maps: Iterable[str | None]) -> tuple[str, ...]:
    """Read the class names of parsing maps from `classes.txt` in their folder: one name per line.

    Args:
        root: Root of the data set.
        maps: Paths relative to the root; None is ignored.

    Returns:
        The names; none if the maps are not all in one folder, or it has no such file.

    Raises:
        FormatError: If the file is not UTF-8, is empty or contains a name twice.
    """
    folders = {PurePosixPath(path).parent for path in maps if path is not None}
    return read_classes(root / folders.pop()) if len(folders) == 1 else ()


def read_classes(folder: Path) -> tuple[str, ...]:
    """Read the class names in `classes.txt` of a folder; none if the file does not exist.

    Raises:
        FormatError: If the file is not UTF-8, is empty or contains a name twice.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"cannot read {path} ({error}); save it as UTF-8, one name per line") from error
    names = tuple(line.strip() for line in lines)
    if not names or not all(names) or len(set(names)) < len(names):
        raise FormatError(
            f"{path}: expected one parsing class per line, without repetitions, got {len(names)} lines with "
            f"{len(set(names) - {''})} different names; correct or remove it"
        )
    return names


def load_keypoints(root: Path) -> dict[str, list[float]]:
    """Read `keypoints_coco17.json`: 17 × (x px, y px, score) by image name; empty without the file.

    Raises:
        FormatError: If the file is not a list of `{"image": name, "keypoints": [51 numbers]}`.
    """
    path = root / "keypoints_coco17.json"
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is truncated or not JSON ({error}); copy it again or remove it") from error
    if not isinstance(entries, list):
        raise FormatError(
            f"{path}: expected a list of images, got {type(entries).__name__}; create it again or remove it"
        )
    return dict(_read_keypoints(path, position, entry) for position, entry in enumerate(entries))


def _read_keypoints(path: Path, position: int, entry: object) -> tuple[str, list[float]]:
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
        f"got {str(entry)[:80]}; create the file again or remove it"
    )
