"""The progress bar of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from passerby.cli.verbosity import Verbosity, get_verbosity
from passerby.terminal import create_bars

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
    with create_bars(console, shown=shown) as bars:
        task = bars.add_task(what, total=None, note="")
        yield lambda done, total: bars.update(task, completed=done, total=total)
