"""A table of runs with the intervals of their differences to one of them, and the file it is kept in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from passerby.comparison.score_table import Cell, ScoreTable
from passerby.errors import ConfigError, DataError
from passerby.evaluation.results import COMPARISON_SUFFIX
from passerby.evaluation.run_names import SHORT_NAMES, RunFacts, describe_facts, name_rows, restore_facts
from passerby.io import read_json, write_json
from passerby.metrics.functional import METRICS
from passerby.migration import upgrade

__all__ = ["ComparedRun", "Comparison", "Interval", "check_comparison_path", "check_fields", "format_mean"]

VERSION = 1

COSTS: Mapping[str, tuple[str, float, int]] = {
    "parameters": ("params, M", 1e-6, 2),
    "macs": ("GMACs", 1e-9, 3),
    "training_s": ("training, min", 1 / 60, 1),
    "inference_1": ("time × baseline, 1", 1, 2),
    "inference_32": ("32 at once", 1, 2),
}
"""What a run costs, as `passerby suite` measures it: heading, factor and digits by name.

Multiply-accumulates are of one picture, seconds of one training; the time of a forward pass, of one picture
and of 32 at once, is over that of the baseline's."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The difference of a run to the baseline in one metric.

    Args:
        difference: Mean of the run over its seeds minus that of the baseline, in [−1, 1].
        low: Lower end of the percentile interval.
        high: Upper end.
        share_not_above: Share of the resamples in which the run was not better, in [0, 1].
    """

    difference: float
    low: float
    high: float
    share_not_above: float

    def format(self, *, factor: float = 100, digits: int = 2) -> tuple[str, str, str]:
        """Difference and interval, in per cent unless told otherwise, and the share in per cent.

        Example:
            >>> Interval(0.0123, 0.004, 0.021, 0.003).format()
            ('+1.23', '[+0.40, +2.10]', '0.3')
        """
        difference, low, high = (
            f"{round(factor * value, digits) + 0.0:+.{digits}f}"  # adding 0 makes −0 a 0
            for value in (self.difference, self.low, self.high)
        )
        return difference, f"[{low}, {high}]", f"{100 * self.share_not_above:.1f}"


@dataclass(frozen=True, slots=True)
class ComparedRun(RunFacts):
    """One recipe, its seeds, and how it differs from the baseline.

    Args:
        scores: The overall metrics of each seed, in [0, 1].
        differences: By metric; None for the baseline itself.
        parsing: IoU of the parsing maps of each stage (`ParsingScores.score`), of each seed, in [0, 1]; empty
            for a run that makes none, or whose maps were not scored.
        costs: What is known of `COSTS`.
    """

    scores: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, Interval] | None
    parsing: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the plain values of a file."""
        scores = {name: tuple(float(v) for v in values["scores"][name]) for name in METRICS}
        if any(len(column) != len(values["seeds"]) or not column for column in scores.values()):
            raise ValueError("expected one score a seed")
        found = values["differences"]
        fields_: dict[str, Any] = {
            "scores": scores,
            "parsing": {stage: tuple(each) for stage, each in values.get("parsing", {}).items()},
            "differences": None if found is None else {k: Interval(**v) for k, v in found.items()},
        }
        return cls(**{**restore_facts(values), **fields_})

    def format_score(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation over the seeds in per cent; the latter empty with a single seed."""
        return format_mean(self.scores[metric])

    def format_parsing(self) -> list[str]:
        """The IoU of each stage's parsing maps in per cent, with its name."""
        return [f"{stage} {' '.join(format_mean(each)).strip()}" for stage, each in self.parsing.items()]


def format_mean(values: Sequence[float], *, factor: float = 100, digits: int = 2) -> tuple[str, str]:
    """Mean and standard deviation, in per cent unless told otherwise; the latter empty for a single value.

    Example:
        >>> format_mean([0.12, 0.14]), format_mean([0.5], factor=1, digits=3)
        (('13.00', '± 1.41'), ('0.500', ''))
    """
    spread = f"± {factor * statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{factor * statistics.fmean(values):.{digits}f}", spread


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs on one test set, and the paired bootstrap intervals of their differences to a baseline.

    Create one with `compare`, read one with `Comparison.load`.

    Args:
        runs: The baseline first.
        metrics: Metrics with an interval.
        resamples: Number of resamples.
        level: Level of the intervals, such as 0.95.
        by: What was drawn: `image` or `identity`.
        seed: Seed of the draws.
        n_samples: Number of rows of the test set.
        n_clusters: Number of images or identities drawn in each resample.
        incomplete: Number of resamples in which an attribute had lost all its positives or all its negatives.
        commit: Commit of the code that drew.
    """

    runs: tuple[ComparedRun, ...]
    metrics: tuple[str, ...]
    resamples: int
    level: float
    by: str
    seed: int
    n_samples: int
    n_clusters: int
    incomplete: int
    commit: str | None

    # ------------------------------------------------------------------ words

    @property
    def cost_names(self) -> list[str]:
        """Headings of the costs that are known of any run."""
        return [COSTS[name][0] for name in self._find_costs()]

    def _find_costs(self) -> list[str]:
        return [name for name in COSTS if any(name in run.costs for run in self.runs)]

    def format_costs(self, run: ComparedRun) -> list[str]:
        """A run's costs in the order of `cost_names`."""
        found = []
        for name in self._find_costs():
            _, factor, digits = COSTS[name]
            found.append(f"{factor * run.costs[name]:.{digits}f}" if name in run.costs else "–")
        return found

    def name_runs(self) -> tuple[str, tuple[str, ...]]:
        """What all runs share, and a name for each."""
        return name_rows([describe_facts(run, seeds=len(run.seeds)) for run in self.runs])

    def describe(self) -> str:
        """How the intervals came about."""
        drawn = "images" if self.by == "image" else "identities"
        text = (
            "In per cent, mean ± standard deviation over seeds. "
            f"Below: difference to the first run, its {100 * self.level:g} % interval over "
            f"{self.resamples:,} paired resamples of {self.n_clusters:,} {drawn} ({self.n_samples:,} pictures, "
            f"seed {self.seed}), and the share of resamples in which it is 0 or less."
        )
        if not self.incomplete:
            return text
        return f"{text} In {self.incomplete:,} resamples an attribute had no positives or no negatives left."

    def format_markdown(self) -> str:
        """A table for a README, one line a run, with the words above it."""
        shared, names = self.name_runs()
        lines = [shared, "", self.describe(), ""]
        return "\n".join(lines) + "\n" + self.create_table(names).format_markdown()

    def create_table(self, names: Sequence[str], *, with_costs: bool = True) -> ScoreTable:
        """A line a run.

        Args:
            names: Of the runs.
            with_costs: Whether the scores of parsing maps and the costs follow, where they are known.
        """
        parses = with_costs and any(run.parsing for run in self.runs)
        heads = ["run", *(SHORT_NAMES[metric] for metric in METRICS), *["parsing IoU"] * parses]
        rows = []
        for name, run in zip(names, self.runs, strict=True):
            cells = [_create_cell(run, metric) for metric in METRICS]
            if parses:
                first, *others = run.format_parsing() or ["–"]
                cells.append(Cell((first, ""), more=tuple(others)))
            cells += [Cell((text, "")) for text in self.format_costs(run)] if with_costs else []
            rows.append((name, tuple(cells)))
        return ScoreTable((*heads, *(self.cost_names if with_costs else [])), tuple(rows))

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> None:
        """Write everything as JSON, through a temporary name.

        Raises:
            ConfigError: If the name does not end in `.comparison.json`.
        """
        check_comparison_path(path)
        write_json(Path(path), {"version": VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            DataError: If it is missing, damaged or of another kind.
        """
        values = upgrade(read_json(path))
        try:
            check_fields(values, cls, VERSION)
            runs = tuple(ComparedRun.from_dict(run) for run in values["runs"])
            found = cls(**{**values, "runs": runs, "metrics": tuple(values["metrics"])})
            found.check()
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} is no comparison, or is damaged ({error}); make it anew with "
                "`passerby compare … --out`"
            ) from error
        return found

    def check(self) -> None:
        """Raise ValueError where runs, metrics and differences do not fit together."""
        first, *others = self.runs
        if first.differences is not None or not others:
            raise ValueError("expected a baseline without differences, then the other runs")
        for run in others:
            if run.differences is None or set(run.differences) != set(self.metrics):
                raise ValueError(f"expected differences of {', '.join(self.metrics)} for every other run")
            numbers = [v for each in run.differences.values() for v in asdict(each).values()]
            if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
                raise ValueError("expected finite differences")


def _create_cell(run: ComparedRun, metric: str) -> Cell:
    """The difference is missing where it was not measured."""
    known = (run.differences or {}).get(metric)
    return Cell(run.format_score(metric), *(known.format() if known else ()))


def check_fields(values: dict[str, Any], kind: type, version: int) -> None:
    """Take the version of a stored comparison out; raise ValueError unless it and the fields are these."""
    names = [field.name for field in fields(kind)]
    if values.pop("version") != version:
        raise ValueError(f"expected version {version}")
    if set(values) != set(names):
        raise ValueError(f"expected the fields {', '.join(names)}")


def check_comparison_path(path: Path, suffix: str = COMPARISON_SUFFIX) -> None:
    """Raise ConfigError unless the name ends in the suffix, by which it is told from score files."""
    if not Path(path).name.endswith(suffix):
        raise ConfigError(f"expected a file name that ends in {suffix}, got {path}")
