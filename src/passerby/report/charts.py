"""Charts as inline SVG whose colours are CSS variables, so that they follow the page into the dark.

matplotlib draws with stand-in colours, one a variable of `style.css`; the text of the SVG then names the
variable in place of the colour. Text stays text, in the font of the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

__all__ = ["Chart", "Line", "draw_confidence", "draw_lines", "draw_rarity", "draw_reliability", "draw_sizes"]

COLOURS: Mapping[str, str] = {
    "ink": "#010203",
    "soft": "#040506",
    "rule": "#070809",
    "a": "#0a0b0c",
    "b": "#0d0e0f",
    "c": "#101112",
    "d": "#131415",
    "paper": "#161718",
}
"""Stand-in colours: no other part of a figure may use them."""

SERIES = ("a", "b", "c", "d")
MOST_DOTS = 600
WIDTH_INCHES, HEIGHT_INCHES = 5.0, 3.4  # 360 × 245 units of the view box: 11-unit text is legible on a phone


@dataclass(frozen=True)
class Chart:
    """One figure of the page: a caption and the `<svg>` element."""

    caption: str
    svg: str


@dataclass(frozen=True)
class Line:
    """A curve: what the legend says, and the points."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = "a"
    faint: bool = False


@contextmanager
def _figure(*, x: str, y: str) -> Iterator[tuple[Figure, Axes]]:
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "passerby",
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": COLOURS["rule"],
        "axes.labelcolor": COLOURS["soft"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": COLOURS["rule"],
        "grid.linewidth": 0.6,
        "xtick.color": COLOURS["rule"],
        "ytick.color": COLOURS["rule"],
        "xtick.labelcolor": COLOURS["soft"],
        "ytick.labelcolor": COLOURS["soft"],
        "text.color": COLOURS["ink"],
        "legend.frameon": False,
        "legend.labelcolor": COLOURS["ink"],
        "lines.linewidth": 2.0,
        "lines.solid_capstyle": "round",
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield figure, axes


def _to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an element: no size of its own, ids unique on the page, colours as variables."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"""font: ([\d.]+)px [^;"]+""", r"font-size: \1px", svg)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    box = re.search(r'viewBox="[^"]+"', svg)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box.group(0) if box else ""} role="img"'
    label = f'<title id="{name}-title">{escape(description)}</title>'
    return f'{head} aria-labelledby="{name}-title">{label}{svg[svg.index(">") + 1 :].strip()}'


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
    """Curves over epochs.

    Args:
        name: Prefix of the ids, unique on the page.
        lines: The curves; a label that occurs again is in the legend once.
        mark: Position of a vertical line (the epoch that was chosen).
        log: Logarithmic second axis.
    """
    with _figure(x=x, y=y) as (figure, axes):
        seen: set[str] = set()
        for line in lines:
            label = line.label if line.label not in seen else f"_{line.label}"
            seen.add(line.label)
            marker = "o" if len(line.x) == 1 else None
            colour, alpha = COLOURS[line.colour], 0.45 if line.faint else 1.0
            axes.plot(line.x, line.y, color=colour, label=label, alpha=alpha, marker=marker)
        if mark is not None:
            axes.axvline(mark, color=COLOURS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        if log:
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
        if len(seen) > 1:
            axes.legend(loc="best", handlelength=1.2)
        svg = _to_svg(figure, name, f"{caption}: {y} over {x}, {', '.join(sorted(seen))}")
    return Chart(caption, svg)


def draw_reliability(name: str, probs: NDArray[np.float32], labels: NDArray[np.int8]) -> Chart:
    """How often "p per cent sure" is right: observed share of positives against mean probability in ten bins.

    All attributes together, unknown labels left out; the caption carries the expected calibration error.

    Shape:
        probs, labels: (N, A).
    """
    known = labels >= 0
    p, truth = probs[known].astype(np.float64), labels[known] == 1
    bins = np.minimum((p * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    some = counts > 0
    confidence = np.bincount(bins, weights=p, minlength=10)[some] / counts[some]
    observed = np.bincount(bins, weights=truth, minlength=10)[some] / counts[some]
    error = float((np.abs(confidence - observed) * counts[some]).sum() / max(1, counts.sum()))
    with _figure(x="predicted probability", y="share that is so") as (figure, axes):
        heights = 0.25 * counts / max(1, counts.max())
        axes.bar((np.arange(10) + 0.5) / 10, heights, width=0.09, color=COLOURS["rule"])
        axes.plot([0, 1], [0, 1], color=COLOURS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(confidence, observed, color=COLOURS["a"], marker="o", markersize=5)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        svg = _to_svg(figure, name, f"Reliability diagram, expected calibration error {error:.3f}")
    return Chart(f"Calibration: {100 * error:.1f} points off on average; bars show how many predictions", svg)


def draw_rarity(name: str, share: Sequence[float], score: Sequence[float]) -> Chart:
    """The mean accuracy of each attribute against how rare it is.

    Args:
        share: Share of positives of each attribute, in [0, 1].
        score: Its mean accuracy, in [0, 1].
    """
    with _figure(x="people who have it, %", y="mean accuracy, %") as (figure, axes):
        percent = 100 * np.maximum(np.asarray(share, float), 1e-4)
        axes.scatter(
            percent,
            100 * np.asarray(score),
            s=42,
            color=COLOURS["a"],
            edgecolors=COLOURS["paper"],
            linewidths=0.8,
        )
        axes.axhline(50, color=COLOURS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        axes.set_xscale("log")
        axes.set_xticks([t for t in (0.01, 0.1, 1, 10, 100) if percent.min() / 10 < t <= 100])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
        axes.set_ylim(min(45.0, 100 * min(score) - 3), 101)
        svg = _to_svg(figure, name, "Mean accuracy of each attribute against its share of positives")
    return Chart("Does rarity hurt? Each dot is an attribute; 50 % is what guessing gets", svg)


def draw_confidence(name: str, probs: NDArray[np.float64], ious: NDArray[np.float64]) -> Chart:
    """The IoU of each sample against the probability that the model gives it, and its mean in ten bins.

    Of many samples some are drawn at random, always the same; the means are of all.

    Shape:
        probs, ious: (S,) in [0, 1].
    """
    shown = np.random.default_rng(0).permutation(len(probs))[:MOST_DOTS]
    bins = np.minimum((probs * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    some = counts > 0
    x, y = (np.bincount(bins, weights=each, minlength=10)[some] / counts[some] for each in (probs, ious))
    with _figure(x="predicted probability, %", y="IoU of boxes, %") as (figure, axes):
        axes.scatter(
            100 * probs[shown], 100 * ious[shown], s=14, color=COLOURS["soft"], alpha=0.35, linewidths=0
        )
        axes.plot(100 * x, 100 * y, color=COLOURS["a"], marker="o", markersize=5)
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        svg = _to_svg(figure, name, "IoU of each sample against the predicted probability, and means")
    drawn = f" ({len(shown):,} of {len(probs):,} drawn)" if len(shown) < len(probs) else ""
    caption = f"Does it look better where it is surer? Each dot is a sample{drawn}; the line is their mean"
    return Chart(caption, svg)


def draw_sizes(name: str, even: Sequence[float], ious: Sequence[float]) -> Chart:
    """The IoU of each attribute against how much of the input it fills, which is what an even map gets.

    Args:
        even: Mean IoU of an even map of each attribute, in [0, 1].
        ious: Mean IoU of the model's maps.
    """
    with _figure(x="share of the input that the true box fills, %", y="IoU of boxes, %") as (figure, axes):
        axes.plot([0, 100], [0, 100], color=COLOURS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        axes.scatter(
            100 * np.asarray(even),
            100 * np.asarray(ious),
            s=42,
            color=COLOURS["a"],
            edgecolors=COLOURS["paper"],
            linewidths=0.8,
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set_xlim(0, min(102.0, max(20.0, 110 * max(even))))
        axes.set_ylim(0, min(102.0, max(20.0, 110 * max(*ious, *even))))
        svg = _to_svg(figure, name, "IoU of each attribute against the size of its true boxes")
    return Chart("Does size matter? Each dot is an attribute; the dashed line is what an even map gets", svg)


def draw_differences(
    name: str, rows: Sequence[tuple[str, float, float, float]], *, metric: str, factor: float = 100
) -> Chart:
    """The difference of each run to the first with its interval, a line each.

    Args:
        rows: Name, difference, lower and upper end, as fractions.
        metric: What differs.
        factor: 100 draws the fractions in per cent.
    """
    unit = "points above" if factor == 100 else "above"
    with _figure(x=f"{metric}: {unit} the first run", y="") as (figure, axes):
        places = np.arange(len(rows))[::-1]
        middle, low, high = (factor * np.array([row[i] for row in rows]) for i in (1, 2, 3))
        axes.hlines(places, low, high, color=COLOURS["a"], linewidth=2)
        axes.scatter(middle, places, s=42, color=COLOURS["a"], edgecolors=COLOURS["paper"], linewidths=0.8)
        axes.axvline(0, color=COLOURS["soft"], linewidth=1, linestyle=(0, (3, 3)))
        axes.set_yticks(places, [row[0] for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        svg = _to_svg(figure, name, f"Difference in {metric} to the first run with its interval")
    return Chart(f"{metric}: difference to the first run; what crosses the dashed line is not sure", svg)


def draw_tradeoff(name: str, rows: Sequence[tuple[str, float, float]], *, metric: str, at_once: int) -> Chart:
    """A score against the time of a forward pass.

    Args:
        rows: Name, time as a ratio to the baseline's, score as a fraction.
        metric: The score.
        at_once: Pictures in the forward pass.
    """
    with _figure(x=f"time over the baseline’s, {at_once} at once", y=f"{metric}, %") as (figure, axes):
        for label, ratio, score in rows:
            axes.scatter(ratio, 100 * score, s=42, color=COLOURS["a"], edgecolors=COLOURS["paper"])
            axes.annotate(label, (ratio, 100 * score), (5, 4), textcoords="offset points", fontsize=9)
        axes.margins(0.18, 0.15)
        svg = _to_svg(figure, name, f"{metric} of each run against its inference time")
    return Chart(f"What it costs: {metric} against the time of inference, as a ratio to the baseline’s", svg)
