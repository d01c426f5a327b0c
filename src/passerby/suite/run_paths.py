"""Where each run of a suite lies, and the commands that fill the place."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passerby.bundle.storage import CARD, CONFIG, WEIGHTS
from passerby.config import Recipe, Suite, SuiteRun, TestSection, load_recipe
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, TrainingError
from passerby.evaluation.calibration import name_calibrated
from passerby.evaluation.localization.names import load_names
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.results import name_score_file
from passerby.evaluation.translation import load_translation
from passerby.models import MODELS
from passerby.suite.jobs import Job, Step
from passerby.training.teachers import find_predictions

Split = Literal["train", "val", "test"]

__all__ = ["RunPaths", "check_run_paths", "create_job", "find_run_paths"]


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run.

    Args:
        run: What is run.
        manifest: Its data, with the recipe's attributes.
        recipe: Its recipe, whole.
        folder: The run folder.
        result: The score file of its own test split.
        calibrated: The same with thresholds of its own, by what they are chosen for.
        tests: Those of the suite's further tests, by name.
        localization: Scores of where the bundle looks, by name.
        teachers: The places of those that teach it.
    """

    run: SuiteRun
    manifest: Manifest
    recipe: Path
    folder: Path
    result: Path
    calibrated: Mapping[str, Path]
    tests: Mapping[str, Path]
    localization: Mapping[str, Path]
    teachers: tuple[RunPaths, ...] = ()

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.folder / "bundle"

    def find_teacher_predictions(self, split: Split) -> Path:
        """What it says of a split of its data, if it teaches."""
        return self.folder / "teacher-predictions" / split / "predictions.parquet"


def find_run_paths(suite: Suite, out: Path, results: Path) -> list[RunPaths]:
    """The places of all runs, once all data that the suite names has been looked at.

    Raises:
        ManifestError: If a manifest cannot be read, or lacks a partition or split.
        SchemaError: If names of a test fit neither model nor data.
        ConfigError: If a test has the name of a data set, `by: identity` meets data without identities,
            thresholds are chosen that the protocol does not look at, a teacher knows other pictures or
            attributes, or models that are compared are tested on other pictures, boxes, attributes or
            labels.
    """
    places = []
    manifests: dict[str, Manifest] = {}
    for run in suite.runs:
        data = run.recipe.data
        key = data.model_dump_json(include={"manifest", "root", "attributes"})
        if key not in manifests:
            manifests[key] = _load_manifest(run.recipe)
            _check_tests(suite, manifests[key])
        manifest = manifests[key]
        for split in (*data.train, data.val, "test"):
            manifest.split_rows(data.partition, split)
        if suite.by == "identity" and not any(manifest.identities):
            raise ConfigError(f"by: identity, but {data.manifest} knows no identities; say by: image")
        if suite.calibrate and load_protocol(run.recipe.protocol).threshold is not None:
            raise ConfigError(f"calibrate: the protocol {run.recipe.protocol} has one threshold for all")
        places.append(_create_run_paths(suite, run, manifest, out, results))
    by_name = {place.run.name: place for place in places}
    taught = [
        _add_teachers(place, [by_name[place.run.name_sibling(model)] for model in place.run.teachers])
        for place in places
    ]
    _check_alike(taught)
    return taught


def _add_teachers(place: RunPaths, teachers: Sequence[RunPaths]) -> RunPaths:
    """The place with its teachers, and its recipe with what they say."""
    if not teachers:
        return place
    for teacher in teachers:
        lacking = set(place.manifest.schema.names) - set(teacher.manifest.schema.names)
        if lacking or teacher.manifest.images != place.manifest.images:
            what = f"knows nothing of {min(lacking)}" if lacking else "has other pictures"
            raise ConfigError(f"{place.run.name} learns from {teacher.run.name}, which {what}")
    recipe = place.run.recipe
    predictions = [
        teacher.find_teacher_predictions(split) for teacher in teachers for split in recipe.data.train
    ]
    loss = recipe.loss.model_copy(update={"teachers": tuple(path.resolve() for path in predictions)})
    run = dataclasses.replace(place.run, recipe=recipe.model_copy(update={"loss": loss}))
    return dataclasses.replace(place, run=run, teachers=tuple(teachers))


def _check_alike(places: Sequence[RunPaths]) -> None:
    """Models that are compared are asked the same of the same people."""
    first: dict[str, RunPaths] = {}
    for place in places:
        other = first.setdefault(place.run.data, place)
        if place.manifest is other.manifest:
            continue
        a, b = (_describe_test(each) for each in (place, other))
        if differing := [what for what in a if a[what] != b[what]]:
            raise ConfigError(
                f"models that are compared need one test split, but {place.run.name} has other "
                f"{differing[0]} than {other.run.name}; say data in defaults"
            )


def _describe_test(place: RunPaths) -> dict[str, object]:
    manifest = place.manifest
    rows = manifest.split_rows(place.run.recipe.data.partition, "test")
    columns = [manifest.schema.index(name) for name in sorted(manifest.schema.names)]
    images, boxes = manifest.images, manifest.boxes()
    return {
        "pictures": [images[row] for row in rows],
        "boxes": [boxes[row] for row in rows],
        "attributes": sorted(manifest.schema.names),
        "labels": manifest.labels[rows][:, columns].tolist(),
    }


def _load_manifest(recipe: Recipe) -> Manifest:
    manifest = Manifest.load(recipe.data.manifest, root=recipe.data.root)
    names = recipe.data.attributes
    return manifest if names is None else manifest.select_attributes(names)


def _check_tests(suite: Suite, manifest: Manifest) -> None:
    for name, test in (*suite.tests.items(), *suite.localization.items()):
        Manifest.load(test.manifest, root=test.root).split_rows(test.partition, test.split)
        if test.names is not None and name in suite.tests:
            load_translation(test.names, model=manifest.schema.names)
        elif test.names is not None:
            load_names(test.names, manifest.schema)


def _create_run_paths(suite: Suite, run: SuiteRun, manifest: Manifest, out: Path, results: Path) -> RunPaths:
    model = run.recipe.model
    default = inspect.signature(MODELS[model.name]).parameters["backbone"].default

    def name_file(variant: str) -> Path:
        return name_score_file(
            manifest.dataset,
            model=model.name,
            backbone=str(model.arguments.get("backbone", default)),
            variant=variant,
            seed=run.recipe.seed,
        )

    name = name_file(run.recipe.variant)
    if name.parent.name in suite.tests:
        raise ConfigError(f"a test is called {name.parent.name}, as the data set; give it another name")
    return RunPaths(
        run,
        manifest,
        recipe=out / "recipes" / f"{run.name}.yaml",
        folder=out / "runs" / run.name,
        result=results / name,
        calibrated={
            goal: results / name_file(name_calibrated(run.recipe.variant, goal)) for goal in suite.calibrate
        },
        tests={test: results / test / name.name for test in suite.tests},
        localization={test: results / test / f"{name.stem}.localization.json" for test in suite.localization},
    )


def check_run_paths(place: RunPaths) -> None:
    """Refuse a run folder that another recipe or other data made.

    Raises:
        TrainingError: Which names what differs.
    """
    kept, config = place.folder / "recipe.yaml", place.bundle / CONFIG
    remedy = f"take back the change, remove {place.folder} to train anew, or take another folder (--out)"
    if kept.is_file() and load_recipe(kept) != place.run.recipe:
        raise TrainingError(f"{kept} differs from what the suite asks for; {remedy}")
    if config.is_file():
        trained = json.loads(config.read_text(encoding="utf-8"))["metadata"].get("manifest")
        if trained != place.manifest.fingerprint:
            raise TrainingError(
                f"{place.run.recipe.data.manifest} is not what {place.bundle} learnt from; {remedy}"
            )


def create_job(place: RunPaths, suite: Suite, results: Path) -> Job:
    """Training with its test, what it says to those it teaches, its thresholds, and the other tests."""
    where = ("--out", str(place.folder), "--results", str(results))
    train = Step(
        ("train", str(place.recipe), "--resume", "--test", *where),
        inputs=(place.recipe, *map(find_predictions, place.run.recipe.loss.teachers)),
        outputs=(
            place.bundle / CONFIG,
            place.folder / "test" / "evaluation.json",
            place.result,
            place.result.with_suffix(".parquet"),
        ),
        stamp=place.folder / "done" / "train.json",
        resumes=True,
    )
    students = [run for run in suite.runs if place.run.name in map(run.name_sibling, run.teachers)]
    splits = dict.fromkeys(split for student in students for split in student.recipe.data.train)
    steps = [train, *(_create_teacher_predictions(place, split) for split in splits)]
    for goal, target in place.calibrated.items():
        steps += _create_calibration(place, goal, target)
    protocol = ("--protocol", place.run.recipe.protocol)
    for name, target in place.tests.items():
        test = suite.tests[name]
        steps.append(_create_test("evaluate", place.bundle, place, test, target, name, *protocol))
    for name, target in place.localization.items():
        look = suite.localization[name]
        more = ("--method", look.method, "--min-area-px", str(look.min_area_px))
        steps.append(_create_test("evaluate-localization", place.bundle, place, look, target, name, *more))
    return Job(
        place.run.name,
        tuple(steps),
        devices=place.run.recipe.training.devices,
        after=tuple(teacher.run.name for teacher in place.teachers),
    )


def _create_teacher_predictions(place: RunPaths, split: Split) -> Step:
    """What it says of a split that its students learn from."""
    predictions = place.find_teacher_predictions(split)
    where = _list_options(place, _choose_own(place, split))
    return Step(
        ("evaluate", str(place.bundle), *where, "--out", str(predictions.parent)),
        inputs=(place.bundle / CONFIG, place.run.recipe.data.manifest),
        outputs=(predictions,),
        stamp=place.folder / "done" / f"predictions-{split}.json",
    )


def _create_calibration(place: RunPaths, goal: str, target: Path) -> list[Step]:
    """A bundle with thresholds for a goal, and its score on the test split."""
    name = f"calibrated-{goal}"
    bundle = place.folder / name
    where = _list_options(place, _choose_own(place, place.run.recipe.data.val))
    choose = Step(
        ("calibrate", str(place.bundle), *where, "--goal", goal, "--out", str(bundle)),
        inputs=(place.bundle / CONFIG, place.run.recipe.data.manifest),
        outputs=tuple(bundle / name for name in (CONFIG, WEIGHTS, CARD)),
        stamp=place.folder / "done" / f"{name}.json",
    )
    protocol = ("--protocol", place.run.recipe.protocol)
    test = _choose_own(place, "test")
    return [choose, _create_test("evaluate", bundle, place, test, target, name, *protocol)]


def _choose_own(place: RunPaths, split: Split) -> TestSection:
    """A part of the data that the run learns from."""
    data = place.run.recipe.data
    return TestSection(manifest=data.manifest, root=data.root, partition=data.partition, split=split)


def _create_test(
    command: str, bundle: Path, place: RunPaths, test: TestSection, target: Path, name: str, *more: str
) -> Step:
    names = [] if test.names is None else [Path(test.names)]
    names = [path for path in names if path.is_file()]  # the others are our own mappings
    return Step(
        (command, str(bundle), *_list_options(place, test), "--result", str(target), *more),
        inputs=(bundle / CONFIG, test.manifest, *names),
        outputs=(target, target.with_suffix(".parquet")),
        stamp=place.folder / "done" / "tests" / f"{name}.json",
    )


def _list_options(place: RunPaths, test: TestSection) -> list[str]:
    """The options that name people, and how they are read as the run reads its own."""
    recipe = place.run.recipe
    options = {
        "--data": test.manifest,
        "--root": test.root,
        "--partition": test.partition,
        "--split": test.split,
        "--names": test.names,
        "--cache": recipe.data.cache,
        "--on-unreadable": recipe.data.on_unreadable,
        "--workers": max(1, recipe.training.workers),
        "--device": "cpu" if recipe.training.accelerator == "cpu" else "auto",
    }
    return [str(word) for option, value in options.items() if value is not None for word in (option, value)]
