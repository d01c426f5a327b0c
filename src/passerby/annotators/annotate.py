"""Masks, parsing maps and keypoints for all persons of a manifest: made by annotators, or found ready."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from passerby.annotators.base import FIELDS, Annotator, Kind
from passerby.annotators.journal import Journal, Key
from passerby.annotators.runner import Run, list_persons, writing_below
from passerby.data.formats.dataset_files import find_guidance
from passerby.data.manifest import check_relative_path
from passerby.errors import ConfigError, DataError, ImageError
from passerby.images.decode import load_map
from passerby.parsing import UNKNOWN_CLASS, find_unnamed

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["KINDS", "annotate", "describe_annotators", "find_existing", "find_ready", "order_annotators"]

KINDS: tuple[Kind, ...] = ("masks", "parsing", "keypoints")

_THREADS = 4

_SHOWN = 5
"""How many unreadable pictures are named in the log."""

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
    """Find masks, parsing maps or keypoints of all persons, and write them below the manifest's root.

    Each person is cut out by their box. Maps have the size of the whole picture, 0 outside of the box, and
    lie in `<into>/masks` and `<into>/parsing` under the picture's path; keypoints go into the manifest. A
    journal a kind (`<into>/masks.jsonl` …) notes who is finished, so that an interrupted run goes on where it
    stopped. Rows whose picture cannot be read get nothing; they are counted in the log.

    Args:
        annotators: One a kind, in any order: those that need what another finds run after it.
        into: Folder below the root.
        batch_size: Persons that an annotator is asked about at a time.
        redo: Forget what lies in the folder.
        progress: Called with persons done and persons in all, summed over the annotators.

    Returns:
        A manifest of the same rows with the new columns; nothing found is null.

    Raises:
        ConfigError: If an annotator lacks what it needs, or other annotators filled the folder before.
        DataError: If the folder cannot be written.
        ModelError: If an annotator breaks its promise.
    """
    folder = _check_folder(into)
    if batch_size < 1:
        raise ConfigError(f"expected a batch size of at least 1, got {batch_size}")
    ordered = order_annotators(annotators, ready=find_ready(manifest))
    descriptions = describe_annotators(ordered)
    _check_inputs_stay(manifest, ordered, folder)
    persons, keys = list_persons(manifest)
    done, total = 0, len(persons) * len(ordered)

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    with ExitStack() as stack:
        with writing_below(manifest.root):
            paths = {a.kind: manifest.root / folder / f"{a.kind}.jsonl" for a in ordered}
            opened = (Journal(paths[a.kind], descriptions[a.kind], redo=redo) for a in ordered)
            journals = [stack.enter_context(journal) for journal in opened]
        for annotator, journal in zip(ordered, journals, strict=True):
            run = Run(annotator, journal, manifest, f"{folder}/{annotator.kind}")
            unreadable = run.run(persons, batch_size=batch_size, progress=count)
            _log_unreadable(annotator, unreadable)
            manifest = _fill(manifest, keys, annotator=annotator, journal=journal)
    return manifest


def find_ready(manifest: Manifest) -> set[Kind]:
    """The kinds that at least one row has."""
    return {kind for kind in KINDS if manifest.table.column(FIELDS[kind]).null_count < len(manifest)}


def order_annotators(annotators: Sequence[Annotator], *, ready: Collection[Kind]) -> list[Annotator]:
    """Those that others wait for first.

    Args:
        ready: What there is already.

    Raises:
        ConfigError: If two find the same, some wait for each other, or what one needs is not to be had.
    """
    kinds = Counter(a.kind for a in annotators)
    repeated = [kind for kind, times in kinds.items() if times > 1]
    if repeated:
        raise ConfigError(
            f"expected one annotator for {repeated[0]}, got {kinds[repeated[0]]}; leave one out"
        )
    for a in annotators:
        unmet = [need for need in a.needs if need not in ready and (need not in kinds or need == a.kind)]
        if unmet:
            raise ConfigError(
                f"{a.kind} by {a.name!r} need {' and '.join(unmet)}, which are not there; "
                f"ask for --{unmet[0]} too"
            )
    ordered, left = list[Annotator](), list(annotators)
    while left:
        free = [a for a in left if not any(b.kind in a.needs for b in left if b is not a)]
        if not free:
            waiting = ", ".join(f"{a.kind} by {a.name!r} for {' and '.join(a.needs)}" for a in left)
            raise ConfigError(f"some annotators wait for each other: {waiting}; take another method for one")
        ordered += free
        left = [a for a in left if a not in free]
    return ordered


def describe_annotators(ordered: Sequence[Annotator]) -> dict[Kind, dict[str, Any]]:
    """What each one's answers depend on: itself, and whatever finds what it needs."""
    descriptions: dict[Kind, dict[str, Any]] = {}
    for annotator in ordered:
        given = {need: descriptions.get(need, "manifest") for need in annotator.needs}
        descriptions[annotator.kind] = {**annotator.describe(), **({"given": given} if given else {})}
    return descriptions


def find_existing(
    manifest: Manifest, kinds: Collection[Kind] = KINDS, *, parsing_classes: Sequence[str] = ()
) -> Manifest:
    """Take what lies ready beside the pictures, as `passerby prepare` does.

    That is `masks/<name>.*` and `parsing/<name>.*` below the root, by the picture's name without folder and
    ending, and `keypoints_coco17.json`. Where nothing of a kind lies there, the manifest's own stays.

    Args:
        kinds: What to look for.
        parsing_classes: Names of the numbers in the maps that are found, where known; by default those in
            `parsing/classes.txt`, if it is there.

    Raises:
        ConfigError: If there is nothing of a kind, neither there nor in the manifest.
        DataError: If a file would belong to several pictures, as their names are the same, or a parsing map
            has a number without a name.
        FormatError: If `keypoints_coco17.json` is damaged.
    """
    stems = [PurePosixPath(image).stem for image in manifest.images]
    found = find_guidance(manifest.root, stems)
    ready = find_ready(manifest)
    new: dict[str, Any] = {}
    for kind in kinds:
        column: Sequence[Any] = getattr(found, kind)
        if any(value is not None for value in column):
            _check_unambiguous(manifest.images, [value is not None for value in column])
            new[kind] = column
        elif kind not in ready:
            place = "keypoints_coco17.json" if kind == "keypoints" else f"{kind}/<picture's name>.png"
            raise ConfigError(
                f"expected {kind} in {place} below {manifest.root}, found none for these pictures; "
                f"put them there, or choose another method by --{kind}-from"
            )
    if "parsing" not in kinds:
        return manifest.with_guidance(**new)
    classes = tuple(parsing_classes) or (found.parsing_classes if "parsing" in new else ())
    named = manifest.with_guidance(**new, parsing_classes=classes)
    if named.parsing_classes:
        _check_numbers(named)
    return named


# ---------------------------------------------------------------------- parts


def _check_folder(into: str) -> str:
    try:
        return check_relative_path(into)
    except DataError as error:
        raise ConfigError(
            f"--into: expected a folder below the manifest's root such as annotations, got {into!r}"
        ) from error


def _check_inputs_stay(manifest: Manifest, annotators: Sequence[Annotator], folder: str) -> None:
    """Refuse an annotator that would write over the maps it reads: interrupted, it could not go on."""
    for a in annotators:
        if a.kind not in a.needs or a.kind == "keypoints":
            continue
        place = f"{folder}/{a.kind}/"
        inputs = manifest.paths("mask" if a.kind == "masks" else "parsing")
        if any(path is not None and path.startswith(place) for path in inputs):
            raise ConfigError(
                f"{a.kind} by {a.name!r} would write over the {a.kind} it reads, in {place}; choose another "
                "folder by --into"
            )


def _check_numbers(manifest: Manifest) -> None:
    """Refuse parsing maps with a number that has no name. What cannot be read is the quality's affair."""

    def check(relative: str) -> None:
        try:
            unnamed = find_unnamed(load_map(manifest.root / relative), manifest.parsing_classes)
        except ImageError:
            return
        if unnamed is not None:
            raise DataError(
                f"{manifest.root / relative}: expected classes 0 … {len(manifest.parsing_classes) - 1} (or "
                f"{UNKNOWN_CLASS} for unknown), as many as have names, got {unnamed}; choose the list that "
                "the maps are of by --parsing-classes"
            )

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="passerby-classes") as pool:
        for _ in pool.map(check, {path: None for path in manifest.paths("parsing") if path is not None}):
            pass


def _check_unambiguous(images: Sequence[str], found: Sequence[bool]) -> None:
    first: dict[str, str] = {}
    for image in (image for image, there in zip(images, found, strict=True) if there):
        other = first.setdefault(PurePosixPath(image).stem, image)
        if other != image:
            raise DataError(
                f"expected pictures of different names, but {other} and {image} would share what lies ready "
                "for one of them; rename them"
            )


def _fill(manifest: Manifest, keys: Sequence[Key], *, annotator: Annotator, journal: Journal) -> Manifest:
    """The manifest with what the journal knows of its rows; rows that it does not know get nothing."""
    entries = [journal.find(key) for key in keys]
    if annotator.kind == "keypoints":
        return manifest.with_guidance(keypoints=[e.keypoints if e else None for e in entries])
    files = [e.file if e else None for e in entries]
    if annotator.kind == "masks":
        return manifest.with_guidance(masks=files)
    return manifest.with_guidance(parsing=files, parsing_classes=annotator.classes)


def _log_unreadable(annotator: Annotator, unreadable: Sequence[tuple[str, str]]) -> None:
    if unreadable:
        reasons = "; ".join(reason for _, reason in unreadable[:_SHOWN])
        more = f"; and {len(unreadable) - _SHOWN:,} more" if len(unreadable) > _SHOWN else ""
        logger.warning(
            "%s: %s pictures could not be used, their rows get none: %s%s",
            *(annotator.kind, f"{len(unreadable):,}", reasons, more),
        )
