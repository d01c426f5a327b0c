"""The library's log records on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from passerby.cli.verbosity import get_verbosity

__all__ = ["show_logs"]


class _EchoHandler(logging.Handler):
    """Prints messages without level or time."""

    def __init__(self, *, err: bool) -> None:
        super().__init__()
        self.err = err

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=self.err)


@contextmanager
def show_logs(*, err: bool = False) -> Iterator[None]:
    """Print what `passerby` logs, one line per record, from the level that the verbosity states.

    Args:
        err: Print to stderr instead of stdout. With `--verbose`, all records go to stderr already.
    """
    logger = logging.getLogger("passerby")
    if any(isinstance(handler, _EchoHandler) for handler in logger.handlers):
        yield
        return
    handler, level = _EchoHandler(err=err), logger.level
    logger.addHandler(handler)
    logger.setLevel(get_verbosity().log_level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
