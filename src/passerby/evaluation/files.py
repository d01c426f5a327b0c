"""JSON files, written whole or not at all, and names that are fit for files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passerby.errors import DataError
from passerby.files import replace_file

__all__ = ["read_json", "slugify", "write_json"]


def slugify(text: str) -> str:
    """Letters, digits, dot, hyphen and underscore only, for a file name.

    Example:
        >>> slugify("mobilenetv2_100.tf_imagenet"), slugify("my weights/v2")
        ('mobilenetv2_100.tf_imagenet', 'my_weights_v2')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "_"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON through a temporary name; NaN becomes an error, not invalid JSON."""
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: If the file is missing or is no JSON object.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no file at {path}; `passerby evaluate` writes such files") from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is not readable JSON ({error}); write it anew with `passerby evaluate`"
        ) from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values
