"""What was found so far, one line a person, so that an interrupted run goes on where it stopped.

A journal is a file of JSON lines. The first says what made it: the version of the format and all that the
answers depend on. Each further line is one finished person. A line is written after the files it names, so
what it names is whole; a last line that was cut off by a kill is dropped.
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
from passerby.io import replace_file

__all__ = ["Entry", "Journal", "Key"]

FORMAT_VERSION = 1


class Key(NamedTuple):
    """Who is meant: the picture, relative to the root, and the box in it."""

    image: str
    box: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What was found of one person.

    Args:
        key: Who it is.
        found: Whether anything was found.
        given: A digest of what the annotator was given beside the picture; another one means to look again.
        file: The map's path relative to the root.
        keypoints: 51 numbers, in pixels of the picture.
    """

    key: Key
    found: bool
    given: str = ""
    file: str | None = None
    keypoints: tuple[float, ...] | None = None

    def to_line(self) -> str:
        """One line of JSON, without what is empty."""
        content: dict[str, Any] = {"image": self.key.image, "box": self.key.box, "found": self.found}
        optional = {"given": self.given, "file": self.file, "keypoints": self.keypoints}
        content |= {name: value for name, value in optional.items() if value}
        return json.dumps(content, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` wrote.

        Raises:
            ValueError, KeyError, TypeError: If it is something else.
        """
        content = json.loads(line)
        box, file, keypoints = content["box"], content.get("file"), content.get("keypoints")
        numbers = None if keypoints is None else tuple(map(float, keypoints))
        if content["found"] and not (isinstance(file, str) and file):
            if numbers is None:
                raise ValueError("expected a file or keypoints of somebody found, got neither")
            if len(numbers) != 51 or not all(map(math.isfinite, numbers)):
                raise ValueError(f"expected 51 finite numbers for keypoints, got {_shorten(keypoints)}")
        return cls(
            Key(str(content["image"]), None if box is None else tuple(map(float, box))),
            bool(content["found"]),
            str(content.get("given", "")),
            file,
            numbers,
        )


class Journal:
    """The persons that are finished, in memory and on disk. Use it in a `with` block, or close it.

    Args:
        path: The file; made with its folder if it is not there.
        description: What the answers depend on; must be what stands at the top of the file.
        redo: Forget what is there.

    Raises:
        ConfigError: If the file was made by something else, or is damaged before its last line.
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
        """Close the file; what was added stays readable in memory."""
        self._stream.close()

    def find(self, key: Key) -> Entry | None:
        """What was found of a person, None if they are not finished."""
        return self.entries.get(key)

    def add(self, entries: Sequence[Entry]) -> None:
        """Note persons as finished; their files must be there by now. The last word on a person counts."""
        self._stream.write("".join(entry.to_line() for entry in entries))
        self._stream.flush()
        for entry in entries:
            self.entries[entry.key] = entry
            if entry.file is not None:
                self.owners[entry.file] = entry.key

    def claim_file(self, key: Key, candidates: Sequence[str]) -> str:
        """The first name that belongs to nobody else yet; numbered if all do.

        Returns:
            The name that this person had before, if any.
        """
        before = self.entries.get(key)
        if before is not None and before.file is not None:
            return before.file
        stem = candidates[-1].removesuffix(".png")
        names = chain(candidates, (f"{stem}-{number}.png" for number in count(2)))
        return next(name for name in names if self.owners.setdefault(name, key) == key)

    # ------------------------------------------------------------------ reading

    def _read(self, header: Mapping[str, Any]) -> bool:
        """Read the file and cut off half a line at its end; False if there is nothing in it."""
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
            except (ValueError, KeyError, TypeError) as error:
                raise self._complain(f"line {number} is damaged ({type(error).__name__}: {error})") from error
            self.entries[entry.key] = entry
        return True

    def _check_header(self, line: bytes, header: Mapping[str, Any]) -> None:
        try:
            found = json.loads(line)
            version, description = found["version"], found["description"]
        except (ValueError, KeyError, TypeError) as error:
            raise self._complain("it does not begin as a journal of passerby does") from error
        if version != header["version"]:
            raise self._complain(f"it has format {version}, this passerby writes {header['version']}")
        if description != header["description"]:
            differences = "; ".join(_compare(description, header["description"]))
            raise self._complain(f"what lies there was made differently: {differences}")

    def _complain(self, problem: str) -> ConfigError:
        return ConfigError(
            f"{self.path}: {problem}. Choose another folder by --into, or make all anew by --redo"
        )


def _compare(there: Any, now: Any, name: str = "") -> list[str]:
    """What differs, as `threshold: 0.5 there, 0.7 now`."""
    there, now = ({} if a is None and isinstance(b, Mapping) else a for a, b in ((there, now), (now, there)))
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        names = sorted({*there, *now})
        parts = (_compare(there.get(n), now.get(n), f"{name}.{n}" if name else n) for n in names)
        return [difference for part in parts for difference in part]
    if there == now:
        return []
    return [f"{name or 'description'}: {_shorten(there)} there, {_shorten(now)} now"]


def _shorten(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
