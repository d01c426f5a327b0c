"""`passerby train`: one recipe, one or several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, or a recipe of the package: baseline/own.")],
    data: Annotated[Path | None, typer.Option(help="Manifest to train on, in place of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<recipe's name>].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value, e.g. --set optimizer.lr=1e-4.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Several runs, e.g. --seeds 0,1,2.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = False,
    test: Annotated[
        bool, typer.Option(help="Read the test split once, at the end, with the best bundle.")
    ] = False,
    results: Annotated[Path, typer.Option(help="Where --test writes its score files.")] = Path("results"),
) -> None:
    """Train a model by a recipe, with one or several seeds.

    The run folder then holds the log, the checkpoints and the best bundle.
    """
    from passerby.config import load_recipe
    from passerby.config.packaged import find_recipe
    from passerby.training.seeds import parse_seeds, train_seeds

    changes = list(overrides or [])
    if data is not None:
        changes.append(f"data.manifest={data}")
    path = find_recipe(recipe)
    loaded = load_recipe(path, changes)
    train_seeds(
        loaded,
        out or Path("runs") / _name_run(path),
        seeds=parse_seeds(seeds) if seeds else (loaded.seed,),
        resume=resume,
        results=results if test else None,
        say=typer.echo,
    )


def _name_run(recipe: Path) -> str:
    """The way below `recipes`, such as `diaa-ablations-wider-focal`; elsewhere folder and file."""
    *folders, name = recipe.resolve().with_suffix("").parts
    last = max((i for i, folder in enumerate(folders) if folder == "recipes"), default=len(folders) - 2)
    return "-".join([*folders[last + 1 :], name])
