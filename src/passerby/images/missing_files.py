"""Describe missing files, and find files that differ only in Unicode form, letter case or extension."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["SimilarFiles", "describe_missing", "describe_similar"]

LISTED = 10
"""Number of missing files that a message lists."""

UNICODE = "in another Unicode form"
CASE = "in another letter case"
EXTENSION = "with another extension"
DIFFERENCES = (UNICODE, CASE, EXTENSION)
"""How the name of a file can differ from the expected one, the smallest difference first."""


@dataclass(frozen=True)
class _Folder:
    """The names in a folder by their normalised forms."""

    names: frozenset[str]
    by_form: dict[str, dict[str, str]]


class SimilarFiles:
    """Finds files by a similar path. Each folder is listed once.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "IMG_1.JPG").touch()
        >>> similar = SimilarFiles()
        >>> [similar.find(root / name)[1] for name in ("img_1.jpg", "IMG_1.png")]
        ['in another letter case', 'with another extension']
    """

    def __init__(self) -> None:
        self._folders: dict[Path, _Folder] = {}

    def find(self, path: Path) -> tuple[Path, str] | None:
        """An existing file with a similar path, and the largest difference; extensions only of images."""
        parent = path.parent
        missing = [path.name]
        while not parent.is_dir() and parent != parent.parent:
            missing.insert(0, parent.name)
            parent = parent.parent
        largest = -1
        for level, name in enumerate(missing):
            found = self._match(parent, name, is_file=level == len(missing) - 1)
            if found is None:
                return None
            parent, largest = parent / found[0], max(largest, found[1])
        return (parent, DIFFERENCES[largest]) if largest >= 0 and parent.is_file() else None

    def _match(self, folder: Path, name: str, *, is_file: bool) -> tuple[str, int] | None:
        """A name in a folder, and the position of its difference in `DIFFERENCES`, −1 if equal."""
        listed = self._list(folder)
        if name in listed.names:
            return name, -1
        for position, difference in enumerate(DIFFERENCES[: 3 if is_file else 2]):
            found = listed.by_form[difference].get(_FORMS[difference](name))
            if found is not None:
                return found, position
        return None

    def _list(self, folder: Path) -> _Folder:
        if folder not in self._folders:
            try:
                names = sorted(file.name for file in folder.iterdir())
            except OSError:
                names = []
            forms = {difference: {form(n): n for n in reversed(names)} for difference, form in _FORMS.items()}
            images = Image.registered_extensions()
            forms[EXTENSION] = {k: n for k, n in forms[EXTENSION].items() if Path(n).suffix.lower() in images}
            self._folders[folder] = _Folder(frozenset(names), forms)
        return self._folders[folder]


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


_FORMS: dict[str, Callable[[str], str]] = {
    UNICODE: _compose,
    CASE: lambda name: _compose(_compose(name).casefold()),
    EXTENSION: lambda name: _compose(_compose(Path(name).stem).casefold()),
}
"""For each difference, a form of the name that does not depend on it."""


def describe_similar(path: str | Path) -> str:
    """What to add to the message that a file is missing: a file of a similar name, or nothing.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "IMG_1.JPG").touch()
        >>> describe_similar(root / "img_1.jpg")
        ' (found IMG_1.JPG: same name in another letter case)'
    """
    path = Path(path)
    found = SimilarFiles().find(path)
    if found is None:
        return ""
    shown = found[0].name if found[0].parent == path.parent else found[0]
    return f" (found {shown}: same name {found[1]})"


def describe_missing(root: Path, paths: Sequence[str]) -> str:
    """List the first ten missing files, and files of a similar name that exist instead.

    Args:
        root: Folder that the paths are relative to.
        paths: The missing files; repetitions are listed once.

    Returns:
        Indented lines, each after a line break; the last one counts the files of a similar name, if any.
    """
    similar = SimilarFiles()
    unique = list(dict.fromkeys(paths))
    found = {path: similar.find(root / path) for path in unique}
    lines = []
    for path in unique[:LISTED]:
        hit = found[path]
        lines.append(f"{path} (found {hit[0].relative_to(root)}: same name {hit[1]})" if hit else path)
    if len(unique) > LISTED:
        lines.append(f"… and {len(unique) - LISTED:,} more")
    counts = Counter(hit[1] for hit in found.values() if hit)
    if counts:
        kinds = ", ".join(f"{counts[each]:,} {each}" for each in DIFFERENCES if counts[each])
        lines.append(
            f"{sum(counts.values()):,} of {len(unique):,} found under a similar name ({kinds}); "
            "rename them or correct the paths"
        )
    return "".join(f"\n  {line}" for line in lines)
