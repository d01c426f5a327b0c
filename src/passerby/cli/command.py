"""What all commands share: `--quiet` and `--verbose`, warnings, and hints for options of older versions."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from passerby.cli.logs import show_logs
from passerby.cli.verbosity import QuietOption, VerboseOption, choose_verbosity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Command"]

RENAMED: Mapping[str, Mapping[str, str]] = {
    "annotate": {"--sheet": "--contact-sheet"},
    "calibrate": {"--part": "--split", "--broken": "--on-unreadable"},
    "evaluate": {"--names": "--label-map", "--part": "--split", "--broken": "--on-unreadable"},
    "evaluate-localization": {
        "--names": "--label-map",
        "--part": "--split",
        "--broken": "--on-unreadable",
        "--apart": "--exclude-from-mean",
        "--fading": "--insertion-deletion",
        "--least-px": "--min-area-px",
        "--least-samples": "--min-samples",
    },
    "localize": {"--json": "--jsonl"},
    "models": {"--system": "--model"},
    "predict": {"--threads": "--workers"},
    "prepare": {"--split": "--partition"},
    "report": {"--pictures": "--samples", "--no-pictures": "--no-images", "--images": "--root"},
    "synth": {"--cameras": "", "--figure-scale": ""},
}
"""Options of older versions by command, and their present names; an empty string for a removed option."""

SAME = {"predict": {"--json": "--format jsonl"}}
"""Options of other commands by a command that has another one instead."""


class Command(TyperCommand):
    """A command that also takes `--quiet` and `--verbose`, which may come before its name as well."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of the command, then those of every command."""
        return [*super().get_params(ctx), *_create_shared_options()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the command.

        Raises:
            ConfigError: For an option that an older version had; the message states its present name.
        """
        try:
            rest = super().parse_args(ctx, args)
        except Exception as error:  # typer does not export the class of errors about options
            self._explain_unknown(getattr(error, "option_name", None))
            if isinstance(message := getattr(error, "message", None), str):
                error.message = _improve(message)  # type: ignore[attr-defined]
            raise
        choose_verbosity(quiet=ctx.params.pop("quiet"), verbose=ctx.params.pop("verbose"))
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with the library's warnings (with --verbose all its records) on standard error."""
        with show_logs(progress=False):
            return super().invoke(ctx)

    def _explain_unknown(self, option: str | None) -> None:
        from passerby.errors import ConfigError

        if other := SAME.get(self.name or "", {}).get(option or ""):
            raise ConfigError(f"{self.name} has no option {option}; use {other}")
        new = RENAMED.get(self.name or "", {}).get(option or "")
        if new == "":
            raise ConfigError(f"the option {option} was removed; leave it out")
        if new is not None:
            former = " (--split of passerby 0.1 is now --partition)" if option == "--part" else ""
            raise ConfigError(f"the option {option} was renamed; use {new}{former}")


def _improve(message: str) -> str:
    """A message of typer without pydantic's prefix, with the nearest choice for a wrong one.

    Example:
        >>> _improve("Value error, 'json' is not one of 'table', 'jsonl', 'csv'.")
        "'json' is not one of 'table', 'jsonl', 'csv'; did you mean 'jsonl'?"
    """
    message = message.removeprefix("Value error, ")
    given, is_choice, choices = message.partition(" is not one of ")
    near = get_close_matches(given.strip("'").lower(), re.findall(r"'([^']*)'", choices), n=1)
    return f"{message.removesuffix('.')}; did you mean {near[0]!r}?" if is_choice and near else message


@cache
def _create_shared_options() -> list[Any]:
    app = typer.Typer(add_completion=False)

    @app.command()
    def shared(quiet: QuietOption = False, verbose: VerboseOption = False) -> None: ...

    return typer.main.get_command(app).params
