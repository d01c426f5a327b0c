"""The tables of a comparison of localisation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from passerby.comparison.intervals import Interval, format_mean
from passerby.comparison.localization_comparison import LocalizationComparison, LocalizationDifferences
from passerby.comparison.run_names import describe_facts, name_rows
from passerby.comparison.score_table import Cell, ScoreTable
from passerby.evaluation.localization.estimates import LEVEL, get_factor

__all__ = [
    "create_attribute_table",
    "create_mean_table",
    "describe",
    "format_markdown",
    "name_runs",
    "name_score",
]

SCORE_NAMES: Mapping[str, str] = {
    "box_iou": "IoU",
    "mask_iou": "mask IoU",
    "pcc": "PCC",
    "pointing": "pointing",
    "box_energy": "energy",
    "empty": "empty ↓",
}
"""Headings of the scores in every table of means, unless no run has the score."""
_MORE_NAMES = {"mask_energy": "mask energy", "insertion": "insertion", "deletion": "deletion ↓"}
_UNIFORM = {
    "box_iou": ("box_share",),
    "mask_iou": ("mask_share",),
    "pointing": ("mask_share", "box_share"),
    "box_energy": ("box_share",),
    "mask_energy": ("mask_share",),
}
"""The measures that equal the score of a uniform heat map, or of a random pixel for pointing: the first known
one, as without masks the pixel has to lie in the box."""
_NONE = LocalizationDifferences({}, {}, {})


# ---------------------------------------------------------------------- words


def name_runs(found: LocalizationComparison) -> tuple[str, tuple[str, ...]]:
    """The facts that all runs share, and a name for each run."""
    return name_rows([describe_facts(run, seeds=len(run.seeds)) for run in found.runs])


def name_score(score: str) -> str:
    """The heading of a score, with ↓ if less is better."""
    return {**SCORE_NAMES, **_MORE_NAMES}[score]


def describe(found: LocalizationComparison) -> str:
    """Explain the numbers of the table of means."""
    sentences = [
        f"Means over {len(found.mean_of)} attributes, in per cent, ± standard deviation over seeds; PCC, the "
        "correlation of box IoU and confidence, from -1 to 1.",
        f"Below: difference to the first run, its {100 * LEVEL:g} % interval over {found.resamples:,} "
        f"paired resamples of {found.n_clusters:,} identities or images (seed {found.seed}), and the share "
        "of resamples in which it is 0 or less.",
        "The uniform baseline is a heat map that is the same everywhere: a run that is not above it "
        "localises nothing. An empty map is zero everywhere and has IoU 0. For a heading with ↓, less is "
        "better.",
    ]
    for score in find_columns(found):
        measured = found.find_measured(score, found.mean_of)
        if lost := [name for name in found.mean_of if name not in measured]:
            sentences.append(
                f"{name_score(score)} is over {len(measured)} of them: not every run has a value for "
                f"{', '.join(lost)}."
            )
    return " ".join(sentences)


# ---------------------------------------------------------------------- tables


def find_columns(found: LocalizationComparison) -> list[str]:
    """The scores in the table of means: those that any run has, and those with an interval."""
    wanted = [*SCORE_NAMES, *(score for score in _MORE_NAMES if score in found.scores)]
    return [score for score in wanted if score in found.scores or _is_known(found, score)]


def _is_known(found: LocalizationComparison, score: str) -> bool:
    columns = [columns[score] for run in found.runs for columns in run.scores.values()]
    return any(math.isfinite(value) for each in columns for value in each)


def create_mean_table(found: LocalizationComparison, names: Sequence[str]) -> ScoreTable:
    """Create the table of means over attributes: the uniform baseline, then one row per run.

    Args:
        found: The comparison.
        names: Names of the runs.
    """
    columns = find_columns(found)
    rows = [("uniform baseline", tuple(_average_uniform(found, score, found.mean_of) for score in columns))]
    for name, run in zip(names, found.runs, strict=True):
        differences = (run.differences or _NONE).mean
        cells = (
            _format(score, found.average(run, score, found.mean_of), differences.get(score), with_share=True)
            for score in columns
        )
        rows.append((name, tuple(cells)))
    return ScoreTable(("run", *map(name_score, columns)), tuple(rows))


def create_attribute_table(found: LocalizationComparison, score: str, names: Sequence[str]) -> ScoreTable:
    """Create the table of one score: one row per attribute, then the means.

    Args:
        found: The comparison.
        score: One of `found.scores`.
        names: Names of the runs.
    """
    has_uniform = score in _UNIFORM
    differences = [run.differences or _NONE for run in found.runs]
    rows = []
    for attribute, count in found.counts.items():
        cells = [Cell((f"{count:,}", ""))]
        if has_uniform:
            cells.append(_format(score, [_find_uniform(found, score, attribute)]))
        for run, each in zip(found.runs, differences, strict=True):
            interval = each.per_attribute.get(attribute, {}).get(score)
            cells.append(_format(score, run.scores[attribute][score], interval))
        rows.append(
            (f"{attribute} (excluded)" if attribute in found.exclude_from_mean else attribute, tuple(cells))
        )
    means = (
        ("mean of {}", found.mean_of, [each.mean for each in differences]),
        ("{} of SSPNet's", found.of_paper, [each.mean_of_paper for each in differences]),
    )
    for title, attributes, columns in means:
        if attributes:
            cells = [Cell(("", "")), *[_average_uniform(found, score, attributes)] * has_uniform]
            for run, column in zip(found.runs, columns, strict=True):
                cells.append(_format(score, found.average(run, score, attributes), column.get(score)))
            rows.append((title.format(len(found.find_measured(score, attributes))), tuple(cells)))
    return ScoreTable(("attribute", "n", *["uniform"] * has_uniform, *names), tuple(rows))


def format_markdown(found: LocalizationComparison) -> str:
    """All tables with their explanations, in Markdown."""
    shared, names = name_runs(found)
    tables = [f"{shared}\n", f"{describe(found)}\n", create_mean_table(found, names).format_markdown()]
    for score in found.scores:
        tables.append(f"{name_score(score)} by attribute:\n")
        tables.append(create_attribute_table(found, score, names).format_markdown())
    return "\n".join(tables)


# ---------------------------------------------------------------------- cells


def _average_uniform(found: LocalizationComparison, score: str, attributes: Sequence[str]) -> Cell:
    values = [_find_uniform(found, score, name) for name in found.find_measured(score, attributes)]
    return _format(score, [fmean(values) if values else math.nan])


def _find_uniform(found: LocalizationComparison, score: str, attribute: str) -> float:
    """The score of a uniform heat map, NaN if unknown."""
    columns = found.runs[0].scores[attribute]
    known = (columns[share][0] for share in _UNIFORM.get(score, ()))
    return next((value for value in known if math.isfinite(value)), math.nan)


def _format(
    score: str, values: Sequence[float], interval: Interval | None = None, *, with_share: bool = False
) -> Cell:
    if any(map(math.isnan, values)):
        return Cell(("–", ""))
    factor = get_factor(score)
    digits = 3 if factor == 1 else 2
    value = format_mean(values, factor=factor, digits=digits)
    if interval is None:
        return Cell(value)
    difference, ends, share = interval.format(factor=factor, digits=digits)
    return Cell(value, difference, ends, share if with_share else "")
