"""The runs of a recipe with one or several seeds, checked before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from passerby.config import Recipe
from passerby.errors import ConfigError, TrainingError
from passerby.training.checks import check_inputs
from passerby.training.resuming import fill_open
from passerby.training.run_folder import RunFolder

__all__ = ["parse_seeds", "plan_runs"]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0,1,2`.

    Raises:
        ConfigError: If the text is not a list of different integers from 0 to 2³² − 1.

    Example:
        >>> parse_seeds("0,1,2")
        (0, 1, 2)
    """
    words = [word.strip() for word in text.split(",")]
    seeds = tuple(int(word) if word.isdecimal() else -1 for word in words)
    if not all(0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) != len(seeds):
        raise ConfigError(f"expected distinct seeds such as 0,1,2; got {text!r}")
    return seeds


def plan_runs(
    recipe: Recipe,
    out: Path,
    seeds: Sequence[int],
    *,
    resume: bool,
    start_missing: bool = False,
    test: bool = False,
) -> dict[Path, Recipe]:
    """The recipe of each run by its folder: `out` for one seed, `out/seed<k>` for several.

    Checks the folders, and for runs that are not finished the device and all files and splits. The recipes
    name their partition.

    Args:
        resume: Resume unfinished runs, and start the missing ones of several.
        start_missing: With `resume`, start as well if there is no run at all.
        test: The test split is scored as well.

    Raises:
        ConfigError: For several seeds on several devices.
        TrainingError: If there is nothing to resume, or a folder has another run; see `RunFolder.match`.
        PasserbyError: See `check_inputs`.
    """
    if len(seeds) > 1 and recipe.training.devices > 1:
        raise ConfigError(
            "several seeds need training.devices=1; on several devices train the seeds one by one"
        )
    runs = {
        out if len(seeds) == 1 else out / f"seed{seed}": recipe.model_copy(update={"seed": seed})
        for seed in seeds
    }
    folders = [RunFolder(run) for run in runs]
    if resume and not start_missing and not any(folder.is_started for folder in folders):
        raise TrainingError(f"nothing to resume in {out}; leave out --resume to start a run there")
    plan = {folder.path: folder.match(runs[folder.path], resume=resume) for folder in folders}
    unfinished = [
        run for folder, run in zip(folders, plan.values(), strict=True) if not folder.find_outcome(run)
    ]
    if unfinished:
        checked = check_inputs(unfinished[0], test=test)
        plan = {path: fill_open(planned, checked) for path, planned in plan.items()}
    return plan
