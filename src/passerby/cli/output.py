"""What commands print: results on standard output, notes and progress on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.verbosity import Verbosity, get_verbosity

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["JsonOption", "create_console", "print_json", "print_note"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def create_console() -> Console:
    """A console on standard output, as wide as the terminal; without limit if it is no terminal."""
    from rich.console import Console

    from passerby.terminal import choose_width

    return Console(width=choose_width(sys.stdout), highlight=False)


def print_json(document: object) -> None:
    """Print a value as JSON on standard output, null for numbers that are not finite."""
    import json

    from passerby.io import replace_nan

    typer.echo(json.dumps(replace_nan(document), indent=1, ensure_ascii=False, allow_nan=False))


def print_note(text: str) -> None:
    """Print a line about the work, such as a file that was written, on standard error unless --quiet."""
    if get_verbosity() > Verbosity.QUIET:
        typer.echo(text, err=True)
