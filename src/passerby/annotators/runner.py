"""Run one annotator on all persons of a manifest: prefetch images, annotate batches, write results."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.base import Annotator, Kind, Sample
from passerby.annotators.crops import Crop, compute_crop, load_cut_map, paste_map, shift_keypoints
from passerby.annotators.files import explain_write_errors, hash_content, name_maps, save_map
from passerby.annotators.journal import Entry, Journal, Key
from passerby.errors import DataError, ModelError
from passerby.images import limits
from passerby.images.decode import count_pixels, read_image
from passerby.parsing import find_unnamed

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["Person", "Runner", "list_persons"]

_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Person:
    """A person: key, and the first row of the manifest with this key."""

    key: Key
    row: int


@dataclass(frozen=True, slots=True)
class _Cropped:
    """A cropped person: size of the image, position of the crop, input of the annotator.

    `given` is the hash of the input files at the time of the crop.
    """

    person: Person
    size: tuple[int, int]
    crop: Crop
    sample: Sample
    given: str


@dataclass(frozen=True, slots=True)
class _Unreadable:
    person: Person
    reason: str


def list_persons(manifest: Manifest) -> tuple[list[Person], list[Key]]:
    """The distinct persons of a manifest, in its order, and the key of each of its rows."""
    keys = [Key(*cells) for cells in zip(manifest.images, manifest.boxes(), strict=True)]
    first: dict[Key, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return [Person(key, row) for key, row in first.items()], keys


class Runner:
    """Runs an annotator on a manifest.

    Args:
        annotator: The annotator.
        journal: The results so far.
        manifest: Provides images, and masks, parsing maps and keypoints if the annotator needs them.
        folder: Folder of maps relative to the root: `annotations/masks`.
    """

    def __init__(self, annotator: Annotator, journal: Journal, manifest: Manifest, folder: str) -> None:
        self.annotator, self.journal, self.root, self.folder = annotator, journal, manifest.root, folder
        needs: tuple[Kind, ...] = annotator.needs
        none = [None] * len(manifest)
        self.masks = manifest.paths("mask") if "masks" in needs else none
        self.parsing = manifest.paths("parsing") if "parsing" in needs else none
        self.keypoints = manifest.keypoints() if "keypoints" in needs else None

    def run(
        self, persons: Sequence[Person], *, batch_size: int, progress: Callable[[int], None]
    ) -> list[tuple[str, str]]:
        """Annotate the persons that are not finished.

        Args:
            progress: Called with the number of persons finished since the last call.

        Returns:
            Name and reason of each unreadable image.
        """
        pending = [person for person in persons if not self._is_finished(person)]
        progress(len(persons) - len(pending))
        unreadable: dict[str, str] = {}
        batch: list[_Cropped] = []
        with closing(self._read_ahead(pending, ahead=2 * batch_size)) as stream:
            for item in stream:
                if isinstance(item, _Unreadable):
                    unreadable.setdefault(item.person.key.image, item.reason)
                    progress(1)
                    continue
                batch.append(item)
                if len(batch) == batch_size or _count_pixels(batch) >= limits.MAX_PIXELS:
                    progress(self._annotate_batch(batch))
                    batch = []
        if batch:
            progress(self._annotate_batch(batch))
        return list(unreadable.items())

    def _is_finished(self, person: Person) -> bool:
        entry = self.journal.find(person.key)
        if entry is None or entry.given != self._hash_inputs(person):
            return False
        return entry.file is None or (self.root / entry.file).is_file()

    def _hash_inputs(self, person: Person) -> str:
        """Hash of the maps and keypoints that the result for a person depends on; empty without any.

        Maps are hashed by content, because a new map may have the path of the old one.
        """
        if not self.annotator.needs:
            return ""
        digest = hashlib.sha256()
        for path in (self.masks[person.row], self.parsing[person.row]):
            digest.update(b"\0" + hash_content(None if path is None else self.root / path))
        if self.keypoints is not None:
            digest.update(self.keypoints[person.row].tobytes())
        return digest.hexdigest()[:16]

    def _read_ahead(
        self, persons: Sequence[Person], *, ahead: int
    ) -> Generator[_Cropped | _Unreadable, None, None]:
        """Crop all persons in order while threads decode the next images; each image is read once.

        No more than `ahead` images, and than `limits.MAX_PIXELS` pixels, are read ahead.
        """
        pending_reads: deque[Future[list[_Cropped | _Unreadable]]] = deque()
        pixels: deque[int] = deque()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="passerby-annotate") as pool:
            try:
                for image, group in groupby(persons, key=lambda person: person.key.image):
                    pending_reads.append(pool.submit(self._read, self.root / image, list(group)))
                    pixels.append(count_pixels(self.root / image))
                    while len(pending_reads) > ahead or sum(pixels) > limits.MAX_PIXELS:
                        pixels.popleft()
                        yield from pending_reads.popleft().result()
                while pending_reads:
                    yield from pending_reads.popleft().result()
            finally:
                for future in pending_reads:
                    future.cancel()

    @limits.limit_decoding()
    def _read(self, path: Path, persons: list[Person]) -> list[_Cropped | _Unreadable]:
        try:
            image = read_image(path)
        except DataError as error:
            return [_Unreadable(person, str(error)) for person in persons]
        found: list[_Cropped | _Unreadable] = []
        for person in persons:
            try:
                found.append(self._crop(image, person))
            except DataError as error:
                found.append(_Unreadable(person, f"{path}: {error}"))
        return found

    def _crop(self, image: Image.Image, person: Person) -> _Cropped:
        crop, given = compute_crop(image.size, person.key.box), self._hash_inputs(person)
        mask, parsing = self.masks[person.row], self.parsing[person.row]
        values = None if mask is None else load_cut_map(self.root / mask, image.size, crop)
        keypoints = None if self.keypoints is None else self.keypoints[person.row]
        if keypoints is not None:
            known = bool(np.isfinite(keypoints).all())
            keypoints = shift_keypoints(keypoints, -crop[0], -crop[1]) if known else None
        sample = Sample(
            image.crop(crop),
            None if values is None else (values > 0).astype(np.uint8),
            None if parsing is None else load_cut_map(self.root / parsing, image.size, crop),
            keypoints,
            str(self.root / person.key.image),
        )
        return _Cropped(person, image.size, crop, sample, given)

    def _annotate_batch(self, batch: Sequence[_Cropped]) -> int:
        results = self.annotator.annotate([cropped.sample for cropped in batch])
        if len(results) != len(batch):
            raise ModelError(
                f"annotator {self.annotator.name!r}: expected {len(batch)} results, one per sample, "
                f"got {len(results)}; fix its annotate()"
            )
        with explain_write_errors(self.root):
            entries = [self._store(cropped, result) for cropped, result in zip(batch, results, strict=True)]
            self.journal.add(entries)
        return len(batch)

    def _store(self, cropped: _Cropped, result: NDArray[Any] | None) -> Entry:
        key, given = cropped.person.key, cropped.given
        if result is None:
            return Entry(key, found=False, given=given)
        self._check(result, cropped)
        if self.annotator.kind == "keypoints":
            moved = shift_keypoints(result, cropped.crop[0], cropped.crop[1])
            numbers = tuple(round(float(value), 3) for value in moved.reshape(-1))
            return Entry(key, found=True, given=given, keypoints=numbers)
        file = self.journal.claim_file(key, name_maps(self.folder, key))
        values = paste_map(result.astype(np.uint8), cropped.crop, cropped.size)
        save_map(self.root / file, values > 0 if self.annotator.kind == "masks" else values)
        return Entry(key, found=True, given=given, file=file)

    def _check(self, result: NDArray[Any], cropped: _Cropped) -> None:
        """Refuse invalid results; annotators may be custom."""
        kind, classes = self.annotator.kind, self.annotator.classes
        width, height = cropped.sample.image.size
        expected = (17, 3) if kind == "keypoints" else (height, width)
        problem = None
        if result.shape != expected:
            problem = f"expected {kind} of shape {expected}, got {result.shape}"
        elif kind == "keypoints" and not np.isfinite(result).all():
            problem = "expected finite keypoints, got some that are not"
        elif kind == "parsing" and classes and (wrong := find_unnamed(result, classes)) is not None:
            problem = f"expected classes below {len(classes)}, as many as it names, got {wrong}"
        if problem:
            raise ModelError(
                f"annotator {self.annotator.name!r}, {cropped.person.key.image}: {problem}; "
                "fix its annotate()"
            )


def _count_pixels(batch: Sequence[_Cropped]) -> int:
    sizes = (cropped.sample.image.size for cropped in batch)
    return sum(width * height for width, height in sizes)
