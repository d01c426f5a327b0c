"""The suite: a grid of recipes, data and seeds in one YAML file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from passerby.config.reading import create_recipe, expand, lay_over, read_recipe, validate
from passerby.config.recipe import Goal, Recipe, Section
from passerby.errors import ConfigError

__all__ = ["LocalizationSection", "Suite", "SuiteRun", "TestSection", "load_suite"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class SystemSection(Section):
    """One system of a suite.

    Args:
        recipe: Its recipe, beside the suite's file.
        change: What differs from it, as a recipe says it.
        teachers: Systems of the suite from whose predictions on the training split it learns, each of the same
            data and seed, in place of the recipe's `loss.teachers`.
        seeds: Of this system, if not the suite's.
    """

    recipe: Path
    change: dict[str, Any] = Field(default_factory=dict)
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

    method: Literal["grad-cam", "grad-cam-p", "grad-cam++", "layer-cam", "own", "occlusion"] = "grad-cam-p"
    least_px: Annotated[int, Field(ge=1)] = 9


class SuiteSection(Section):
    """The file of a suite, which may extend another as recipes do.

    Args:
        suite: Its name, with which the variant of each of its runs begins.
        baseline: Which of the systems the others are compared to.
        by: What is drawn behind the intervals of their differences; images in a test without identities.
        seeds: Each system is trained with each, unless it has its own.
        common: Laid over every recipe, below what changes in one system.
        systems: By name; a path alone is a recipe without a change, null leaves out a system of the suite
            that is extended.
        data: Each system is trained on each; by name, what of the recipe's `data` differs. Empty for one.
        calibrate: Each system is also compared with thresholds of its own, chosen for this on the validation
            split; see `passerby calibrate`.
        tests: Further tests of every bundle, by name.
        localization: Tests of where the bundles look, by name.
    """

    suite: Name
    baseline: Name
    by: Literal["image", "identity"] = "image"
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    common: dict[str, Any] = Field(default_factory=dict)
    systems: Annotated[dict[Name, SystemSection], Field(min_length=2)]
    data: dict[Name, dict[str, Any]] = Field(default_factory=dict)
    calibrate: tuple[Goal, ...] = ()
    tests: dict[Name, TestSection] = Field(default_factory=dict)
    localization: dict[Name, LocalizationSection] = Field(default_factory=dict)

    @field_validator("systems", mode="before")
    @classmethod
    def _take_paths(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        kept = {name: one for name, one in values.items() if one is not None}
        return {name: {"recipe": one} if isinstance(one, str) else one for name, one in kept.items()}

    @model_validator(mode="after")
    def _names_fit(self) -> SuiteSection:
        if self.baseline not in self.systems:
            raise ValueError(f"baseline: {self.baseline} is none of the systems: {', '.join(self.systems)}")
        own = ((f"{name}: seeds", self.find_seeds(name)) for name in self.systems)
        for key, values in (("seeds", self.seeds), ("calibrate", self.calibrate), *own):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: expected different ones")
        if both := set(self.tests) & set(self.localization):
            raise ValueError(f"localization: {min(both)} is the name of a test, too; take another")
        return self

    @model_validator(mode="after")
    def _teachers_fit(self) -> SuiteSection:
        for name, system in self.systems.items():
            if len(set(system.teachers)) < len(system.teachers):
                raise ValueError(f"{name}: expected different teachers")
            for teacher in system.teachers:
                if teacher not in self.systems:
                    raise ValueError(f"{name} learns from {teacher}, which is none of the systems")
                if self.systems[teacher].teachers:
                    raise ValueError(f"{name} learns from {teacher}, which learns from others itself")
                if lacking := set(self.find_seeds(name)) - set(self.find_seeds(teacher)):
                    raise ValueError(f"{name} learns from {teacher}, which lacks its seed {min(lacking)}")
        return self

    def find_seeds(self, system: str) -> tuple[int, ...]:
        """Those that a system is trained with."""
        return self.systems[system].seeds or self.seeds


@dataclass(frozen=True, slots=True)
class SuiteRun:
    """One training run of a suite.

    Args:
        system: Its name in the suite.
        data: The name of its data; empty if there is one only.
        recipe: With variant and seed.
        teachers: Systems whose runs of the same data and seed teach it.
    """

    system: str
    data: str
    recipe: Recipe
    teachers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as `official-1/man/seed0`: its folder."""
        return self.name_sibling(self.system)

    def name_sibling(self, system: str) -> str:
        """The name of a system's run of the same data and seed."""
        return "/".join(word for word in (self.data, system, f"seed{self.recipe.seed}") if word)


@dataclass(frozen=True, slots=True)
class Suite:
    """All runs of a suite, and how they are compared.

    Args:
        name: Begins the variant of each run.
        baseline: A system.
        by: `image` or `identity`.
        runs: In the order of the file: data by data, system by system, seed by seed.
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


def load_suite(path: Path, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite and every recipe that it names, and check them all before anything runs.

    Over a run's recipe are laid `common`, the system's `change`, the `data` and the overrides, in this order.
    Its variant is made of the names of suite, system and data.

    Args:
        path: A YAML file; see `recipes/suites/`.
        overrides: Changes of every recipe, such as `training.epochs=2`.

    Raises:
        ConfigError: If the suite or a recipe is wrong; the message names file and key.
    """
    path = Path(path)
    section = validate(SuiteSection, expand(read_recipe(path, what="suite"), str(path)), str(path))
    _check_changes(section, path, overrides)
    runs = tuple(
        SuiteRun(
            system,
            data,
            _create_recipe(section, path, system, data, seed, overrides),
            section.systems[system].teachers,
        )
        for data, system in itertools.product(section.data or ("",), section.systems)
        for seed in section.find_seeds(system)
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


def _check_changes(suite: SuiteSection, path: Path, overrides: Sequence[str]) -> None:
    """Refuse what the suite decides itself."""
    keys = [override.partition("=")[0] for override in overrides]
    taught = [name for name, system in suite.systems.items() if system.teachers]
    if taught and "loss.teachers" in keys:
        raise ConfigError(
            f"{path}: loss.teachers is set by the suite's teachers of {taught[0]}; change it there"
        )
    keys += [
        key for each in (suite.common, *(line.change for line in suite.systems.values())) for key in each
    ]
    ours = {"seed": "seeds", "variant": "suite and systems"}
    varied = {f"data.{key}": "data" for each in suite.data.values() for key in each}
    for key in keys:
        if place := (ours | varied).get(key):
            raise ConfigError(f"{path}: {key} is set by the suite's {place}; change it there")


def _check_runs(runs: Sequence[SuiteRun], path: Path) -> None:
    """Refuse names that meet, and runs that cannot be compared."""
    variants = {(run.recipe.variant, run.recipe.seed) for run in runs}
    if len(variants) < len(runs):
        raise ConfigError(f"{path}: two systems and data have one variant; give them other names")
    for data in {run.data for run in runs}:
        recipes = [run.recipe for run in runs if run.data == data]
        for what, found in (
            ("protocol", {recipe.protocol for recipe in recipes}),
            ("data.partition", {recipe.data.partition for recipe in recipes}),
            ("data.broken", {recipe.data.broken for recipe in recipes}),
        ):
            if len(found) > 1:
                raise ConfigError(
                    f"{path}: systems that are compared need one {what}, got {', '.join(sorted(found))}; say "
                    "it in common"
                )


def _create_recipe(
    suite: SuiteSection, path: Path, system: str, data: str, seed: int, overrides: Sequence[str]
) -> Recipe:
    line = suite.systems[system]
    values = read_recipe(path.parent / line.recipe)
    for above in (suite.common, line.change, {"data": suite.data.get(data, {})}):
        values = lay_over(values, above)
    variant = "-".join(word for word in (suite.suite, system, data) if word)
    names = (f"variant={variant}", f"seed={seed}")
    return create_recipe(values, (*overrides, *names), where=f"{path}: {system}")
