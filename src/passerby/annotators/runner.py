"""One annotator over all persons of a manifest: reads ahead, asks in batches, writes, keeps the journal."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.base import Annotator, Kind, Sample
from passerby.annotators.crops import Crop, compute_crop, load_cut_map, paste_map, shift_keypoints
from passerby.annotators.journal import Entry, Journal, Key
from passerby.errors import DataError, ModelError
from passerby.images.decode import read_image
from passerby.io import replace_file
from passerby.parsing import find_unnamed

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["Person", "Run", "list_persons", "name_maps", "save_map", "writing_below"]

_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to look at: key, and the first row of the manifest that means them."""

    key: Key
    row: int


@dataclass(frozen=True, slots=True)
class _Cut:
    """A person, cut out: size of the picture, where the crop lies in it, what an annotator is given.

    The digest `given` is of the files as they were when the crop was cut.
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
    """Everybody in a manifest once, in its order, and the key of each of its rows."""
    keys = [Key(*cells) for cells in zip(manifest.images, manifest.boxes(), strict=True)]
    first: dict[Key, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    return [Person(key, row) for key, row in first.items()], keys


class Run:
    """An annotator at work on a manifest.

    Args:
        annotator: What looks.
        journal: What was found so far.
        manifest: Whose pictures, and whose masks, maps and keypoints where the annotator needs them.
        folder: Where maps go, relative to the root: `annotations/masks`.
    """

    def __init__(self, annotator: Annotator, journal: Journal, manifest: Manifest, folder: str) -> None:
        self.annotator, self.journal, self.root, self.folder = annotator, journal, manifest.root, folder
        needs: tuple[Kind, ...] = annotator.needs
        nothing = [None] * len(manifest)
        self.masks = manifest.paths("mask") if "masks" in needs else nothing
        self.parsing = manifest.paths("parsing") if "parsing" in needs else nothing
        self.keypoints = manifest.keypoints() if "keypoints" in needs else None

    def run(
        self, persons: Sequence[Person], *, batch_size: int, progress: Callable[[int], None]
    ) -> list[tuple[str, str]]:
        """Look at everybody who is not finished.

        Args:
            progress: Called with the number of persons finished since the last call.

        Returns:
            Name and reason of each picture that could not be read.
        """
        pending = [person for person in persons if not self._is_finished(person)]
        progress(len(persons) - len(pending))
        unreadable: dict[str, str] = {}
        batch: list[_Cut] = []
        with closing(self._read_ahead(pending, ahead=2 * batch_size)) as stream:
            for item in stream:
                if isinstance(item, _Unreadable):
                    unreadable.setdefault(item.person.key.image, item.reason)
                    progress(1)
                    continue
                batch.append(item)
                if len(batch) == batch_size:
                    progress(self._look(batch))
                    batch = []
        if batch:
            progress(self._look(batch))
        return list(unreadable.items())

    # ------------------------------------------------------------------ what is there

    def _is_finished(self, person: Person) -> bool:
        entry = self.journal.find(person.key)
        if entry is None or entry.given != self._digest_given(person):
            return False
        return entry.file is None or (self.root / entry.file).is_file()

    def _digest_given(self, person: Person) -> str:
        """Changes with the maps and keypoints that a person's answer depends on; empty without any.

        Maps count by their content: a map that was made anew has the path of the old one.
        """
        if not self.annotator.needs:
            return ""
        digest = hashlib.sha256()
        for path in (self.masks[person.row], self.parsing[person.row]):
            digest.update(b"\0" + _digest_file(None if path is None else self.root / path))
        if self.keypoints is not None:
            digest.update(self.keypoints[person.row].tobytes())
        return digest.hexdigest()[:16]

    # ------------------------------------------------------------------ reading

    def _read_ahead(
        self, persons: Sequence[Person], *, ahead: int
    ) -> Generator[_Cut | _Unreadable, None, None]:
        """Everybody in order, while some threads decode the next pictures; each picture is read once."""
        waiting: deque[Future[list[_Cut | _Unreadable]]] = deque()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="passerby-annotate") as pool:
            try:
                for image, group in groupby(persons, key=lambda person: person.key.image):
                    waiting.append(pool.submit(self._read, self.root / image, list(group)))
                    if len(waiting) > ahead:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, path: Path, persons: list[Person]) -> list[_Cut | _Unreadable]:
        try:
            image = read_image(path)
        except DataError as error:
            return [_Unreadable(person, str(error)) for person in persons]
        found: list[_Cut | _Unreadable] = []
        for person in persons:
            try:
                found.append(self._cut(image, person))
            except DataError as error:
                found.append(_Unreadable(person, f"{path}: {error}"))
        return found

    def _cut(self, image: Image.Image, person: Person) -> _Cut:
        crop, given = compute_crop(image.size, person.key.box), self._digest_given(person)
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
        return _Cut(person, image.size, crop, sample, given)

    # ------------------------------------------------------------------ looking and writing

    def _look(self, batch: Sequence[_Cut]) -> int:
        answers = self.annotator.annotate([cut.sample for cut in batch])
        if len(answers) != len(batch):
            raise ModelError(
                f"annotator {self.annotator.name!r}: expected {len(batch)} answers, one a sample, "
                f"got {len(answers)}; mend its annotate()"
            )
        with writing_below(self.root):
            entries = [self._keep(cut, answer) for cut, answer in zip(batch, answers, strict=True)]
            self.journal.add(entries)
        return len(batch)

    def _keep(self, cut: _Cut, answer: NDArray[Any] | None) -> Entry:
        key, given = cut.person.key, cut.given
        if answer is None:
            return Entry(key, found=False, given=given)
        self._check(answer, cut)
        if self.annotator.kind == "keypoints":
            moved = shift_keypoints(answer, cut.crop[0], cut.crop[1])
            numbers = tuple(round(float(value), 3) for value in moved.reshape(-1))
            return Entry(key, found=True, given=given, keypoints=numbers)
        file = self.journal.claim_file(key, name_maps(self.folder, key))
        whole = paste_map(answer.astype(np.uint8), cut.crop, cut.size)
        save_map(self.root / file, whole > 0 if self.annotator.kind == "masks" else whole)
        return Entry(key, found=True, given=given, file=file)

    def _check(self, answer: NDArray[Any], cut: _Cut) -> None:
        """Refuse what would lie wrong in the picture: an annotator may be anybody's own."""
        kind, classes = self.annotator.kind, self.annotator.classes
        width, height = cut.sample.image.size
        expected = (17, 3) if kind == "keypoints" else (height, width)
        problem = None
        if answer.shape != expected:
            problem = f"expected {kind} of shape {expected}, got {answer.shape}"
        elif kind == "keypoints" and not np.isfinite(answer).all():
            problem = "expected finite keypoints, got some that are not"
        elif kind == "parsing" and classes and (wrong := find_unnamed(answer, classes)) is not None:
            problem = f"expected classes below {len(classes)}, as many as it names, got {wrong}"
        if problem:
            raise ModelError(
                f"annotator {self.annotator.name!r}, {cut.person.key.image}: {problem}; mend its annotate()"
            )


# ---------------------------------------------------------------------- files


def _digest_file(path: Path | None) -> bytes:
    """The hash of a file's content; empty without a file, or one that cannot be read."""
    try:
        return b"" if path is None else hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""


def name_maps(folder: str, key: Key) -> tuple[str, ...]:
    """Names for the map of a person, to be taken in this order if another person has the first.

    Example:
        >>> name_maps("new/masks", Key("images/a.jpg", (1, 2, 11, 32.5)))
        ('new/masks/images/a_1_2_11_32.5.png', 'new/masks/images/a.jpg_1_2_11_32.5.png')
    """
    sides = [] if key.box is None else [np.format_float_positional(np.float32(v), trim="-") for v in key.box]
    short, whole = PurePosixPath(key.image).with_suffix("").as_posix(), key.image
    return tuple(f"{folder}/{'_'.join([name, *sides])}.png" for name in (short, whole))


def save_map(path: Path, values: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a PNG whole or not at all: 1 bit a pixel for truth values, 8 bits for numbers."""
    with replace_file(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")


@contextmanager
def writing_below(root: Path) -> Iterator[None]:
    """Say what to do when the folder of the pictures cannot be written to."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write below {root} ({error.strerror or error}). Annotations lie below the manifest's "
            "root, beside the pictures: make that folder writable, free some space, choose another --into, "
            "or work on a copy of the data set"
        ) from error
