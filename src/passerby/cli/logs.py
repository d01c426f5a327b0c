"""The library's log records on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["show_logs"]


class _EchoHandler(logging.Handler):
    """Prints messages without level or time."""

    def __init__(self, *, err: bool) -> None:
        super().__init__(logging.INFO)
        self.err = err

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=self.err)


@contextmanager
def show_logs(*, err: bool = False) -> Iterator[None]:
    """Print what `passerby` logs (level INFO and above), one line per record.

    Args:
        err: Print to stderr instead of stdout.
    """
    logger = logging.getLogger("passerby")
    handler, level = _EchoHandler(err=err), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
