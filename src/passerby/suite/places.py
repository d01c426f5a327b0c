"""Where each run of a suite lies, and the commands that fill the place."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from passerby.config import Recipe, Suite, SuiteRun, TestSection, load_recipe
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, TrainingError
from passerby.evaluation.localization import load_names
from passerby.evaluation.results import name_score_file
from passerby.evaluation.translation import load_translation
from passerby.models import MODELS
from passerby.suite.jobs import Job, Step

__all__ = ["Place", "check_place", "create_job", "find_places"]


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one run.

    Args:
        run: What is run.
        manifest: Its data, with the recipe's attributes.
        recipe: Its recipe, whole.
        folder: The run folder.
        result: The score file of its own test part.
        tests: Those of the suite's further tests, by name.
        localization: Scores of where the bundle looks, by name.
    """

    run: SuiteRun
    manifest: Manifest
    recipe: Path
    folder: Path
    result: Path
    tests: Mapping[str, Path]
    localization: Mapping[str, Path]

    @property
    def bundle(self) -> Path:
        """The trained model."""
        return self.folder / "bundle"


def find_places(suite: Suite, out: Path, results: Path) -> list[Place]:
    """The places of all runs, once all data that the suite names has been looked at.

    Raises:
        ManifestError: If a manifest cannot be read, or lacks a split or part.
        SchemaError: If names of a test fit neither model nor data.
        ConfigError: If a test has the name of a data set, or `by: identity` meets data without identities.
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
        for part in (*data.train, data.val, "test"):
            manifest.split_rows(data.split, part)
        if suite.by == "identity" and not any(manifest.identities):
            raise ConfigError(f"by: identity, but {data.manifest} knows no identities; say by: image")
        places.append(_create_place(suite, run, manifest, out, results))
    return places


def _load_manifest(recipe: Recipe) -> Manifest:
    manifest = Manifest.load(recipe.data.manifest, root=recipe.data.root)
    names = recipe.data.attributes
    return manifest if names is None else manifest.select_attributes(names)


def _check_tests(suite: Suite, manifest: Manifest) -> None:
    for name, test in (*suite.tests.items(), *suite.localization.items()):
        Manifest.load(test.manifest, root=test.root).split_rows(test.split, test.part)
        if test.names is not None and name in suite.tests:
            load_translation(test.names, model=manifest.schema.names)
        elif test.names is not None:
            load_names(test.names, manifest.schema)


def _create_place(suite: Suite, run: SuiteRun, manifest: Manifest, out: Path, results: Path) -> Place:
    model = run.recipe.model
    default = inspect.signature(MODELS[model.name]).parameters["backbone"].default
    name = name_score_file(
        manifest.dataset,
        system=model.name,
        backbone=str(model.arguments.get("backbone", default)),
        variant=run.recipe.variant,
        seed=run.recipe.seed,
    )
    if name.parent.name in suite.tests:
        raise ConfigError(f"a test is called {name.parent.name}, as the data set; give it another name")
    return Place(
        run,
        manifest,
        recipe=out / "recipes" / f"{run.name}.yaml",
        folder=out / "runs" / run.name,
        result=results / name,
        tests={test: results / test / name.name for test in suite.tests},
        localization={test: results / test / f"{name.stem}.localization.json" for test in suite.localization},
    )


def check_place(place: Place) -> None:
    """Refuse a run folder that another recipe or other data made.

    Raises:
        TrainingError: Which names what differs.
    """
    kept, config = place.folder / "recipe.yaml", place.bundle / "config.json"
    mend = f"take back the change, remove {place.folder} to train anew, or take another folder (--out)"
    if kept.is_file() and load_recipe(kept) != place.run.recipe:
        raise TrainingError(f"{kept} differs from what the suite asks for; {mend}")
    if config.is_file():
        trained = json.loads(config.read_text(encoding="utf-8"))["metadata"].get("manifest")
        if trained != place.manifest.fingerprint:
            raise TrainingError(
                f"{place.run.recipe.data.manifest} is not what {place.bundle} learnt from; {mend}"
            )


def create_job(place: Place, suite: Suite, results: Path) -> Job:
    """Training with its test, then the other tests."""
    where = ("--out", str(place.folder), "--results", str(results))
    train = Step(
        ("train", str(place.recipe), "--resume", "--test", *where),
        inputs=(place.recipe,),
        outputs=(
            place.bundle / "config.json",
            place.folder / "test" / "evaluation.json",
            place.result,
            place.result.with_suffix(".parquet"),
        ),
        stamp=place.folder / "done" / "train.json",
        resumes=True,
    )
    protocol = ("--protocol", place.run.recipe.protocol)
    tests = [
        _create_test("evaluate", place, suite.tests[name], target, name, *protocol)
        for name, target in place.tests.items()
    ]
    for name, target in place.localization.items():
        look = suite.localization[name]
        more = ("--method", look.method, "--least-px", str(look.least_px))
        tests.append(_create_test("evaluate-localization", place, look, target, name, *more))
    return Job(place.run.name, (train, *tests), place.run.recipe.training.devices)


def _create_test(command: str, place: Place, test: TestSection, target: Path, name: str, *more: str) -> Step:
    recipe = place.run.recipe
    options = {
        "--data": test.manifest,
        "--root": test.root,
        "--split": test.split,
        "--part": test.part,
        "--names": test.names,
        "--cache": recipe.data.cache,
        "--broken": recipe.data.broken,
        "--workers": max(1, recipe.training.workers),
        "--device": "cpu" if recipe.training.accelerator == "cpu" else "auto",
        "--result": target,
    }
    given = [str(word) for option, value in options.items() if value is not None for word in (option, value)]
    return Step(
        (command, str(place.bundle), *given, *more),
        inputs=(place.bundle / "config.json", test.manifest),
        outputs=(target, target.with_suffix(".parquet")),
        stamp=place.folder / "done" / f"{name}.json",
    )
