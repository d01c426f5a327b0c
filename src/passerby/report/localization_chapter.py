"""The chapter of an evaluation of localisation: scores, charts, and the best and worst heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.evaluation.localization.cases import KINDS
from passerby.evaluation.localization.estimates import Estimate, get_factor
from passerby.evaluation.localization.samples import SCORES
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.report.charts import draw_confidence, draw_sizes
from passerby.report.localization_cases import CaseCard, create_case_cards, draw_legend
from passerby.report.metadata import describe_data
from passerby.report.svg import Chart

__all__ = ["LocalizationSection", "create_localization_section"]

COLUMNS = {
    "mask_iou": "Mask",
    "pcc": "PCC",
    "pointing": "Point",
    "box_energy": "Energy",
    "insertion": "Insert.",
    "deletion": "Delet.",
    "empty": "Empty",
}
"""Headings of the columns after box IoU; scores that no attribute has are left out."""


@dataclass(frozen=True)
class Tile:
    """A mean score.

    Args:
        name: Name of the score.
        text: Its value.
        unit: `%` or empty.
        meter: Length of its bar in per cent, None for no bar.
        meaning: Explanation.
    """

    name: str
    text: str
    unit: str
    meter: float | None
    meaning: str


@dataclass(frozen=True)
class LocalizationRow:
    """A row of the table.

    Args:
        name: Name of the attribute or the mean.
        remark: Classes of the ground truth, and the reason if the attribute is not in the mean.
        samples: Number of samples, None for a mean.
        values: Scores in per cent, correlations in [−1, 1], None if unmeasured.
        low: Lower end of the interval of the box IoU.
        high: Upper end.
    """

    name: str
    remark: str
    samples: int | None
    values: Mapping[str, float | None]
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LocalizationSection:
    """The content of the chapter of one evaluation of localisation."""

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
    """Create the chapter of one evaluation of localisation.

    Args:
        scores: The scores.
        anchor: Prefix of the ids, unique on the page.
        pictures: Number of best and of worst cases shown with their images; 0 shows all cases on grey.
        with_model: Whether the title names the model.

    Raises:
        DataError: If an image cannot be read.
    """
    height, width = scores.input_size
    count = f"{len(scores.samples):,} {'sample' if len(scores.samples) == 1 else 'samples'}"
    best, worst = (create_case_cards(scores.cases, kind, pictures) if scores.cases else [] for kind in KINDS)
    return LocalizationSection(
        anchor=anchor,
        title=describe_data(
            scores.dataset, scores.partition, scores.split, scores.metadata, with_model=with_model
        ),
        subtitle=f"{count} · {len(scores.per_attribute)} attributes · input {height} × {width} px",
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
        without_cases=_explain_missing_cases(scores),
    )


def _create_remarks(scores: LocalizationScores) -> list[str]:
    remarks = []
    if scores.protocol.only_predicted:
        remarks.append(
            "Only samples whose attribute is predicted as present count; do not compare with other models."
        )
    if scores.exclude_from_mean:
        remarks.append(f"Excluded from the mean: {', '.join(scores.exclude_from_mean)}.")
    if small := sum(scores.too_small.values()):
        remarks.append(f"{small:,} samples have too small a region and do not count.")
    if none := [name for name, count in scores.counts.items() if not count]:
        remarks.append(f"No samples: {', '.join(none)}.")
    if scores.skipped:
        remarks.append(f"{len(scores.skipped)} images could not be used and are not part of the score.")
    return remarks


# ---------------------------------------------------------------------- scores


def _scale(score: str, value: float) -> float | None:
    return None if math.isnan(value) else get_factor(score) * value


def _create_tiles(scores: LocalizationScores) -> list[Tile]:
    def tile(score: str, name: str, meaning: str) -> Tile:
        value = _scale(score, scores.mean[score].value)
        if value is None:
            return Tile(name, "–", "", None, meaning)
        if get_factor(score) == 1:
            return Tile(name, f"{value:.2f}", "", None, meaning)
        return Tile(name, f"{value:.1f}", "%", value, meaning)

    iou, uniform = scores.mean["box_iou"], scores.mean["box_share"].value
    if math.isnan(iou.value):
        return []
    interval = (
        f"95 % interval {100 * iou.low:.1f} to {100 * iou.high:.1f}. " if math.isfinite(iou.low) else ""
    )
    has_masks = not math.isnan(scores.mean["mask_iou"].value)
    return [
        tile("box_iou", "Box IoU", f"{interval}Uniform baseline: {100 * uniform:.1f}."),
        tile("pointing", "Pointing", "Share of heat maps whose peak is on the attribute."),
        tile("mask_iou", "Mask IoU", "Foreground against the pixels of the attribute.")
        if has_masks
        else tile("box_share", "Uniform baseline", "Box IoU of a uniform heat map."),
        tile("box_energy", "Energy", "Share of the heat inside the true box."),
        tile("pcc", "PCC", "Correlation of box IoU and probability, from −1 to 1."),
        tile("empty", "Empty", "Share of heat maps that are 0 everywhere; their IoU is 0."),
    ]


def _choose_columns(scores: LocalizationScores) -> dict[str, str]:
    return {
        score: heading
        for score, heading in COLUMNS.items()
        if any(math.isfinite(each[score].value) for each in scores.per_attribute.values())
    }


def _create_row(
    name: str, found: Mapping[str, Estimate], *, remark: str = "", samples: int | None = None
) -> LocalizationRow:
    iou = found["box_iou"]
    return LocalizationRow(
        name,
        remark,
        samples,
        {score: _scale(score, found[score].value) for score in SCORES},
        _scale("box_iou", iou.low),
        _scale("box_iou", iou.high),
    )


def _create_rows(scores: LocalizationScores) -> list[LocalizationRow]:
    """Best first, then the attributes that are in no mean."""
    rows = []
    for name, found in scores.per_attribute.items():
        truth = "" if scores.names[name] == (name,) else f"ground truth: {', '.join(scores.names[name])}"
        reason = "excluded" if name in scores.exclude_from_mean else "too few samples"
        remark = "; ".join(filter(None, [truth, "" if name in scores.mean_of else reason]))
        rows.append(_create_row(name, found, remark=remark, samples=scores.counts[name]))
    return sorted(rows, key=lambda row: (row.name not in scores.mean_of, -(row.values["box_iou"] or 0.0)))


def _create_means(scores: LocalizationScores) -> list[LocalizationRow]:
    means = [_create_row(f"Mean of {len(scores.mean_of)}", scores.mean)] if scores.mean_of else []
    if scores.mean_of_paper is not None:
        few = len(set(scores.mean_of) & set(scores.of_paper))
        means.append(_create_row(f"Mean of {few} of SSPNet’s", scores.mean_of_paper))
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


def _explain_missing_cases(scores: LocalizationScores) -> str:
    if scores.cases is None:
        return (
            "No best and worst cases are stored with these scores; `passerby evaluate-localization … --out` "
            "stores them."
        )
    if not scores.cases.best:
        minimum = scores.protocol.min_samples
        return f"No attribute has the {minimum} samples required for the mean, so there are no cases to show."
    return ""
