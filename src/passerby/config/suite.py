"""The suite: a grid of models, data and seeds in one YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from passerby.config.packaged import find_recipe
from passerby.config.reading import create_recipe, expand, merge_overrides, read_recipe, validate
from passerby.config.recipe import Recipe
from passerby.config.suite_sections import LocalizationSection, SuiteSection, TestSection
from passerby.config.training_sections import Goal
from passerby.errors import ConfigError

__all__ = ["Suite", "SuiteRun", "SuiteSection", "load_suite"]


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """A training run of a suite.

    Args:
        model: Name of the model in the suite.
        data: Name of the data; empty if the suite has no `data`.
        recipe: The recipe with variant and seed.
        teachers: Models whose runs with the same data and seed provide teacher predictions.
    """

    model: str
    data: str
    recipe: Recipe
    teachers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Unique in the suite, such as `official-1/man/seed0`."""
        return self.name_sibling(self.model)

    def name_sibling(self, model: str) -> str:
        """The name of the run of another model with the same data and seed."""
        return "/".join(word for word in (self.data, model, f"seed{self.recipe.seed}") if word)


@dataclass(frozen=True, slots=True)
class Suite:
    """The runs of a suite, and their comparisons.

    Args:
        name: First part of the variant of each run.
        baseline: Name of the model that the others are compared with.
        by: Unit of resampling, `image` or `identity`.
        runs: In the order of the file: data by data, model by model, seed by seed.
        calibrate: Scores for which thresholds are chosen.
        tests: Additional tests of every bundle, by name.
        localization: Evaluations of the heat maps of every bundle, by name.
    """

    name: str
    baseline: str
    by: Literal["image", "identity"]
    runs: tuple[SuiteRun, ...]
    calibrate: tuple[Goal, ...]
    tests: Mapping[str, TestSection]
    localization: Mapping[str, LocalizationSection]


def load_suite(path: Path | str, overrides: Sequence[str] = ()) -> Suite:
    """Read and validate a suite and all of its recipes.

    A run's recipe is changed by `defaults`, the model's `overrides`, the `data` and the argument `overrides`,
    in this order. Its variant consists of the names of suite, model and data.

    Args:
        path: A YAML file, or the name of a packaged suite such as `suites/peta`.
        overrides: Changes of every recipe, such as `training.epochs=2`.

    Raises:
        ConfigError: If the suite or a recipe is wrong; the message names file and key.
    """
    path = find_recipe(path, "suite")
    section = validate(
        SuiteSection, expand(read_recipe(path, what="suite", prepare=_locate_recipes), str(path)), str(path)
    )
    _check_overrides(section, path, overrides)
    runs = tuple(
        SuiteRun(
            model,
            data,
            _create_recipe(section, path, model, data, seed, overrides),
            section.models[model].teachers,
        )
        for data, model in itertools.product(section.data or ("",), section.models)
        for seed in section.find_seeds(model)
    )
    _check_runs(runs, path)
    if section.calibrate and any(run.recipe.data.val == "test" for run in runs):
        raise ConfigError(
            f"{path}: calibrate: thresholds chosen on the test split make its scores too optimistic; use "
            "data.val: val"
        )
    return Suite(
        section.suite,
        section.baseline,
        section.by,
        runs,
        section.calibrate,
        section.tests,
        section.localization,
    )


def _locate_recipes(values: dict[str, Any], path: Path) -> None:
    """Make the paths of recipes absolute; each is relative to the suite that states it, also if extended."""
    models = values.get("models")
    if not isinstance(models, dict):
        return
    for name, model in models.items():
        recipe = model.get("recipe") if isinstance(model, dict) else model
        if isinstance(recipe, str) and (path.parent / recipe).is_file():
            located = str((path.parent / recipe).resolve())
            models[name] = {**model, "recipe": located} if isinstance(model, dict) else located


def _check_overrides(suite: SuiteSection, path: Path, overrides: Sequence[str]) -> None:
    """Refuse overrides of keys that the suite sets itself."""
    keys = [override.partition("=")[0] for override in overrides]
    students = [name for name, model in suite.models.items() if model.teachers]
    if students and "loss.teachers" in keys:
        raise ConfigError(
            f"{path}: loss.teachers is set by the suite's teachers of {students[0]}; change it there"
        )
    keys += [
        key
        for each in (suite.defaults, *(model.overrides for model in suite.models.values()))
        for key in each
    ]
    set_by = {"seed": "seeds", "variant": "suite and models"}
    set_by |= {f"data.{key}": "data" for each in suite.data.values() for key in each}
    for key in keys:
        if source := set_by.get(key):
            raise ConfigError(f"{path}: {key} is set by the suite's {source}; change it there")


def _check_runs(runs: Sequence[SuiteRun], path: Path) -> None:
    """Refuse runs with the same variant, and runs that cannot be compared."""
    variants = {(run.recipe.variant, run.recipe.seed) for run in runs}
    if len(variants) < len(runs):
        raise ConfigError(f"{path}: two combinations of model and data have the same variant; rename one")
    for data in {run.data for run in runs}:
        recipes = [run.recipe for run in runs if run.data == data]
        for key, values in (
            ("protocol", {recipe.protocol for recipe in recipes}),
            ("data.partition", {recipe.data.partition for recipe in recipes}),
            ("data.on_unreadable", {recipe.data.on_unreadable for recipe in recipes}),
        ):
            if len(values) > 1:
                found = ", ".join(sorted(map(str, values)))
                raise ConfigError(
                    f"{path}: models that are compared need the same {key}, got {found}; set it in defaults"
                )


def _create_recipe(
    suite: SuiteSection, path: Path, model: str, data: str, seed: int, overrides: Sequence[str]
) -> Recipe:
    entry = suite.models[model]
    values = read_recipe(find_recipe(entry.recipe, folder=path.parent, named_in=path))
    for above in (suite.defaults, entry.overrides, {"data": suite.data.get(data, {})}):
        values = merge_overrides(values, above)
    variant = "-".join(word for word in (suite.suite, model, data) if word)
    names = (f"variant={variant}", f"seed={seed}")
    return create_recipe(values, (*overrides, *names), where=f"{path}: {model}")
