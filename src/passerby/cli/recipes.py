"""`passerby recipes`: list the recipes and suites of the package, show one, or copy one."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.completion import complete_recipes
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.terminal import choose_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from passerby.config.packaged import PackagedRecipe

__all__ = ["recipes"]

WIDTH = 80
NAME_WIDTH = 28
ABLATIONS = "/ablations/"


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A recipe to show, such as baseline/own, or a folder to list, such as man.",
            autocompletion=complete_recipes,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Copy the recipe to this new file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the recipes and suites of the package, show one, or copy one.

    A copy works in any folder and is a starting point for your own recipe.
    """
    from passerby.config.packaged import list_recipes, read_copy
    from passerby.errors import ConfigError

    packaged = list_recipes()
    if name in packaged and not as_json:
        text = read_copy(packaged[name])
        if out is None:
            typer.echo(text, nl=False)
        else:
            _write_new(out, text)
            print_note(f"Wrote {out}")
        return
    if out is not None:
        raise ConfigError(f"--out: expected the name of one recipe, got {name}; `passerby recipes` lists all")
    chosen = _select(list(packaged.values()), name)
    if as_json:
        print_json([_to_dict(each) for each in chosen])
        return
    typer.echo("\n".join(_format(chosen, folded=name is None)))


def _select(packaged: Sequence[PackagedRecipe], name: str | None) -> Sequence[PackagedRecipe]:
    """All, one, or those of a folder."""
    from passerby.config.packaged import propose
    from passerby.errors import ConfigError

    if name is None:
        return packaged
    folder = name.rstrip("/") + "/"
    chosen = [each for each in packaged if each.name == name or each.name.startswith(folder)]
    if not chosen:
        raise ConfigError(f"no recipe, suite or folder {name} in the package; {propose(name)}")
    return chosen


def _write_new(path: Path, text: str) -> None:
    from passerby.errors import ConfigError

    if path.exists():
        raise ConfigError(f"{path} exists and is not overwritten; choose another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def _to_dict(recipe: PackagedRecipe) -> dict[str, str]:
    return {
        "name": recipe.name,
        "kind": recipe.kind,
        "description": recipe.describe(),
        "path": str(recipe.path),
    }


def _format(chosen: Sequence[PackagedRecipe], *, folded: bool) -> Iterator[str]:
    """Lines as wide as the terminal, at least `WIDTH`; `folded` counts ablations instead of listing them."""
    from passerby.config.packaged import COMMANDS

    shown = [each for each in chosen if not (folded and ABLATIONS in each.name)]
    for kind, command in COMMANDS.items():
        group = [each for each in shown if each.kind == kind]
        if group:
            yield f"{kind.capitalize()}s ({command} NAME):"
            yield from map(_format_line, group)
            yield ""
    if len(shown) < len(chosen):
        folder = next(each.name.split("/")[0] for each in chosen if ABLATIONS in each.name)
        yield f"{len(chosen) - len(shown)} ablations are not shown; list a folder: passerby recipes {folder}"
    yield "Copy one as a starting point: passerby recipes baseline/own --out my.yaml"


def _format_line(recipe: PackagedRecipe) -> str:
    """Name and description; after a long name, the description is on the next line."""
    indent = NAME_WIDTH + 4
    width = max(WIDTH, choose_width(sys.stdout)) - indent
    text = textwrap.shorten(recipe.describe(), width, placeholder=" …", break_on_hyphens=False)
    separator = "\n" + " " * indent if len(recipe.name) > NAME_WIDTH else "  "
    return f"  {recipe.name:{NAME_WIDTH}}{separator}{text}"
