"""The comparison tables of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from passerby.bundle import Bundle
from passerby.comparison.localization_runs import load_localizations
from passerby.comparison.paired_localization import compare_localization
from passerby.comparison.paired_scores import compare
from passerby.comparison.run_comparison import Comparison
from passerby.config import Suite
from passerby.evaluation.calibration import name_calibrated
from passerby.evaluation.predictions import Predictions
from passerby.evaluation.results import Result
from passerby.evaluation.score_files import COMPARISON_SUFFIX, LOCALIZATION_COMPARISON_SUFFIX
from passerby.suite.planned_run import PlannedRun

__all__ = ["write_tables"]


def write_tables(suite: Suite, runs: Sequence[PlannedRun], folder: Path, *, timing_s: float) -> list[Path]:
    """Compare the models of these runs, data by data.

    Args:
        runs: All seeds of each model.
        folder: Folder of the tables, which are written to `<data set>/` and `<name of a test>/` in it.
        timing_s: Seconds of speed measurement per model; 0 for none.

    Returns:
        The files written.
    """
    written: list[Path] = []
    for data in dict.fromkeys(run.definition.data for run in runs):
        group = _Group(suite, [run for run in runs if run.definition.data == data], folder)
        written += [group.compare_models(timing_s), *group.compare_calibrated()]
        written += [*group.compare_tests(), *group.compare_localization()]
    return written


@dataclasses.dataclass(frozen=True)
class _Group:
    """Runs with the same data, whose models are compared."""

    suite: Suite
    runs: Sequence[PlannedRun]
    folder: Path

    @property
    def baseline(self) -> str:
        """Variant of the baseline's runs."""
        return next(run.recipe.variant for run in self.runs if run.definition.model == self.suite.baseline)

    @property
    def name(self) -> str:
        """First part of the names of the files."""
        return "-".join(word for word in (self.suite.name, self.runs[0].definition.data) if word)

    def compare_models(self, timing_s: float) -> Path:
        """All models on the test split of their data, with their costs."""
        from passerby.suite.costs import measure_costs  # here because it loads torch

        comparison = compare([run.result for run in self.runs], baseline=self.baseline, by=self.suite.by)
        first = {run.recipe.variant: run for run in reversed(self.runs)}
        bundles = {variant: Bundle.load(run.bundle) for variant, run in first.items()}
        path = self.folder / self.runs[0].result.parent.name / f"{self.name}{COMPARISON_SUFFIX}"
        costs = measure_costs(bundles, self.baseline, seconds=timing_s)
        if timing_s == 0:
            costs = _keep_times(path, costs, self.baseline)
        seconds = self._average_seconds()
        rows = tuple(
            dataclasses.replace(row, costs={**costs[row.variant], "training_s": seconds[row.variant]})
            for row in comparison.runs
        )
        dataclasses.replace(comparison, runs=rows).write(path)
        return path

    def compare_calibrated(self) -> list[Path]:
        """All models with calibrated thresholds, goal by goal."""
        written = []
        for goal in self.suite.calibrate:
            files = [run.calibrated[goal] for run in self.runs]
            comparison = compare(files, baseline=name_calibrated(self.baseline, goal), by=self.suite.by)
            name = name_calibrated(self.name, goal)
            written.append(self.folder / files[0].parent.name / f"{name}{COMPARISON_SUFFIX}")
            comparison.write(written[-1])
        return written

    def compare_tests(self) -> list[Path]:
        """All models on each additional test; resampled by images where a test has no identities."""
        written = []
        for test in self.suite.tests:
            files = [run.tests[test] for run in self.runs]
            identities = Predictions.load(files[0].with_suffix(".parquet")).identities
            by = self.suite.by if any(identities) else "image"
            written.append(self.folder / test / f"{self.name}{COMPARISON_SUFFIX}")
            compare(files, baseline=self.baseline, by=by).write(written[-1])
        return written

    def compare_localization(self) -> list[Path]:
        """The heat maps of all models on each localization test."""
        written = []
        for test in self.suite.localization:
            scores = load_localizations([run.localization[test] for run in self.runs])
            written.append(self.folder / test / f"{self.name}{LOCALIZATION_COMPARISON_SUFFIX}")
            compare_localization(scores, baseline=self.baseline).write(written[-1])
        return written

    def _average_seconds(self) -> Mapping[str, float]:
        """Mean training time of each variant."""
        found: dict[str, list[float]] = {}
        for run in self.runs:
            found.setdefault(run.recipe.variant, []).append(Result.load(run.result).seconds)
        return {variant: sum(each) / len(each) for variant, each in found.items()}


def _keep_times(
    path: Path, costs: Mapping[str, Mapping[str, float]], baseline: str
) -> dict[str, dict[str, float]]:
    """Costs with the times of an existing table at `path`, for models whose sizes are unchanged.

    Times are ratios to the baseline's: none is kept if the table has another baseline, or its size changed.
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
