"""The sections of a suite: keys, ranges, defaults, and checks across keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from passerby.config.sections import Section
from passerby.config.training_sections import Goal

__all__ = ["LocalizationSection", "ModelEntry", "SuiteSection", "TestSection"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class ModelEntry(Section):
    """A model of a suite.

    Args:
        recipe: Path of its recipe, relative to the suite's file, or the name of a packaged recipe.
        overrides: Changes of the recipe, in its sections.
        teachers: Models of the suite on whose predictions for the training split this model is trained, with
            the same data and seed. They replace the recipe's `loss.teachers`.
        seeds: Seeds of this model, if they differ from the suite's.
    """

    recipe: Path
    overrides: dict[str, Any] = Field(default_factory=dict)
    teachers: tuple[Name, ...] = ()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None


class TestSection(Section):
    """A split that each bundle is evaluated on in addition to the test split; see `passerby evaluate`.

    Args:
        manifest: Parquet file that `passerby prepare` wrote.
        root: Folder of the images, if it differs from the one in the manifest.
        partition: Name of the partition.
        split: Split of the partition.
        label_map: Label map from the model's data set to this one, if they differ.
    """

    manifest: Path
    root: Path | None = None
    partition: str
    split: Literal["train", "val", "test"] = "test"
    label_map: str | None = None


class LocalizationSection(TestSection):
    """A split on which the heat maps of each bundle are evaluated; see `passerby evaluate-localization`.

    Args:
        manifest: Parquet file that `passerby prepare` wrote, with parsing maps or boxes of the attributes.
        root: Folder of the images, if it differs from the one in the manifest.
        partition: Name of the partition.
        split: Split of the partition.
        label_map: Label map from the model's data set to this one, if they differ.
        method: Method of the heat maps.
        min_area_px: Minimum area of the ground truth of a sample, in pixels at the model's input size.
    """

    method: Literal["grad-cam", "grad-cam-p", "grad-cam++", "layer-cam", "native", "occlusion"] = "grad-cam-p"
    min_area_px: Annotated[int, Field(ge=1)] = 9


class SuiteSection(Section):
    """A suite. It may extend another one, as recipes do.

    Args:
        suite: Name of the suite. The variant of each run begins with it.
        baseline: Name of the model that the others are compared with.
        by: Unit that is resampled for the confidence intervals of differences. Tests without identities are
            resampled by image.
        seeds: Seeds that each model is trained with, unless the model has its own `seeds`.
        defaults: Changes of every recipe, applied before the `overrides` of a model.
        models: Models by name. A path alone is a recipe without overrides; null removes a model of the
            extended suite.
        data: Changes of the recipes' `data` section by name. Each model is trained on each of them. Empty to
            train on the data of the recipes.
        calibrate: Scores for which the thresholds of each model are also chosen on the validation split. Each
            adds a table with calibrated thresholds; see `passerby calibrate`.
        tests: Additional tests of every bundle, by name.
        localization: Evaluations of the heat maps of every bundle, by name.
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
            raise ValueError(
                f"baseline: expected one of the models {', '.join(self.models)}, got {self.baseline}"
            )
        of_models = ((f"{name}: seeds", self.find_seeds(name)) for name in self.models)
        for key, values in (("seeds", self.seeds), ("calibrate", self.calibrate), *of_models):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: expected distinct values, got {', '.join(map(str, values))}")
        if both := set(self.tests) & set(self.localization):
            raise ValueError(f"localization: {min(both)} is also the name of a test; rename one of them")
        return self

    @model_validator(mode="after")
    def _teachers_fit(self) -> SuiteSection:
        for name, model in self.models.items():
            if len(set(model.teachers)) < len(model.teachers):
                raise ValueError(f"{name}: expected distinct teachers, got {', '.join(model.teachers)}")
            for teacher in model.teachers:
                if teacher not in self.models:
                    raise ValueError(f"{name}: the teacher {teacher} is not one of the models")
                if self.models[teacher].teachers:
                    raise ValueError(f"{name}: the teacher {teacher} must not have teachers itself")
                if lacking := set(self.find_seeds(name)) - set(self.find_seeds(teacher)):
                    raise ValueError(f"{name}: the teacher {teacher} is not trained with seed {min(lacking)}")
        return self

    def find_seeds(self, model: str) -> tuple[int, ...]:
        """The seeds that a model is trained with."""
        return self.models[model].seeds or self.seeds
