"""A run of a suite with its data and the paths of its files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passerby.bundle.storage import CONFIG
from passerby.config import Recipe, Suite, SuiteRun, TestSection, load_recipe
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, TrainingError
from passerby.evaluation.calibration import name_calibrated
from passerby.evaluation.results import name_score_file
from passerby.evaluation.score_files import TEACHER_PREDICTIONS
from passerby.suite.checks import check_data, check_teacher, check_tests, describe_test_split
from passerby.training.checks import load_manifest, resolve_partition
from passerby.training.resuming import fill_open

Split = Literal["train", "val", "test"]

__all__ = ["PlannedRun", "plan_runs"]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of a suite with its data and the paths of its files.

    Args:
        definition: Model, data and recipe.
        manifest: The data set, restricted to the recipe's attributes.
        recipe_path: File for the complete recipe.
        folder: The run folder.
        result: Score file of the test split.
        calibrated: Score files of the test split with calibrated thresholds, by goal.
        tests: Score files of the suite's additional tests, by name.
        localization: Score files of the suite's localization tests, by name.
        teachers: Runs whose predictions this one is trained on.
    """

    definition: SuiteRun
    manifest: Manifest
    recipe_path: Path
    folder: Path
    result: Path
    calibrated: Mapping[str, Path]
    tests: Mapping[str, Path]
    localization: Mapping[str, Path]
    teachers: tuple[PlannedRun, ...] = ()

    @property
    def name(self) -> str:
        """Unique in the suite, such as `official-1/man/seed0`."""
        return self.definition.name

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.definition.recipe

    @property
    def bundle(self) -> Path:
        """Folder of the trained model."""
        return self.folder / "bundle"

    def find_teacher_predictions(self, split: Split) -> Path:
        """File of this run's predictions for a split, if students are trained on them."""
        return self.folder / TEACHER_PREDICTIONS / split / "predictions.parquet"

    def select_split(self, split: Split) -> TestSection:
        """A split of the run's own partition."""
        data = self.recipe.data
        return TestSection(manifest=data.manifest, root=data.root, partition=data.partition_name, split=split)

    def check_existing(self) -> None:
        """Refuse a run folder that was created from another recipe or other data.

        Raises:
            TrainingError: If so; the message names the difference.
        """
        recipe, config = self.folder / "recipe.yaml", self.bundle / CONFIG
        remedy = f"undo the change, remove {self.folder} to train again, or choose another folder with --out"
        if recipe.is_file() and fill_open(self.recipe, recorded := load_recipe(recipe)) != recorded:
            raise TrainingError(f"{recipe} differs from the recipe that the suite defines; {remedy}")
        if config.is_file():
            trained = json.loads(config.read_text(encoding="utf-8"))["metadata"].get("manifest")
            if trained != self.manifest.fingerprint:
                manifest = self.recipe.data.manifest
                raise TrainingError(
                    f"{manifest} differs from the data that {self.bundle} was trained on; {remedy}"
                )


def plan_runs(suite: Suite, out: Path, results: Path) -> list[PlannedRun]:
    """All runs of a suite, after a check of all data that it names.

    Raises:
        ManifestError: If a manifest cannot be read, or lacks a partition or split.
        SchemaError: If a label map does not fit the model or the data.
        ConfigError: If a test has the name of a data set, `by: identity` is set for data without identities,
            thresholds are calibrated although the protocol sets one, a teacher has other images or lacks
            attributes, or models that are compared differ in images, boxes, attributes or labels of the test
            split.
        TrainingError: If a run folder was created from another recipe or other data.
    """
    runs = []
    manifests: dict[str, Manifest] = {}
    for definition in suite.runs:
        data = definition.recipe.data
        key = data.model_dump_json(include={"manifest", "root", "attributes"})
        if key not in manifests:
            manifests[key] = load_manifest(definition.recipe)
            check_tests(suite, manifests[key])
        resolved = resolve_partition(definition.recipe, manifests[key])
        definition = dataclasses.replace(definition, recipe=resolved)
        check_data(suite, definition.recipe, manifests[key])
        runs.append(_create_run(suite, definition, manifests[key], out, results))
    by_name = {run.name: run for run in runs}
    runs = [
        _add_teachers(run, [by_name[run.definition.name_sibling(model)] for model in run.definition.teachers])
        for run in runs
    ]
    _check_test_splits(runs)
    for run in runs:
        run.check_existing()
    return runs


def _create_run(
    suite: Suite, definition: SuiteRun, manifest: Manifest, out: Path, results: Path
) -> PlannedRun:
    from passerby.models import list_arguments  # here because it loads torch

    recipe = definition.recipe
    default = list_arguments(recipe.model.name).get("backbone", "none")

    def name_file(variant: str) -> Path:
        return name_score_file(
            manifest.dataset,
            model=recipe.model.name,
            backbone=str(recipe.model.arguments.get("backbone", default)),
            variant=variant,
            seed=recipe.seed,
        )

    name = name_file(recipe.variant)
    if name.parent.name in suite.tests:
        raise ConfigError(f"a test is named {name.parent.name}, like the data set; rename the test")
    return PlannedRun(
        definition,
        manifest,
        recipe_path=out / "recipes" / f"{definition.name}.yaml",
        folder=out / "runs" / definition.name,
        result=results / name,
        calibrated={
            goal: results / name_file(name_calibrated(recipe.variant, goal)) for goal in suite.calibrate
        },
        tests={test: results / test / name.name for test in suite.tests},
        localization={test: results / test / f"{name.stem}.localization.json" for test in suite.localization},
    )


def _add_teachers(run: PlannedRun, teachers: Sequence[PlannedRun]) -> PlannedRun:
    """The run with its teachers, and their predictions in its recipe."""
    if not teachers:
        return run
    for teacher in teachers:
        check_teacher(run.name, run.manifest, teacher.name, teacher.manifest)
    data, loss = run.recipe.data, run.recipe.loss
    predictions = [teacher.find_teacher_predictions(split) for teacher in teachers for split in data.train]
    loss = loss.model_copy(update={"teachers": tuple(path.resolve() for path in predictions)})
    recipe = run.recipe.model_copy(update={"loss": loss})
    definition = dataclasses.replace(run.definition, recipe=recipe)
    return dataclasses.replace(run, definition=definition, teachers=tuple(teachers))


def _check_test_splits(runs: Iterable[PlannedRun]) -> None:
    """Refuse models that are compared on different test splits."""
    first: dict[str, PlannedRun] = {}
    for run in runs:
        other = first.setdefault(run.definition.data, run)
        if run.manifest is other.manifest:
            continue
        a, b = (describe_test_split(each.manifest, each.recipe.data.partition_name) for each in (run, other))
        if differing := [name for name in a if a[name] != b[name]]:
            raise ConfigError(
                "models can only be compared on the same test split, but that of "
                f"{run.name} has other {differing[0]} than that of {other.name}; set data in defaults"
            )
