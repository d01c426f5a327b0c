"""Expand files, folders, patterns and tables into a list of persons to predict."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from passerby.errors import ConfigError, DataError
from passerby.images.limits import IMAGE_SUFFIXES
from passerby.images.missing_files import describe_missing, describe_similar, find_all_similar
from passerby.types import Box

__all__ = ["IMAGE_SUFFIXES", "Source", "find_images", "read_sources"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A person to predict.

    Args:
        path: The image.
        box: The person's box in it; None for the full image.
        row: The person's row in a table.
    """

    path: Path
    box: Box | None = None
    row: int | None = None


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
            empty.append(f"{source}{describe_similar(Path(source).expanduser())}")
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


def read_sources(
    table: Path,
    *,
    root: Path | None = None,
    partition: str | None = None,
    split: str | None = None,
    image_column: str | None = None,
    ignore: Sequence[str] = (),
    attribute_names: Path | None = None,
    worksheet: str | None = None,
) -> list[Source]:
    """List the persons of a table with images and boxes, or of a manifest, in the order of the rows.

    Args:
        table: A CSV, Excel, ODS or Parquet file with a column `image` and the columns `x0`, `y0`, `x1`, `y1`
            (empty for the full image), or a manifest.
        root: Folder that the paths are relative to; by default the folder of the table, or the root of the
            manifest.
        partition: Partition of a manifest; by default the only one.
        split: Choose one split of a manifest.
        image_column: Name of the column of the paths in a table, if it is not found by default.
        ignore: Names of columns of a table to leave out.
        attribute_names: File with the names of the labels, one per line, of a table without header.
        worksheet: Name of the sheet of a spreadsheet; by default the first one.

    Returns:
        Rows of a table are numbered as in a spreadsheet (the header is row 1), those of a manifest from 0 as
        in `predictions.parquet`.

    Raises:
        DataError: If the table cannot be read, a box is impossible, or none of the images exists.
        ManifestError: If the manifest lacks the partition or the split, or has several and none is chosen.
        ConfigError: If a partition is chosen without a split, or of a table.
    """
    if _is_manifest(table):
        if image_column is not None or ignore or attribute_names is not None or worksheet is not None:
            raise ConfigError(
                f"{table} is a manifest; leave out --image-column, --ignore, --attribute-names, --worksheet"
            )
        found = _read_manifest(table, root, partition, split)
    elif partition is not None or split is not None:
        raise ConfigError(
            f"{table} is not a manifest and has no partitions; leave --partition and --split out"
        )
    else:
        from passerby.data.formats.table import read_persons

        folder = table.parent if root is None else root
        persons = read_persons(
            table,
            folder,
            image_column=image_column,
            ignore=ignore,
            attribute_names=attribute_names,
            worksheet=worksheet,
        )
        found = [Source(folder / image, box, row) for row, image, box in persons]
    if not any(source.path.exists() for source in found):
        images = list(dict.fromkeys(str(source.path) for source in found))
        similar = find_all_similar(Path(), images)
        remedy = "" if similar else "; give the folder that the paths are relative to with --root"
        raise DataError(
            f"none of the {len(images):,} images of {table} exists{remedy}:{describe_missing(Path(), images)}"
        )
    return found


def _is_manifest(table: Path) -> bool:
    if table.suffix.lower() != ".parquet":
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return b"passerby" in (pq.read_schema(table).metadata or {})
    except (pa.ArrowException, OSError):
        return False  # reading it as a table explains the reason


def _read_manifest(path: Path, root: Path | None, partition: str | None, split: str | None) -> list[Source]:
    from passerby.data.manifest import Manifest

    manifest = Manifest.load(path, root=root)
    if split is None and partition is not None:
        raise ConfigError(f"expected a split of partition {partition}; add --split, or leave --partition out")
    rows: Iterable[int] = range(len(manifest))
    if split is not None:
        rows = manifest.split_rows(manifest.choose_partition(partition), split).tolist()
    images, boxes = manifest.images, manifest.boxes()
    found = [
        Source(manifest.root / images[row], None if (box := boxes[row]) is None else Box(*box), row)
        for row in rows
    ]
    if not found:
        raise DataError(f"expected at least one row in {path}, found none")
    return found
