"""Figures as inline SVG whose colours are CSS variables, so that they follow the colour scheme of the page.

matplotlib draws with placeholder colours, one per variable of `style.css`; the SVG refers to the variables
instead. Text stays text, in the font of the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["COLOURS", "SERIES", "Chart", "convert_to_svg", "open_figure"]

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
"""Placeholder colours by CSS variable; a figure may use no other colours."""

SERIES = ("a", "b", "c", "d")
"""Colours of the curves of a chart, in this order."""

WIDTH_INCHES, HEIGHT_INCHES = 5.0, 3.4  # 360 × 245 units of the view box: 11-unit text is legible on a phone

_SETTINGS: Mapping[str, Any] = {
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


@dataclass(frozen=True)
class Chart:
    """A figure of the page: its caption and the `<svg>` element."""

    caption: str
    svg: str


@contextmanager
def open_figure(*, x: str, y: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure with labelled axes in the style of the page."""
    settings: Any = _SETTINGS  # matplotlib types only literal names
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield figure, axes


def convert_to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element without a fixed size, with unique ids and colours as variables.

    Args:
        figure: From `open_figure`.
        name: Prefix of the ids, unique on the page.
        description: Alternative text.
    """
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
