"""Heat maps and boxes over their images: one attribute, or a grid of images × attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from passerby.errors import DataError
from passerby.explain.boxes import Binarization
from passerby.io import count_of
from passerby.types import Box
from passerby.visualization.figure_file import check_figure, check_sides
from passerby.visualization.overlay import draw_bar, draw_boxes, draw_overlay
from passerby.visualization.panel_grid import LegendEntry, Panel, compose_grid, split_evenly
from passerby.visualization.typography import BACKGROUND, MUTED, compute_text_px

if TYPE_CHECKING:
    from passerby.explain.localization import Localization, Region

__all__ = ["check_grid_size", "draw_localization", "draw_localizations"]

GroundTruth = Mapping[str, Sequence[Box]]
"""Ground-truth boxes of an image by attribute, in its pixels."""

_Settings = tuple[str, Binarization, str]
"""Method, binarisation and mode of boxes."""

_MIN_HEIGHT_PX = 64


def draw_localization(
    localization: Localization, name: str, *, truth: Sequence[Box] = (), height_px: int = 384
) -> Image.Image:
    """Draw one heat map over its image, with boxes, attribute, probability and notes.

    Args:
        localization: From `localize`.
        name: One of its attributes.
        truth: Ground-truth boxes in pixels of the image, drawn dashed.
        height_px: Height of the image in the figure, or width of one that is wider than high.

    Raises:
        SchemaError: If the attribute is not in the localisation.
        DataError: If `height_px` is below 64 or above `passerby.visualization.figure_file.MAX_SIDE_PX`.

    Example:
        >>> from passerby.explain import Localization, Region
        >>> picture, heat = np.zeros((80, 40, 3), np.uint8), np.ones((1, 80, 40), np.float32)
        >>> regions = ((Region(Box(0, 0, 40, 20), 0.25),),)
        >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, regions)
        >>> draw_localization(found, "Hat", height_px=160).mode
        'RGB'
    """
    _check_height(height_px)
    picture = _resize_picture(localization, height_px)
    panel = _create_panel(localization, localization.index(name), truth, picture)
    notes: list[LegendEntry] = [(None, note) for note in localization.notes]
    return compose_grid([[panel]], text_px=compute_text_px(height_px), legend=notes)


def draw_localizations(
    localizations: Iterable[Localization],
    *,
    truth: Iterable[GroundTruth] | None = None,
    columns: int = 6,
    height_px: int = 256,
) -> Image.Image:
    """Draw a grid with one image and its attributes per row, or per column where that fits better.

    Images become columns if there are at least three of them, all with the same attributes, and at most
    `columns` images but more than `columns` attributes. Above each map are the attribute, its probability
    and whether it is present; below it are the share of heat in each box and the IoU with the ground truth.

    Args:
        localizations: Read one by one; only the reduced drawings are kept in memory.
        truth: Ground-truth boxes of each image, drawn dashed.
        columns: Maximum number of attributes per line; further ones follow in lines of similar length.
        height_px: Height of an image in the grid, or width of one that is wider than high.

    Raises:
        DataError: If there is no image, `columns` is below 1, `height_px` below 64, or a side of the grid
            would exceed `passerby.visualization.figure_file.MAX_SIDE_PX`.

    Example:
        >>> from passerby.explain import Localization
        >>> picture, heat = np.zeros((80, 40, 3), np.uint8), np.ones((1, 80, 40), np.float32)
        >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, ((),))
        >>> draw_localizations([found, found], height_px=160).mode
        'RGB'
    """
    _check_height(height_px)
    if columns < 1:
        raise DataError(f"expected columns ≥ 1, got {columns}")
    rows: list[list[Panel]] = []
    names: set[tuple[str, ...]] = set()
    notes: Counter[str] = Counter()
    settings: dict[_Settings, None] = {}
    truths: Iterable[GroundTruth] = repeat({}) if truth is None else truth
    for each, boxes in zip(localizations, truths, strict=truth is not None):
        rows.append(_create_row(each, boxes, height_px))
        names.add(each.names)
        notes.update(each.notes)
        settings[each.method, each.binarization, each.mode] = None
    if not rows:
        raise DataError("expected at least one image to draw, got none")
    if len(names) == 1 and _is_transposed(len(rows), len(rows[0]) - 1, columns):
        lines, rules_above = [list(row) for row in zip(*rows, strict=True)], set(range(1, len(rows[0])))
    else:
        lines, rules_above = _break_rows(rows, columns)
    text_px = compute_text_px(height_px)
    legend = _create_legend(settings, notes, has_truth=truth is not None, text_px=text_px)
    return compose_grid(lines, text_px=text_px, rules_above=rules_above, legend=legend)


def check_grid_size(
    path: Path, *, pictures: int, attributes: int | None, columns: int = 6, height_px: int = 256
) -> None:
    """Reject a grid that cannot be drawn or written, before any computation.

    All images are assumed to be higher than wide.

    Args:
        path: The file; its suffix determines the format.
        pictures: Number of images.
        attributes: Number of attributes of each image, None if it is not known yet.
        columns, height_px: As for `draw_localizations`.

    Raises:
        DataError: If no image format has that suffix, or the grid would be too large.
    """
    count = pictures * ceil((attributes or 1) / columns)
    if attributes is not None and _is_transposed(pictures, attributes, columns):
        count = 1 + attributes
    check_figure(path, count=count, height_px=height_px)


def _check_height(height_px: int) -> None:
    if height_px < _MIN_HEIGHT_PX:
        raise DataError(f"expected height_px ≥ {_MIN_HEIGHT_PX}, got {height_px}")
    check_sides(1, height_px)


# ---------------------------------------------------------------------- panels


def _create_row(localization: Localization, truth: GroundTruth, height_px: int) -> list[Panel]:
    """The image, then its attributes, or a note that none is present."""
    height, width, _ = localization.picture.shape
    picture = _resize_picture(localization, height_px)
    person = [f"row {localization.row}"] if localization.row is not None else []
    person += [f"{width} × {height} pixels" if localization.box is None else f"box {localization.box}"]
    first = Panel(picture, localization.source, ", ".join(person), is_path=True)
    panels = [
        _create_panel(localization, i, truth.get(name, ()), picture)
        for i, name in enumerate(localization.names)
    ]
    blank = Image.new("RGB", picture.size, BACKGROUND)
    return [first, *(panels or [Panel(blank, subtitle="none is present")])]


def _resize_picture(localization: Localization, height_px: int) -> Image.Image:
    picture = Image.fromarray(localization.picture)
    scale = height_px / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _create_panel(localization: Localization, i: int, truth: Sequence[Box], picture: Image.Image) -> Panel:
    drawn = draw_overlay(np.asarray(picture), localization.heat[i])
    width_px = max(2, round(max(picture.size) / 128))
    regions = localization.regions[i]
    place = partial(_place, localization=localization, size=picture.size)
    drawn = draw_boxes(drawn, [place(region.box) for region in regions], width_px=width_px)
    drawn = draw_boxes(drawn, [place(box) for box in truth], width_px=width_px, dashed=True)
    p, is_present = localization.probabilities[i], localization.names[i] in localization.present
    subtitle = f"{100 * p:.2f} %, {'present' if is_present else 'not present'}"
    return Panel(drawn, localization.names[i], subtitle, _describe_boxes(regions, truth), is_present)


def _place(box: Box, *, localization: Localization, size: tuple[int, int]) -> Box:
    """A box in the image as a box in the drawing of `size` (width, height)."""
    left, top, right, bottom = localization.crop
    x, y = size[0] / (right - left), size[1] / (bottom - top)
    moved = box.shift(-left, -top)
    return Box(moved.x0 * x, moved.y0 * y, moved.x1 * x, moved.y1 * y)


def _describe_boxes(regions: Sequence[Region], truth: Sequence[Box]) -> str:
    shares = ", ".join(f"{100 * region.share:.0f} %" for region in regions)
    text = f"{shares} of heat" if regions else "no heat"
    if truth:
        from passerby.explain.scores import compute_box_iou  # here because it loads torch

        text = f"{text}, IoU {compute_box_iou([region.box for region in regions], truth):.2f}"
    return text


# ---------------------------------------------------------------------- grid


def _is_transposed(pictures: int, attributes: int, columns: int) -> bool:
    """Whether images become columns."""
    return attributes > columns >= pictures > 2


def _break_rows(rows: Sequence[Sequence[Panel]], columns: int) -> tuple[list[list[Panel | None]], set[int]]:
    """Lines of at most `columns` attributes, and the indices of the lines with a rule above them."""
    lines: list[list[Panel | None]] = []
    first_lines = set()
    for picture, *panels in rows:
        first_lines.add(len(lines))
        lines += [[None if i else picture, *line] for i, line in enumerate(split_evenly(panels, columns))]
    return lines, first_lines - {0}


def _create_legend(
    settings: Iterable[_Settings], notes: Mapping[str, int], *, has_truth: bool, text_px: int
) -> list[LegendEntry]:
    """Entries for heat, boxes and ground truth, then each note with its number of images."""
    size = (3 * text_px, round(1.2 * text_px))
    swatch, box = Image.new("RGB", size, MUTED), [Box(0, 0, *size)]
    entries: list[LegendEntry] = []
    for method, binarization, mode in settings:
        heat = f"{method} heat map, each on its own scale: from 0 to its peak, or to 3 × its mean"
        shape = "box around" if mode == "outer" else "boxes around the connected components of"
        boxes = f"{shape} {_describe_foreground(binarization)}; below: the share of heat inside"
        entries += [(draw_bar(*size), heat), (draw_boxes(swatch, box), boxes)]
    if has_truth:
        entries.append((draw_boxes(swatch, box, dashed=True), "ground truth"))
    return [*entries, *((None, f"{count_of(count, 'image')}: {note}") for note, count in notes.items())]


def _describe_foreground(binarization: Binarization) -> str:
    share = binarization.share
    return {
        "max": f"the pixels with at least {100 * share:.4g} % of the peak",
        "quantile": f"the hottest {100 * (1 - share):.4g} % of the image",
        "otsu": "the pixels above Otsu's threshold",
    }[binarization.rule]
