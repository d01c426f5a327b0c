"""Add masks, parsing maps and keypoints to a manifest, from annotators or from existing files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from passerby.annotators.base import FIELDS, Annotator, Kind
from passerby.annotators.files import explain_write_errors
from passerby.annotators.journal import Journal, Key
from passerby.annotators.runner import Runner, list_persons
from passerby.data.formats.dataset_files import find_guidance
from passerby.data.manifest import check_relative_path
from passerby.errors import ConfigError, DataError, ImageError
from passerby.images.decode import load_map
from passerby.io import list_some
from passerby.parsing import UNKNOWN_CLASS, find_unnamed

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["KINDS", "annotate", "describe_annotators", "find_existing", "list_available", "order_annotators"]

KINDS: tuple[Kind, ...] = ("masks", "parsing", "keypoints")

_THREADS = 4

logger = logging.getLogger(__name__)


def annotate(
    manifest: Manifest,
    annotators: Sequence[Annotator],
    *,
    into: str = "annotations",
    batch_size: int = 16,
    redo: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Predict masks, parsing maps or keypoints of all persons, and write them below the root of the manifest.

    Each person is cropped to their box. Maps have the size of the full image, with 0 outside the box, and are
    written to `<into>/masks` and `<into>/parsing` under the path of the image; keypoints go into the
    manifest. One journal per kind (`<into>/masks.jsonl` …) records the finished persons, so that an
    interrupted run resumes where it stopped. Rows whose image cannot be read get no annotation; the log
    states their number.

    Args:
        annotators: One per kind, in any order; an annotator runs after those whose results it needs.
        into: Folder below the root.
        batch_size: Persons per call of an annotator.
        redo: Discard the results in the folder.
        progress: Called with the number of persons done and the total, summed over the annotators.

    Returns:
        A manifest of the same rows with the new columns; null if nothing was found.

    Raises:
        ConfigError: If an annotator lacks its inputs, or the folder contains results of other annotators.
        DataError: If the folder cannot be written.
        ModelError: If an annotator returns an invalid result.
    """
    folder = _check_folder(into)
    if batch_size < 1:
        raise ConfigError(f"expected a batch size of at least 1, got {batch_size}")
    ordered = order_annotators(annotators, available=list_available(manifest))
    descriptions = describe_annotators(ordered)
    _check_inputs_kept(manifest, ordered, folder)
    persons, keys = list_persons(manifest)
    done, total = 0, len(persons) * len(ordered)

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    with ExitStack() as stack:
        with explain_write_errors(manifest.root):
            paths = {a.kind: manifest.root / folder / f"{a.kind}.jsonl" for a in ordered}
            opened = (Journal(paths[a.kind], descriptions[a.kind], redo=redo) for a in ordered)
            journals = [stack.enter_context(journal) for journal in opened]
        for annotator, journal in zip(ordered, journals, strict=True):
            runner = Runner(annotator, journal, manifest, f"{folder}/{annotator.kind}")
            unreadable = runner.run(persons, batch_size=batch_size, progress=count)
            _log_unreadable(annotator, unreadable)
            manifest = _fill(manifest, keys, annotator=annotator, journal=journal)
    return manifest


def list_available(manifest: Manifest) -> set[Kind]:
    """The kinds that at least one row of the manifest has."""
    return {kind for kind in KINDS if manifest.table.column(FIELDS[kind]).null_count < len(manifest)}


def order_annotators(annotators: Sequence[Annotator], *, available: Collection[Kind]) -> list[Annotator]:
    """Sort annotators so that each runs after those whose results it needs.

    Args:
        available: The kinds that the manifest has already.

    Raises:
        ConfigError: If two have the same kind, some need each other, or an input is not available.
    """
    kinds = Counter(a.kind for a in annotators)
    repeated = [kind for kind, times in kinds.items() if times > 1]
    if repeated:
        raise ConfigError(f"expected one annotator for {repeated[0]}, got {kinds[repeated[0]]}; remove one")
    for a in annotators:
        unmet = [need for need in a.needs if need not in available and (need not in kinds or need == a.kind)]
        if unmet:
            raise ConfigError(
                f"{a.kind} by {a.name!r} need {' and '.join(unmet)}, which are not available; "
                f"add --{unmet[0]}"
            )
    ordered, left = list[Annotator](), list(annotators)
    while left:
        free = [a for a in left if not any(b.kind in a.needs for b in left if b is not a)]
        if not free:
            cycle = ", ".join(f"{a.kind} by {a.name!r} need {' and '.join(a.needs)}" for a in left)
            raise ConfigError(f"annotators need each other: {cycle}; use another method for one of them")
        ordered += free
        left = [a for a in left if a not in free]
    return ordered


def describe_annotators(ordered: Sequence[Annotator]) -> dict[Kind, dict[str, Any]]:
    """All that the results of each annotator depend on: its description, and those of its inputs."""
    descriptions: dict[Kind, dict[str, Any]] = {}
    for annotator in ordered:
        given = {need: descriptions.get(need, "manifest") for need in annotator.needs}
        descriptions[annotator.kind] = {**annotator.describe(), **({"given": given} if given else {})}
    return descriptions


def find_existing(
    manifest: Manifest, kinds: Collection[Kind] = KINDS, *, parsing_classes: Sequence[str] = ()
) -> Manifest:
    """Add existing files to a manifest, as `passerby prepare` does.

    The files are `masks/<name>.*` and `parsing/<name>.*` below the root, by the name of the image without
    folder and extension, and `keypoints_coco17.json`. If there are no files of a kind, the column of the
    manifest stays.

    Args:
        kinds: The kinds to find.
        parsing_classes: Class names of the maps that are found, if known; by default those in
            `parsing/classes.txt`, if it exists.

    Raises:
        ConfigError: If there is nothing of a kind, neither in files nor in the manifest.
        DataError: If a file would belong to several images of the same name, or a parsing map contains a
            class without a name.
        FormatError: If `keypoints_coco17.json` is damaged.
    """
    stems = [PurePosixPath(image).stem for image in manifest.images]
    found = find_guidance(manifest.root, stems)
    available = list_available(manifest)
    new: dict[str, Any] = {}
    for kind in kinds:
        column: Sequence[Any] = getattr(found, kind)
        if any(value is not None for value in column):
            _check_unambiguous(manifest.images, [value is not None for value in column])
            new[kind] = column
        elif kind not in available:
            path = "keypoints_coco17.json" if kind == "keypoints" else f"{kind}/<image name>.png"
            raise ConfigError(
                f"expected {kind} in {path} below {manifest.root}, found none for these images; "
                f"add them, or choose another method with --{kind}-from"
            )
    if "parsing" not in kinds:
        return manifest.with_guidance(**new)
    classes = tuple(parsing_classes) or (found.parsing_classes if "parsing" in new else ())
    named = manifest.with_guidance(**new, parsing_classes=classes)
    if named.parsing_classes:
        _check_numbers(named)
    return named


def _check_folder(into: str) -> str:
    try:
        return check_relative_path(into)
    except DataError as error:
        raise ConfigError(
            f"--into: expected a folder below the root of the manifest such as annotations, got {into!r}"
        ) from error


def _check_inputs_kept(manifest: Manifest, annotators: Sequence[Annotator], folder: str) -> None:
    """Refuse an annotator that would overwrite its own input maps, and could therefore not resume."""
    for a in annotators:
        if a.kind not in a.needs or a.kind == "keypoints":
            continue
        prefix = f"{folder}/{a.kind}/"
        inputs = manifest.paths("mask" if a.kind == "masks" else "parsing")
        if any(path is not None and path.startswith(prefix) for path in inputs):
            raise ConfigError(
                f"{a.kind} by {a.name!r} would overwrite the {a.kind} it reads, in {prefix}; choose another "
                "folder with --into"
            )


def _check_numbers(manifest: Manifest) -> None:
    """Refuse parsing maps with a class that has no name; unreadable maps are reported by the quality."""

    def check(relative: str) -> None:
        try:
            unnamed = find_unnamed(load_map(manifest.root / relative), manifest.parsing_classes)
        except ImageError:
            return
        if unnamed is not None:
            raise DataError(
                f"{manifest.root / relative}: expected classes 0 … {len(manifest.parsing_classes) - 1} (or "
                f"{UNKNOWN_CLASS} for unknown), got {unnamed}; choose the class list of the maps with "
                "--parsing-classes"
            )

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="passerby-classes") as pool:
        for _ in pool.map(check, {path: None for path in manifest.paths("parsing") if path is not None}):
            pass


def _check_unambiguous(images: Sequence[str], found: Sequence[bool]) -> None:
    first: dict[str, str] = {}
    for image in (image for image, exists in zip(images, found, strict=True) if exists):
        other = first.setdefault(PurePosixPath(image).stem, image)
        if other != image:
            raise DataError(
                f"expected images with different names, but {other} and {image} would share a file; rename "
                "one of them"
            )


def _fill(manifest: Manifest, keys: Sequence[Key], *, annotator: Annotator, journal: Journal) -> Manifest:
    """Add the results in the journal to the manifest; null for rows without an entry."""
    entries = [journal.find(key) for key in keys]
    if annotator.kind == "keypoints":
        return manifest.with_guidance(keypoints=[e.keypoints if e else None for e in entries])
    files = [e.file if e else None for e in entries]
    if annotator.kind == "masks":
        return manifest.with_guidance(masks=files)
    return manifest.with_guidance(parsing=files, parsing_classes=annotator.classes)


def _log_unreadable(annotator: Annotator, unreadable: Sequence[tuple[str, str]]) -> None:
    if unreadable:
        reasons = list_some([reason for _, reason in unreadable], separator="; ")
        logger.warning(
            "%s: %s images could not be used, their rows get none: %s",
            *(annotator.kind, f"{len(unreadable):,}", reasons),
        )
