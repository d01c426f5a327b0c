"""A table with one row per attribute: accuracy and mA of several runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import Any

from passerby.comparison.aggregate import Aggregate, list_remarks
from passerby.comparison.run_names import describe_facts, name_rows
from passerby.errors import DataError
from passerby.evaluation.scoring import format_percent, restore_nan

__all__ = ["AttributeTable", "create_attribute_table"]

METRICS = ("accuracy", "mA")


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """Accuracy and mA of each attribute for several runs, in [0, 1].

    Paper: the form of Tables 5 and 6 of MAN (2020), which have the accuracy alone: the share of correct
    predictions. Accuracy is misleading for rare attributes: a model that never predicts the attribute is
    correct for all samples without it, while its mA is 0.5. So the table has both, and the accuracy of always
    predicting no.

    A value that the labels cannot measure is NaN, and the mean is over the others.

    Args:
        shared: The facts that all runs share, in words.
        runs: Names of the runs.
        attributes: Names of the attributes.
        positives: Share of samples with the attribute.
        always_no: Accuracy of always predicting no.
        values: For each run and metric (`accuracy`, `mA`) one number per attribute.
        unmeasured: The attributes without positives or without negatives, in any run.
        remarks: The same in words, and what follows.
    """

    shared: str
    runs: tuple[str, ...]
    attributes: tuple[str, ...]
    positives: tuple[float, ...]
    always_no: tuple[float, ...]
    values: tuple[Mapping[str, tuple[float, ...]], ...]
    unmeasured: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """Headings of the columns."""
        single = len(self.runs) == 1
        heads = (m if single else f"{run}: {m}" for run in self.runs for m in METRICS)
        return ("attribute", "positives", "always no", *heads)

    def lines(self) -> Iterator[tuple[str, ...]]:
        """The cells of each attribute in per cent, then of their mean."""
        columns = [self.positives, self.always_no, *(run[m] for run in self.values for m in METRICS)]
        for i, name in enumerate(self.attributes):
            yield (name, *(format_percent(column[i], digits=1, unit="") for column in columns))
        yield ("mean", *(format_percent(_average_known(c), digits=1, unit="") for c in columns))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the mean of each run, and one object for each attribute with its scores."""
        return {
            "shared": self.shared,
            "mean": {
                run: {metric: _average_known(values[metric]) for metric in METRICS}
                for run, values in zip(self.runs, self.values, strict=True)
            },
            "unmeasured": list(self.unmeasured),
            "attributes": [
                {
                    "name": name,
                    "positives": self.positives[i],
                    "always_no": self.always_no[i],
                    "runs": {
                        run: {metric: values[metric][i] for metric in METRICS}
                        for run, values in zip(self.runs, self.values, strict=True)
                    },
                }
                for i, name in enumerate(self.attributes)
            ],
        }

    def format_markdown(self) -> str:
        """The table in Markdown."""
        heads = ["| " + " | ".join(self.header) + " |", "|---|" + "---:|" * (len(self.header) - 1)]
        lines = [*heads, *("| " + " | ".join(line) + " |" for line in self.lines())]
        return "\n".join([*lines, *(line for text in self.remarks for line in ("", text))]) + "\n"


def create_attribute_table(rows: Sequence[Aggregate]) -> AttributeTable:
    """Create the table of runs that were scored on the same samples.

    Args:
        rows: At least one; the seeds of each are averaged.

    Raises:
        DataError: If there is none, they are scores of different data, or one lacks a metric.
    """
    if not rows:
        raise DataError("expected at least one run, got none; pass score files")
    first = rows[0].first
    attributes = tuple(first.metrics["per_attribute"])
    for row in rows:
        if _name_data(row) != _name_data(rows[0]):
            raise DataError(
                f"expected runs scored on {_name_data(rows[0])}, got also {_name_data(row)}; "
                "pass the files of one"
            )
        for result in row.results:
            _check(result.metrics["per_attribute"], attributes, what=row.title)
    counts = [first.metrics["per_attribute"][name] for name in attributes]
    known = [c["positives"] + c["negatives"] for c in counts]
    positives = tuple(c["positives"] / n if n else nan for c, n in zip(counts, known, strict=True))
    shared, names = name_rows([describe_facts(row.first, seeds=len(row.results)) for row in rows])
    values = tuple({metric: _collect(row, metric, attributes) for metric in METRICS} for row in rows)
    always_no = tuple(1 - share for share in positives)
    return AttributeTable(
        shared,
        names,
        attributes,
        positives,
        always_no,
        values,
        unmeasured=tuple(name for name in attributes if any(name in row.first.unmeasured for row in rows)),
        remarks=tuple(list_remarks(rows)),
    )


def _name_data(row: Aggregate) -> str:
    return f"{row.first.dataset} {row.first.partition}/{row.first.split}"


def _check(found: Mapping[str, Mapping[str, Any]], attributes: Sequence[str], *, what: str) -> None:
    if tuple(found) != tuple(attributes):
        raise DataError(f"{what}: expected the attributes {', '.join(attributes)}, got {', '.join(found)}")
    for name, scores in found.items():
        missing = [m for m in (*METRICS, "positives", "negatives") if m not in scores]
        if missing:
            raise DataError(f"{what}: no {missing[0]} of {name}; create the score file again")


def _collect(row: Aggregate, metric: str, attributes: Sequence[str]) -> tuple[float, ...]:
    """The mean over the seeds of each attribute."""
    columns = [[r.metrics["per_attribute"][name][metric] for r in row.results] for name in attributes]
    return tuple(_average(list(map(restore_nan, column))) for column in columns)


def _average(values: Sequence[float]) -> float:
    return fmean(values) if values else nan


def _average_known(values: Sequence[float]) -> float:
    return _average([value for value in values if not isnan(value)])
