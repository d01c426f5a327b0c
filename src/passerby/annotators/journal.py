"""The journal of an annotation run, one line per person, from which an interrupted run resumes.

A journal is a file of JSON lines. The first contains the version of the format and all that the results
depend on. Each further line is one finished person. A line is written after the files that it names, so
these files are complete; a truncated last line is dropped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from passerby.errors import ConfigError
from passerby.io import list_differences, replace_file, shorten

__all__ = ["Entry", "Journal", "Key"]

FORMAT_VERSION = 1


class Key(NamedTuple):
    """Identifies a person: the image, relative to the root, and the box in it."""

    image: str
    box: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """The result for one person.

    Args:
        key: The person.
        found: Whether anything was found.
        given: Hash of the inputs of the annotator other than the image; if it changes, the result is
            outdated.
        file: Path of the map relative to the root.
        keypoints: 51 numbers, in pixels of the image.
    """

    key: Key
    found: bool
    given: str = ""
    file: str | None = None
    keypoints: tuple[float, ...] | None = None

    def to_line(self) -> str:
        """One line of JSON without empty values."""
        content: dict[str, Any] = {"image": self.key.image, "box": self.key.box, "found": self.found}
        optional = {"given": self.given, "file": self.file, "keypoints": self.keypoints}
        content |= {name: value for name, value in optional.items() if value}
        return json.dumps(content, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Parse a line written by `to_line`.

        Raises:
            ValueError, KeyError, TypeError: If the line is invalid.
        """
        content = json.loads(line)
        box, file, keypoints = content["box"], content.get("file"), content.get("keypoints")
        numbers = None if keypoints is None else tuple(map(float, keypoints))
        if content["found"] and not (isinstance(file, str) and file):
            if numbers is None:
                raise ValueError("expected a file or keypoints, got neither")
            if len(numbers) != 51 or not all(map(math.isfinite, numbers)):
                raise ValueError(f"expected 51 finite numbers for keypoints, got {shorten(keypoints)}")
        return cls(
            Key(str(content["image"]), None if box is None else tuple(map(float, box))),
            bool(content["found"]),
            str(content.get("given", "")),
            file,
            numbers,
        )


class Journal:
    """The finished persons, in memory and on disk. Use it in a `with` block, or close it.

    Args:
        path: The file; created with its folder if it does not exist.
        description: All that the results depend on; must equal the description in an existing file.
        redo: Discard an existing file.

    Raises:
        ConfigError: If the file has another description, or is damaged before its last line.
        OSError: If it cannot be read or written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "masks.jsonl"
        >>> with Journal(path, {"name": "toy"}) as journal:
        ...     journal.add([Entry(Key("a.jpg", None), found=True, file="m/a.png")])
        >>> with Journal(path, {"name": "toy"}) as journal:
        ...     journal.find(Key("a.jpg", None)).file, journal.find(Key("b.jpg", None))
        ('m/a.png', None)
    """

    def __init__(self, path: Path, description: Mapping[str, Any], *, redo: bool = False) -> None:
        self.path = Path(path)
        self.entries: dict[Key, Entry] = {}
        header = {"version": FORMAT_VERSION, "description": json.loads(json.dumps(description))}
        if redo or not self._read(header):
            line = json.dumps(header, ensure_ascii=False, sort_keys=True) + "\n"
            with replace_file(self.path) as temporary:
                temporary.write_text(line, encoding="utf-8")
        self.owners = {e.file: key for key, e in self.entries.items() if e.file is not None}
        self._stream = self.path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the entries stay available in memory."""
        self._stream.close()

    def find(self, key: Key) -> Entry | None:
        """The result for a person, None if they are not finished."""
        return self.entries.get(key)

    def add(self, entries: Sequence[Entry]) -> None:
        """Record persons as finished; their files must exist. The last entry of a person is valid."""
        self._stream.write("".join(entry.to_line() for entry in entries))
        self._stream.flush()
        for entry in entries:
            self.entries[entry.key] = entry
            if entry.file is not None:
                self.owners[entry.file] = entry.key

    def claim_file(self, key: Key, candidates: Sequence[str]) -> str:
        """Reserve the first candidate that no other person uses; a numbered name if all are used.

        Returns:
            The name; the previous one if this person has one already.
        """
        previous = self.entries.get(key)
        if previous is not None and previous.file is not None:
            return previous.file
        stem = candidates[-1].removesuffix(".png")
        names = chain(candidates, (f"{stem}-{number}.png" for number in count(2)))
        return next(name for name in names if self.owners.setdefault(name, key) == key)

    # ------------------------------------------------------------------ reading

    def _read(self, header: Mapping[str, Any]) -> bool:
        """Read the file and remove a truncated last line; False if it is missing or empty."""
        if not self.path.exists():
            return False
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with self.path.open("r+b") as stream:
                stream.truncate(len(whole))
        lines = whole.split(b"\n")[:-1]
        if not lines:
            return False
        self._check_header(lines[0], header)
        for number, line in enumerate(lines[1:], start=2):
            try:
                entry = Entry.from_line(line.decode())
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                problem = f"line {number} is damaged ({type(error).__name__}: {error})"
                raise self._create_error(problem) from error
            self.entries[entry.key] = entry
        return True

    def _check_header(self, line: bytes, header: Mapping[str, Any]) -> None:
        try:
            found = json.loads(line)
            version, description = found["version"], found["description"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._create_error("it has no header of a passerby journal") from error
        if version != header["version"]:
            raise self._create_error(
                f"it has format {version}, this version writes format {header['version']}"
            )
        if description != header["description"]:
            differences = "; ".join(list_differences(description, header["description"]))
            raise self._create_error(f"its results were created with other settings: {differences}")

    def _create_error(self, problem: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: {problem}. Choose another folder with --into, or discard the results with --redo"
        )
