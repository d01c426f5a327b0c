"""The block of one image in an attention figure: a column per attribute, a row per map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from passerby.errors import DataError, SchemaError
from passerby.explain.attention_maps import AttentionMaps
from passerby.parsing import get_palette
from passerby.visualization.figure_file import check_sides
from passerby.visualization.overlay import compute_scale, draw_bar, draw_overlay
from passerby.visualization.panel_grid import split_evenly
from passerby.visualization.typography import (
    BACKGROUND,
    GAP_PX,
    MUTED,
    compute_text_px,
    write_header,
    write_line,
)

__all__ = ["draw_block"]


@dataclass(frozen=True)
class _Layout:
    """Positions and sizes in a block, in pixels.

    Args:
        cell: Width and height of each map.
        text: Size of the text.
        n_parsing: Number of parsing maps, to the right of the image.
        n_maps: Number of rows of maps.
    """

    cell: tuple[int, int]
    text: int
    n_parsing: int
    n_maps: int

    @property
    def column(self) -> int:
        """Width of a column: that of a cell, or the minimum for its numbers."""
        return max(self.cell[0], 10 * self.text)

    @property
    def header(self) -> int:
        """Height of the name and the probability of an attribute."""
        return round(3.2 * self.text)

    @property
    def footer(self) -> int:
        """Height of a colour bar and its numbers."""
        return round(2.6 * self.text)

    @property
    def line(self) -> int:
        """Height of a line of attributes: header and all maps."""
        return self.header + self.n_maps * (self.cell[1] + self.footer)

    @property
    def top(self) -> int:
        """Upper edge of the first line, below the heading."""
        return 2 * self.text

    @property
    def step(self) -> int:
        """Distance between the left edges of two columns."""
        return self.column + GAP_PX

    @property
    def left(self) -> int:
        """Left edge of the first attribute, after image, parsing maps and the rotated names of the maps."""
        return GAP_PX + (1 + self.n_parsing) * self.step + 2 * self.text

    def locate_row(self, i: int) -> int:
        """Upper edge of map i below the upper edge of its line."""
        return self.header + i * (self.cell[1] + self.footer)


@dataclass(frozen=True)
class _Content:
    """The maps to draw and how.

    Args:
        maps: Everything about the image.
        shown: The maps to draw, by name.
        shared: Names of the maps that are equal for all attributes.
        layout: Positions and sizes.
    """

    maps: AttentionMaps
    shown: Mapping[str, NDArray[np.float32]]
    shared: Collection[str]
    layout: _Layout


def draw_block(
    maps: AttentionMaps,
    titles: Sequence[tuple[str, str]],
    names: Sequence[str],
    *,
    columns: int,
    height_px: int,
) -> Image.Image:
    """Draw one image and its maps.

    Args:
        maps: The maps of the image.
        titles: The attributes to show, each with its title.
        names: The maps to show, see `AttentionMaps.combine`.
        columns: Maximum number of attributes per line.
        height_px: Height of the image.

    Raises:
        DataError: If no attribute or no map is selected, or the block is too large.
        SchemaError: If an attribute is unknown.
        ModelError: If a map is unknown.
    """
    attributes = [(_index(maps, name), title) for name, title in titles]
    shown = {name: maps.combine(name) for name in names}
    if not attributes or not shown:
        raise DataError("expected at least one attribute and one map to show, got none; leave the option out")
    indices = [i for i, _ in attributes]
    shared = {name for name, values in shown.items() if (values[indices] == values[indices[0]]).all()}
    height, width, _ = maps.picture.shape
    cell = (max(1, round(width * height_px / height)), height_px)
    layout = _Layout(cell, compute_text_px(height_px), len(maps.parsing), len(shown))
    lines = split_evenly(attributes, columns)
    size = (layout.left + len(lines[0]) * layout.step, layout.top + len(lines) * layout.line)
    check_sides(*size)
    block = Image.new("RGB", size, BACKGROUND)
    content = _Content(maps, shown, shared, layout)
    _draw_picture(block, content)
    for i, line in enumerate(lines):
        _draw_line(block, layout.top + i * layout.line, line, content)
    return block


def _index(maps: AttentionMaps, name: str) -> int:
    if name not in maps.names:
        raise SchemaError(f"no attribute {name!r} to show; expected some of {', '.join(maps.names)}")
    return maps.names.index(name)


def _draw_picture(block: Image.Image, content: _Content) -> None:
    """The heading, the image and its parsing maps."""
    draw, maps, layout = ImageDraw.Draw(block), content.maps, content.layout
    row = () if maps.row is None else (f"row {maps.row}",)
    box = () if maps.box is None else (f"box {maps.box}",)
    heading = "  ·  ".join((maps.source, *row, *box, *maps.notes))
    at = (GAP_PX, round(0.6 * layout.text))
    write_line(draw, at, heading, width=block.width - 2 * GAP_PX, size=layout.text)
    picture = Image.fromarray(maps.picture).resize(layout.cell, Image.Resampling.LANCZOS)
    block.paste(picture, (GAP_PX, layout.top + layout.header))
    for i, (name, classes) in enumerate(maps.parsing.items(), start=1):
        x = GAP_PX + i * layout.step
        write_line(draw, (x, layout.top), f"parsing, {name}", width=layout.column, size=layout.text)
        panel = Image.fromarray(get_palette()[classes]).resize(layout.cell, Image.Resampling.NEAREST)
        block.paste(panel, (x, layout.top + layout.header))


def _draw_line(block: Image.Image, top: int, line: Sequence[tuple[int, str]], content: _Content) -> None:
    """A line of attributes with their maps, and the names of the maps."""
    maps, layout = content.maps, content.layout
    for i, (attribute, title) in enumerate(line):
        x = layout.left + i * layout.step
        _write_attribute(ImageDraw.Draw(block), (x, top), attribute, title, content)
        for row, (name, values) in enumerate(content.shown.items()):
            if i and name in content.shared:
                continue
            scale = 1.0 if name in maps.probability_maps else compute_scale(values[attribute])
            at = (x, top + layout.locate_row(row))
            _draw_cell(block, at, maps.picture, values[attribute], layout, scale)
    for row, (name, values) in enumerate(content.shown.items()):
        label = f"{name} ({values.shape[1]} × {values.shape[2]})"
        x = layout.left - round(1.6 * layout.text)
        block.paste(_draw_rotated(label, layout), (x, top + layout.locate_row(row)))


def _draw_cell(
    block: Image.Image,
    at: tuple[int, int],
    picture: NDArray[np.uint8],
    values: NDArray[np.float32],
    layout: _Layout,
    scale: float,
) -> None:
    """An overlay, its colour bar from 0 to the scale, and the numbers below it."""
    (x, y), (width, height) = at, layout.cell
    overlay = draw_overlay(picture, values, scale=scale)
    block.paste(overlay.resize(layout.cell, Image.Resampling.LANCZOS), at)
    draw = ImageDraw.Draw(block)
    bar_px = max(4, round(0.4 * layout.text))
    block.paste(draw_bar(width, bar_px), (x, y + height + 3))
    mean = float(values.mean())
    peak = f"peak {values.max() / mean:.1f} × mean" if mean > 0 else "all 0"
    size, below = layout.text - 3, y + height + bar_px + 5
    numbers = (
        (x, "0", size, "la"),
        (x + layout.column // 2, peak, layout.column, "ma"),
        (x + layout.column, f"{scale:.2g}", width, "ra"),
    )
    for left, text, text_width, anchor in numbers:
        write_line(draw, (left, below), text, width=text_width, size=size, fill=MUTED, anchor=anchor)


def _write_attribute(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], attribute: int, title: str, content: _Content
) -> None:
    """The title of a column, and the probability of its attribute."""
    maps, layout = content.maps, content.layout
    name, p = maps.names[attribute], maps.probabilities[attribute]
    is_present = p > maps.thresholds[attribute]
    subtitle = f"{100 * p:.2f} %, {'present' if is_present else 'not present'}"
    if title != name:
        subtitle = f"{name}: {subtitle}"
    write_header(draw, at, title, subtitle, is_present=is_present, width=layout.column, size=layout.text)


def _draw_rotated(label: str, layout: _Layout) -> Image.Image:
    """A label that reads from bottom to top, centred on the height of a cell."""
    height = layout.cell[1]
    strip = Image.new("RGB", (height, round(1.5 * layout.text)), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    write_line(draw, (height // 2, 0), label, width=height, size=layout.text - 1, fill=MUTED, anchor="ma")
    return strip.transpose(Image.Transpose.ROTATE_90)
