"""A comparison of the localisation of runs with a baseline, and its file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from passerby.comparison.comparison_file import (
    VERSION,
    ComparisonKind,
    load_comparison_file,
    write_comparison_file,
)
from passerby.comparison.intervals import Interval
from passerby.comparison.run_names import RunFacts, restore_facts
from passerby.evaluation.localization.samples import SCORES
from passerby.evaluation.score_files import LOCALIZATION_COMPARISON_SUFFIX

__all__ = ["ComparedLocalization", "LocalizationComparison", "LocalizationDifferences"]

KIND = ComparisonKind("comparison of localisation", "compare-localization", LOCALIZATION_COMPARISON_SUFFIX)
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class LocalizationDifferences:
    """The differences between a run and the baseline, by score, without those that cannot be measured.

    Args:
        per_attribute: By attribute and score, without attributes that have too few samples.
        mean: Differences of the means over attributes.
        mean_of_paper: Differences of the means over the attributes in SSPNet's Table 10.
    """

    per_attribute: Mapping[str, Mapping[str, Interval]]
    mean: Mapping[str, Interval]
    mean_of_paper: Mapping[str, Interval]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create it from the plain values of a file."""
        return cls(
            {name: _read_intervals(each) for name, each in values["per_attribute"].items()},
            _read_intervals(values["mean"]),
            _read_intervals(values["mean_of_paper"]),
        )


def _read_intervals(values: Mapping[str, Any]) -> dict[str, Interval]:
    intervals = {score: Interval(**each) for score, each in values.items()}
    numbers = [number for each in intervals.values() for number in asdict(each).values()]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise ValueError("expected finite differences")
    return intervals


@dataclass(frozen=True, slots=True)
class ComparedLocalization(RunFacts):
    """One recipe, its seeds, and its differences to the baseline.

    Args:
        scores: By attribute and score (`SCORES`) the value of each seed, NaN if it cannot be measured.
        differences: None for the baseline itself.
    """

    scores: Mapping[str, Mapping[str, tuple[float, ...]]]
    differences: LocalizationDifferences | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None for NaN."""
        scores = {
            name: {score: [None if math.isnan(v) else v for v in each] for score, each in columns.items()}
            for name, columns in self.scores.items()
        }
        return {**asdict(self), "scores": scores}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create it from the plain values of a file."""
        scores = {
            name: {
                score: tuple(math.nan if v is None else float(v) for v in columns[score]) for score in SCORES
            }
            for name, columns in values["scores"].items()
        }
        seeds = len(values["seeds"])
        if not seeds or any(len(each) != seeds for columns in scores.values() for each in columns.values()):
            raise ValueError("expected one score per seed")
        differences = values["differences"]
        if differences is not None:
            differences = LocalizationDifferences.from_dict(differences)
        return cls(**{**restore_facts(values), "scores": scores, "differences": differences})


@dataclass(frozen=True, slots=True)
class LocalizationComparison:
    """Runs on the same samples, and the paired bootstrap intervals of their differences to a baseline.

    Create one with `compare_localization`, read one with `LocalizationComparison.load`.

    Args:
        runs: The baseline first.
        scores: Scores with an interval.
        counts: Number of samples of each attribute that has any.
        exclude_from_mean: Attributes that are left out of the means.
        mean_of: Attributes in the means: those with enough samples that are not in `exclude_from_mean`.
        of_paper: Those of `mean_of` that are in SSPNet's Table 10.
        resamples: Number of resamples.
        seed: Seed of the draws.
        n_clusters: Number of clusters drawn in each resample: identities, or images without a known
            identity.
        commit: Commit of the code.
    """

    runs: tuple[ComparedLocalization, ...]
    scores: tuple[str, ...]
    counts: Mapping[str, int]
    exclude_from_mean: tuple[str, ...]
    mean_of: tuple[str, ...]
    of_paper: tuple[str, ...]
    resamples: int
    seed: int
    n_clusters: int
    commit: str | None

    def find_measured(self, score: str, attributes: Sequence[str]) -> list[str]:
        """The attributes with a score in every run and seed, over which a mean is computed."""
        return [
            name
            for name in attributes
            if not any(math.isnan(value) for run in self.runs for value in run.scores[name][score])
        ]

    def average(self, run: ComparedLocalization, score: str, attributes: Sequence[str]) -> tuple[float, ...]:
        """The mean of each seed over the attributes with a score in every run; NaN if there is none."""
        columns = [run.scores[name][score] for name in self.find_measured(score, attributes)]
        return tuple(map(statistics.fmean, zip(*columns, strict=True))) or (math.nan,) * len(run.seeds)

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> None:
        """Write everything but the samples as JSON.

        Raises:
            ConfigError: If the name does not end in `.localization-comparison.json`.
        """
        write_comparison_file(path, self.to_dict(), KIND)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of the file that `write` writes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"version": VERSION, **values, "runs": [run.to_dict() for run in self.runs]}

    @classmethod
    def load(cls, path: Path) -> LocalizationComparison:
        """Read a file that `write` wrote.

        Raises:
            DataError: If it is missing, damaged or of another kind.
        """

        def create(values: dict[str, Any]) -> LocalizationComparison:
            keys = ("scores", "exclude_from_mean", "mean_of", "of_paper")
            runs = tuple(ComparedLocalization.from_dict(run) for run in values["runs"])
            comparison = cls(**{**values, **{key: tuple(values[key]) for key in keys}, "runs": runs})
            comparison.check()
            return comparison

        return load_comparison_file(path, KIND, LocalizationComparison, create)

    def check(self) -> None:
        """Raise ValueError if runs, attributes, scores and differences do not fit together."""
        first, *others = self.runs
        if first.differences is not None or not others:
            raise ValueError("expected a baseline without differences, then the other runs")
        if not set(self.scores) <= set(SCORES) or not {*self.mean_of, *self.of_paper} <= set(self.counts):
            raise ValueError("expected known scores, and means over attributes that have samples")
        if any(set(run.scores) != set(self.counts) for run in self.runs):
            raise ValueError(f"expected the scores of {', '.join(self.counts)} for every run")
        for run in others:
            if run.differences is None:
                raise ValueError("expected differences for every other run")
            self._check_differences(run, run.differences)

    def _check_differences(self, run: ComparedLocalization, stored: LocalizationDifferences) -> None:
        first = self.runs[0]
        means = ((stored.mean, self.mean_of), (stored.mean_of_paper, self.of_paper))
        expected = [
            (interval, self.average(run, score, attributes), self.average(first, score, attributes))
            for column, attributes in means
            for score, interval in column.items()
        ]
        expected += [
            (interval, run.scores[name][score], first.scores[name][score])
            for name, column in stored.per_attribute.items()
            for score, interval in column.items()
        ]
        for interval, values, baseline in expected:
            difference = statistics.fmean(values) - statistics.fmean(baseline)
            if not abs(difference - interval.difference) <= _TOLERANCE:
                raise ValueError("expected differences that match the scores")
