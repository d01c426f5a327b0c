"""Run a suite: train, test and compare all models that it names."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from passerby.comparison.stored import load_comparison
from passerby.config import Suite
from passerby.data.cache import PackedCache
from passerby.errors import TrainingError
from passerby.io import replace_file
from passerby.suite.jobs import Job
from passerby.suite.planned_run import PlannedRun, plan_runs
from passerby.suite.runner import run_jobs
from passerby.suite.steps import create_job
from passerby.suite.tables import write_tables

__all__ = ["plan_suite", "run_suite"]

logger = logging.getLogger(__name__)


def plan_suite(suite: Suite, out: Path, *, results: Path) -> list[Job]:
    """The jobs of `run_suite`, one per run; `Job.is_done` tells whether it is complete.

    Raises:
        TrainingError: If a run in `out` was created from another recipe or other data.
        ManifestError: If a manifest cannot be read.
    """
    return [create_job(run, suite, results) for run in plan_runs(suite, out, results)]


def run_suite(
    suite: Suite, out: Path, *, results: Path, at_once: int = 1, timing_s: float = 4.0
) -> list[Path]:
    """Run the jobs that are not done, then compare the models.

    ```
    OUT/
      recipes/  runs/    recipe and run folder of each run, by data, model and seed
      logs/              output of the worker processes
      report.html        the tables with charts
      partial/           if runs failed: the tables of the complete models
    RESULTS/<data set>/
      …-seed0.json                 score files, one per run
      <suite>….comparison.json     one per data: scores, intervals, sizes, times
      <suite>…-calibrated-….comparison.json   the same with calibrated thresholds (`calibrate`)
    RESULTS/<name of a test>/      the same for each additional test and localization test
    ```

    After an interruption or a failure, the same call continues: complete runs are not repeated, and
    unfinished ones resume from their checkpoint. Progress is logged by `passerby.suite`.

    Args:
        out: Folder of the suite.
        results: Folder of the score files.
        at_once: Number of runs in parallel, on one machine.
        timing_s: Seconds of speed measurement per model, after all training; 0 for none.

    Returns:
        The comparison files.

    Raises:
        TrainingError: If a run in `out` was created from another recipe or other data, before anything runs;
            or if runs failed, after the others have ended and the complete models have been compared. The
            tables in `results` are then unchanged.
        ManifestError: If a manifest cannot be read, before anything runs.
        KeyboardInterrupt: After an interruption, once all worker processes have ended.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        runs = plan_runs(suite, out, results)
        jobs = [create_job(run, suite, results) for run in runs]
        for run in runs:
            with replace_file(run.recipe_path) as temporary:
                temporary.write_text(run.recipe.to_yaml(), encoding="utf-8")
        _pack_images(run for run, job in zip(runs, jobs, strict=True) if not job.is_done)
        failed = run_jobs(jobs, out / "logs", at_once=at_once)
        complete = _find_complete(suite, runs, {job.name for job in jobs if job.is_done})
        partial = out / "partial"
        shutil.rmtree(partial, ignore_errors=True)  # of an earlier call
        tables = write_tables(suite, complete, partial if failed else results, timing_s=timing_s)
        if tables:
            from passerby.report.page import create_report, write_report  # here: it loads matplotlib

            comparisons = [load_comparison(path) for path in tables]
            write_report(
                out / "report.html", create_report([], [], comparisons=comparisons, title=suite.name)
            )
    if failed:
        raise TrainingError(_describe_failures(failed, len(jobs), partial if tables else None))
    return tables


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Ensure that only one process runs a suite in this folder."""
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(
            f"another process runs the suite in {out}; wait for its end, or choose another folder with --out"
        ) from None
    with lock:
        try:
            yield
        finally:
            lock.release()


def _pack_images(runs: Iterable[PlannedRun]) -> None:
    """Pack the images of each data set and size once, before the runs that share them start in parallel."""
    packed = set()
    for run in runs:
        data = run.recipe.data
        preprocess = run.recipe.input.create_preprocess()
        key = (run.manifest.fingerprint, preprocess, data.cache)
        if key in packed:
            continue
        packed.add(key)
        logger.info("images of %s at %d×%d", run.manifest.dataset, preprocess.height, preprocess.width)
        PackedCache.build(
            run.manifest,
            preprocess,
            data.cache,
            on_unreadable=data.on_unreadable,
            workers=max(1, run.recipe.training.workers),
        )


def _find_complete(suite: Suite, runs: Sequence[PlannedRun], done: set[str]) -> list[PlannedRun]:
    """The runs of models of which all seeds are done, for data with the baseline and another such model."""
    missing = {(run.definition.data, run.definition.model) for run in runs if run.name not in done}
    complete = [run for run in runs if (run.definition.data, run.definition.model) not in missing]
    with_baseline = {run.definition.data for run in complete if run.definition.model == suite.baseline}
    with_others = {run.definition.data for run in complete if run.definition.model != suite.baseline}
    return [run for run in complete if run.definition.data in with_baseline & with_others]


def _describe_failures(failed: Mapping[str, str], total: int, tables: Path | None) -> str:
    lines = "\n  ".join(f"{name}: {reason}" for name, reason in failed.items())
    where = f"tables of the complete models are in {tables}" if tables else "there are no models to compare"
    return (
        f"{len(failed)} of {total} runs failed, {where}; fix the errors and repeat the command, which runs "
        f"only these again:\n  {lines}"
    )
