"""The charts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from passerby.report.svg import COLOURS, Chart, convert_to_svg, open_figure

__all__ = [
    "Line",
    "draw_confidence",
    "draw_differences",
    "draw_lines",
    "draw_rarity",
    "draw_reliability",
    "draw_sizes",
    "draw_tradeoff",
]

MAX_DOTS = 600
_REFERENCE: Mapping[str, Any] = {"color": COLOURS["soft"], "linewidth": 1, "linestyle": (0, (3, 3))}


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        label: Its name in the legend.
        x: Positions.
        y: Values.
        colour: One of `passerby.report.svg.COLOURS`.
        faint: Whether it is translucent, for many curves in one chart.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = "a"
    faint: bool = False


def draw_lines(
    name: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    caption: str,
    mark: float | None = None,
    log: bool = False,
) -> Chart:
    """Draw curves over epochs.

    Args:
        name: Prefix of the ids, unique on the page.
        lines: The curves; curves with the same label share an entry of the legend.
        x, y: Labels of the axes.
        caption: Caption of the chart.
        mark: Position of a vertical line, for the selected epoch.
        log: Whether the y axis is logarithmic; values of 0 are then left out.
    """
    with open_figure(x=x, y=y) as (figure, axes):
        labels: set[str] = set()
        for line in lines:
            label = line.label if line.label not in labels else f"_{line.label}"
            labels.add(line.label)
            points = [(a, b) for a, b in zip(line.x, line.y, strict=True) if b > 0 or not log]
            marker = "o" if len(points) == 1 else None
            colour, alpha = COLOURS[line.colour], 0.45 if line.faint else 1.0
            axes.plot(*zip(*points, strict=True), color=colour, label=label, alpha=alpha, marker=marker)
        if mark is not None:
            axes.axvline(mark, **_REFERENCE)
        if log:
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        if len(labels) > 1:
            axes.legend(loc="best", handlelength=1.2)
        svg = convert_to_svg(figure, name, f"{caption}: {y} over {x}, {', '.join(sorted(labels))}")
    return Chart(caption, svg)


def draw_reliability(name: str, probs: NDArray[np.float32], labels: NDArray[np.int8]) -> Chart:
    """Draw the observed share of positives over the mean predicted probability, in ten bins.

    All attributes are pooled and unknown labels left out. The caption states the expected calibration error.

    Shape:
        probs, labels: (N, A).
    """
    known = labels >= 0
    p, truth = probs[known].astype(np.float64), labels[known] == 1
    counts, (confidence, observed) = _average_in_bins(p, p, truth)
    occupied = counts[counts > 0]
    error = float((np.abs(confidence - observed) * occupied).sum() / max(1, counts.sum()))
    with open_figure(x="predicted probability", y="observed share of positives") as (figure, axes):
        heights = 0.25 * counts / max(1, counts.max())
        axes.bar((np.arange(10) + 0.5) / 10, heights, width=0.09, color=COLOURS["rule"])
        axes.plot([0, 1], [0, 1], **_REFERENCE)
        axes.plot(confidence, observed, color=COLOURS["a"], marker="o", markersize=5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        svg = convert_to_svg(figure, name, f"Reliability diagram, expected calibration error {error:.3f}")
    caption = f"Calibration: expected error {100 * error:.1f} points; bars: number of predictions"
    return Chart(caption, svg)


def _average_in_bins(
    p: NDArray[np.float64], *values: NDArray[np.generic]
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
    """The counts of ten bins of p in [0, 1], and the means of the values in those that are not empty."""
    bins = np.minimum((p * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    occupied = counts > 0
    means = [np.bincount(bins, weights=each, minlength=10)[occupied] / counts[occupied] for each in values]
    return counts, means


def draw_rarity(name: str, share: Sequence[float], score: Sequence[float]) -> Chart:
    """Draw the mean accuracy of each attribute over its share of positives.

    Args:
        name: Prefix of the ids, unique on the page.
        share: Share of positives of each attribute, in [0, 1].
        score: Mean accuracy of each attribute, in [0, 1].
    """
    with open_figure(x="positives, %", y="mean accuracy, %") as (figure, axes):
        percent = 100 * np.maximum(np.asarray(share, float), 1e-4)
        _scatter(axes, percent, 100 * np.asarray(score))
        axes.axhline(50, **_REFERENCE)
        axes.set_xscale("log")
        axes.set_xticks([t for t in (0.01, 0.1, 1, 10, 100) if percent.min() / 10 < t <= 100])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.set_ylim(min(45.0, 100 * min(score) - 3), 101)
        svg = convert_to_svg(figure, name, "Mean accuracy of each attribute over its share of positives")
    return Chart("Mean accuracy by rarity: a dot per attribute; dashed: chance, 50 %", svg)


def _scatter(axes: Axes, x: ArrayLike, y: ArrayLike) -> None:
    axes.scatter(x, y, s=42, color=COLOURS["a"], edgecolors=COLOURS["paper"], linewidths=0.8)


def draw_confidence(name: str, probs: NDArray[np.float64], ious: NDArray[np.float64]) -> Chart:
    """Draw the box IoU of each sample over its predicted probability, and the mean in ten bins.

    At most `MAX_DOTS` samples are drawn, selected at random with a fixed seed; the means are over all.

    Shape:
        probs, ious: (S,) in [0, 1].
    """
    shown = np.random.default_rng(0).permutation(len(probs))[:MAX_DOTS]
    _, (x, y) = _average_in_bins(probs, probs, ious)
    with open_figure(x="predicted probability, %", y="box IoU, %") as (figure, axes):
        style: dict[str, Any] = {"s": 14, "color": COLOURS["soft"], "alpha": 0.35, "linewidths": 0}
        axes.scatter(100 * probs[shown], 100 * ious[shown], **style)
        axes.plot(100 * x, 100 * y, color=COLOURS["a"], marker="o", markersize=5)
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        svg = convert_to_svg(figure, name, "Box IoU of each sample over its predicted probability, and means")
    drawn = f" ({len(shown):,} of {len(probs):,} drawn)" if len(shown) < len(probs) else ""
    return Chart(f"Box IoU by probability: a dot per sample{drawn}; line: mean", svg)


def draw_sizes(name: str, uniform: Sequence[float], ious: Sequence[float]) -> Chart:
    """Draw the box IoU of each attribute over the uniform baseline, the share of the input in the true box.

    Args:
        name: Prefix of the ids, unique on the page.
        uniform: Mean box IoU of a uniform heat map for each attribute, in [0, 1].
        ious: Mean box IoU of the model for each attribute, in [0, 1].
    """
    with open_figure(x="share of the input in the true box, %", y="box IoU, %") as (figure, axes):
        axes.plot([0, 100], [0, 100], **_REFERENCE)
        _scatter(axes, 100 * np.asarray(uniform), 100 * np.asarray(ious))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_xlim(0, min(102.0, max(20.0, 110 * max(uniform))))
        axes.set_ylim(0, min(102.0, max(20.0, 110 * max(*ious, *uniform))))
        svg = convert_to_svg(figure, name, "Box IoU of each attribute over the size of its true boxes")
    return Chart("Box IoU by size: a dot per attribute; dashed: uniform heat map", svg)


def draw_differences(
    name: str, rows: Sequence[tuple[str, float, float, float]], *, metric: str, factor: float = 100
) -> Chart:
    """Draw the difference of each run to the first run with its interval.

    Args:
        name: Prefix of the ids, unique on the page.
        rows: Name, difference, lower and upper end of each run, as fractions.
        metric: Name of the metric.
        factor: Factor of the values; 100 for per cent.
    """
    x = "difference, points" if factor == 100 else "difference"
    with open_figure(x=x, y="") as (figure, axes):
        positions = np.arange(len(rows))[::-1]
        middle, low, high = (factor * np.array([row[i] for row in rows]) for i in (1, 2, 3))
        axes.hlines(positions, low, high, color=COLOURS["a"], linewidth=2)
        _scatter(axes, middle, positions)
        axes.axvline(0, **_REFERENCE)
        axes.set_yticks(positions, [row[0] for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        svg = convert_to_svg(figure, name, f"Difference in {metric} to the first run with its interval")
    return Chart(f"{metric}: differences to the first run with intervals; dashed: no difference", svg)


def draw_tradeoff(
    name: str, rows: Sequence[tuple[str, float, float]], *, metric: str, batch_size: int
) -> Chart:
    """Draw a score over inference time.

    Args:
        name: Prefix of the ids, unique on the page.
        rows: Name, inference time relative to the baseline and score as a fraction of each run.
        metric: Name of the score.
        batch_size: Batch size of the inference.
    """
    x = f"inference time relative to the baseline, batch size {batch_size}"
    with open_figure(x=x, y=f"{metric}, %") as (figure, axes):
        for label, ratio, score in rows:
            _scatter(axes, ratio, 100 * score)
            axes.annotate(label, (ratio, 100 * score), (5, 4), textcoords="offset points", fontsize=9)
        axes.margins(0.18, 0.15)
        svg = convert_to_svg(figure, name, f"{metric} of each run over its inference time")
    return Chart(f"{metric} by inference time, batch size {batch_size}", svg)
