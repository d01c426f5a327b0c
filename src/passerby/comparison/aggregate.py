"""Results of several seeds of a recipe together, and the table of many recipes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passerby.comparison.run_names import name_run, select_rules
from passerby.errors import DataError
from passerby.evaluation.results import Result
from passerby.metrics.functional import METRICS

__all__ = ["Aggregate", "aggregate", "format_markdown", "identify_recipe"]

HEADINGS = ("data", "model", "training", "protocol", "seeds")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The results of one recipe over its seeds.

    Args:
        results: One per seed; they agree in everything but seed, duration, device and commit.
        mean: Mean of each overall metric, in [0, 1].
        sd: Standard deviation over the seeds (n − 1 in the denominator); None for a single seed.
    """

    results: tuple[Result, ...]
    mean: Mapping[str, float]
    sd: Mapping[str, float] | None

    @property
    def first(self) -> Result:
        """The result of the first seed, for the fields that all have in common."""
        return self.results[0]

    @property
    def title(self) -> str:
        """Model, backbone and variant in one line."""
        return name_run(self.first)

    def format(self, metric: str) -> str:
        """A metric in per cent: `81.52 ± 0.21`, or `81.52` for a single seed."""
        return " ".join(self.format_parts(metric)).strip()

    def format_parts(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation separately: `81.52` and `± 0.21`, which is empty for a single seed."""
        spread = "" if self.sd is None else f"± {100 * self.sd[metric]:.2f}"
        return f"{100 * self.mean[metric]:.2f}", spread


def aggregate(results: Sequence[Result]) -> list[Aggregate]:
    """Group the seeds of each recipe; never across protocols, partitions, sizes or pretraining.

    Raises:
        DataError: If a recipe has the same seed twice.
    """
    recipes: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        recipes.setdefault(identify_recipe(result), []).append(result)
    return [_aggregate_seeds(group) for _, group in sorted(recipes.items())]


def identify_recipe(result: Result) -> tuple[Any, ...]:
    """The values that the seeds of one recipe have in common."""
    return (
        result.dataset,
        result.partition,
        result.split,
        result.model,
        result.backbone,
        result.variant,
        result.pretraining,
        result.input_size,
        result.epochs,
        json.dumps(select_rules(result.protocol), sort_keys=True),
    )


def _aggregate_seeds(group: list[Result]) -> Aggregate:
    group = sorted(group, key=lambda result: result.seed)
    seeds = [result.seed for result in group]
    if len(set(seeds)) < len(seeds):
        raise DataError(f"{group[0].path.name}: the same recipe has seeds {seeds}; expected each seed once")
    columns = {name: [float(result.metrics[name]) for result in group] for name in METRICS}
    mean = {name: statistics.fmean(column) for name, column in columns.items()}
    sd = {name: statistics.stdev(column) for name, column in columns.items()} if len(group) > 1 else None
    return Aggregate(tuple(group), mean, sd)


def format_markdown(rows: Sequence[Aggregate]) -> str:
    """A table with one row per recipe: metrics in per cent, mean ± standard deviation over seeds."""
    lines = ["| " + " | ".join((*HEADINGS, *METRICS)) + " |"]
    lines.append("|" + "---|" * len(HEADINGS) + "---:|" * len(METRICS))
    table = [(*_describe_cells(row), *(row.format(metric) for metric in METRICS)) for row in rows]
    lines += ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join(lines) + "\n"


def _describe_cells(row: Aggregate) -> tuple[str, ...]:
    """The cells of `HEADINGS`."""
    first = row.first
    training = f"{first.pretraining}, {first.input_size[0]}×{first.input_size[1]}, {first.epochs} epochs"
    keys = ("name", "crops", "calibration", "source", "label_map")
    protocol = ", ".join(str(first.protocol[key]) for key in keys if key in first.protocol)
    return (
        f"{first.dataset}, {first.partition}/{first.split}",
        row.title,
        training,
        protocol,
        str(len(row.results)),
    )
