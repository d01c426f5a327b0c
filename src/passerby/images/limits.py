"""Limits on image files: formats, bytes, and the pixels that all threads decode at a time."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passerby.errors import ImageError

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "LARGE_FILE_BYTES",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "check_file",
    "check_pixels",
    "limit_decoding",
    "read_bytes",
]

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The formats that are read, whatever a file's name; JPEG includes the MPO files of cameras.

Pillow reads more, but EPS starts Ghostscript, and the decoders of rare formats are little tested."""

IMAGE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""Suffixes of images in folders and patterns, in lower case; a file given by its path may have any."""

MAX_PIXELS = 80_000_000
"""Images with more pixels are refused; all threads together decode at most as many at a time.

It may be set to another number; above 89 million, raise `PIL.Image.MAX_IMAGE_PIXELS` too."""

MAX_FILE_BYTES = 512 * 2**20
"""Larger image files are refused before they are opened: 80 million pixels of 3 × 16 bits take 458 MiB.

It may be set to another number."""

LARGE_FILE_BYTES = 32 * 2**20
"""While a thread reads a larger file, no other thread decodes."""

_KINDS = {"d": "a folder", "p": "a named pipe", "s": "a socket", "c": "a device", "b": "a device"}
"""What is not a regular file, by the first letter of `stat.filemode`."""


def check_file(path: str | Path) -> int:
    """Check without opening it that a path, or the target of a link, is a regular file of allowed size.

    Returns:
        Size of the file in bytes.

    Raises:
        ImageError: If it is a folder, named pipe, socket or device, empty, or larger than `MAX_FILE_BYTES`.
        OSError: If it does not exist or cannot be examined.
    """
    status = os.stat(path)  # noqa: PTH116  (accepts what Path would change, such as "")
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.filemode(status.st_mode)[0], "a special file")
        raise ImageError(f"expected a regular file, got {kind}")
    if not status.st_size:
        raise ImageError("the file is empty")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageError(
            f"expected a file of at most {MAX_FILE_BYTES:,} bytes, got {status.st_size:,}; scale it down"
        )
    return status.st_size


def read_bytes(path: str | Path) -> bytes:
    """Read a regular file of allowed size.

    In a block of `limit_decoding`, a file above `LARGE_FILE_BYTES` waits for all other threads.

    Raises:
        ImageError, OSError: As `check_file`.
    """
    size = check_file(path)
    if size > LARGE_FILE_BYTES:
        _take_pixels(MAX_PIXELS)
    with Path(path).open("rb") as file:
        return file.read(size)  # no more than was checked, even if the file has grown


def check_pixels(width: int, height: int) -> None:
    """Check the size of an image; in a block of `limit_decoding`, wait until it may be decoded.

    Raises:
        ImageError: If it has no pixels, or more than `MAX_PIXELS`.
    """
    if not width * height:
        raise ImageError("it has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"it has {width} × {height} pixels, more than the {MAX_PIXELS} allowed; scale it down first"
        )
    _take_pixels(width * height)


# ---------------------------------------------------------------------- limit across threads


class _Thread(threading.local):
    """Nesting of `limit_decoding` in this thread, and the pixels that it has taken."""

    depth = 0
    taken = 0


_thread = _Thread()
_change = threading.Condition()
_taken = 0
"""Pixels taken by all threads."""


@contextmanager
def limit_decoding() -> Iterator[None]:
    """In the block, or in each call of a decorated function, take part in the limit of `MAX_PIXELS`.

    The pixels of an image count from before it is decoded to the end of the outermost block, which should
    include resizing it. Only the first image of a block waits for other threads, so blocks cannot wait for
    each other.

    Example:
        >>> @limit_decoding()
        ... def measure(path: Path) -> int:
        ...     return len(read_bytes(path))
    """
    global _taken
    _thread.depth += 1
    try:
        yield
    finally:
        _thread.depth -= 1
        if not _thread.depth and _thread.taken:
            with _change:
                _taken -= _thread.taken
                _change.notify_all()
            _thread.taken = 0


def _take_pixels(count: int) -> None:
    global _taken
    if not _thread.depth:
        return
    with _change:
        if not _thread.taken:
            _change.wait_for(lambda: not _taken or _taken + count <= MAX_PIXELS)
        _taken += count
        _thread.taken += count
