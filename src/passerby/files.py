"""Files that are written whole or not at all, and what is in them told by a hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["hash_file", "replace_file"]


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to, and rename it to `path` when all went well.

    After an exception the old file stands as it was and nothing half-written stays. Missing parent folders
    are made.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "new" / "note.txt"
        >>> with replace_file(target) as temporary:
        ...     _ = temporary.write_text("done")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('done', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
