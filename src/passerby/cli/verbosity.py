"""How much the commands print: `--quiet`, the default, or `--verbose`."""

from __future__ import annotations

import logging
from enum import IntEnum
from typing import Annotated

import typer

__all__ = ["QuietOption", "VerboseOption", "Verbosity", "choose_verbosity", "get_verbosity", "set_verbosity"]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results, warnings and errors only.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also print log records, and the traceback of an error.")
]


class Verbosity(IntEnum):
    """Levels; each includes what the lower ones print."""

    QUIET = 0
    """Results, warnings and errors."""
    NORMAL = 1
    """Also progress, and notes about written files."""
    VERBOSE = 2
    """Also all log records, and a traceback with an error."""

    @property
    def log_level(self) -> int:
        """The lowest level of the log records that are printed."""
        return (logging.WARNING, logging.INFO, logging.DEBUG)[self]


_chosen = Verbosity.NORMAL


def get_verbosity() -> Verbosity:
    """The level of this process."""
    return _chosen


def set_verbosity(level: Verbosity) -> None:
    """Set the level of this process."""
    global _chosen
    _chosen = level


def choose_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set the level that the options state; without one, it stays as it is.

    Raises:
        typer.BadParameter: If both were given, be it on different sides of the name of the command.
    """
    given = {Verbosity.QUIET: quiet, Verbosity.VERBOSE: verbose, _chosen: True}
    levels = [level for level, is_given in given.items() if is_given and level is not Verbosity.NORMAL]
    if len(levels) > 1:
        raise typer.BadParameter("give either --quiet or --verbose, not both")
    if levels:
        set_verbosity(levels[0])
