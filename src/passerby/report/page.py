"""Assemble a report into one self-contained HTML file."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np

from passerby._version import __version__
from passerby.comparison.localization_comparison import LocalizationComparison
from passerby.comparison.run_comparison import Comparison
from passerby.errors import DataError
from passerby.evaluation.evaluation import Evaluation
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.io import replace_file
from passerby.report.case_gallery import (
    Card,
    Confusion,
    choose_random,
    choose_worst,
    create_cards,
    create_confusions,
)
from passerby.report.charts import SERIES, Chart, Line, draw_lines, draw_rarity, draw_reliability
from passerby.report.comparison_chapter import create_comparison_section
from passerby.report.inputs import Run, describe_model, format_plain
from passerby.report.localization_chapter import create_localization_section

__all__ = ["create_report", "write_report"]

MEANINGS = {
    "mA": "Per attribute, the mean of how many who have it are found and "
    "how many who lack it are cleared; then averaged.",
    "f1": "Harmonic mean of precision and recall.",
    "mAP": "Mean over attributes of the area under precision and recall; needs no threshold.",
    "accuracy": "Per person, attributes rightly said over all that were said or are so.",
    "precision": "Per person, how much of what was said is so.",
    "recall": "Per person, how much of what is so was said.",
}
TITLES = {
    "mA": "mA",
    "f1": "F1",
    "mAP": "mAP",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
}


@dataclass(frozen=True)
class _Row:
    """One line of the per-attribute table; scores in per cent."""

    name: str
    description: str
    positives: int
    share: float
    values: dict[str, float | None]


@dataclass(frozen=True)
class _Section:
    """Everything the template shows about one evaluation."""

    anchor: str
    title: str
    subtitle: str
    protocol_name: str
    protocol: str
    remarks: Sequence[str]
    tiles: Sequence[tuple[str, float | None, str]]
    rows: Sequence[_Row]
    charts: Sequence[Chart]
    random: Sequence[Card]
    worst: Sequence[Card]
    confusions: Sequence[Confusion]
    facts: Sequence[tuple[str, str]]


def create_report(
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
    localizations: Sequence[LocalizationScores] = (),
    *,
    comparisons: Sequence[Comparison | LocalizationComparison] = (),
    title: str | None = None,
    pictures: int = 12,
    seed: int = 0,
) -> str:
    """The report as one HTML text: no script, no font, no picture from elsewhere.

    Args:
        runs: Their training curves are shown, several together.
        evaluations: Each gets a chapter.
        localizations: So does each of these.
        comparisons: And each of these, before all others.
        title: Heading; by default the model and its data.
        pictures: People on each of the walls; 0 leaves pictures out, and shows heat maps alone.
        seed: Draws the people who are shown at random.

    Raises:
        DataError: If there is none of all, or a picture cannot be read.
    """
    if not any((runs, evaluations, localizations, comparisons)):
        raise DataError("a report needs at least one run, evaluation or comparison; got none")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("passerby.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["breakable"] = _make_breakable
    models = [*(e.metadata for e in evaluations), *(each.metadata for each in localizations)]
    several = len(set(map(describe_model, models))) > 1
    sections = [
        _create_section(
            e, _describe_section(e, with_model=several), anchor=f"e{i}", pictures=pictures, seed=seed
        )
        for i, e in enumerate(evaluations)
    ]
    template = environment.get_template("page.html.j2")
    return template.render(
        title=title or _choose_title(runs, models, comparisons),
        version=__version__,
        style=(Path(__file__).parent / "style.css").read_text(encoding="utf-8"),
        comparisons=[create_comparison_section(each, anchor=f"c{i}") for i, each in enumerate(comparisons)],
        sections=sections,
        localizations=[
            create_localization_section(each, anchor=f"l{i}", pictures=pictures, with_model=several)
            for i, each in enumerate(localizations)
        ],
        origins=_collect_origins(evaluations, localizations),
        spread=_compute_spread(evaluations),
        training=_draw_training(runs),
        runs=[(run, _plain_facts(run.environment)) for run in runs],
    )


def write_report(path: Path, html: str) -> None:
    """Write the file through a temporary name."""
    with replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _collect_origins(
    evaluations: Sequence[Evaluation], localizations: Sequence[LocalizationScores]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """What is known of the models that have scores of localisation and no evaluation, by name."""
    told = [e.metadata for e in evaluations]
    origins = []
    for metadata in (each.metadata for each in localizations):
        if not any(metadata.items() <= known.items() for known in told):
            origins.append((describe_model(metadata), _plain_facts(metadata)))
            told.append(metadata)
    return origins


def _make_breakable(name: str) -> markupsafe.Markup:
    """Escaped, with places where a long name may break: `Hold|Objects|In|Front`, `lower_|body`."""
    pieces = re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[_\-&/])", name)
    return markupsafe.Markup("<wbr>").join(pieces)


def _compute_spread(evaluations: Sequence[Evaluation]) -> list[tuple[float, float]]:
    """Mean and standard deviation of each tile, per cent, if the evaluations differ in their seed only."""
    keys = {
        (e.dataset, e.partition, e.split, e.protocol, e.input_size, e.five_crops, describe_model(e.metadata))
        for e in evaluations
    }
    seeds = {e.metadata.get("seed") for e in evaluations}
    if len(keys) > 1 or len(seeds) < len(evaluations) or len(evaluations) < 2:
        return []
    columns = [[100 * e.summary()[name] for e in evaluations] for name in MEANINGS]
    return [(statistics.fmean(column), statistics.stdev(column)) for column in columns]


def _choose_title(
    runs: Sequence[Run],
    metadata: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Comparison | LocalizationComparison],
) -> str:
    models = list(dict.fromkeys(map(describe_model, metadata)))
    if comparisons and not models:
        return f"{len(comparisons[0].runs)} models compared"
    if not models:
        return runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    return models[0] if len(models) == 1 else f"{len(models)} models compared"


def _describe_section(evaluation: Evaluation, *, with_model: bool) -> str:
    seed = evaluation.metadata.get("seed")
    words = f"{evaluation.dataset}, {evaluation.partition}, {evaluation.split}"
    words = f"{describe_model(evaluation.metadata)} on {words}" if with_model else words
    words = f"{words}, five crops" if evaluation.five_crops else words
    return words if seed is None else f"{words}, seed {seed}"


def _create_section(evaluation: Evaluation, title: str, *, anchor: str, pictures: int, seed: int) -> _Section:
    summary = evaluation.metrics()
    rows = _create_rows(evaluation)
    shares = [row.share / 100 for row in rows]
    scores = [(row.values["mA"] or 0.0) / 100 for row in rows]
    height, width = evaluation.input_size
    count = f"{len(evaluation):,} {'person' if len(evaluation) == 1 else 'people'}"
    return _Section(
        anchor=anchor,
        title=title,
        subtitle=f"{count} · {len(rows)} attributes · input {height} × {width} px",
        protocol_name=evaluation.protocol.name,
        protocol=evaluation.protocol_line,
        remarks=_create_remarks(evaluation),
        tiles=[(TITLES[n], _to_percent(summary[n]), meaning) for n, meaning in MEANINGS.items()],
        rows=rows,
        charts=[
            draw_rarity(f"{anchor}-rarity", shares, scores),
            draw_reliability(f"{anchor}-calibration", evaluation.probs, evaluation.labels),
        ],
        random=create_cards(evaluation, choose_random(evaluation, pictures, seed=seed)),
        worst=create_cards(evaluation, choose_worst(evaluation, pictures)),
        confusions=create_confusions(evaluation, 6, pictures=3 if pictures else 0),
        facts=_plain_facts(evaluation.metadata),
    )


def _create_remarks(evaluation: Evaluation) -> list[str]:
    """What a reader must know before comparing the score with others."""
    remarks = []
    if evaluation.protocol.name != "default":
        remarks.append(
            f"The protocol {evaluation.protocol.name} was asked for; do not compare with honest scores."
        )
    choice = str(evaluation.metadata.get("selection") or "")
    if choice.endswith(f" {evaluation.split}"):
        remarks.append(
            f"The epoch was chosen on this very split ({choice}), so these scores flatter the model."
        )
    if evaluation.scores.degenerate:
        remarks.append(
            f"{evaluation.scores.degenerate} of {len(evaluation.schema)} attributes have no positive or no "
            "negative here; the half of mA that cannot be measured counts as 0."
        )
    if evaluation.skipped:
        remarks.append(f"{len(evaluation.skipped)} pictures could not be read and are not part of the score.")
    unknown = int((evaluation.labels == -1).sum())
    if unknown:
        remarks.append(f"{unknown:,} of {evaluation.labels.size:,} labels are unknown.")
    return remarks


def _create_rows(evaluation: Evaluation) -> list[_Row]:
    """Best first."""
    rows = []
    for attribute, scores in zip(
        evaluation.schema, evaluation.metrics()["per_attribute"].values(), strict=True
    ):
        names = ("mA", "tpr", "tnr", "f1", "precision", "recall", "accuracy", "AP")
        values = {n: _to_percent(scores[n]) for n in names}
        known = scores["positives"] + scores["negatives"]
        share = 100 * scores["positives"] / max(1, known)
        rows.append(_Row(attribute.name, attribute.description, scores["positives"], share, values))
    return sorted(rows, key=lambda row: -(row.values["mA"] or 0.0))


def _to_percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _draw_training(runs: Sequence[Run]) -> list[Chart]:
    """Loss, validation scores and learning rate; the curves of several runs lie over each other."""
    if not runs:
        return []
    mark = float(runs[0].best_epoch) if len(runs) == 1 and runs[0].best_epoch else None
    several = len(runs) > 1

    def collect(columns: dict[str, str], scale: float = 1.0) -> list[Line]:
        lines = []
        for run in runs:
            for colour, (column, label) in zip(SERIES, columns.items(), strict=False):
                x, y = run.column(column)
                if x:
                    lines.append(Line(label, x, (scale * np.asarray(y)).tolist(), colour, faint=several))
        return lines

    chosen = f"; epoch {mark:g} was chosen" if mark else ""
    loss = collect({"train_loss": "training", "val_loss": "validation"})
    scores = collect({"val_mA": "mA", "val_f1": "F1", "val_mAP": "mAP"}, 100)
    rate = collect({"lr": "learning rate"})
    charts = [
        draw_lines("t-loss", loss, x="epoch", y="loss", caption="Loss", mark=mark) if loss else None,
        draw_lines("t-val", scores, x="epoch", y="%", caption=f"Validation scores{chosen}", mark=mark)
        if scores
        else None,
        draw_lines("t-lr", rate, x="epoch", y="learning rate", caption="Learning rate", log=True)
        if rate
        else None,
    ]
    return [chart for chart in charts if chart is not None]


def _plain_facts(values: Any) -> list[tuple[str, str]]:
    """Name and value of everything that is not nested, then of what is nested, with the names joined."""
    facts: list[tuple[str, str]] = []
    for name, value in values.items():
        words = str(name).replace("_", " ")
        if isinstance(value, dict):
            facts += [(f"{words}: {inner}", text) for inner, text in _plain_facts(value)]
        elif value is not None:
            facts.append((words, format_plain(value)))
    return facts
