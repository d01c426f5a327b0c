"""The files of a bundle: written atomically, and verified when read.

config.json contains the size and hash of the weights and a checksum of itself. They detect truncated or
mixed-up files and manual edits. They are no signature: the author of a bundle can write anything into it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.errors import BundleError
from passerby.io import replace_file

__all__ = [
    "CARD",
    "CONFIG",
    "FORMAT_VERSION",
    "WEIGHTS",
    "Content",
    "encode_config",
    "read_config",
    "read_files",
    "write_files",
]

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT, FORMAT_VERSION = "passerby-bundle", 2
MAX_CONFIG_BYTES = 16 * 2**20
"""A configuration has some kilobytes; a larger one is refused before it is unpacked."""

_Read = Callable[[str, int], bytes | None]

_DAY_ZERO = (1980, 1, 1, 0, 0, 0)
"""Time stamp of all members of a zip, so that equal bundles have equal bytes."""


@dataclass(frozen=True, slots=True)
class Content:
    """The verified content of a bundle: the parsed configuration and the bytes of the weights."""

    config: Mapping[str, Any]
    weights: bytes


# ---------------------------------------------------------------------- configuration


def encode_config(values: Mapping[str, Any], weights: bytes) -> bytes:
    """Add format, hash of the weights and checksum to a configuration and encode it as JSON.

    Raises:
        BundleError: If a value is not plain JSON.
    """
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **values,
        "weights": {
            "file": WEIGHTS,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "bytes": len(weights),
        },
    }
    try:
        config["checksum"] = _checksum(config)
        return (json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"a bundle's metadata must be plain JSON values: {error}") from error


def _checksum(config: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in config.items() if key != "checksum"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _decode_config(content: bytes, where: str) -> dict[str, Any]:
    try:
        config = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: {CONFIG} is damaged ({error}); copy the bundle again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise BundleError(f"{where} is not a bundle of passerby: its {CONFIG} lacks format {FORMAT!r}")
    version = config.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise BundleError(f"{where}: expected a format_version of at least 1, got {version!r}")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{where} has format {version}, but this version of passerby reads formats up to "
            f"{FORMAT_VERSION}; update passerby"
        )
    if config.get("checksum") != _checksum(config):
        raise BundleError(
            f"{where}: {CONFIG} was changed after it was saved; copy the bundle again, or, to change it, "
            "load the original in Python and save it again"
        )
    weights = config.get("weights")
    if not isinstance(weights, dict) or not isinstance(weights.get("bytes"), int) or weights["bytes"] < 0:
        raise BundleError(f"{where}: {CONFIG} lacks the size of its weights; copy the bundle again")
    return config


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check_weights(weights: bytes, config: Mapping[str, Any], where: str) -> None:
    expected = config["weights"]
    if len(weights) != expected["bytes"]:
        size = f"{len(weights)} bytes instead of {expected['bytes']}"
        raise BundleError(f"{where}: {WEIGHTS} has the wrong size, {size}; copy the bundle again")
    if hashlib.sha256(weights).hexdigest() != expected.get("sha256"):
        raise BundleError(
            f"{where}: {WEIGHTS} is not the saved file (its hash differs); copy the bundle again"
        )


# ---------------------------------------------------------------------- reading


def read_files(path: Path) -> Content:
    """Read and verify a folder or a zip.

    Raises:
        BundleError: If it is not a bundle, or is damaged, changed, or of a newer format.
    """
    with _open(path) as read:
        config = _read_config(read, str(path))
        weights = read(WEIGHTS, config["weights"]["bytes"])
    if weights is None:
        raise BundleError(f"{path} is incomplete: it has no {WEIGHTS}; copy the bundle again")
    _check_weights(weights, config, str(path))
    return Content(config, weights)


def read_config(path: Path) -> Mapping[str, Any]:
    """Read and verify only the configuration of a folder or a zip.

    Raises:
        BundleError: As `read_files`, except for errors in the weights.
    """
    with _open(path) as read:
        return _read_config(read, str(path))


@contextmanager
def _open(path: Path) -> Iterator[_Read]:
    """A function that reads a file of the bundle by name, at most one byte more than a limit."""
    try:
        if path.is_dir():
            yield lambda name, limit: _read_member_of_folder(path, name, limit)
            return
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            yield lambda name, limit: _read_member_of_zip(archive, name, limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise BundleError(
            f"{path} is not a bundle, or a damaged one ({error}); expected a folder or zip of `Bundle.save`"
        ) from error


def _read_config(read: _Read, where: str) -> dict[str, Any]:
    text = read(CONFIG, MAX_CONFIG_BYTES)
    if text is None:
        inner = Path(where) / "bundle"
        cure = (
            f"its bundle is {inner}"
            if (inner / CONFIG).is_file()
            else "expected a folder or zip of `Bundle.save`, such as <run folder>/bundle"
        )
        raise BundleError(f"{where} is not a bundle: it has no {CONFIG}; {cure}")
    return _decode_config(text, where)


def _read_member_of_folder(folder: Path, name: str, limit: int) -> bytes | None:
    file = folder / name
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return stream.read(limit + 1)


def _read_member_of_zip(archive: zipfile.ZipFile, name: str, limit: int) -> bytes | None:
    if name not in archive.namelist():
        return None
    with archive.open(name) as stream:
        return stream.read(limit + 1)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    foreign = [name for name in names if name not in (CONFIG, WEIGHTS, CARD)]
    if foreign or len(set(names)) != len(names):
        what = f"it contains {foreign[0]!r}" if foreign else "it contains a file twice"
        raise BundleError(
            f"{path} is not a bundle: {what}; expected only {CONFIG}, {WEIGHTS} and {CARD}, without folders"
        )


# ---------------------------------------------------------------------- writing


def write_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder, or a zip if the path ends in `.zip`; an earlier bundle there is replaced atomically.

    Raises:
        BundleError: If something else than a bundle is at the path.
    """
    path = path.expanduser().resolve()
    _refuse_to_overwrite(path)
    if path.suffix.lower() == ".zip":
        with replace_file(path) as temporary:
            temporary.write_bytes(_zip(files))
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        _replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DAY_ZERO), content)
    return buffer.getvalue()


def _replace_folder(temporary: Path, path: Path) -> None:
    """Rename; an existing folder is moved aside first and restored if that fails."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        aside.rename(path)
        raise
    shutil.rmtree(aside)


def _refuse_to_overwrite(path: Path) -> None:
    if not path.exists() or _is_bundle(path):
        return
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        if not names and path.suffix.lower() != ".zip":
            return
        what = f"a folder with {', '.join(names[:4]) or 'no files'}"
    else:
        what = "a file"
    raise BundleError(
        f"{path} is {what}, not a bundle, and is not overwritten; give another path or remove it"
    )


def _is_bundle(path: Path) -> bool:
    """Whether a path is a bundle of the form to be written, without other files."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                names, text = set(archive.namelist()), archive.read(CONFIG)
        else:
            names, text = {entry.name for entry in path.iterdir()}, (path / CONFIG).read_bytes()
        return names <= {CONFIG, WEIGHTS, CARD} and json.loads(text)["format"] == FORMAT
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError):
        return False
