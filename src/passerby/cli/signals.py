"""Signals that end a command, so that it leaves no temporary file."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["exit_on_signals"]

_SIGNALS = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """In the block, the signals of `kill` and of a closed terminal raise SystemExit.

    The status is 128 and the number of the signal, as in a shell. A signal that is ignored, as under `nohup`,
    stays ignored. Does nothing outside the main thread, which alone receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    replaced = {number: handler for number, handler in before.items() if handler is signal.SIG_DFL}
    for number in replaced:
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
