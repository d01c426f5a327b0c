"""`passerby train`: one recipe, one or several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.completion import complete_recipes

__all__ = ["train"]


def train(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="YAML file, or name of a packaged recipe such as baseline/own.",
            autocompletion=complete_recipes,
        ),
    ],
    data: Annotated[Path | None, typer.Option(help="Manifest to train on instead of the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [default: runs/<name of the recipe>].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a recipe value, e.g. --set optimizer.lr=1e-4.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Train one run per seed, e.g. --seeds 0,1,2.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            help="Resume an interrupted run, or extend a finished one with --set training.epochs=…."
        ),
    ] = False,
    test: Annotated[bool, typer.Option(help="Score the best bundle on the test split at the end.")] = False,
    results: Annotated[Path, typer.Option(help="Folder for the score files of --test.")] = Path("results"),
) -> None:
    """Train a model from a recipe, with one or several seeds.

    The run folder contains the log, the checkpoints and the best bundle.
    """
    from passerby.cli.logs import show_logs
    from passerby.config import load_recipe
    from passerby.config.packaged import find_recipe
    from passerby.training.plan import parse_seeds, plan_runs

    changes = list(overrides or [])
    if data is not None:
        changes.append(f"data.manifest={data}")
    path = find_recipe(recipe)
    loaded = load_recipe(path, changes)
    run = out or Path("runs") / _name_run(path)
    chosen = parse_seeds(seeds) if seeds else (loaded.seed,)
    # Before torch is imported:
    plan_runs(loaded, run, chosen, resume=resume, test=test)
    from passerby.training.seeds import train_seeds

    with show_logs():
        train_seeds(
            loaded,
            run,
            seeds=chosen,
            resume=resume,
            results=results if test else None,
            report=typer.echo,
        )


def _name_run(recipe: Path) -> str:
    """Name of the default run folder: the path below `recipes` joined by hyphens, or folder and file."""
    *folders, name = recipe.resolve().with_suffix("").parts
    last = max((i for i, folder in enumerate(folders) if folder == "recipes"), default=len(folders) - 2)
    return "-".join([*folders[last + 1 :], name])
