"""The chapter of an evaluation: scores, attributes, charts, and the gallery of cases."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from passerby.comparison.intervals import compute_deviation
from passerby.evaluation.evaluation import Evaluation
from passerby.io import replace_nan
from passerby.report.case_gallery import (
    Card,
    Confusion,
    choose_random,
    choose_worst,
    create_cards,
    create_confusions,
)
from passerby.report.charts import draw_rarity, draw_reliability
from passerby.report.metadata import describe_data, describe_model, list_facts
from passerby.report.svg import Chart

__all__ = ["EvaluationSection", "compute_spread", "create_evaluation_section"]

METRICS = {
    "mA": (
        "mA",
        "Mean accuracy: the mean over attributes of (true-positive rate + true-negative rate) / 2.",
    ),
    "f1": ("F1", "Harmonic mean of precision and recall."),
    "mAP": ("mAP", "Mean over attributes of the area under the precision-recall curve; needs no threshold."),
    "accuracy": ("Accuracy", "Per sample: correct attributes over all that are predicted or labelled."),
    "precision": ("Precision", "Per sample: share of the predicted attributes that are correct."),
    "recall": ("Recall", "Per sample: share of the labelled attributes that are predicted."),
}
"""Title and explanation of each metric."""

N_CONFUSIONS = 6


class Tile(NamedTuple):
    """A metric with its value in per cent, None if unmeasured."""

    name: str
    value: float | None
    meaning: str


@dataclass(frozen=True)
class AttributeRow:
    """A row of the table by attribute.

    Args:
        name: Name of the attribute.
        description: Its description.
        positives: Number of positives.
        share: Share of positives among the known labels in per cent.
        values: Scores in per cent, None if unmeasured.
    """

    name: str
    description: str
    positives: int
    share: float
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class EvaluationSection:
    """The content of the chapter of one evaluation."""

    anchor: str
    title: str
    subtitle: str
    protocol_name: str
    protocol: str
    remarks: Sequence[str]
    tiles: Sequence[Tile]
    rows: Sequence[AttributeRow]
    charts: Sequence[Chart]
    random: Sequence[Card]
    worst: Sequence[Card]
    confusions: Sequence[Confusion]
    facts: Sequence[tuple[str, str]]


def create_evaluation_section(
    evaluation: Evaluation, *, anchor: str, pictures: int, seed: int, with_model: bool
) -> EvaluationSection:
    """Create the chapter of one evaluation.

    Args:
        evaluation: The evaluation.
        anchor: Prefix of the ids, unique on the page.
        pictures: Number of samples in each gallery; 0 leaves images out.
        seed: Seed of the random samples.
        with_model: Whether the title names the model.

    Raises:
        DataError: If an image cannot be read.
    """
    summary = evaluation.metrics()
    rows = _create_rows(evaluation)
    measured = [(row.share / 100, mA / 100) for row in rows if (mA := row.values["mA"]) is not None]
    height, width = evaluation.input_size
    count = f"{len(evaluation):,} {'sample' if len(evaluation) == 1 else 'samples'}"
    return EvaluationSection(
        anchor=anchor,
        title=describe_data(
            evaluation.dataset,
            evaluation.partition,
            evaluation.split,
            evaluation.metadata,
            with_model=with_model,
            notes="five crops" if evaluation.five_crops else "",
        ),
        subtitle=f"{count} · {len(rows)} attributes · input {height} × {width} px",
        protocol_name=evaluation.protocol.name,
        protocol=evaluation.protocol_line,
        remarks=_create_remarks(evaluation),
        tiles=[Tile(title, _to_percent(summary[n]), text) for n, (title, text) in METRICS.items()],
        rows=rows,
        charts=[
            *([draw_rarity(f"{anchor}-rarity", *zip(*measured, strict=True))] if measured else []),
            draw_reliability(f"{anchor}-calibration", evaluation.probs, evaluation.labels),
        ],
        random=create_cards(evaluation, choose_random(evaluation, pictures, seed=seed)),
        worst=create_cards(evaluation, choose_worst(evaluation, pictures)),
        confusions=create_confusions(evaluation, N_CONFUSIONS, pictures=3 if pictures else 0),
        facts=list_facts(evaluation.metadata),
    )


def compute_spread(evaluations: Sequence[Evaluation]) -> list[tuple[float | None, float | None]]:
    """Mean and standard deviation of each metric in per cent, if only the seeds of the evaluations differ."""
    keys = {
        (e.dataset, e.partition, e.split, e.protocol, e.input_size, e.five_crops, describe_model(e.metadata))
        for e in evaluations
    }
    seeds = {e.metadata.get("seed") for e in evaluations}
    if len(keys) > 1 or len(seeds) < len(evaluations) or len(evaluations) < 2:
        return []
    columns = [[100 * e.summary()[name] for e in evaluations] for name in METRICS]
    spreads = [(statistics.fmean(column), compute_deviation(column)) for column in columns]
    return [(replace_nan(mean), replace_nan(deviation)) for mean, deviation in spreads]


def _create_remarks(evaluation: Evaluation) -> list[str]:
    """The limitations of the scores, for comparisons with others."""
    remarks = []
    name, split = evaluation.protocol.name, evaluation.split
    if name != "default":
        remarks.append(f"The protocol is {name}; do not compare with scores under the default protocol.")
    selection = str(evaluation.metadata.get("selection") or "")
    if selection.endswith(f" {split}"):
        remarks.append(f"The epoch was selected on this split ({selection}), so the scores are optimistic.")
    remarks += evaluation.list_remarks()
    if evaluation.skipped:
        remarks.append(f"{len(evaluation.skipped)} images could not be used and are not part of the score.")
    unknown = int((evaluation.labels == -1).sum())
    if unknown:
        remarks.append(f"{unknown:,} of {evaluation.labels.size:,} labels are unknown.")
    return remarks


def _create_rows(evaluation: Evaluation) -> list[AttributeRow]:
    """A row per attribute, best first."""
    rows = []
    per_attribute = evaluation.metrics()["per_attribute"].values()
    for attribute, scores in zip(evaluation.schema, per_attribute, strict=True):
        names = ("mA", "tpr", "tnr", "f1", "precision", "recall", "accuracy", "AP")
        values = {name: _to_percent(scores[name]) for name in names}
        known = scores["positives"] + scores["negatives"]
        share = 100 * scores["positives"] / max(1, known)
        rows.append(AttributeRow(attribute.name, attribute.description, scores["positives"], share, values))
    return sorted(rows, key=lambda row: -1.0 if (mA := row.values["mA"]) is None else -mA - 2)


def _to_percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
