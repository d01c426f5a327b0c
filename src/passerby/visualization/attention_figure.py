"""Attention maps over their pictures as one figure: a block a picture, a column an attribute, a row a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from passerby.errors import DataError, SchemaError
from passerby.explain.attention_maps import AttentionMaps, combine_maps
from passerby.parsing import UNKNOWN_CLASS, get_class_colour, get_palette
from passerby.schema import AttributeSchema
from passerby.visualization.figure_file import check_sides
from passerby.visualization.overlay import compute_scale, draw_bar, draw_overlay
from passerby.visualization.typography import (
    FAINT,
    GAP_PX,
    PAPER,
    RULE,
    compute_text_px,
    get_font,
    write_head,
    write_line,
)

__all__ = [
    "choose_attributes",
    "choose_by_task",
    "choose_maps",
    "draw_attention",
]

_NOTE = "Each map has its own scale: from 0 to its peak, but at least to three times its mean."
_NOTE_PROBABILITIES = "Probabilities go from 0 to 1."


# ---------------------------------------------------------------------- choosing


def choose_attributes(maps: AttentionMaps, count: int = 6) -> tuple[str, ...]:
    """The attributes worth a look: all that are present, then the likeliest others up to `count`.

    Example:
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> names, probabilities, thresholds = ("Hat", "Bag", "Sex"), (0.2, 0.6, 0.7), (0.1, 0.8, 0.5)
        >>> maps = AttentionMaps("a.jpg", picture, names, probabilities, thresholds, {})
        >>> choose_attributes(maps, 3), choose_attributes(maps, 1)
        (('Sex', 'Hat', 'Bag'), ('Sex', 'Hat'))
    """
    likeliest = sorted(zip(maps.probabilities, maps.names, strict=True), key=lambda pair: -pair[0])
    present = [name for _, name in likeliest if name in maps.present]
    others = [name for _, name in likeliest if name not in maps.present]
    return tuple(present + others[: max(0, count - len(present))])


def choose_by_task(maps: AttentionMaps, schema: AttributeSchema) -> list[tuple[str, str]]:
    """Of each task of the schema the attribute that is furthest above its threshold, or nearest below it.

    Returns:
        Each chosen attribute with its task, in the order of the tasks.

    Example:
        >>> from passerby.schema import Attribute
        >>> asked = tuple(Attribute(name, f"is {name}", task="head") for name in ("Hat", "Bald"))
        >>> schema = AttributeSchema("toy", asked)
        >>> picture = np.zeros((4, 4, 3), np.uint8)
        >>> choose_by_task(AttentionMaps("a.jpg", picture, schema.names, (0.2, 0.6), (0.5, 0.5), {}), schema)
        [('Bald', 'head')]
    """
    above = [p - threshold for p, threshold in zip(maps.probabilities, maps.thresholds, strict=True)]
    chosen = {task: max(members, key=above.__getitem__) for task, members in schema.group_by("task").items()}
    return [(maps.names[i], task) for task, i in chosen.items()]


def choose_maps(maps: AttentionMaps) -> tuple[str, ...]:
    """The maps worth a look: all but confidences, which say how sure the model is and not where it looks."""
    return tuple(name for name in maps.maps if not name.startswith("confidence")) or tuple(maps.maps)


# ---------------------------------------------------------------------- the figure


@dataclass(frozen=True)
class _Grid:
    """Sizes in pixels of the parts of a block, for cells of one size."""

    cell: tuple[int, int]
    text: int

    @property
    def column(self) -> int:
        """A cell, or the least room that its numbers need."""
        return max(self.cell[0], 10 * self.text)

    @property
    def margin(self) -> int:
        """The names of the maps, turned by a quarter."""
        return 2 * self.text

    @property
    def head(self) -> int:
        """Name and probability of an attribute."""
        return round(3.2 * self.text)

    @property
    def foot(self) -> int:
        """Colour bar and its numbers."""
        return round(2.6 * self.text)


def draw_attention(
    maps: AttentionMaps | Sequence[AttentionMaps],
    *,
    attributes: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    by_task: AttributeSchema | None = None,
    columns: int = 6,
    height_px: int = 256,
) -> Image.Image:
    """Draw maps over their pictures, as in Fig. 4 of DIAA and Fig. 5 of MTMS.

    Every picture has a block: itself, then a column an attribute (with its probability and whether it is
    present) and a row a map; a map that all of these share stands in the first column only. Under each map
    stand its colour bar, the value at its bright end and how many times the mean its peak is: 1 for a map
    that is even, h · w for one that looks at a single cell. Parsing maps stand beside the picture, and a
    legend of their classes at the end.

    Args:
        maps: Of one picture or of several, from `compute_maps`.
        attributes: Which to show, in this order; by default `choose_attributes` of each picture.
        names: Which maps to show; see `combine_maps` for products and means. By default `choose_maps`.
        by_task: Show an attribute for each task of this schema (`choose_by_task`) instead of `attributes`.
        columns: So many attributes beside each other at most; further ones follow below, in even lines.
        height_px: Height of a picture in the figure.

    Raises:
        DataError: If there is no picture, nothing to show, `columns` is below 1, `height_px` below 64, or a
            side of the figure would be above `MAX_SIDE_PX`.
        SchemaError: If there is no such attribute.
        ModelError: If there is no such map.

    Example:
        >>> spot = np.eye(4, 3, dtype=np.float32)[None]
        >>> picture = np.zeros((64, 48, 3), np.uint8)
        >>> maps = AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), {"spot": spot})
        >>> draw_attention(maps, height_px=128).mode
        'RGB'
    """
    several = [maps] if isinstance(maps, AttentionMaps) else list(maps)
    if not several or columns < 1 or height_px < 64:
        raise DataError(
            f"expected at least one picture, columns ≥ 1 and height_px ≥ 64, got {len(several)} pictures, "
            f"{columns} and {height_px}"
        )
    blocks = [
        _draw_block(
            each,
            _title(each, attributes, by_task),
            choose_maps(each) if names is None else names,
            columns=columns,
            height_px=height_px,
        )
        for each in several
    ]
    text_px = compute_text_px(height_px)
    width = max(block.width for block in blocks)
    legend = _draw_legend(several, width, text_px)
    height = sum(block.height + 2 * GAP_PX for block in blocks) + 2 * text_px + legend.height
    check_sides(width, height)
    figure = Image.new("RGB", (width, height), PAPER)
    pen, top = ImageDraw.Draw(figure), 0
    for block in blocks:
        figure.paste(block, (0, top))
        top += block.height + GAP_PX
        pen.line((GAP_PX, top, width - GAP_PX, top), fill=RULE)
        top += GAP_PX
    figure.paste(legend, (0, top))
    kinds = {name in each.probability_maps for each in several for name in each.maps}
    note = " ".join(text for kind, text in ((False, _NOTE), (True, _NOTE_PROBABILITIES)) if kind in kinds)
    write_line(pen, (GAP_PX, top + legend.height), note, width=width - 2 * GAP_PX, size=text_px - 2)
    return figure


def _draw_legend(several: Sequence[AttentionMaps], width: int, text_px: int) -> Image.Image:
    """Colours and names of the parsing classes that are seen, in as many lines as they need."""
    seen = {
        int(number) for each in several for values in each.parsing.values() for number in np.unique(values)
    }
    names = dict(enumerate(next((each.parsing_classes for each in several if each.parsing), ())))
    font, line_px = get_font(text_px - 1), round(1.6 * text_px)
    places: list[tuple[int, int, int]] = []
    x, y = GAP_PX, 0
    for number in sorted(seen):
        taken = 2 * text_px + round(font.getlength(_name_class(number, names))) + text_px
        if x + taken > width and x > GAP_PX:
            x, y = GAP_PX, y + line_px
        places.append((number, x, y))
        x += taken
    legend = Image.new("RGB", (width, y + line_px if places else 0), PAPER)
    pen = ImageDraw.Draw(legend)
    for number, x, y in places:
        pen.rectangle((x, y, x + text_px, y + text_px), fill=get_class_colour(number), outline=FAINT)
        at = (x + round(1.4 * text_px), y)
        write_line(pen, at, _name_class(number, names), width=width, size=text_px - 1)
    return legend


def _name_class(number: int, names: Mapping[int, str]) -> str:
    return "unknown" if number == UNKNOWN_CLASS else names.get(number, f"class {number}")


def _title(
    maps: AttentionMaps, attributes: Sequence[str] | None, by_task: AttributeSchema | None
) -> list[tuple[str, str]]:
    """The attributes to show, and what stands over each."""
    if by_task is not None:
        return choose_by_task(maps, by_task)
    return [(name, name) for name in (choose_attributes(maps) if attributes is None else attributes)]


def _draw_block(
    maps: AttentionMaps,
    titles: Sequence[tuple[str, str]],
    names: Sequence[str],
    *,
    columns: int,
    height_px: int,
) -> Image.Image:
    """One picture and its maps, on a paper of its own."""
    chosen = [(_index(maps, name), title) for name, title in titles]
    shown = {name: combine_maps(maps, name) for name in names}
    if not chosen or not shown:
        raise DataError("expected at least one attribute and one map to show, got none; leave the option out")
    attributes = [attribute for attribute, _ in chosen]
    shared = {name for name, values in shown.items() if (values[attributes] == values[attributes[0]]).all()}
    height, width, _ = maps.picture.shape
    grid = _Grid((max(1, round(width * height_px / height)), height_px), compute_text_px(height_px))
    beside = ceil(len(chosen) / ceil(len(chosen) / columns))  # seven in six columns: four and three
    lines = [chosen[i : i + beside] for i in range(0, len(chosen), beside)]
    line_px = grid.head + len(shown) * (height_px + grid.foot)
    left = GAP_PX + (1 + len(maps.parsing)) * (grid.column + GAP_PX) + grid.margin
    size = (left + len(lines[0]) * (grid.column + GAP_PX), 2 * grid.text + len(lines) * line_px)
    check_sides(*size)
    block = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(block)
    heading = "  ·  ".join((maps.source, *maps.notes))
    write_line(pen, (GAP_PX, round(0.6 * grid.text)), heading, width=size[0] - 2 * GAP_PX, size=grid.text)
    top = 2 * grid.text
    photo = Image.fromarray(maps.picture).resize(grid.cell, Image.Resampling.LANCZOS)
    block.paste(photo, (GAP_PX, top + grid.head))
    for i, (name, numbers) in enumerate(maps.parsing.items(), start=1):
        x = GAP_PX + i * (grid.column + GAP_PX)
        write_line(pen, (x, top), f"parsing, {name}", width=grid.column, size=grid.text)
        panel = Image.fromarray(get_palette()[numbers]).resize(grid.cell, Image.Resampling.NEAREST)
        block.paste(panel, (x, top + grid.head))
    for line in lines:
        for i, (attribute, title) in enumerate(line):
            x = left + i * (grid.column + GAP_PX)
            _write_head(pen, (x, top), maps, attribute, title, grid)
            for row, (name, values) in enumerate(shown.items()):
                if i and name in shared:
                    continue
                y = top + grid.head + row * (height_px + grid.foot)
                scale = 1.0 if name in maps.probability_maps else compute_scale(values[attribute])
                _draw_cell(block, (x, y), maps.picture, values[attribute], grid, scale)
        for row, (name, values) in enumerate(shown.items()):
            label = f"{name} ({values.shape[1]} × {values.shape[2]})"
            y = top + grid.head + row * (height_px + grid.foot)
            block.paste(_turn(label, grid), (left - round(1.6 * grid.text), y))
        top += line_px
    return block


def _draw_cell(
    block: Image.Image,
    at: tuple[int, int],
    picture: NDArray[np.uint8],
    values: NDArray[np.float32],
    grid: _Grid,
    scale: float,
) -> None:
    """An overlay, its colour bar from 0 to the scale, and the numbers under it."""
    (x, y), (width, height) = at, grid.cell
    overlay = draw_overlay(picture, values, scale=scale)
    block.paste(overlay.resize(grid.cell, Image.Resampling.LANCZOS), at)
    pen = ImageDraw.Draw(block)
    bar_px = max(4, round(0.4 * grid.text))
    block.paste(draw_bar(width, bar_px), (x, y + height + 3))
    mean = float(values.mean())
    peak = f"peak {values.max() / mean:.1f} × mean" if mean > 0 else "all 0"
    size, below = grid.text - 3, y + height + bar_px + 5
    write_line(pen, (x, below), "0", width=size, size=size, fill=FAINT)
    write_line(
        pen, (x + grid.column // 2, below), peak, width=grid.column, size=size, fill=FAINT, anchor="ma"
    )
    write_line(pen, (x + grid.column, below), f"{scale:.2g}", width=width, size=size, fill=FAINT, anchor="ra")


def _write_head(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    maps: AttentionMaps,
    attribute: int,
    title: str,
    grid: _Grid,
) -> None:
    p, present = maps.probabilities[attribute], maps.probabilities[attribute] > maps.thresholds[attribute]
    verdict = f"{100 * p:.2f} %, {'present' if present else 'not present'}"
    if title != maps.names[attribute]:
        verdict = f"{maps.names[attribute]}: {verdict}"
    write_head(pen, at, title, verdict, yes=present, width=grid.column, size=grid.text)


def _turn(label: str, grid: _Grid) -> Image.Image:
    """A label that reads from the bottom to the top, centred on a cell's height."""
    height = grid.cell[1]
    strip = Image.new("RGB", (height, round(1.5 * grid.text)), PAPER)
    pen = ImageDraw.Draw(strip)
    write_line(pen, (height // 2, 0), label, width=height, size=grid.text - 1, fill=FAINT, anchor="ma")
    return strip.transpose(Image.Transpose.ROTATE_90)


def _index(maps: AttentionMaps, name: str) -> int:
    if name not in maps.names:
        raise SchemaError(f"no attribute {name!r} to show; expected some of {', '.join(maps.names)}")
    return maps.names.index(name)
