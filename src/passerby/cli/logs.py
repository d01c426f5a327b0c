"""The library's log records on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from passerby.cli.verbosity import Verbosity, get_verbosity

__all__ = ["show_logs"]


class _EchoHandler(logging.Handler):
    """Prints messages without level or time; warnings on standard error, with the name of the program."""

    def __init__(self, *, err: bool) -> None:
        super().__init__()
        self.err = err

    def emit(self, record: logging.LogRecord) -> None:
        text, warns = self.format(record), record.levelno >= logging.WARNING
        typer.echo(f"passerby: {text}" if warns else text, err=self.err or warns)


@contextmanager
def show_logs(*, progress: bool = True, err: bool = False) -> Iterator[None]:
    """Print what `passerby` logs, one line per record, from the level that the verbosity states.

    Every command prints warnings so, and all records with `--verbose`; a call in it adds the progress.

    Args:
        progress: Whether records about progress are printed, unless --quiet.
        err: Print to stderr instead of stdout. With `--verbose`, all records go to stderr.
    """
    verbosity, logger = get_verbosity(), logging.getLogger("passerby")
    level, handlers = logger.level, logger.handlers
    handler = _EchoHandler(err=err or verbosity is Verbosity.VERBOSE)
    logger.handlers = [*(each for each in handlers if not isinstance(each, _EchoHandler)), handler]
    logger.setLevel(verbosity.log_level if progress or verbosity is Verbosity.VERBOSE else logging.WARNING)
    try:
        yield
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
