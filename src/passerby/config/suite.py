"""The suite: a grid of recipes, data and seeds in one YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from passerby.config.packaged import find_recipe
from passerby.config.reading import create_recipe, expand, merge_overrides, read_recipe, validate
from passerby.config.recipe import Goal, Recipe, Section
from passerby.errors import ConfigError

__all__ = ["LocalizationSection", "Suite", "SuiteRun", "TestSection", "load_suite"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class ModelEntry(Section):
    """One model of a suite.

    Args:
        recipe: Its recipe, beside the suite's file.
        overrides: What differs from it, as a recipe says it.
        teachers: Models of the suite from whose predictions on the training split it learns, each of the same
            data and seed, in place of the recipe's `loss.teachers`.
        seeds: Of this model, if not the suite's.
    """

    recipe: Path
    overrides: dict[str, Any] = Field(default_factory=dict)
    teachers: tuple[Name, ...] = ()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None


class TestSection(Section):
    """People that each bundle is tested on beside its own test split; see `passerby evaluate`.

    Args:
        root: Folder of the pictures, if not the one noted in the manifest.
        names: What is called how, where the data set is another one.
    """

    manifest: Path
    root: Path | None = None
    partition: str
    split: Literal["train", "val", "test"] = "test"
    names: str | None = None


class LocalizationSection(TestSection):
    """People on whom each bundle is asked where it sees attributes; see `passerby evaluate-localization`."""

    method: Literal["grad-cam", "grad-cam-p", "grad-cam++", "layer-cam", "native", "occlusion"] = "grad-cam-p"
    min_area_px: Annotated[int, Field(ge=1)] = 9


class SuiteSection(Section):
    """The file of a suite, which may extend another as recipes do.

    Args:
        suite: Its name, with which the variant of each of its runs begins.
        baseline: Which of the models the others are compared to.
        by: What is drawn behind the intervals of their differences; images in a test without identities.
        seeds: Each model is trained with each, unless it has its own.
        defaults: Laid over every recipe, below what changes in one model.
        models: By name; a path alone is a recipe without a change, null leaves out a model of the suite
            that is extended.
        data: Each model is trained on each; by name, what of the recipe's `data` differs. Empty for one.
        calibrate: Each model is also compared with thresholds of its own, chosen for this on the validation
            split; see `passerby calibrate`.
        tests: Further tests of every bundle, by name.
        localization: Tests of where the bundles look, by name.
    """

    suite: Name
    baseline: Name
    by: Literal["image", "identity"] = "image"
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    defaults: dict[str, Any] = Field(default_factory=dict)
    models: Annotated[dict[Name, ModelEntry], Field(min_length=2)]
    data: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    calibrate: tuple[Goal, ...] = ()
    tests: dict[Name, TestSection] = Field(default_factory=dict)
    localization: dict[Name, LocalizationSection] = Field(default_factory=dict)

    @field_validator("models", mode="before")
    @classmethod
    def _take_paths(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        kept = {name: one for name, one in values.items() if one is not None}
        return {name: {"recipe": one} if isinstance(one, str) else one for name, one in kept.items()}

    @model_validator(mode="after")
    def _names_fit(self) -> SuiteSection:
        if self.baseline not in self.models:
            raise ValueError(f"baseline: {self.baseline} is none of the models: {', '.join(self.models)}")
        own = ((f"{name}: seeds", self.find_seeds(name)) for name in self.models)
        for key, values in (("seeds", self.seeds), ("calibrate", self.calibrate), *own):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: expected different ones")
        if both := set(self.tests) & set(self.localization):
            raise ValueError(f"localization: {min(both)} is the name of a test, too; take another")
        return self

    @model_validator(mode="after")
    def _teachers_fit(self) -> SuiteSection:
        for name, model in self.models.items():
            if len(set(model.teachers)) < len(model.teachers):
                raise ValueError(f"{name}: expected different teachers")
            for teacher in model.teachers:
                if teacher not in self.models:
                    raise ValueError(f"{name} learns from {teacher}, which is none of the models")
                if self.models[teacher].teachers:
                    raise ValueError(f"{name} learns from {teacher}, which learns from others itself")
                if lacking := set(self.find_seeds(name)) - set(self.find_seeds(teacher)):
                    raise ValueError(f"{name} learns from {teacher}, which lacks its seed {min(lacking)}")
        return self

    def find_seeds(self, model: str) -> tuple[int, ...]:
        """Those that a model is trained with."""
        return self.models[model].seeds or self.seeds


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One training run of a suite.

    Args:
        model: Its name in the suite.
        data: The name of its data; empty if there is one only.
        recipe: With variant and seed.
        teachers: Models whose runs of the same data and seed teach it.
    """

    model: str
    data: str
    recipe: Recipe
    teachers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as `official-1/man/seed0`: its folder."""
        return self.name_sibling(self.model)

    def name_sibling(self, model: str) -> str:
        """The name of a model's run of the same data and seed."""
        return "/".join(word for word in (self.data, model, f"seed{self.recipe.seed}") if word)


@dataclass(frozen=True, slots=True)
class Suite:
    """All runs of a suite, and how they are compared.

    Args:
        name: Begins the variant of each run.
        baseline: A model.
        by: `image` or `identity`.
        runs: In the order of the file: data by data, model by model, seed by seed.
        calibrate: What thresholds are also chosen for.
        tests: Further tests of every bundle, by name.
        localization: Tests of where the bundles look, by name.
    """

    name: str
    baseline: str
    by: Literal["image", "identity"]
    runs: tuple[SuiteRun, ...]
    calibrate: tuple[Goal, ...]
    tests: Mapping[str, TestSection]
    localization: Mapping[str, LocalizationSection]


def load_suite(path: Path | str, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite and every recipe that it names, and check them all before anything runs.

    Over a run's recipe are laid `defaults`, the model's `change`, the `data` and the overrides, in this order.
    Its variant is made of the names of suite, model and data.

    Args:
        path: A YAML file; see `recipes/suites/`.
        overrides: Changes of every recipe, such as `training.epochs=2`.

    Raises:
        ConfigError: If the suite or a recipe is wrong; the message names file and key.
    """
    path = find_recipe(path, "suite")
    section = validate(
        SuiteSection, expand(read_recipe(path, what="suite", prepare=_locate_recipes), str(path)), str(path)
    )
    _check_changes(section, path, overrides)
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
            f"{path}: calibrate: thresholds chosen on the test split flatter; use data.val: val"
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


def _check_changes(suite: SuiteSection, path: Path, overrides: Sequence[str]) -> None:
    """Refuse what the suite decides itself."""
    keys = [override.partition("=")[0] for override in overrides]
    taught = [name for name, model in suite.models.items() if model.teachers]
    if taught and "loss.teachers" in keys:
        raise ConfigError(
            f"{path}: loss.teachers is set by the suite's teachers of {taught[0]}; change it there"
        )
    keys += [
        key for each in (suite.defaults, *(line.overrides for line in suite.models.values())) for key in each
    ]
    ours = {"seed": "seeds", "variant": "suite and models"}
    varied = {f"data.{key}": "data" for each in suite.data.values() for key in each}
    for key in keys:
        if place := (ours | varied).get(key):
            raise ConfigError(f"{path}: {key} is set by the suite's {place}; change it there")


def _check_runs(runs: Sequence[SuiteRun], path: Path) -> None:
    """Refuse names that meet, and runs that cannot be compared."""
    variants = {(run.recipe.variant, run.recipe.seed) for run in runs}
    if len(variants) < len(runs):
        raise ConfigError(f"{path}: two models and data have one variant; give them other names")
    for data in {run.data for run in runs}:
        recipes = [run.recipe for run in runs if run.data == data]
        for what, found in (
            ("protocol", {recipe.protocol for recipe in recipes}),
            ("data.partition", {recipe.data.partition for recipe in recipes}),
            ("data.on_unreadable", {recipe.data.on_unreadable for recipe in recipes}),
        ):
            if len(found) > 1:
                raise ConfigError(
                    f"{path}: models that are compared need one {what}, got {', '.join(sorted(found))}; say "
                    "it in defaults"
                )


def _create_recipe(
    suite: SuiteSection, path: Path, model: str, data: str, seed: int, overrides: Sequence[str]
) -> Recipe:
    line = suite.models[model]
    values = read_recipe(find_recipe(line.recipe, folder=path.parent, named_in=path))
    for above in (suite.defaults, line.overrides, {"data": suite.data.get(data, {})}):
        values = merge_overrides(values, above)
    variant = "-".join(word for word in (suite.suite, model, data) if word)
    names = (f"variant={variant}", f"seed={seed}")
    return create_recipe(values, (*overrides, *names), where=f"{path}: {model}")
