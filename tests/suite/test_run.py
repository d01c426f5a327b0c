"""A suite of two tiny models, from its file to tables and report."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from filelock import FileLock
from typer.testing import CliRunner

from passerby.bundle import Bundle
from passerby.cli import app
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.config import Recipe, load_recipe, load_suite
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, ManifestError, SchemaError, TrainingError
from passerby.suite import Job, plan_suite, run_jobs, run_suite
from passerby.suite.planned_run import PlannedRun, plan_runs
from passerby.suite.tasks import TASKS
from passerby.training import train

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.fixture
def suite_path(tmp_path: Path, make_recipe: Callable[..., Recipe]) -> Path:
    recipe = make_recipe(training={"epochs": 2})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    path = tmp_path / "suite.yaml"
    (tmp_path / "label-map.json").write_text('{"RedTop": "upper", "BlueBottom": "lower"}')
    test = {"manifest": str(recipe.data.manifest), "partition": "own"}
    values = {
        "suite": "toy",
        "baseline": "plain",
        "seeds": [0],
        "models": {
            "plain": "recipe.yaml",
            "weighted": {"recipe": "recipe.yaml", "overrides": {"loss": {"arguments": {"weighting": "sb"}}}},
        },
        "tests": {"again": {**test, "split": "val"}},
        "localization": {"where": {**test, "split": "train", "label_map": str(tmp_path / "label-map.json")}},
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "passerby")
    return caplog


@pytest.mark.slow
def test_a_suite_is_run_once_and_compared(
    suite_path: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    suite = load_suite(suite_path)
    out, results = tmp_path / "out", tmp_path / "results"
    stored = run_suite(suite, out, results=results, at_once=2, timing_s=0.01)

    assert stored == [
        results / "tiny" / "toy.comparison.json",
        results / "again" / "toy.comparison.json",
        results / "where" / "toy.localization-comparison.json",
    ]
    run = Comparison.load(stored[1]).runs[0]
    assert (run.partition, run.split) == ("own", "val")
    assert LocalizationComparison.load(stored[2]).runs[1].variant == "toy-weighted"
    comparison = Comparison.load(stored[0])
    assert [(run.variant, run.seeds) for run in comparison.runs] == [
        ("toy-plain", (0,)),
        ("toy-weighted", (0,)),
    ]
    assert comparison.runs[0].costs["inference_32"] == 1
    assert comparison.runs[1].costs["parameters"] == comparison.runs[0].costs["parameters"] > 0
    assert all(run.costs["training_s"] > 0 for run in comparison.runs)
    table = comparison.format_markdown()
    assert "params, M" in table
    assert "GMACs" in table
    page = (out / "report.html").read_text()
    assert "toy-<wbr>weighted" in page
    assert "GMACs" in page
    assert "Comparison of localisation" in page
    assert len(list((results / "tiny").glob("*-seed?.json"))) == 2
    assert sum("done in" in line for line in log.messages) == 2

    before = {path: path.stat().st_mtime_ns for path in results.rglob("*-seed?.json")}
    log.clear()
    assert run_suite(suite, out, results=results, timing_s=0) == stored
    assert log.messages == ["2 of 2 are already done"]
    assert (
        Comparison.load(stored[0]).runs[1].costs["inference_32"] == comparison.runs[1].costs["inference_32"]
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before

    plain, weighted = comparison.runs
    larger = dataclasses.replace(weighted, costs={**weighted.costs, "macs": 2 * weighted.costs["macs"]})
    other = dataclasses.replace(plain, variant="toy-other")
    for runs, kept in (
        ((plain, larger), [True, False]),  # times of another model
        ((dataclasses.replace(plain, costs=larger.costs), weighted), [False, False]),  # of another baseline
        ((other, weighted), [False, False]),
    ):
        dataclasses.replace(comparison, runs=runs).write(stored[0])
        run_suite(suite, out, results=results, timing_s=0)
        assert ["inference_32" in run.costs for run in Comparison.load(stored[0]).runs] == kept

    words = ["suite", str(suite_path), "--out", str(out), "--results", str(results), "--timing-s", "0"]
    output = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert output.count("toy-weighted") >= 3
    assert "uniform baseline" in output

    changed = load_suite(suite_path, ["training.epochs=1"])
    with pytest.raises(TrainingError, match=r"recipe\.yaml differs from the recipe that the suite defines"):
        plan_suite(changed, out, results=results)
    jobs = plan_suite(suite, out, results=results)
    next((results / "again").glob("*weighted*.json")).write_text("{}")
    assert [[step.is_done for step in job.steps] for job in jobs] == [[True] * 3, [True, False, True]]
    (tmp_path / "label-map.json").write_text('{"RedTop": "upper"}')
    assert [[step.is_done for step in job.steps][2] for job in jobs] == [False, False]
    with FileLock(out / ".lock"), pytest.raises(TrainingError, match="another process runs the suite"):
        run_suite(suite, out, results=results)


@pytest.mark.slow
def test_a_student_is_trained_after_its_teachers_and_all_models_are_calibrated(
    suite_path: Path, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    values = yaml.safe_load(suite_path.read_text())
    del values["tests"], values["localization"]
    student = {"recipe": "recipe.yaml", "teachers": ["plain", "weighted"]}
    values |= {"models": {"student": student, **values["models"]}, "calibrate": ["mA"]}
    suite_path.write_text(yaml.safe_dump(values))
    out, results = tmp_path / "out", tmp_path / "results"
    suite = load_suite(suite_path)
    stored = run_suite(suite, out, results=results, at_once=3, timing_s=0)

    messages = [line for line in log.messages if "seed0: " in line]
    assert [line.split(":")[0] for line in messages][-2:] == ["student/seed0"] * 2
    recipe = load_recipe(out / "recipes" / "student" / "seed0.yaml")
    assert recipe.loss.teachers == tuple(
        out / "runs" / name / "seed0" / "teacher-predictions" / "train" / "predictions.parquet"
        for name in ("plain", "weighted")
    )
    bundle = out / "runs" / "student" / "seed0" / "bundle"
    assert Bundle.load(bundle).metadata["teacher_files"] == 2
    assert stored == [
        results / "tiny" / "toy.comparison.json",
        results / "tiny" / "toy-calibrated-mA.comparison.json",
    ]
    calibrated = Comparison.load(stored[1])
    assert [run.variant for run in calibrated.runs] == [
        f"toy-{name}-calibrated-mA" for name in ("plain", "student", "weighted")
    ]
    assert (calibrated.runs[0].partition, calibrated.runs[0].split) == ("own", "test")
    chosen = Bundle.load(bundle.parent / "calibrated-mA")
    assert chosen.metadata["calibration"] == "thresholds for the best mA on tiny own/val"

    log.clear()
    run_suite(suite, out, results=results, timing_s=0)
    assert log.messages == ["3 of 3 are already done"]
    (bundle.parent / "done" / "calibrated-mA.json").unlink()  # as if killed before its completion
    jobs = plan_suite(suite, out, results=results)
    assert run_jobs(jobs, out / "logs") == {}
    assert all(job.is_done for job in jobs)

    predictions = recipe.loss.teachers[0]
    predictions.write_bytes(predictions.read_bytes() + b" ")
    with pytest.raises(TrainingError, match=r"has changed since the training in .* began"):
        train(recipe, bundle.parent, resume=True)


@pytest.mark.slow
def test_a_test_without_identities_is_resampled_by_image(suite_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(suite_path.read_text())
    recipe = load_recipe(tmp_path / "recipe.yaml")
    people = Manifest.load(recipe.data.manifest)
    splits = {
        int(row): split for split in ("train", "val", "test") for row in people.split_rows("own", split)
    }
    Manifest.create(
        "known",
        people.schema,
        root=people.root,
        images=people.images,
        labels=people.labels,
        identities=[str(row // 2) for row in range(len(people))],
        partitions={"own": [splits[row] for row in range(len(people))]},
    ).write(tmp_path / "known.parquet")
    values["defaults"] = {"data": {"manifest": str(tmp_path / "known.parquet")}, "training": {"epochs": 1}}
    suite_path.write_text(yaml.safe_dump(values | {"by": "identity", "localization": {}}))
    out, results = tmp_path / "out", tmp_path / "results"
    stored = run_suite(load_suite(suite_path), out, results=results, at_once=2, timing_s=0)
    assert [Comparison.load(path).by for path in stored] == ["identity", "image"]
    assert [Comparison.load(path).runs[0].dataset for path in stored] == ["known", "tiny"]


def test_the_calls_of_all_steps_fit_their_functions(suite_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(suite_path.read_text())
    values["models"]["student"] = {"recipe": "recipe.yaml", "teachers": ["plain"]}
    suite_path.write_text(yaml.safe_dump({**values, "calibrate": ["mA"]}))
    jobs: list[Job] = plan_suite(load_suite(suite_path), tmp_path / "out", results=tmp_path / "results")
    tasks = set()
    for step in (step for job in jobs for step in job.steps):
        inspect.signature(TASKS[step.task]).bind(**step.arguments)
        assert json.loads(json.dumps(step.arguments)) == step.arguments
        tasks.add(step.task)
    assert tasks == set(TASKS)


def test_a_teacher_of_other_attributes_is_refused(suite_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(suite_path.read_text())
    del values["localization"]  # its label map needs all attributes
    values["models"]["weighted"]["overrides"] = {"data": {"attributes": ["RedTop"]}}
    values["models"]["student"] = {"recipe": "recipe.yaml", "teachers": ["weighted"]}
    suite_path.write_text(yaml.safe_dump(values))
    with pytest.raises(
        ConfigError, match="weighted/seed0 is a teacher of student/seed0, but does not predict BlueBottom"
    ):
        plan_suite(load_suite(suite_path), tmp_path / "out", results=tmp_path / "results")


def test_a_recipe_may_name_folders_of_teacher_predictions(suite_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(suite_path.read_text())
    values["models"]["weighted"]["overrides"] = {"loss": {"teachers": [str(tmp_path / "predictions")]}}
    suite_path.write_text(yaml.safe_dump(values))
    jobs = plan_suite(load_suite(suite_path), tmp_path / "out", results=tmp_path / "results")
    assert tmp_path / "predictions" / "predictions.parquet" in jobs[1].steps[0].inputs


@pytest.mark.slow
def test_a_failed_run_is_reported_and_repeated(suite_path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(suite_path.read_text())
    del values["tests"], values["localization"]
    values["models"]["weighted"]["overrides"] = {"loss": {"arguments": {"weighting": "magic"}}}
    suite_path.write_text(yaml.safe_dump(values))
    out, results = tmp_path / "out", tmp_path / "results"
    with pytest.raises(TrainingError, match=r"1 of 2 runs failed(?s:.)*weighted/seed0: .*magic"):
        run_suite(load_suite(suite_path), out, results=results)
    jobs = plan_suite(load_suite(suite_path), out, results=results)
    assert [job.is_done for job in jobs] == [True, False]

    values["models"]["again"] = "recipe.yaml"
    suite_path.write_text(yaml.safe_dump(values))
    table, partial = (folder / "tiny" / "toy.comparison.json" for folder in (results, out / "partial"))
    table.write_text("of an earlier call")
    with pytest.raises(
        TrainingError, match=r"1 of 3 runs failed, tables of the complete models are in .*partial"
    ):
        run_suite(load_suite(suite_path), out, results=results, timing_s=0)
    assert [run.variant for run in Comparison.load(partial).runs] == ["toy-plain", "toy-again"]
    assert table.read_text() == "of an earlier call"
    del values["models"]["weighted"]
    suite_path.write_text(yaml.safe_dump(values))
    assert run_suite(load_suite(suite_path), out, results=results, timing_s=0.01) == [table]
    assert not partial.exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"by": "identity"}, ConfigError, "has no identities"),
        (
            {"calibrate": ["mA"], "defaults": {"protocol": "threshold-0.4"}},
            ConfigError,
            "sets one threshold for all attributes",
        ),
        ({"tests": {"tiny": {}}}, ConfigError, "a test is named tiny, like the data set"),
        ({"tests": {"again": {"partition": "none"}}}, ManifestError, "none"),
        ({"tests": {"again": {"label_map": "peta-to-pa100k"}}}, SchemaError, "choose another label map"),
        ({"localization": {"where": {"label_map": "peta-to-ccp"}}}, SchemaError, "peta-to-ccp"),
    ],
)
def test_invalid_tests_are_refused_before_training(
    suite_path: Path, tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    values = yaml.safe_load(suite_path.read_text())
    test = values["tests"]["again"]
    for key, value in changes.items():
        is_test = key in ("tests", "localization")
        values[key] = {k: {**test, **v} for k, v in value.items()} if is_test else value
    suite_path.write_text(yaml.safe_dump(values))
    with pytest.raises(error, match=message):
        plan_suite(load_suite(suite_path), tmp_path / "out", results=tmp_path / "results")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"attributes": ["RedTop"]}, "weighted/seed0 has other attributes than that of plain/seed0"),
        ({"manifest": "fewer.parquet"}, "weighted/seed0 has other images than that of plain/seed0"),
        ({"manifest": "wrong.parquet"}, "weighted/seed0 has other labels than that of plain/seed0"),
        ({"on_unreadable": "skip"}, "need the same data.on_unreadable, got raise, skip"),
    ],
)
def test_models_that_cannot_be_compared_are_refused(
    suite_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: dict[str, object],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load(suite_path.read_text())
    manifest = Manifest.load(Path(values["tests"]["again"]["manifest"]))
    test = manifest.split_rows("own", "test")
    manifest.take(np.setdiff1d(np.arange(len(manifest)), test[:1])).write(Path("fewer.parquet"))
    labels = manifest.labels[:, 0].copy()
    labels[test[0]] = 1 - labels[test[0]]
    at = manifest.table.column_names.index("label:RedTop")
    table = manifest.table.set_column(at, "label:RedTop", pa.array(labels, pa.int8()))
    dataclasses.replace(manifest, table=table).write(Path("wrong.parquet"))
    del values["localization"]  # its label map needs all attributes
    values["models"]["weighted"]["overrides"] = {"data": overrides}
    suite_path.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=message):
        plan_suite(load_suite(suite_path), tmp_path / "out", results=tmp_path / "results")


def test_a_dry_run_lists_the_jobs(suite_path: Path, tmp_path: Path) -> None:
    words = ["suite", str(suite_path), "--out", str(tmp_path / "out"), "--dry-run"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert re.findall(r"(\S+): to do", result.stdout) == [
        "plain/seed0",
        "weighted/seed0",
    ]
    document = json.loads(CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False).stdout)
    assert document == [{"run": name, "done": False} for name in ("plain/seed0", "weighted/seed0")]
    assert not (tmp_path / "out").exists()


def test_a_suite_takes_the_only_partition_and_knows_its_runs_again(suite_path: Path, tmp_path: Path) -> None:
    """A run records the partition, mean and standard deviation that its recipe leaves open."""
    values = yaml.safe_load(suite_path.read_text())
    suite_path.write_text(yaml.safe_dump({**values, "defaults": {"data": {"partition": None, "limit": 16}}}))
    suite, out = load_suite(suite_path), tmp_path / "out"

    def plan() -> list[PlannedRun]:
        return plan_runs(suite, out, tmp_path / "results")

    run = plan()[0]
    assert run.recipe.data.partition == "own"
    assert run.result.name == "baseline-test_resnet-toy-plain-train-limit-16-seed0.json"
    recorded = run.recipe.model_copy(update={"input": run.recipe.input.model_copy(update=IMAGENET)})
    run.folder.mkdir(parents=True)
    (run.folder / "recipe.yaml").write_text(recorded.to_yaml())
    assert plan()[0].recipe == run.recipe
    changed = recorded.model_copy(update={"seed": 7})
    (run.folder / "recipe.yaml").write_text(changed.to_yaml())
    with pytest.raises(TrainingError, match="differs from the recipe that the suite defines"):
        plan()
