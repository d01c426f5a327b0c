"""The chapter on where a model sees attributes: scores, charts, and the best and worst heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.evaluation.localization.cases import KINDS
from passerby.evaluation.localization.estimates import Estimate, get_factor
from passerby.evaluation.localization.samples import SCORES
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.report.charts import Chart, draw_confidence, draw_sizes
from passerby.report.inputs import describe_model
from passerby.report.localization_cases import CaseCard, create_case_cards, draw_legend

__all__ = ["LocalizationSection", "create_localization_section"]

COLUMNS = {
    "mask_iou": "Mask",
    "pcc": "PCC",
    "pointing": "Point",
    "box_energy": "Energy",
    "insertion": "Insert.",
    "deletion": "Delet.",
    "empty": "None",
}
"""Those after the IoU of boxes; what no attribute has is left out."""


@dataclass(frozen=True)
class Tile:
    """One number above all others: as text, with its share of the meter in per cent if it has one."""

    name: str
    text: str
    unit: str
    meter: float | None
    meaning: str


@dataclass(frozen=True)
class LocalizationRow:
    """One line of the table: per cent, but correlations from −1 to 1; None what cannot be measured."""

    name: str
    remark: str
    samples: int | None
    values: Mapping[str, float | None]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LocalizationSection:
    """Everything the template shows about one score of localisation."""

    anchor: str
    title: str
    subtitle: str
    protocol: str
    remarks: Sequence[str]
    tiles: Sequence[Tile]
    columns: Mapping[str, str]
    rows: Sequence[LocalizationRow]
    means: Sequence[LocalizationRow]
    charts: Sequence[Chart]
    best: Sequence[CaseCard]
    worst: Sequence[CaseCard]
    legend: Sequence[tuple[str, str]]
    without_cases: str


def create_localization_section(
    scores: LocalizationScores, *, anchor: str, pictures: int, with_model: bool
) -> LocalizationSection:
    """The chapter of one score.

    Args:
        anchor: Prefix of the ids, unique on the page.
        pictures: How many of the best and of the worst cases are shown with their pictures; 0 shows all of
            them on grey.
        with_model: Whether the title names the model.

    Raises:
        DataError: If a picture cannot be read.
    """
    height, width = scores.input_size
    seed = scores.metadata.get("seed")
    where = f"{scores.dataset}, {scores.partition}, {scores.split}{'' if seed is None else f', seed {seed}'}"
    many = f"{len(scores.samples):,} {'sample' if len(scores.samples) == 1 else 'samples'}"
    best, worst = (create_case_cards(scores.cases, kind, pictures) if scores.cases else [] for kind in KINDS)
    return LocalizationSection(
        anchor=anchor,
        title=f"{describe_model(scores.metadata)} on {where}" if with_model else where,
        subtitle=f"{many} · {len(scores.per_attribute)} attributes · input {height} × {width} px",
        protocol=scores.protocol.describe(),
        remarks=_create_remarks(scores),
        tiles=_create_tiles(scores),
        columns=_choose_columns(scores),
        rows=_create_rows(scores),
        means=_create_means(scores),
        charts=_draw_charts(scores, anchor),
        best=best,
        worst=worst,
        legend=draw_legend() if best else [],
        without_cases=_explain_missing(scores),
    )


def _create_remarks(scores: LocalizationScores) -> list[str]:
    remarks = []
    if scores.protocol.only_predicted:
        remarks.append("Only samples that the model says yes to count; do not compare with other models.")
    if scores.exclude_from_mean:
        remarks.append(f"Not in the mean: {', '.join(scores.exclude_from_mean)}.")
    if small := sum(scores.too_small.values()):
        remarks.append(f"{small:,} samples are too small to count.")
    if none := [name for name, count in scores.counts.items() if not count]:
        remarks.append(f"Without samples: {', '.join(none)}.")
    if scores.skipped:
        remarks.append(f"{len(scores.skipped)} pictures could not be read and are not part of the score.")
    return remarks


# ---------------------------------------------------------------------- numbers


def _to_plain(score: str, value: float) -> float | None:
    return None if math.isnan(value) else get_factor(score) * value


def _create_tiles(scores: LocalizationScores) -> list[Tile]:
    def tile(score: str, name: str, meaning: str) -> Tile:
        value = _to_plain(score, scores.mean[score].value)
        if value is None:
            return Tile(name, "–", "", None, meaning)
        if get_factor(score) == 1:
            return Tile(name, f"{value:.2f}", "", None, meaning)
        return Tile(name, f"{value:.1f}", "%", value, meaning)

    iou, even = scores.mean["box_iou"], scores.mean["box_share"].value
    if math.isnan(iou.value):
        return []
    around = f"95 % interval {100 * iou.low:.1f} to {100 * iou.high:.1f}. " if math.isfinite(iou.low) else ""
    has_masks = not math.isnan(scores.mean["mask_iou"].value)
    return [
        tile("box_iou", "IoU of boxes", f"{around}A map that is the same everywhere gets {100 * even:.1f}."),
        tile("pointing", "Pointing", "How often the hottest pixel lies on the attribute."),
        tile("mask_iou", "IoU of pixels", "Foreground against the attribute’s own pixels.")
        if has_masks
        else tile("box_share", "Even map", "IoU of a map that is the same everywhere."),
        tile("box_energy", "Energy", "Share of the heat that lies in the true box."),
        tile("pcc", "PCC", "Correlation of IoU and probability, from −1 to 1."),
        tile("empty", "No heat", "Maps that are 0 everywhere; their IoU is 0."),
    ]


def _choose_columns(scores: LocalizationScores) -> dict[str, str]:
    every = scores.per_attribute.values()
    return {
        score: heading
        for score, heading in COLUMNS.items()
        if any(math.isfinite(found[score].value) for found in every)
    }


def _create_row(
    name: str, found: Mapping[str, Estimate], *, remark: str = "", samples: int | None = None
) -> LocalizationRow:
    iou = found["box_iou"]
    return LocalizationRow(
        name,
        remark,
        samples,
        {score: _to_plain(score, found[score].value) for score in SCORES},
        _to_plain("box_iou", iou.low),
        _to_plain("box_iou", iou.high),
    )


def _create_rows(scores: LocalizationScores) -> list[LocalizationRow]:
    """Best first; what is in no mean below."""
    rows = []
    for name, found in scores.per_attribute.items():
        truth = "" if scores.names[name] == (name,) else f"truth: {', '.join(scores.names[name])}"
        left_out = (
            "excluded"
            if name in scores.exclude_from_mean
            else ""
            if name in scores.mean_of
            else "too few samples"
        )
        remark = "; ".join(filter(None, [truth, left_out]))
        rows.append(_create_row(name, found, remark=remark, samples=scores.counts[name]))
    return sorted(rows, key=lambda row: (row.name not in scores.mean_of, -(row.values["box_iou"] or 0.0)))


def _create_means(scores: LocalizationScores) -> list[LocalizationRow]:
    means = [_create_row(f"Mean of {len(scores.mean_of)}", scores.mean)] if scores.mean_of else []
    if scores.mean_of_paper is not None:
        few = len(set(scores.mean_of) & set(scores.of_paper))
        means.append(_create_row(f"{few} of SSPNet’s", scores.mean_of_paper))
    return means


def _draw_charts(scores: LocalizationScores, anchor: str) -> list[Chart]:
    samples = scores.samples
    members = [samples.attributes.index(name) for name in scores.mean_of]
    if not members:
        return []
    chosen = np.isin(samples.attribute, members)
    found = [scores.per_attribute[name] for name in scores.mean_of]
    return [
        draw_confidence(f"{anchor}-confidence", samples.probs[chosen], samples.measures["box_iou"][chosen]),
        draw_sizes(
            f"{anchor}-sizes",
            [each["box_share"].value for each in found],
            [each["box_iou"].value for each in found],
        ),
    ]


def _explain_missing(scores: LocalizationScores) -> str:
    if scores.cases is None:
        return (
            "No best and worst cases are kept beside these scores; `passerby evaluate-localization … --out` "
            "keeps them."
        )
    if not scores.cases.best:
        least = scores.protocol.min_samples
        return f"No attribute has the {least} samples that the mean asks for, so there are no cases to show."
    return ""
