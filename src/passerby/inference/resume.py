"""Files of predictions that keep finished rows when a run is interrupted, and that a later run continues.

Rows are appended to `<file>.partial`; `<file>.partial.json` describes all that they depend on. The partial
file is renamed when it is complete. `<file>.partial.lock` keeps other processes from writing it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

from filelock import FileLock, Timeout

from passerby.bundle.pictures import source_of
from passerby.errors import ConfigError, DataError
from passerby.inference.sources import Source
from passerby.io import count_of, is_disk_full, list_differences, read_json, write_json

__all__ = ["ResumableOutput"]

FORMAT_VERSION = 3


class _Person(NamedTuple):
    """Identifies a row of the file."""

    source: str
    row: int | None


class ResumableOutput:
    """A file of predictions, in which every row stays when the process ends early, for whatever reason.

    Args:
        path: The file, as it is named when it is complete.
        form: Format of the rows.
        resume: Continue an interrupted run; without one, begin, unless the file is complete.

    Raises:
        ConfigError: If there are rows of an interrupted run and `resume` is False, or they are damaged; if
            another process writes the file.
    """

    def __init__(self, path: Path, *, form: Literal["jsonl", "csv"], resume: bool) -> None:
        self.path = path
        self.form = form
        self.resume = resume
        self.partial = path.with_name(f"{path.name}.partial")
        self.about = path.with_name(f"{path.name}.partial.json")
        self._end = 0
        """Bytes of the complete rows."""
        self.rows: int = 0
        """Number of complete rows."""
        self._last: _Person | None = None
        if self.partial.exists():
            with self._lock():
                self._read()
        if self.rows and not resume:
            raise ConfigError(
                f"{self.partial} has {count_of(self.rows, 'row')} of an interrupted run; continue it with "
                "--resume, or remove the file to begin again"
            )

    def count_complete(self, sources: Sequence[Source]) -> int | None:
        """Number of rows of a complete file of these sources; None unless there is one and `resume` is set.

        Rows are compared with the sources alone: a complete file does not state its bundle and options.

        Raises:
            ConfigError: If there is a complete file, but not of these sources, or it is damaged.
        """
        if not self.resume or self.partial.exists() or not self.path.is_file():
            return None
        expected = iter(_Person(source_of(each.path), each.row) for each in sources)
        rows = 0
        with self.path.open("rb") as file:
            end = _find_end(file, quoted=self.form == "csv")
            cut = end < file.tell()
            file.seek(0)
            try:
                for person in _PARSERS[self.form](line.decode() for line in _take(file, end)):
                    if person not in expected:  # also consumes the sources before it, which were skipped
                        place = "" if person.row is None else f", row {person.row}"
                        raise self._refuse(f"{person.source}{place} is not among them, or in another order")
                    rows += 1
            except (ValueError, LookupError, TypeError, csv.Error) as error:
                problem = f"result {rows + 1:,} in it is damaged ({type(error).__name__}: {error})"
                raise self._refuse(problem) from error
        if cut:
            raise self._refuse("the last result in it is cut off")
        return rows

    def _refuse(self, problem: str) -> ConfigError:
        return ConfigError(
            f"{self.path} exists and is not a complete result for these images: {problem}. Give another "
            "--out, or leave out --resume to replace the file"
        )

    def count_done(self, sources: Sequence[Source]) -> int:
        """Number of sources up to that of the last complete row; those without a row were skipped.

        Raises:
            ConfigError: If the last row is of none of the sources.
        """
        if self._last is None:
            return 0
        for index in range(len(sources) - 1, -1, -1):
            if _Person(source_of(sources[index].path), sources[index].row) == self._last:
                return index + 1
        raise self._create_error(f"its last row is of {self._last.source}, which is not among the images now")

    def explain_rest(self) -> str:
        """What an interrupted run left, and how to continue it."""
        if not self.rows:
            return "no row was finished"
        return (
            f"{self.partial} keeps {count_of(self.rows, 'row')}; continue with the same command and --resume"
        )

    @contextmanager
    def open(self, description: Mapping[str, Any]) -> Iterator[TextIO]:
        """Open the file behind its last complete row; rename it at the end of the block.

        After an exception the rows are kept; without any, no file is left.

        Args:
            description: All that the rows depend on, as plain JSON.

        Raises:
            ConfigError: If the interrupted run had another description, or another process writes the file.
            DataError: If the file cannot be written, or the disk is full.
        """
        with self._lock():
            before = self.rows
            self._read()
            if self.rows != before:
                raise self._create_error(
                    f"another process has changed it from {before:,} to {count_of(self.rows, 'row')}"
                )
            yield from self._write(description)

    def _write(self, description: Mapping[str, Any]) -> Iterator[TextIO]:
        """The part of `open` that needs the lock."""
        description = json.loads(json.dumps({"version": FORMAT_VERSION, **description}))
        if self.rows:
            self._check(description)
        try:
            write_json(self.about, description)
            if self.partial.exists():
                with self.partial.open("r+b") as file:
                    file.truncate(self._end if self.rows else 0)
            stream = self.partial.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise DataError(f"cannot write {self.partial} ({error.strerror}); give another path") from error
        try:
            with stream:
                yield stream
        except BaseException as error:
            self._read()
            if not self.rows:
                self.partial.unlink(missing_ok=True)
                self.about.unlink(missing_ok=True)
            if is_disk_full(error):
                raise DataError(
                    f"cannot write {self.partial}: the disk is full; free some space. {self.explain_rest()}"
                ) from error
            raise
        self.partial.replace(self.path)
        self.about.unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other processes from the file."""
        path = self.path.with_name(f"{self.path.name}.partial.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"another process writes {self.path}; wait for its end, or give another file"
            ) from None
        except OSError as error:
            raise DataError(f"cannot write {path} ({error.strerror}); give another path") from error
        try:
            yield
        finally:
            with suppress(OSError):  # Windows refuses while it is open; the library removes it there
                path.unlink()
            lock.release()

    def _read(self) -> None:
        """Find the complete rows."""
        self.rows, self._end, self._last = 0, 0, None
        if not self.partial.is_file():
            return
        with self.partial.open("rb") as file:
            self._end = _find_end(file, quoted=self.form == "csv")
            file.seek(0)
            lines = (line.decode() for line in _take(file, self._end))
            try:
                for person in _PARSERS[self.form](lines):
                    self._last = person
                    self.rows += 1
            except (ValueError, LookupError, TypeError, RecursionError, csv.Error) as error:
                raise self._create_error(
                    f"row {self.rows + 1} is damaged ({type(error).__name__}: {error})"
                ) from error

    def _check(self, description: Mapping[str, Any]) -> None:
        try:
            before = read_json(self.about)
        except DataError as error:
            raise self._create_error(f"{self.about.name} is missing or damaged") from error
        if differences := list_differences(before, description):
            raise self._create_error(f"it was begun with other settings: {'; '.join(differences)}")

    def _create_error(self, problem: str) -> ConfigError:
        return ConfigError(
            f"{self.partial}: {problem}. Give the bundle, options and images of the interrupted run, or "
            "remove the file to begin again"
        )


def _parse_json(lines: Iterable[str]) -> Iterator[_Person]:
    for values in map(json.loads, lines):
        yield _Person(values["source"], values.get("row"))


def _parse_csv(lines: Iterable[str]) -> Iterator[_Person]:
    rows = csv.reader(lines, strict=True)
    has_rows = next(rows, [])[1:2] == ["row"]
    for cells in rows:
        yield _Person(cells[0], int(cells[1]) if has_rows else None)


_PARSERS = {"jsonl": _parse_json, "csv": _parse_csv}


def _find_end(file: BinaryIO, *, quoted: bool) -> int:
    """Bytes up to the end of the last complete row; a line end within quotation marks ends no row."""
    end = position = quotes = 0
    for line in file:
        position += len(line)
        quotes += line.count(b'"') if quoted else 0
        if line.endswith(b"\n") and quotes % 2 == 0:
            end = position
    return end


def _take(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The lines of a file up to a position."""
    position = 0
    for line in file:
        position += len(line)
        if position > end:
            return
        yield line
