"""What may differ between a run and the recipe that resumes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passerby.config import Recipe
from passerby.errors import TrainingError
from passerby.io import list_some

__all__ = ["fill_open", "match_recipe"]

_FREE = ("data.root", "data.cache", "training.workers", "training.checkpoint_every_steps")
"""Keys without effect on the weights."""

_OPEN = (("data", "partition"), ("input", "mean"), ("input", "std"))
"""Keys that a recipe may leave open and a run decides."""


def match_recipe(recorded: Recipe, given: Recipe, *, run: Path) -> Recipe:
    """The recipe to resume a run with: the given one, with what it leaves open as recorded in the run.

    `training.epochs` may be larger than recorded, which extends the run. It then equals a run that was
    started with the larger number; the cosine schedule, whose length is that of the run, allows none.

    Raises:
        TrainingError: If another key differs, except paths, workers and the interval of checkpoints.
    """
    given = fill_open(given, recorded)
    before, now = _flatten(recorded), _flatten(given)
    changes = [key for key in now if before.get(key) != now[key] and key not in _FREE]
    if others := [key for key in changes if key != "training.epochs"]:
        differences = [f"{key} is {before.get(key)} there, {now[key]} here" for key in others]
        listed = list_some(differences, separator="; ")
        raise TrainingError(
            f"{run}/recipe.yaml differs from the given recipe: {listed}; resume with the same recipe "
            "and overrides (only training.epochs, training.workers, training.checkpoint_every_steps, "
            "data.root and data.cache may change), or start a new run in another folder"
        )
    if changes:
        _check_extension(recorded, given, run)
    return given


def fill_open(recipe: Recipe, decided: Recipe) -> Recipe:
    """The recipe with partition, mean and standard deviation of another one where it leaves them open."""
    for section, key in _OPEN:
        if getattr(getattr(recipe, section), key) is None:
            value = getattr(getattr(decided, section), key)
            changed = getattr(recipe, section).model_copy(update={key: value})
            recipe = recipe.model_copy(update={section: changed})
    return recipe


def _flatten(recipe: Recipe) -> dict[str, Any]:
    """The values by dotted key, to the second level."""
    flat: dict[str, Any] = {}
    for name, value in recipe.model_dump(mode="json").items():
        flat |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _check_extension(recorded: Recipe, given: Recipe, run: Path) -> None:
    before, now = recorded.training.epochs, given.training.epochs
    if now < before:
        raise TrainingError(
            f"the run in {run} has training.epochs={before}; expected at least as many, got {now}"
        )
    if given.schedule.name == "cosine":
        raise TrainingError(
            f"a run with the cosine schedule cannot be extended from {before} to {now} epochs: its learning "
            f"rate ends near zero after {before}; start a new run of {now} epochs in another folder, or one "
            f"from the weights of this one (model.init_from={run / 'bundle'})"
        )
