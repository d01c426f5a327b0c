"""A grid of panels with headers and captions, and a legend below it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from PIL import Image, ImageDraw

from passerby.visualization.figure_file import check_sides
from passerby.visualization.typography import (
    BACKGROUND,
    GAP_PX,
    MUTED,
    RULE,
    wrap_text,
    write_header,
    write_line,
)

__all__ = ["LegendEntry", "Panel", "compose_grid", "split_evenly"]

_T = TypeVar("_T")

LegendEntry = tuple[Image.Image | None, str]
"""A swatch and its meaning, or a note without a swatch. All swatches of a legend have the same height."""


@dataclass(frozen=True, slots=True)
class Panel:
    """An image with two lines of text above it and one below it.

    Args:
        image: The image.
        title: First line above the image.
        subtitle: Second line above the image.
        caption: Line below the image.
        is_present: Whether the attribute is predicted as present; the subtitle is then green.
        is_path: Whether a title that is too long is shortened at its start, as for a path.
    """

    image: Image.Image
    title: str = ""
    subtitle: str = ""
    caption: str = ""
    is_present: bool = False
    is_path: bool = False


def split_evenly(items: Sequence[_T], columns: int) -> list[Sequence[_T]]:
    """Split items into as few lines as possible, of at most `columns` items and of similar length.

    Example:
        >>> split_evenly("abcdefg", 6)
        ['abcd', 'efg']
    """
    length = ceil(len(items) / ceil(len(items) / columns))
    return [items[i : i + length] for i in range(0, len(items), length)]


def compose_grid(
    lines: Sequence[Sequence[Panel | None]],
    *,
    text_px: int,
    rules_above: Collection[int] = (),
    legend: Sequence[LegendEntry] = (),
) -> Image.Image:
    """Arrange panels in a grid: columns as wide as their widest panel, lines as high as their highest.

    Args:
        lines: At least one, each with at least one panel; None leaves a cell empty.
        text_px: Size of the text.
        rules_above: Indices of the lines with a rule above them.
        legend: Drawn at the end, below a rule.

    Raises:
        DataError: If a side would exceed `passerby.visualization.figure_file.MAX_SIDE_PX`.

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
        max(panel.image.height for panel in line if panel) + _header_px(text_px) + round(2.2 * text_px)
        for line in lines
    ]
    width = lefts[-1]
    footer = _draw_legend(legend, width, text_px)
    height = GAP_PX + sum(heights) + len(rules_above) * GAP_PX + footer.height
    check_sides(width, height)
    grid = Image.new("RGB", (width, height), BACKGROUND)
    draw, y = ImageDraw.Draw(grid), GAP_PX
    for i, line in enumerate(lines):
        if i in rules_above:
            draw.line((GAP_PX, y, width - GAP_PX, y), fill=RULE)
            y += GAP_PX
        for x, column, panel in zip(lefts, columns, line, strict=False):
            if panel is not None:
                _paste_panel(grid, panel, (x, y), width=column, text_px=text_px)
        y += heights[i]
    grid.paste(footer, (0, y))
    return grid


def _header_px(text_px: int) -> int:
    return round(3.2 * text_px)


def _paste_panel(grid: Image.Image, panel: Panel, at: tuple[int, int], *, width: int, text_px: int) -> None:
    draw, (x, y) = ImageDraw.Draw(grid), at
    write_header(
        draw,
        at,
        panel.title,
        panel.subtitle,
        is_present=panel.is_present,
        width=width,
        size=text_px,
        keep_end=panel.is_path,
    )
    y += _header_px(text_px)
    grid.paste(panel.image, (x, y))
    y += panel.image.height + 3
    write_line(draw, (x, y), panel.caption, width=width, size=text_px - 2, fill=MUTED)


def _draw_legend(entries: Sequence[LegendEntry], width: int, text_px: int) -> Image.Image:
    """A rule, then each swatch with its meaning to the right, wrapped to the width."""
    swatches = [swatch for swatch, _ in entries if swatch is not None]
    left = max([0, *(swatch.width + GAP_PX for swatch in swatches)]) + GAP_PX
    size, step = text_px - 1, round(1.7 * text_px)
    text_width = width - left - GAP_PX
    wrapped = [(swatch, wrap_text(text, width=text_width, size=size)) for swatch, text in entries]
    height = 2 * GAP_PX + step * sum(len(lines) for _, lines in wrapped) if entries else 0
    legend = Image.new("RGB", (width, height), BACKGROUND)
    draw, y = ImageDraw.Draw(legend), GAP_PX
    if entries:
        draw.line((GAP_PX, 0, width - GAP_PX, 0), fill=RULE)
    for swatch, lines in wrapped:
        if swatch is not None:
            legend.paste(swatch, (GAP_PX, y))
        for line in lines:
            write_line(draw, (left, y), line, width=text_width, size=size, fill=MUTED)
            y += step
    return legend
