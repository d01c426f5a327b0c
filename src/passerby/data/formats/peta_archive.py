"""The original layout of PETA: `PETA dataset/<subset>/archive/…` with one `Label.txt` per subset.

A mapping file (lines of `original path,PETA/images/NNNNN.png`) relates these names to the rows of `PETA.mat`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from passerby.data.manifest import check_relative_path
from passerby.errors import FormatError

__all__ = [
    "SPELLING",
    "UNLISTED",
    "Archive",
    "find_camera",
    "get_label_key",
    "load_archive",
    "load_label_file",
]

SPELLING: Mapping[str, str] = {"footwearSneakers": "footwearSneaker"}
"""Names with a different spelling in `Label.txt` and in `PETA.mat`."""

UNLISTED = frozenset({"lowerBodyLogo", "accessoryFaceMask", "accessoryShawl"})
"""Names in `Label.txt` that are not in `PETA.mat`."""


@dataclass(frozen=True)
class Archive:
    """Original names by image number, starting at 1: `{1: "PETA dataset/3DPeS/archive/100_3_….bmp"}`."""

    names: Mapping[int, str]

    def subset(self, number: int) -> str:
        """The data set that an image was taken from, such as `VIPeR`."""
        return PurePosixPath(self.names[number]).parts[1]

    def find_original(self, root: Path, number: int) -> str | None:
        """Path of the original image relative to the root, None if it does not exist."""
        name = self.names.get(number)
        for candidate in (name, f"PETA/{name}") if name else ():
            if (root / candidate).is_file():
                return candidate
        return None


def load_archive(path: Path, *, count: int) -> Archive:
    """Read the mapping file; the number is that in the second name, not that of the line.

    Args:
        path: The mapping file.
        count: Largest number allowed.

    Raises:
        FormatError: If a line is invalid, or a number is out of range or occurs twice.
        ManifestError: If an original name is not below the root.
    """
    names: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text file ({error}); copy it again") from error
    for position, line in enumerate(lines, start=1):
        original, comma, numbered = line.strip().rpartition(",")
        if not line.strip():
            continue
        stem = PurePosixPath(numbered.strip()).stem
        if not comma or not stem.isdecimal():
            raise FormatError(
                f"{path}, line {position}: expected `original path,PETA/images/NNNNN.png`, "
                f"got {line[:80]!r}; copy the file again"
            )
        number = int(stem)
        if not 1 <= number <= count or number in names:
            raise FormatError(
                f"{path}, line {position}: expected each number from 1 to {count} once, got {number}; "
                f"copy the file again"
            )
        name = check_relative_path(original.strip()).removeprefix("PETA/")
        if len(PurePosixPath(name).parts) < 3:
            raise FormatError(
                f"{path}, line {position}: expected `PETA dataset/<subset>/archive/<file>`, got {name!r}; "
                f"copy the file again"
            )
        names[number] = name
    return Archive(names)


def find_camera(original: str) -> str | None:
    """The camera of an image, if its original name contains it.

    Example:
        >>> find_camera("PETA dataset/VIPeR/archive/001_90_2.bmp")
        'VIPeR-2'
        >>> find_camera("PETA dataset/MIT/archive/00001_male_back.jpg") is None
        True
    """
    parts = PurePosixPath(original).parts
    subset, fields = parts[1], PurePosixPath(original).stem.split("_")
    match subset:
        case "TownCentre":
            return subset  # a single camera
        case "VIPeR" | "PRID" if len(fields) > 1:
            return f"{subset}-{fields[-1]}"
        case "GRID" if len(fields) > 1:
            return f"{subset}-{fields[1]}"
    return None


def get_label_key(subset: str, name: str) -> str:
    """The key of an image in the `Label.txt` of its subset.

    Example:
        >>> get_label_key("CUHK", "0002.png"), get_label_key("VIPeR", "001_90_2.bmp")
        ('0002.png', '001')
    """
    return name if subset == "CUHK" else name.split("_", 1)[0]


def load_label_file(path: Path, known: frozenset[str]) -> dict[str, frozenset[str]]:
    """Read a `Label.txt`: lines with a key and the names of the positive attributes.

    Args:
        path: The file.
        known: Names in the spelling of `PETA.mat`; those of `UNLISTED` are skipped.

    Returns:
        Names in the spelling of `PETA.mat` by key.

    Raises:
        FormatError: If a name is unknown, or a key occurs twice with different names.
    """
    if not path.is_file():
        raise FormatError(f"expected {path.name} next to the images of each subset, none at {path}")
    labels: dict[str, frozenset[str]] = {}
    for position, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        names = frozenset(SPELLING.get(f, f) for f in fields[1:]) - UNLISTED
        if names - known:
            raise FormatError(
                f"{path}, line {position}: unknown attribute {min(names - known)!r}; "
                f"expected names of PETA.mat or {sorted(UNLISTED)}"
            )
        if labels.setdefault(fields[0], names) != names:
            raise FormatError(
                f"{path}, line {position}: {fields[0]!r} occurs twice with different attributes"
            )
    return labels


def load_label_files(root: Path, archive: Archive, known: frozenset[str]) -> dict[int, frozenset[str]]:
    """Positive attributes by image number, from the `Label.txt` of every subset.

    Raises:
        FormatError: If a file is missing or damaged, or has no line for an image.
    """
    files: dict[str, dict[str, frozenset[str]]] = {}
    labels: dict[int, frozenset[str]] = {}
    base = root if (root / "PETA dataset").is_dir() else root / "PETA"
    for number, name in archive.names.items():
        folder, file = os.path.split(name)
        if folder not in files:
            files[folder] = load_label_file(base / folder / "Label.txt", known)
        key = get_label_key(archive.subset(number), file)
        if key not in files[folder]:
            raise FormatError(f"{base / folder / 'Label.txt'} has no line {key!r} for {file}; copy it again")
        labels[number] = files[folder][key]
    return labels
