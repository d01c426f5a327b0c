"""A line an attribute, a column a run: the share of right answers beside mA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from passerby.errors import DataError
from passerby.evaluation.results import Aggregate
from passerby.evaluation.run_names import describe_facts, name_rows

__all__ = ["AttributeTable", "create_attribute_table"]

METRICS = ("accuracy", "mA")


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """Accuracy and mA of each attribute for several runs, in [0, 1].

    Paper: the form of Tables 5 and 6 of MAN (2020), which have the accuracy alone: the share of people about
    whom the answer is right. It flatters. Whoever never says yes is right about everybody who lacks the
    attribute, and most attributes are rare; mA is 0.5 for such an answer. So the table has both, and what
    saying no to everything would earn.

    Args:
        shared: What all runs have in common, in words.
        runs: Names of the runs.
        attributes: Names of the attributes.
        positives: Share of people with the attribute.
        always_no: Accuracy of saying no to everybody.
        values: For each run and metric (`accuracy`, `mA`) a number an attribute.
    """

    shared: str
    runs: tuple[str, ...]
    attributes: tuple[str, ...]
    positives: tuple[float, ...]
    always_no: tuple[float, ...]
    values: tuple[Mapping[str, tuple[float, ...]], ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Heads of the columns."""
        alone = len(self.runs) == 1
        heads = (m if alone else f"{run}: {m}" for run in self.runs for m in METRICS)
        return ("attribute", "positives", "always no", *heads)

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Cells of each attribute in per cent, and of the mean over them."""
        columns = [self.positives, self.always_no, *(run[m] for run in self.values for m in METRICS)]
        for i, name in enumerate(self.attributes):
            yield (name, *(f"{100 * column[i]:.1f}" for column in columns))
        yield ("mean", *(f"{100 * fmean(column):.1f}" for column in columns))

    def format_markdown(self) -> str:
        """The table for a document."""
        heads = ["| " + " | ".join(self.header) + " |", "|---|" + "---:|" * (len(self.header) - 1)]
        return "\n".join([*heads, *("| " + " | ".join(line) + " |" for line in self.lines())]) + "\n"


def create_attribute_table(rows: Sequence[Aggregate]) -> AttributeTable:
    """Put runs beside each other that were scored on the same people.

    Args:
        rows: At least one; the seeds of each are averaged.

    Raises:
        DataError: If there is none, they are scores of different data, or one has no such metric.
    """
    if not rows:
        raise DataError("expected at least one run, got none; give score files")
    first = rows[0].first
    attributes = tuple(first.metrics["per_attribute"])
    for row in rows:
        if (row.first.dataset, row.first.partition, row.first.split) != (
            first.dataset,
            first.partition,
            first.split,
        ):
            raise DataError(
                f"expected runs scored on {first.dataset} {first.partition}/{first.split}, got also {row.first.dataset} "
                f"{row.first.partition}/{row.first.split}; give the files of one"
            )
        for result in row.results:
            _check(result.metrics["per_attribute"], attributes, what=row.title)
    counts = [first.metrics["per_attribute"][name] for name in attributes]
    positives = tuple(c["positives"] / max(1, c["positives"] + c["negatives"]) for c in counts)
    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    values = tuple({metric: _average(row, metric, attributes) for metric in METRICS} for row in rows)
    return AttributeTable(
        shared, names, attributes, positives, tuple(1 - share for share in positives), values
    )


def _check(found: Mapping[str, Mapping[str, Any]], attributes: Sequence[str], *, what: str) -> None:
    if tuple(found) != tuple(attributes):
        raise DataError(f"{what}: expected the attributes {', '.join(attributes)}, got {', '.join(found)}")
    for name, scores in found.items():
        missing = [m for m in (*METRICS, "positives", "negatives") if scores.get(m) is None]
        if missing:
            raise DataError(f"{what}: no {missing[0]} of {name}; make the score file anew")


def _average(row: Aggregate, metric: str, attributes: Sequence[str]) -> tuple[float, ...]:
    return tuple(fmean(r.metrics["per_attribute"][name][metric] for r in row.results) for name in attributes)
