"""A comparison of runs with a baseline: its tables and its file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from passerby.comparison.comparison_file import (
    VERSION,
    ComparisonKind,
    load_comparison_file,
    write_comparison_file,
)
from passerby.comparison.intervals import Interval, format_mean
from passerby.comparison.run_names import SHORT_NAMES, RunFacts, describe_facts, name_rows, restore_facts
from passerby.comparison.score_table import Cell, ScoreTable
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.score_files import COMPARISON_SUFFIX
from passerby.evaluation.scoring import restore_nan
from passerby.evaluation.unmeasured import describe_unmeasured
from passerby.io import replace_nan
from passerby.metrics.names import METRICS

__all__ = ["ComparedRun", "Comparison"]

KIND = ComparisonKind("comparison", "compare", COMPARISON_SUFFIX)

COSTS: Mapping[str, tuple[str, float, int]] = {
    "parameters": ("params, M", 1e-6, 2),
    "macs": ("GMACs", 1e-9, 3),
    "training_s": ("training, min", 1 / 60, 1),
    "inference_1": ("time × baseline, 1", 1, 2),
    "inference_32": ("32 at once", 1, 2),
}
"""Costs of a run, as `passerby suite` measures them: heading, factor and digits by name.

Multiply-accumulates of one image, seconds of one training, and the time of a forward pass of one image
and of 32 at once, relative to the baseline."""


@dataclass(frozen=True, slots=True)
class ComparedRun(RunFacts):
    """One recipe, its seeds, and its differences to the baseline.

    Args:
        scores: The overall metrics of each seed, in [0, 1].
        differences: By metric; None for the baseline itself.
        parsing: IoU of the parsing maps of each stage (`ParsingScores.score`), of each seed, in [0, 1]; empty
            for a run without parsing maps, or whose maps were not scored.
        costs: The known values of `COSTS`.
    """

    scores: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, Interval] | None
    parsing: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create a run from the plain values of a file."""
        scores = {name: tuple(map(restore_nan, values["scores"][name])) for name in METRICS}
        if any(len(column) != len(values["seeds"]) or not column for column in scores.values()):
            raise ValueError("expected one score per seed")
        differences = values["differences"]
        fields: dict[str, Any] = {
            "scores": scores,
            "parsing": {stage: tuple(each) for stage, each in values.get("parsing", {}).items()},
            "differences": None
            if differences is None
            else {metric: Interval(**each) for metric, each in differences.items()},
        }
        return cls(**{**restore_facts(values), **fields})

    def format_score(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation over the seeds in per cent; the latter is empty for a single seed."""
        return format_mean(self.scores[metric])

    def format_parsing(self) -> list[str]:
        """The IoU of each stage's parsing maps in per cent, with its name."""
        return [f"{stage} {' '.join(format_mean(each)).strip()}" for stage, each in self.parsing.items()]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs on one test set, and the paired bootstrap intervals of their differences to a baseline.

    Create one with `compare`, read one with `Comparison.load`.

    Args:
        runs: The baseline first.
        metrics: Metrics with an interval.
        resamples: Number of resamples.
        level: Level of the intervals, such as 0.95.
        by: Unit of the resampling: `image` or `identity`.
        seed: Seed of the draws.
        n_samples: Number of rows of the test set.
        n_clusters: Number of images or identities drawn in each resample.
        incomplete: Number of resamples in which an attribute lost all its positives or all its negatives.
        commit: Commit of the code.
        n_attributes: Number of attributes; None in a file of passerby up to 0.2, which does not state it.
        unmeasured: The attributes without positives or without negatives in the test set; None likewise.
        lost: Number of resamples that the intervals leave out, as their labels measure no attribute.
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
    n_attributes: int | None = None
    unmeasured: tuple[str, ...] | None = None
    lost: int = 0

    # ------------------------------------------------------------------ text

    @property
    def cost_names(self) -> list[str]:
        """Headings of the costs that are known for any run."""
        return [COSTS[name][0] for name in self._find_costs()]

    def _find_costs(self) -> list[str]:
        return [name for name in COSTS if any(name in run.costs for run in self.runs)]

    def format_costs(self, run: ComparedRun) -> list[str]:
        """The costs of a run in the order of `cost_names`."""
        cells = []
        for name in self._find_costs():
            _, factor, digits = COSTS[name]
            cells.append(f"{factor * run.costs[name]:.{digits}f}" if name in run.costs else "–")
        return cells

    def name_runs(self) -> tuple[str, tuple[str, ...]]:
        """The facts that all runs share, and a name for each run."""
        return name_rows([describe_facts(run, seeds=len(run.seeds)) for run in self.runs])

    def describe(self) -> str:
        """Explain the numbers of the table."""
        clusters = "images" if self.by == "image" else "identities"
        text = (
            "In per cent, mean ± standard deviation over seeds. "
            f"Below: difference to the first run, its {100 * self.level:g} % interval over "
            f"{self.resamples:,} paired resamples of {self.n_clusters:,} {clusters} "
            f"({self.n_samples:,} samples, seed {self.seed}), and the share of resamples in which it is 0 or "
            "less."
        )
        if self.incomplete:
            drops = load_protocol(self._protocol).unmeasured == "drop" and self.unmeasured is not None
            text += f" In {self.incomplete:,} resamples an attribute had no positives or no negatives left"
            text += ", and was left out of mA there." if drops else "."
        if self.lost:
            text += f" In {self.lost:,} of them no attribute could be measured; the intervals leave them out."
        return " ".join(filter(None, (text, self.describe_unmeasured())))

    @property
    def _protocol(self) -> str:
        return str(self.runs[0].protocol.get("name", "default"))

    def describe_unmeasured(self) -> str:
        """State which attributes cannot be measured; empty if there is none."""
        if self.unmeasured is None or self.n_attributes is None:
            return (
                "The file is of passerby up to 0.2: attributes without positives or without negatives, if "
                "any, count as 0 in mA."
            )
        return describe_unmeasured(self.unmeasured, self.n_attributes, protocol=self._protocol)

    def format_markdown(self) -> str:
        """The table in Markdown, one row per run, with its explanation."""
        shared, names = self.name_runs()
        lines = [shared, "", self.describe(), ""]
        return "\n".join(lines) + "\n" + self.create_table(names).format_markdown()

    def create_table(self, names: Sequence[str], *, with_costs: bool = True) -> ScoreTable:
        """Create the table, one row per run.

        Args:
            names: Names of the runs.
            with_costs: Whether to append the scores of parsing maps and the costs, if known.
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
        """Write everything as JSON.

        Raises:
            ConfigError: If the name does not end in `.comparison.json`.
        """
        write_comparison_file(path, self.to_dict(), KIND)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of the file that `write` writes."""
        values: dict[str, Any] = replace_nan({"version": VERSION, **asdict(self)})
        return values

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """Read a file that `write` wrote.

        Raises:
            DataError: If it is missing, damaged or of another kind.
        """

        def create(values: dict[str, Any]) -> Comparison:
            runs = tuple(ComparedRun.from_dict(run) for run in values["runs"])
            names = values["unmeasured"]
            tuples = {
                "metrics": tuple(values["metrics"]),
                "unmeasured": names if names is None else tuple(names),
            }
            comparison = cls(**{**values, **tuples, "runs": runs})
            comparison.check()
            return comparison

        return load_comparison_file(path, KIND, Comparison, create)

    def check(self) -> None:
        """Raise ValueError if runs, metrics and differences do not fit together."""
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
    """The score, with the difference if it was measured."""
    interval = (run.differences or {}).get(metric)
    return Cell(run.format_score(metric), *(interval.format() if interval else ()))
