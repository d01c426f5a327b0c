"""The width of printed text, and progress bars."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["choose_width", "create_bars", "format_rate"]

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


def create_bars(console: Console, *, shown: bool = True) -> Progress:
    """Bars with the number of items, their rate, the time left and a note; removed at the end.

    Args:
        console: Where they are drawn.
        shown: False to draw nothing.

    Returns:
        A context manager; `add_task` takes a `note` as well.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(format_rate(task.finished_speed or task.speed))

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # text in a file stays there
        disable=not shown,
        expand=True,
    )


def format_rate(per_second: float | None) -> str:
    """Items per second, or per minute below one a second.

    Example:
        >>> format_rate(1234.5), format_rate(2.5), format_rate(0.25), format_rate(None)
        ('1,234/s', '2.5/s', '15.0/min', '')
    """
    if not per_second:
        return ""
    rate, unit = (per_second, "s") if per_second >= 1 else (60 * per_second, "min")
    return f"{rate:,.0f}/{unit}" if rate >= 100 else f"{rate:.1f}/{unit}"
