"""Train, test and compare everything that a suite names."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from passerby.bundle import Bundle
from passerby.comparison.localization_runs import load_localizations
from passerby.comparison.paired_localization import compare_localization
from passerby.comparison.paired_scores import compare
from passerby.comparison.run_comparison import Comparison
from passerby.comparison.stored import load_comparison
from passerby.config import Suite
from passerby.data.cache import PackedCache
from passerby.errors import TrainingError
from passerby.evaluation.calibration import name_calibrated
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.results import COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX, Result
from passerby.io import replace_file
from passerby.report.page import create_report, write_report
from passerby.suite.costs import measure_costs
from passerby.suite.jobs import Job, run_jobs
from passerby.suite.run_paths import RunPaths, check_run_paths, create_job, find_run_paths
from passerby.types import Preprocess

__all__ = ["plan_suite", "run_suite"]


def run_suite(
    suite: Suite,
    out: Path,
    *,
    results: Path,
    at_once: int = 1,
    timing_s: float = 4.0,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Run what is not done, then compare what is.

    ```
    OUT/
      recipes/  runs/    the recipe and the run folder of each run, by data, model and seed
      logs/              what each printed
      report.html        the tables with charts
      partial/           if runs failed: the tables of the models that are whole
    RESULTS/<data set>/
      …-seed0.json                 the score files, one a run
      <suite>….comparison.json     one a data: scores, intervals, sizes, times
      <suite>…-calibrated-….comparison.json   the same with thresholds of their own, if the suite asks for it
    RESULTS/<name of a test>/      the same of each further test, and of where the bundles look
    ```

    Interrupted or failed, the same call goes on: finished runs are not repeated, begun ones resume from their
    checkpoint.

    Args:
        out: The suite's folder.
        results: Folder of the score files.
        at_once: Training runs beside each other, on one machine.
        timing_s: Seconds that each model's speed is measured for, when all is trained; 0 leaves it out.
        say: Hears what happens.

    Returns:
        The stored comparisons.

    Raises:
        TrainingError: If a run in `out` has another recipe or other data, before anything runs; or if runs
            failed, after the others have ended and the models that are whole have been compared; the tables
            in `results` stay as they were.
        ManifestError: If a manifest cannot be read, before anything runs.
        KeyboardInterrupt: After what ran has written its checkpoint.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        places = find_run_paths(suite, out, results)
        jobs = _plan(suite, places, results)
        for place in places:
            with replace_file(place.recipe) as temporary:
                temporary.write_text(place.run.recipe.to_yaml(), encoding="utf-8")
        _pack([place for place, job in zip(places, jobs, strict=True) if not job.is_done], say)
        failed = run_jobs(jobs, out / "logs", at_once=at_once, say=say)
        whole = _find_whole(suite, places, {job.name for job in jobs if job.is_done})
        partial = out / "partial"
        shutil.rmtree(partial, ignore_errors=True)  # of an earlier call
        stored = _compare_all(suite, whole, partial if failed else results, timing_s)
        if stored:
            tables = [load_comparison(path) for path in stored]
            write_report(out / "report.html", create_report([], [], comparisons=tables, title=suite.name))
    if failed:
        lines = "\n  ".join(f"{name}: {reason}" for name, reason in failed.items())
        tables_of = f"tables of whole models lie in {partial}" if stored else "there is nothing to compare"
        raise TrainingError(
            f"{len(failed)} of {len(jobs)} runs failed, {tables_of}; mend what they say and call again, "
            f"which repeats them alone:\n  {lines}"
        )
    return stored


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else runs a suite in this folder."""
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another command runs the suite in {out}; wait for it, or take --out") from None
    with lock:
        try:
            yield
        finally:
            lock.release()


def _pack(places: Sequence[RunPaths], say: Callable[[str], None]) -> None:
    """Pack each distinct cache once, before those that need it start beside each other."""
    packed = set()
    for place in places:
        recipe = place.run.recipe
        preprocess = Preprocess(**recipe.input.model_dump())
        key = (place.manifest.fingerprint, preprocess, recipe.data.cache)
        if key not in packed:
            packed.add(key)
            say(f"pictures of {place.manifest.dataset} at {preprocess.height}×{preprocess.width}")
            workers = max(1, recipe.training.workers)
            PackedCache.build(
                place.manifest,
                preprocess,
                recipe.data.cache,
                on_unreadable=recipe.data.on_unreadable,
                workers=workers,
            )


def _find_whole(suite: Suite, places: Sequence[RunPaths], done: set[str]) -> list[RunPaths]:
    """The places of the models that have all seeds, of the data on which the baseline is among them."""
    missing = {(place.run.data, place.run.model) for place in places if place.run.name not in done}
    whole = [place for place in places if (place.run.data, place.run.model) not in missing]
    measured = {place.run.data for place in whole if place.run.model == suite.baseline}
    several = {place.run.data for place in whole if place.run.model != suite.baseline}
    return [place for place in whole if place.run.data in measured & several]


def _compare_all(suite: Suite, places: Sequence[RunPaths], folder: Path, timing_s: float) -> list[Path]:
    """The tables of these models, written below the folder."""
    stored: list[Path] = []
    for data in dict.fromkeys(place.run.data for place in places):
        group = [place for place in places if place.run.data == data]
        stored += [_compare(suite, group, folder, timing_s), *_compare_calibrated(suite, group, folder)]
        stored += [*_compare_tests(suite, group, folder), *_compare_where(suite, group, folder)]
    return stored


def plan_suite(suite: Suite, out: Path, *, results: Path) -> list[Job]:
    """What `run_suite` will do, or has done: a job a run.

    Raises:
        TrainingError: If a run in `out` has another recipe or other data.
        ManifestError: If a manifest cannot be read.
    """
    return _plan(suite, find_run_paths(suite, out, results), results)


def _plan(suite: Suite, places: Sequence[RunPaths], results: Path) -> list[Job]:
    for place in places:
        check_run_paths(place)
    return [create_job(place, suite, results) for place in places]


# ---------------------------------------------------------------------- tables of one data


def _compare(suite: Suite, places: Sequence[RunPaths], folder: Path, timing_s: float) -> Path:
    """All models on their own test split, with what they cost."""
    baseline = _find_baseline(suite, places)
    comparison = compare([place.result for place in places], baseline=baseline, by=suite.by)
    first = {place.run.recipe.variant: place for place in reversed(places)}
    bundles = {variant: Bundle.load(place.bundle) for variant, place in first.items()}
    path = folder / places[0].result.parent.name / f"{_name(suite, places)}{COMPARISON_SUFFIX}"
    costs = measure_costs(bundles, baseline, seconds=timing_s)
    if timing_s == 0:
        costs = _keep_times(path, costs, baseline)
    seconds = _average_seconds(places)
    runs = tuple(
        dataclasses.replace(run, costs={**costs[run.variant], "training_s": seconds[run.variant]})
        for run in comparison.runs
    )
    dataclasses.replace(comparison, runs=runs).write(path)
    return path


def _keep_times(
    path: Path, costs: Mapping[str, Mapping[str, float]], baseline: str
) -> dict[str, dict[str, float]]:
    """Sizes with the times that an earlier call measured of models of these sizes, if there was one.

    They are ratios: of another baseline none is kept.
    """
    runs = Comparison.load(path).runs if path.is_file() else ()
    before = {run.variant: run.costs for run in runs}
    same = {
        variant
        for variant, sizes in costs.items()
        if variant in before and all(before[variant].get(key) == size for key, size in sizes.items())
    }
    if not runs or runs[0].variant != baseline or baseline not in same:
        same = set()
    return {
        variant: {**(before[variant] if variant in same else {}), **sizes} for variant, sizes in costs.items()
    }


def _compare_calibrated(suite: Suite, places: Sequence[RunPaths], folder: Path) -> list[Path]:
    """The same with thresholds of their own."""
    stored = []
    for goal in suite.calibrate:
        baseline = name_calibrated(_find_baseline(suite, places), goal)
        files = [place.calibrated[goal] for place in places]
        name = name_calibrated(_name(suite, places), goal)
        stored.append(folder / files[0].parent.name / f"{name}{COMPARISON_SUFFIX}")
        compare(files, baseline=baseline, by=suite.by).write(stored[-1])
    return stored


def _compare_tests(suite: Suite, places: Sequence[RunPaths], folder: Path) -> list[Path]:
    stored = []
    for name in suite.tests:
        files = [place.tests[name] for place in places]
        by = suite.by if any(Predictions.load(files[0].with_suffix(".parquet")).identities) else "image"
        comparison = compare(files, baseline=_find_baseline(suite, places), by=by)
        stored.append(folder / name / f"{_name(suite, places)}{COMPARISON_SUFFIX}")
        comparison.write(stored[-1])
    return stored


def _compare_where(suite: Suite, places: Sequence[RunPaths], folder: Path) -> list[Path]:
    stored = []
    for name in suite.localization:
        files = [place.localization[name] for place in places]
        comparison = compare_localization(load_localizations(files), baseline=_find_baseline(suite, places))
        stored.append(folder / name / f"{_name(suite, places)}{LOCALIZATION_COMPARISON_SUFFIX}")
        comparison.write(stored[-1])
    return stored


def _find_baseline(suite: Suite, places: Sequence[RunPaths]) -> str:
    """Its variant."""
    return next(place.run.recipe.variant for place in places if place.run.model == suite.baseline)


def _name(suite: Suite, places: Sequence[RunPaths]) -> str:
    return "-".join(word for word in (suite.name, places[0].run.data) if word)


def _average_seconds(places: Sequence[RunPaths]) -> Mapping[str, float]:
    found: dict[str, list[float]] = {}
    for place in places:
        found.setdefault(place.run.recipe.variant, []).append(Result.load(place.result).seconds)
    return {variant: sum(each) / len(each) for variant, each in found.items()}
