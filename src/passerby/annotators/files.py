"""Files of an annotation run: names, atomic writes, hashes, errors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.annotators.journal import Key
from passerby.errors import DataError, ImageError
from passerby.images.limits import read_bytes
from passerby.io import replace_file

__all__ = ["explain_write_errors", "hash_content", "name_maps", "save_map"]


def hash_content(path: Path | None) -> bytes:
    """SHA-256 of the content of a file; empty without a file, or for an unreadable one."""
    try:
        return b"" if path is None else hashlib.sha256(read_bytes(path)).digest()
    except (OSError, ImageError):
        return b""


def name_maps(folder: str, key: Key) -> tuple[str, ...]:
    """Candidates for the name of the map of a person, in order of preference.

    Example:
        >>> name_maps("new/masks", Key("images/a.jpg", (1, 2, 11, 32.5)))
        ('new/masks/images/a_1_2_11_32.5.png', 'new/masks/images/a.jpg_1_2_11_32.5.png')
    """
    sides = [] if key.box is None else [np.format_float_positional(np.float32(v), trim="-") for v in key.box]
    short, full = PurePosixPath(key.image).with_suffix("").as_posix(), key.image
    return tuple(f"{folder}/{'_'.join([name, *sides])}.png" for name in (short, full))


def save_map(path: Path, values: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write a PNG atomically: 1 bit per pixel for booleans, 8 bits for numbers."""
    with replace_file(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")


@contextmanager
def explain_write_errors(root: Path) -> Iterator[None]:
    """Convert an OSError to a DataError that explains how to make the folder writable."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write below {root} ({error.strerror or error}). Annotations are stored below the root "
            "of the manifest, next to the images: make this folder writable, free disk space, choose another "
            "--into, or work on a copy of the data set"
        ) from error
