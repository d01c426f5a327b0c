"""Expand files, folders and patterns into a list of image files."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from passerby.errors import DataError
from passerby.images.limits import IMAGE_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "find_images"]

logger = logging.getLogger(__name__)


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """List the images of files, folders and patterns.

    A folder stands for all images below it except hidden files and folders, sorted by path. A pattern (`*`,
    `?`, `[…]`, `**`) stands for the matching images and folders. Each file is listed once, at its first
    occurrence.

    Links: a source and a match of a pattern may be one. Below a folder, links to folders are not entered, by
    `**` neither, so loops of links end; a link to a file is listed if it leads into a folder among the
    sources, and otherwise left out with a warning.

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
    given = [str(source) for source in sources]
    folders = [path for source in given if (path := Path(source).expanduser()).is_dir()]
    roots = tuple(os.path.realpath(folder) for folder in folders)
    found: dict[tuple[str, str], Path] = {}
    resolve = lru_cache(maxsize=1)(os.path.realpath)  # the files of a folder follow each other
    empty = []
    for source in given:
        files = list(_expand(source, roots))
        if not files:
            empty.append(source)
        for path in files:  # a file may be reached through several links to folders
            found.setdefault((resolve(path.parent), path.name), path)
    if empty:
        raise DataError(f"no images at: {', '.join(empty)}; give files, folders or patterns (a/*.jpg)")
    return list(found.values())


def _expand(source: str, roots: tuple[str, ...]) -> Iterator[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _list_below(path, roots)
    elif path.exists():
        yield path
    elif glob.has_magic(source):
        for match in sorted(set(_match(str(path)))):
            if Path(match).is_dir():
                yield from _list_below(Path(match), roots)
            elif _is_picture(match):
                yield Path(match)


def _match(pattern: str) -> Iterator[str]:
    """The paths that match a pattern; unlike in `glob.glob`, `**` does not enter linked folders."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.glob(pattern)  # noqa: PTH207  (takes absolute patterns)
        return
    at = parts.index("**")
    for start in _match(str(Path(*parts[:at]))):
        if not parts[at + 1 :]:
            yield start  # a folder stands for all images below it
            continue
        for folder, _ in _walk(Path(start)):
            yield from _match(str(Path(glob.escape(str(folder)), *parts[at + 1 :])))


def _list_below(folder: Path, roots: tuple[str, ...]) -> Iterator[Path]:
    roots, outside = (os.path.realpath(folder), *roots), 0
    for parent, names in _walk(folder):
        for path in (parent / name for name in names if _is_picture(name)):
            if path.is_symlink() and not _is_inside(path, roots):
                outside += 1
            else:
                yield path
    if outside:
        logger.warning(
            "%s: left out links to files outside of it: %s; a pattern includes them (%s)",
            folder,
            f"{outside:,}",
            folder / "**" / "*.jpg",
        )


def _is_inside(link: Path, roots: Iterable[str]) -> bool:
    target = Path(os.path.realpath(link))
    return any(target.is_relative_to(root) for root in roots)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder that is not hidden, without following links, and the sorted names of its files."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(parent), sorted(name for name in files if not name.startswith("."))


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
