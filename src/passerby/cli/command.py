"""The form of every command: levels of output after its name, and hints for options of older versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from passerby.cli.verbosity import Verbosity, get_verbosity, set_verbosity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Command"]

_LEVELS = {"--quiet": Verbosity.QUIET, "--verbose": Verbosity.VERBOSE}

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
    "models": {"--system": "--model"},
    "predict": {"--threads": "--workers"},
    "prepare": {"--split": "--partition"},
    "report": {"--pictures": "--samples", "--no-pictures": "--no-images", "--images": "--root"},
    "synth": {"--cameras": "", "--figure-scale": ""},
}
"""Options of older versions by command, and their present names; an empty string for a removed option."""


class Command(TyperCommand):
    """A command that also takes `--quiet` and `--verbose`, which may come before its name as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the command.

        Raises:
            ConfigError: For an option that an older version had; the message states its present name.
        """
        end = args.index("--") if "--" in args else len(args)
        for word in args[:end]:
            if word in _LEVELS:
                set_verbosity(_LEVELS[word])
        rest = [word for word in args[:end] if word not in _LEVELS] + args[end:]
        try:
            return super().parse_args(ctx, rest)
        except Exception as error:  # typer does not export the class of errors about options
            self._explain_renamed(getattr(error, "option_name", None))
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command, with all log records on standard error if `--verbose` was given."""
        if get_verbosity() is not Verbosity.VERBOSE:
            return super().invoke(ctx)
        from passerby.cli.logs import show_logs

        with show_logs(err=True):
            return super().invoke(ctx)

    def _explain_renamed(self, option: str | None) -> None:
        from passerby.errors import ConfigError

        new = RENAMED.get(self.name or "", {}).get(option or "")
        if new == "":
            raise ConfigError(f"the option {option} was removed; leave it out")
        if new is not None:
            former = " (--split of passerby 0.1 is now --partition)" if option == "--part" else ""
            raise ConfigError(f"the option {option} was renamed; use {new}{former}")
