"""A table of runs with the intervals of their differences to one of them, and the file it is kept in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from passerby.errors import ConfigError, DataError
from passerby.evaluation.files import read_json, write_json
from passerby.evaluation.results import COMPARISON_SUFFIX, METRICS
from passerby.evaluation.tables import SHORT_NAMES, describe_facts, name_rows

__all__ = ["ComparedRun", "Comparison", "Interval", "check_comparison_path"]

VERSION = 1


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

    def format(self) -> tuple[str, str, str]:
        """Difference, interval and share in per cent.

        Example:
            >>> Interval(0.0123, 0.004, 0.021, 0.003).format()
            ('+1.23', '[+0.40, +2.10]', '0.3')
        """
        low, high = _format_signed(self.low), _format_signed(self.high)
        return _format_signed(self.difference), f"[{low}, {high}]", f"{100 * self.share_not_above:.1f}"


def _format_signed(value: float) -> str:
    return f"{round(100 * value, 2) + 0.0:+.2f}"  # adding 0 makes −0 a 0


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One recipe, its seeds, and how it differs from the baseline.

    Args:
        system: See `Result`, as the others that are not named here.
        seeds: Seeds of the training runs.
        commits: Commit of the code of each.
        scores: The overall metrics of each seed, in [0, 1].
        differences: By metric; None for the baseline itself.
        parsing: IoU of the parsing maps of each stage (`ParsingScores.score`), of each seed, in [0, 1]; empty
            for a run that makes none, or whose maps were not scored.
    """

    system: str
    backbone: str
    variant: str
    pretraining: str
    dataset: str
    split: str
    input_size: tuple[int, int]
    epochs: int
    protocol: Mapping[str, Any]
    seeds: tuple[int, ...]
    commits: tuple[str | None, ...]
    scores: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, Interval] | None
    parsing: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From the plain values of a file."""
        scores = {name: tuple(float(v) for v in values["scores"][name]) for name in METRICS}
        if any(len(column) != len(values["seeds"]) or not column for column in scores.values()):
            raise ValueError("expected one score a seed")
        found = values["differences"]
        parts: dict[str, Any] = {
            "input_size": tuple(values["input_size"]),
            "seeds": tuple(values["seeds"]),
            "commits": tuple(values["commits"]),
            "scores": scores,
            "parsing": {stage: tuple(each) for stage, each in values.get("parsing", {}).items()},
            "differences": None if found is None else {k: Interval(**v) for k, v in found.items()},
        }
        return cls(**{**values, **parts})

    def format_score(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation over the seeds in per cent; the latter empty with a single seed."""
        return _format_mean(self.scores[metric])

    def format_parsing(self) -> list[str]:
        """The IoU of each stage's parsing maps in per cent, with its name."""
        return [f"{stage} {' '.join(_format_mean(each)).strip()}" for stage, each in self.parsing.items()]


def _format_mean(values: Sequence[float]) -> tuple[str, str]:
    """Mean and standard deviation in per cent; the latter empty for a single value."""
    spread = f"± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.2f}", spread


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
        people: Number of rows of the test set.
        groups: Number of images or identities drawn in each resample.
        incomplete: Number of resamples in which an attribute had lost all its positives or all its negatives.
        commit: Commit of the code that drew.
    """

    runs: tuple[ComparedRun, ...]
    metrics: tuple[str, ...]
    resamples: int
    level: float
    by: str
    seed: int
    people: int
    groups: int
    incomplete: int
    commit: str | None

    # ------------------------------------------------------------------ words

    def name_runs(self) -> tuple[str, tuple[str, ...]]:
        """What all runs share, and a name for each."""
        return name_rows([describe_facts(run, seeds=len(run.seeds)) for run in self.runs])

    def describe(self) -> str:
        """How the intervals came about."""
        drawn = "images" if self.by == "image" else "identities"
        text = (
            "In per cent, mean ± standard deviation over seeds. "
            f"Below: difference to the first run, its {100 * self.level:g} % interval over "
            f"{self.resamples:,} paired resamples of {self.groups:,} {drawn} ({self.people:,} pictures, "
            f"seed {self.seed}), and the share of resamples in which it is 0 or less."
        )
        if not self.incomplete:
            return text
        return f"{text} In {self.incomplete:,} resamples an attribute had no positives or no negatives left."

    def format_markdown(self) -> str:
        """A table for a README, one line a run, with the words above it."""
        shared, names = self.name_runs()
        lines = [shared, "", self.describe(), ""]
        parses = any(run.parsing for run in self.runs)
        heads = [SHORT_NAMES[m] for m in METRICS] + ["parsing IoU"] * parses
        lines.append("| run | " + " | ".join(heads) + " |")
        lines.append("|---|" + "---:|" * len(heads))
        for name, run in zip(names, self.runs, strict=True):
            cells = [_format_cell(run, metric) for metric in METRICS]
            cells += ["<br>".join(run.format_parsing()) or "–"] * parses
            lines.append("| " + " | ".join((name, *cells)) + " |")
        return "\n".join(lines) + "\n"

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
        values = read_json(path)
        try:
            if values.pop("version") != VERSION:
                raise ValueError(f"expected version {VERSION}")
            if set(values) != {f.name for f in fields(cls)}:
                raise ValueError(f"expected the fields {', '.join(f.name for f in fields(cls))}")
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


def _format_cell(run: ComparedRun, metric: str) -> str:
    lines = [" ".join(run.format_score(metric)).strip()]
    if run.differences and metric in run.differences:
        difference, interval, share = run.differences[metric].format()
        lines += [f"{difference} {interval}", f"≤ 0: {share} %"]
    return "<br>".join(lines)


def check_comparison_path(path: Path) -> None:
    """Raise ConfigError unless the name ends in `.comparison.json`, by which it is told from score files."""
    if not Path(path).name.endswith(COMPARISON_SUFFIX):
        raise ConfigError(f"expected a file name that ends in {COMPARISON_SUFFIX}, got {path}")
