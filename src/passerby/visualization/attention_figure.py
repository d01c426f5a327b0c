"""Attention maps over their images as one figure: a block per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from passerby.errors import DataError
from passerby.explain.attention_maps import AttentionMaps
from passerby.parsing import UNKNOWN_CLASS, get_class_colour
from passerby.schema import AttributeSchema, list_names
from passerby.visualization.attention_block import draw_block
from passerby.visualization.attention_selection import choose_attributes, choose_by_task, choose_maps
from passerby.visualization.figure_file import check_sides
from passerby.visualization.typography import (
    BACKGROUND,
    GAP_PX,
    MUTED,
    RULE,
    compute_text_px,
    get_font,
    write_line,
)

__all__ = ["draw_attention"]

_NOTE = "Each map has its own scale: from 0 to its peak, but at least to three times its mean."
_NOTE_PROBABILITIES = "Probabilities go from 0 to 1."


def draw_attention(
    maps: AttentionMaps | Sequence[AttentionMaps],
    *,
    attributes: str | Sequence[str] | None = None,
    names: str | Sequence[str] | None = None,
    by_task: AttributeSchema | None = None,
    columns: int = 6,
    height_px: int = 256,
) -> Image.Image:
    """Draw maps over their images, as in Fig. 4 of DIAA and Fig. 5 of MTMS.

    Each image has a block: the image, a column per attribute (with its probability and whether it is
    present) and a row per map. A map that all shown attributes share is drawn in the first column only. Below
    each map are its colour bar, the value at the bright end and the ratio of its peak to its mean: 1 for a
    uniform map, h · w for a map with a single non-zero cell. Parsing maps are next to the image, and a
    legend of their classes is at the end.

    Args:
        maps: Maps of one or several images, from `compute_maps`.
        attributes: Attributes to show, in this order; by default `choose_attributes` of each image.
        names: Maps to show; see `AttentionMaps.combine` for products and means. By default `choose_maps`.
        by_task: Show one attribute per task of this schema (`choose_by_task`) instead of `attributes`.
        columns: Maximum number of attributes per line; further ones follow in lines of similar length.
        height_px: Height of an image in the figure.

    Raises:
        DataError: If there is no image, nothing to show, `columns` is below 1, `height_px` below 64, or a
            side of the figure would exceed `MAX_SIDE_PX`.
        SchemaError: If an attribute is unknown.
        ModelError: If a map is unknown.

    Example:
        >>> spot = np.eye(4, 3, dtype=np.float32)[None]
        >>> picture = np.zeros((64, 48, 3), np.uint8)
        >>> maps = AttentionMaps("a.jpg", picture, ("Hat",), (0.9,), (0.5,), {"spot": spot})
        >>> draw_attention(maps, height_px=128).mode
        'RGB'
    """
    pictures = [maps] if isinstance(maps, AttentionMaps) else list(maps)
    if not pictures or columns < 1 or height_px < 64:
        raise DataError(
            f"expected at least one image, columns ≥ 1 and height_px ≥ 64, got {len(pictures)} images, "
            f"{columns} and {height_px}"
        )
    blocks = [
        draw_block(
            each,
            _choose_titles(each, attributes, by_task),
            choose_maps(each) if names is None else list_names(names),
            columns=columns,
            height_px=height_px,
        )
        for each in pictures
    ]
    text_px = compute_text_px(height_px)
    legend = _draw_legend(pictures, max(block.width for block in blocks), text_px)
    return _stack(blocks, legend, _describe_scales(pictures), text_px)


def _choose_titles(
    maps: AttentionMaps, attributes: str | Sequence[str] | None, by_task: AttributeSchema | None
) -> list[tuple[str, str]]:
    """The attributes to show, each with the title of its column."""
    if by_task is not None:
        return choose_by_task(maps, by_task)
    names = choose_attributes(maps) if attributes is None else list_names(attributes)
    return [(name, name) for name in names]


def _describe_scales(pictures: Sequence[AttentionMaps]) -> str:
    kinds = {name in each.probability_maps for each in pictures for name in each.maps}
    return " ".join(text for kind, text in ((False, _NOTE), (True, _NOTE_PROBABILITIES)) if kind in kinds)


def _stack(blocks: Sequence[Image.Image], legend: Image.Image, note: str, text_px: int) -> Image.Image:
    """Blocks separated by rules, then the legend and the note."""
    width = legend.width
    height = sum(block.height + 2 * GAP_PX for block in blocks) + 2 * text_px + legend.height
    check_sides(width, height)
    figure = Image.new("RGB", (width, height), BACKGROUND)
    draw, top = ImageDraw.Draw(figure), 0
    for block in blocks:
        figure.paste(block, (0, top))
        top += block.height + GAP_PX
        draw.line((GAP_PX, top, width - GAP_PX, top), fill=RULE)
        top += GAP_PX
    figure.paste(legend, (0, top))
    write_line(draw, (GAP_PX, top + legend.height), note, width=width - 2 * GAP_PX, size=text_px - 2)
    return figure


def _draw_legend(pictures: Sequence[AttentionMaps], width: int, text_px: int) -> Image.Image:
    """Colours and names of the parsing classes that occur, in as many lines as they need."""
    occurring = {
        int(number) for each in pictures for values in each.parsing.values() for number in np.unique(values)
    }
    names = dict(enumerate(next((each.parsing_classes for each in pictures if each.parsing), ())))
    font, line_px = get_font(text_px - 1), round(1.6 * text_px)
    positions: list[tuple[int, int, int]] = []
    x, y = GAP_PX, 0
    for number in sorted(occurring):
        entry_px = 2 * text_px + round(font.getlength(_name_class(number, names))) + text_px
        if x + entry_px > width and x > GAP_PX:
            x, y = GAP_PX, y + line_px
        positions.append((number, x, y))
        x += entry_px
    legend = Image.new("RGB", (width, y + line_px if positions else 0), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for number, x, y in positions:
        draw.rectangle((x, y, x + text_px, y + text_px), fill=get_class_colour(number), outline=MUTED)
        at = (x + round(1.4 * text_px), y)
        write_line(draw, at, _name_class(number, names), width=width, size=text_px - 1)
    return legend


def _name_class(number: int, names: Mapping[int, str]) -> str:
    return "unknown" if number == UNKNOWN_CLASS else names.get(number, f"class {number}")
