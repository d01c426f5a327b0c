"""Expand files, folders and patterns into a list of image files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from passerby.errors import DataError
from passerby.images.missing_files import describe_similar

__all__ = ["IMAGE_SUFFIXES", "find_images"]

IMAGE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""Suffixes of images in folders and patterns, in lower case; a file given by its path may have any."""


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """List the images of files, folders and patterns.

    A folder stands for all images below it except hidden files and folders, sorted by path. A pattern (`*`,
    `?`, `[…]`, `**`) stands for the matching images and folders. Each file is listed once, at its first
    occurrence.

    Args:
        sources: Paths or patterns, in the desired order.

    Raises:
        DataError: If a source does not exist, matches nothing or contains no image; all such sources are
            named.

    Example:
        >>> find_images(["no/such/folder"])
        Traceback (most recent call last):
        passerby.errors.DataError: no images at: no/such/folder; give files, folders or patterns (a/*.jpg)
    """
    found: dict[Path, None] = {}
    empty = []
    for source in sources:
        files = list(_expand(str(source)))
        if not files:
            empty.append(f"{source}{describe_similar(Path(source).expanduser())}")
        found.update(dict.fromkeys(files))
    if empty:
        raise DataError(f"no images at: {', '.join(empty)}; give files, folders or patterns (a/*.jpg)")
    return list(found)


def _expand(source: str) -> Iterator[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _walk(path)
    elif path.exists():
        yield path
    elif glob.has_magic(source):
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  (takes absolute patterns)
            if Path(match).is_dir():
                yield from _walk(Path(match))
            elif _is_picture(match):
                yield Path(match)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            Path(parent, name) for name in sorted(files) if not name.startswith(".") and _is_picture(name)
        )


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
