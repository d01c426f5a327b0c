"""Describe missing files, and find files that differ only in Unicode form, letter case or extension."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from passerby.images.limits import IMAGE_SUFFIXES

__all__ = ["describe_missing", "describe_similar", "find_all_similar", "find_similar"]

LISTED = 10
"""Number of missing files that a message lists."""

UNICODE = "in another Unicode form"
CASE = "in another letter case"
EXTENSION = "with another extension"
DIFFERENCES = (UNICODE, CASE, EXTENSION)
"""How the name of a file can differ from the expected one, the smallest difference first."""


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


_FORMS: dict[str, Callable[[str], str]] = {
    UNICODE: _compose,
    CASE: lambda name: _compose(_compose(name).casefold()),
    EXTENSION: lambda name: _compose(_compose(Path(name).stem).casefold()),
}
"""For each difference, a form of the name that does not depend on it."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """The names in a folder, and for each difference the name by its form."""

    names: frozenset[str]
    by_form: dict[str, dict[str, str]]


def find_similar(path: Path) -> tuple[Path, str] | None:
    """Find a file with a similar path; of the name of an image, the extension may differ, too.

    Returns:
        The file, and the largest of the differences between the paths. None if there is no such file.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> (root / "IMG_1.JPG").touch()
        >>> [find_similar(root / name)[1] for name in ("img_1.jpg", "IMG_1.png")]
        ['in another letter case', 'with another extension']
    """
    parent = path.parent
    missing = [path.name]
    while not parent.is_dir() and parent != parent.parent:
        missing.insert(0, parent.name)
        parent = parent.parent
    largest = -1
    for level, name in enumerate(missing):
        found = _match(parent, name, is_file=level == len(missing) - 1)
        if found is None:
            return None
        parent, largest = parent / found[0], max(largest, found[1])
    return (parent, DIFFERENCES[largest]) if largest >= 0 and parent.is_file() else None


def _match(folder: Path, name: str, *, is_file: bool) -> tuple[str, int] | None:
    """A name in a folder, and the position of its difference in `DIFFERENCES`, −1 if equal."""
    try:
        listed = _list(folder, folder.stat().st_mtime_ns)
    except OSError:
        return None
    if name in listed.names:
        return name, -1
    for position, difference in enumerate(DIFFERENCES[: 3 if is_file else 2]):
        found = listed.by_form[difference].get(_FORMS[difference](name))
        if found is not None:
            return found, position
    return None


@lru_cache(maxsize=4)
def _list(folder: Path, _changed_ns: int) -> _Folder:
    """List a folder; again only once it has changed, because thousands of its files may be missing."""
    names = sorted(file.name for file in folder.iterdir())
    images = [name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    forms = {
        difference: {form(n): n for n in reversed(images if difference == EXTENSION else names)}
        for difference, form in _FORMS.items()
    }
    return _Folder(frozenset(names), forms)


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
    found = find_similar(path)
    if found is None:
        return ""
    shown = found[0].name if found[0].parent == path.parent else found[0]
    return f" (found {shown}: same name {found[1]})"


def find_all_similar(root: Path, paths: Iterable[str]) -> dict[str, tuple[Path, str]]:
    """For each missing file, the one of a similar name, if any, and how the names differ; see `find_similar`.

    Args:
        root: Folder that the paths are relative to, as are the found ones below it.
        paths: The missing files.
    """
    found = {path: find_similar(root / path) for path in paths}
    return {
        path: (hit[0].relative_to(root) if hit[0].is_relative_to(root) else hit[0], hit[1])
        for path, hit in found.items()
        if hit
    }


def describe_missing(root: Path, paths: Sequence[str]) -> str:
    """List the first ten missing files, and files of a similar name that exist instead.

    Args:
        root: Folder that the paths are relative to.
        paths: The missing files; repetitions are listed once.

    Returns:
        Indented lines, each after a line break; the last one counts the files of a similar name, if any.
    """
    unique = list(dict.fromkeys(paths))
    found = find_all_similar(root, unique)
    lines = []
    for path in unique[:LISTED]:
        hit = found.get(path)
        lines.append(f"{path} (found {hit[0]}: same name {hit[1]})" if hit else path)
    if len(unique) > LISTED:
        lines.append(f"… and {len(unique) - LISTED:,} more")
    counts = Counter(difference for _, difference in found.values())
    if counts:
        kinds = ", ".join(f"{counts[each]:,} {each}" for each in DIFFERENCES if counts[each])
        lines.append(
            f"{sum(counts.values()):,} of {len(unique):,} found under a similar name ({kinds}); "
            "rename them or correct the paths"
        )
    return "".join(f"\n  {line}" for line in lines)
