"""How much the commands print: `--quiet`, the default, or `--verbose`."""

from __future__ import annotations

import logging
from enum import IntEnum

__all__ = ["Verbosity", "get_verbosity", "set_verbosity"]


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
