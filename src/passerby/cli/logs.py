"""The library's log records on the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from passerby.cli.verbosity import Verbosity, get_verbosity

__all__ = ["show_logs"]


class _EchoHandler(logging.Handler):
    """Prints messages on standard error without level or time; warnings with the name of the program."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        typer.echo(f"passerby: {text}" if record.levelno >= logging.WARNING else text, err=True)


@contextmanager
def show_logs(*, progress: bool = True) -> Iterator[None]:
    """Print what `passerby` logs on standard error, a line per record, from the level of the verbosity.

    Every command prints warnings so, and all records with `--verbose`; a call in it adds the progress.

    Args:
        progress: Whether records about progress are printed, unless --quiet.
    """
    verbosity, logger = get_verbosity(), logging.getLogger("passerby")
    level, handlers = logger.level, logger.handlers
    logger.handlers = [*(each for each in handlers if not isinstance(each, _EchoHandler)), _EchoHandler()]
    logger.setLevel(verbosity.log_level if progress or verbosity is Verbosity.VERBOSE else logging.WARNING)
    try:
        yield
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
