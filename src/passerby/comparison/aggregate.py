"""Results of several seeds of a recipe together, and the table of many recipes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from passerby.comparison.intervals import compute_deviation, format_mean
from passerby.comparison.run_names import name_run, select_rules
from passerby.errors import ConfigError, DataError
from passerby.evaluation.results import Result
from passerby.evaluation.scoring import format_percent
from passerby.metrics.names import METRICS

__all__ = [
    "COLUMNS",
    "Aggregate",
    "aggregate",
    "format_markdown",
    "identify_recipe",
    "list_remarks",
    "select_variants",
]

DEFAULT_COLUMNS = ("data", "recipe", "training", "protocol", "seeds", *METRICS)
COLUMNS = ("data", "recipe", "model", "backbone", "variant", "training", "protocol", "seeds", *METRICS)
"""Columns of the table of results; `recipe` is model, backbone and variant."""


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what the seeds have in common, the seeds, mean and sd."""
        first = self.first
        shared = (
            "model",
            "backbone",
            "variant",
            "pretraining",
            "dataset",
            "partition",
            "split",
            "input_size",
        )
        return {
            **{name: getattr(first, name) for name in (*shared, "epochs")},
            "protocol": select_rules(first.protocol),
            "seeds": [result.seed for result in self.results],
            "mean": dict(self.mean),
            "sd": None if self.sd is None else dict(self.sd),
            "unmeasured": list(first.unmeasured),
        }

    def format(self, metric: str) -> str:
        """A metric in per cent: `81.52 ± 0.21`, or `81.52` for a single seed."""
        return " ".join(self.format_parts(metric)).strip()

    def format_parts(self, metric: str) -> tuple[str, str]:
        """Mean and standard deviation separately: `81.52` and `± 0.21`, which is empty for a single seed."""
        return format_mean([result.get_score(metric) for result in self.results])


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
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        different = [result for result in group if result.seed == twice]
        found = ", ".join(f"mA {format_percent(r.get_score('mA'))} of commit {r.commit}" for r in different)
        raise DataError(
            f"{group[0].path.name}: expected each seed once, got {len(different)} different evaluations with "
            f"seed {twice} ({found}); pass one of them, or evaluate one again with another --variant"
        )
    columns = {name: [result.get_score(name) for result in group] for name in METRICS}
    mean = {name: statistics.fmean(column) for name, column in columns.items()}
    sd = {name: compute_deviation(column) for name, column in columns.items()} if len(group) > 1 else None
    return Aggregate(tuple(group), mean, sd)


def select_variants(rows: Sequence[Aggregate], variants: Sequence[str]) -> list[Aggregate]:
    """The rows of these variants, in this order.

    Raises:
        ConfigError: If no row has one of the variants.
    """
    known = list(dict.fromkeys(row.first.variant for row in rows))
    if missing := [name for name in variants if name not in known]:
        near = ", ".join(get_close_matches(missing[0], known)) or ", ".join(known[:5])
        raise ConfigError(f"no score of the variant {missing[0]!r}; there are, for example, {near}")
    return [row for name in variants for row in rows if row.first.variant == name]


def list_remarks(rows: Sequence[Aggregate]) -> list[str]:
    """State for each data set and protocol which attributes are unmeasured."""
    found: dict[str, None] = {}
    for row in rows:
        first = row.first
        if text := first.describe_unmeasured():
            name = f"{first.dataset} {first.partition}/{first.split}, protocol {first.protocol['name']}"
            found[f"{name}: {text}"] = None
    return list(found)


def format_markdown(rows: Sequence[Aggregate], columns: Sequence[str] = DEFAULT_COLUMNS) -> str:
    """A Markdown table with one row per recipe; metrics in per cent, mean ± standard deviation over seeds.

    Below it stands which attributes cannot be measured.

    Args:
        columns: Some of `COLUMNS`.

    Raises:
        ConfigError: If a column is unknown.
    """
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"no column {unknown[0]!r}; expected some of {', '.join(COLUMNS)}")
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("|" + "".join("---:|" if name in ("seeds", *METRICS) else "---|" for name in columns))
    for row in rows:
        cells = _describe(row)
        lines.append("| " + " | ".join(cells[name] for name in columns) + " |")
    remarks = list_remarks(rows) if "mA" in columns else []
    return "\n".join([*lines, *(line for text in remarks for line in ("", text))]) + "\n"


def _describe(row: Aggregate) -> dict[str, str]:
    """The cell of each of `COLUMNS`."""
    first = row.first
    keys = ("name", "crops", "calibration", "source", "label_map", "train_subset", "limit")
    return {
        "data": f"{first.dataset}, {first.partition}/{first.split}",
        "recipe": row.title,
        "model": first.model,
        "backbone": first.backbone,
        "variant": first.variant,
        "training": f"{first.pretraining}, {'×'.join(map(str, first.input_size))}, {first.epochs} epochs",
        "protocol": ", ".join(str(first.protocol[key]) for key in keys if key in first.protocol),
        "seeds": str(len(row.results)),
        **{name: row.format(name) for name in METRICS},
    }
