"""Panels with their captions on one paper, in lines and columns, and what they mean below them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from passerby.visualization.figure_file import check_sides
from passerby.visualization.typography import (
    FAINT,
    GAP_PX,
    PAPER,
    RULE,
    wrap_text,
    write_head,
    write_line,
)

__all__ = ["LegendEntry", "Panel", "compose_grid"]

LegendEntry = tuple[Image.Image | None, str]
"""A sample, of one height for all entries, and what it means; or words alone."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture with two lines over it and one below it.

    Args:
        title: The upper line over it.
        verdict: The lower one.
        foot: The one below it.
        yes: Whether the verdict is written in green.
        is_path: Whether the end of the title matters more than its beginning, where both do not fit.
    """

    image: Image.Image
    title: str = ""
    verdict: str = ""
    foot: str = ""
    yes: bool = False
    is_path: bool = False


def compose_grid(
    lines: Sequence[Sequence[Panel | None]],
    *,
    text_px: int,
    starts: Collection[int] = (),
    legend: Sequence[LegendEntry] = (),
) -> Image.Image:
    """Put panels on a paper: a column is as wide as its widest panel, a line as high as its highest.

    Args:
        lines: At least one, each with at least one panel; None leaves a place free.
        text_px: Size of the text.
        starts: Numbers of the lines that have a rule before them.
        legend: Stands at the end, below a rule.

    Raises:
        DataError: If a side would be above `passerby.visualization.figure_file.MAX_SIDE_PX`.

    Example:
        >>> panel = Panel(Image.new("RGB", (100, 80), "teal"), "Hat")
        >>> compose_grid([[panel, panel], [None, panel]], text_px=10).size
        (224, 276)
    """
    widths = [
        [panel.image.width for line in lines for panel in line[i : i + 1] if panel is not None]
        for i in range(max(map(len, lines)))
    ]
    columns = [max(10 * text_px, *each) for each in widths]
    lefts = [GAP_PX + sum(columns[:i]) + i * GAP_PX for i in range(len(columns) + 1)]
    heights = [
        max(panel.image.height for panel in line if panel) + _head_px(text_px) + round(2.2 * text_px)
        for line in lines
    ]
    width = lefts[-1]
    below = _draw_legend(legend, width, text_px)
    height = GAP_PX + sum(heights) + len(starts) * GAP_PX + below.height
    check_sides(width, height)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, y = ImageDraw.Draw(sheet), GAP_PX
    for i, line in enumerate(lines):
        if i in starts:
            pen.line((GAP_PX, y, width - GAP_PX, y), fill=RULE)
            y += GAP_PX
        for x, room, panel in zip(lefts, columns, line, strict=False):
            if panel is not None:
                _place(sheet, panel, (x, y), width=room, text_px=text_px)
        y += heights[i]
    sheet.paste(below, (0, y))
    return sheet


def _head_px(text_px: int) -> int:
    return round(3.2 * text_px)


def _place(sheet: Image.Image, panel: Panel, at: tuple[int, int], *, width: int, text_px: int) -> None:
    pen, (x, y) = ImageDraw.Draw(sheet), at
    write_head(
        pen,
        at,
        panel.title,
        panel.verdict,
        yes=panel.yes,
        width=width,
        size=text_px,
        keep_end=panel.is_path,
    )
    y += _head_px(text_px)
    sheet.paste(panel.image, (x, y))
    y += panel.image.height + 3
    write_line(pen, (x, y), panel.foot, width=width, size=text_px - 2, fill=FAINT)


def _draw_legend(entries: Sequence[LegendEntry], width: int, text_px: int) -> Image.Image:
    """A rule, then each sample with its meaning beside it, in as many lines as that needs."""
    samples = [sample for sample, _ in entries if sample is not None]
    left = max([0, *(sample.width + GAP_PX for sample in samples)]) + GAP_PX
    size, step = text_px - 1, round(1.7 * text_px)
    room = width - left - GAP_PX
    wrapped = [(sample, wrap_text(text, width=room, size=size)) for sample, text in entries]
    height = 2 * GAP_PX + step * sum(len(lines) for _, lines in wrapped) if entries else 0
    legend = Image.new("RGB", (width, height), PAPER)
    pen, y = ImageDraw.Draw(legend), GAP_PX
    if entries:
        pen.line((GAP_PX, 0, width - GAP_PX, 0), fill=RULE)
    for sample, lines in wrapped:
        if sample is not None:
            legend.paste(sample, (GAP_PX, y))
        for line in lines:
            write_line(pen, (left, y), line, width=room, size=size, fill=FAINT)
            y += step
    return legend
