"""The steps of each run of a suite, as calls of `passerby.suite.tasks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from passerby.bundle.storage import CARD, CONFIG, WEIGHTS
from passerby.config import Suite, TestSection
from passerby.suite.jobs import Job, Step
from passerby.suite.planned_run import PlannedRun, Split
from passerby.training.checks import find_predictions

__all__ = ["create_job"]


def create_job(run: PlannedRun, suite: Suite, results: Path) -> Job:
    """Training with its test, predictions for students, calibration, and the suite's additional tests."""
    steps = [_create_training(run, results)]
    steps += [_create_teacher_predictions(run, split) for split in _find_student_splits(run, suite)]
    for goal, result in run.calibrated.items():
        steps += _create_calibration(run, goal, result)
    protocol = {"protocol": run.recipe.protocol}
    for name, result in run.tests.items():
        steps.append(_create_test(run, run.bundle, suite.tests[name], result, name, **protocol))
    for name, result in run.localization.items():
        test = suite.localization[name]
        steps.append(_create_test(run, run.bundle, test, result, name, task="evaluate-localization"))
    return Job(
        run.name,
        tuple(steps),
        devices=run.recipe.training.devices,
        after=tuple(teacher.name for teacher in run.teachers),
    )


def _create_training(run: PlannedRun, results: Path) -> Step:
    """Training, and the evaluation of the bundle on the test split."""
    arguments = {"recipe": str(run.recipe_path), "run": str(run.folder), "results": str(results)}
    return Step(
        "train",
        arguments,
        inputs=(run.recipe_path, *map(find_predictions, run.recipe.loss.teachers)),
        outputs=(
            run.bundle / CONFIG,
            run.folder / "test" / "evaluation.json",
            run.result,
            run.result.with_suffix(".parquet"),
        ),
        stamp=run.folder / "done" / "train.json",
        resumes=True,
    )


def _find_student_splits(run: PlannedRun, suite: Suite) -> Iterable[Split]:
    """The splits on which students are trained on this run's predictions."""
    students = [each for each in suite.runs if run.name in map(each.name_sibling, each.teachers)]
    return dict.fromkeys(split for student in students for split in student.recipe.data.train)


def _create_teacher_predictions(run: PlannedRun, split: Split) -> Step:
    """Predictions for a split that students are trained on."""
    predictions = run.find_teacher_predictions(split)
    return Step(
        "evaluate",
        _describe_evaluation(run, run.bundle, run.select_split(split)) | {"out": str(predictions.parent)},
        inputs=(run.bundle / CONFIG, run.recipe.data.manifest),
        outputs=(predictions,),
        stamp=run.folder / "done" / f"predictions-{split}.json",
    )


def _create_calibration(run: PlannedRun, goal: str, result: Path) -> list[Step]:
    """A bundle with thresholds for a goal, and its score on the test split."""
    name = f"calibrated-{goal}"
    bundle = run.folder / name
    split = run.select_split(run.recipe.data.val)
    calibration = Step(
        "calibrate",
        _describe_evaluation(run, run.bundle, split) | {"goal": goal, "out": str(bundle)},
        inputs=(run.bundle / CONFIG, run.recipe.data.manifest),
        outputs=tuple(bundle / file for file in (CONFIG, WEIGHTS, CARD)),
        stamp=run.folder / "done" / f"{name}.json",
    )
    test = run.select_split("test")
    return [calibration, _create_test(run, bundle, test, result, name, protocol=run.recipe.protocol)]


def _create_test(
    run: PlannedRun,
    bundle: Path,
    test: TestSection,
    result: Path,
    name: str,
    *,
    task: str = "evaluate",
    **arguments: str,
) -> Step:
    """An evaluation that writes a score file."""
    label_map = [] if test.label_map is None else [Path(test.label_map)]
    files = [path for path in label_map if path.is_file()]  # others are label maps of the package
    return Step(
        task,
        _describe_evaluation(run, bundle, test) | arguments | {"result": str(result)},
        inputs=(bundle / CONFIG, test.manifest, *files),
        outputs=(result, result.with_suffix(".parquet")),
        stamp=run.folder / "done" / "tests" / f"{name}.json",
    )


def _describe_evaluation(run: PlannedRun, bundle: Path, test: TestSection) -> dict[str, Any]:
    """The arguments of an evaluation that loads images as the run's training does."""
    recipe = run.recipe
    loading: Mapping[str, Any] = {
        "cache": str(recipe.data.cache),
        "on_unreadable": recipe.data.on_unreadable,
        "workers": max(1, recipe.training.workers),
        "device": "cpu" if recipe.training.accelerator == "cpu" else "auto",
    }
    return {"bundle": str(bundle), "test": test.model_dump(mode="json"), "loading": loading}
