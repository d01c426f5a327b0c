"""The progress bar of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from passerby.cli.verbosity import Verbosity, get_verbosity

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["show_progress"]


@contextmanager
def show_progress(what: str, *, hidden: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with rate and time left on stderr if that is a terminal; remove it at the end.

    Args:
        what: Text before the bar.
        hidden: Show no bar; `--quiet` hides all.

    Yields:
        A function to call with the number of finished items and of all items.
    """
    from rich.console import Console

    console = Console(stderr=True)
    shown = console.is_terminal and not hidden and get_verbosity() > Verbosity.QUIET
    with _create_bars(console, shown=shown) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _create_bars(console: Console, *, shown: bool) -> Progress:
    """A bar with the number of items, their rate, and the time left."""
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
        console=console,
        transient=True,
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
