"""The command `passerby`: one thin module per command, with heavy imports inside the functions."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated

import typer

from passerby._version import __version__
from passerby.cli.annotate import annotate
from passerby.cli.attention import attention
from passerby.cli.calibrate import calibrate
from passerby.cli.command import Command
from passerby.cli.compare import compare
from passerby.cli.compare_localization import compare_localization
from passerby.cli.evaluate import evaluate
from passerby.cli.evaluate_localization import evaluate_localization
from passerby.cli.localize import localize
from passerby.cli.models import models
from passerby.cli.predict import predict
from passerby.cli.prepare import prepare
from passerby.cli.recipes import recipes
from passerby.cli.report import report
from passerby.cli.results import results
from passerby.cli.suite import suite
from passerby.cli.synth import synth
from passerby.cli.train import train
from passerby.cli.verbosity import (
    QuietOption,
    VerboseOption,
    Verbosity,
    choose_verbosity,
    get_verbosity,
    set_verbosity,
)
from passerby.errors import PasserbyError
from passerby.io import is_disk_full

__all__ = ["app", "main"]

app = typer.Typer(
    name="passerby",
    help="Recognise attributes of persons in images: prepare data, train, evaluate, predict.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help takes a third of the time of rich help
    add_completion=True,
    pretty_exceptions_enable=False,
)
COMMANDS: dict[Callable[..., None], str] = {
    synth: "Draw synthetic people with exact labels.",
    prepare: "Convert a data set into a manifest.",
    annotate: "Create masks, parsing maps and keypoints.",
    train: "Train a model from a recipe.",
    suite: "Train, test and compare a grid of models.",
    calibrate: "Choose a threshold for each attribute.",
    evaluate: "Score a bundle on one split.",
    evaluate_localization: "Score heat maps and boxes of a bundle.",
    predict: "Predict the attributes in images.",
    attention: "Draw the attention maps of a model.",
    localize: "Show where attributes are in images.",
    results: "Print score files as one table.",
    compare: "Compare runs with a baseline.",
    compare_localization: "Compare the localisation of runs.",
    report: "Write an HTML page about runs and scores.",
    models: "Print the sizes of all models.",
    recipes: "List, show or copy packaged recipes.",
}
"""Commands in the order of use, with their line in `passerby --help`."""

for command, summary in COMMANDS.items():
    app.command(cls=Command, short_help=summary)(command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"passerby {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    del version
    set_verbosity(Verbosity.NORMAL)
    choose_verbosity(quiet=quiet, verbose=verbose)


def main() -> None:
    """Run the command line; errors of the package are printed without a traceback, exit status 2."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # they name no file; unreadable ones are reported
    try:
        app(prog_name="passerby")  # also for `python -m passerby`, in usage and completion
    except PasserbyError as error:
        if get_verbosity() is Verbosity.VERBOSE:
            traceback.print_exc()
        print(f"passerby: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if not is_disk_full(error) or get_verbosity() is Verbosity.VERBOSE:
            raise
        where = error.filename or "the output"
        print(f"passerby: cannot write {where}: the disk is full; free some space", file=sys.stderr)
        _drop_output()
        sys.exit(2)


def _drop_output() -> None:
    """Write what is left of standard output, or drop it if that is impossible."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
