"""The width of printed text."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

__all__ = ["choose_width"]

UNLIMITED = 10_000
"""Characters in a line that no table reaches."""


def choose_width(stream: TextIO) -> int:
    """Characters in a line: the environment variable COLUMNS, else the width of the terminal.

    Text that goes to a file or another program is not limited, so that it does not depend on the terminal.

    Example:
        >>> import io
        >>> from unittest.mock import patch
        >>> with patch.dict(os.environ, {"COLUMNS": "100"}):
        ...     choose_width(io.StringIO())
        100
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    return shutil.get_terminal_size().columns if stream.isatty() else UNLIMITED
