"""Heat maps and boxes over their pictures: one of them, or a sheet of attributes × pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from passerby.errors import DataError
from passerby.explain.boxes import Binarization
from passerby.explain.localization import Localization, Region
from passerby.explain.scores import compute_box_iou
from passerby.types import Box
from passerby.visualization.figure_file import check_figure, check_sides
from passerby.visualization.overlay import draw_bar, draw_boxes, draw_overlay
from passerby.visualization.panel_grid import LegendEntry, Panel, compose_grid
from passerby.visualization.typography import FAINT, PAPER, compute_text_px

__all__ = ["check_grid_size", "draw_localization", "draw_localizations"]

Truth = Mapping[str, Sequence[Box]]
"""Known boxes of a picture by attribute, in its pixels."""

_Way = tuple[str, Binarization, str]
"""Method, binarisation and mode of boxes."""

_MIN_HEIGHT_PX = 64


# ---------------------------------------------------------------------- the figures


def draw_localization(
    localization: Localization, name: str, *, truth: Sequence[Box] = (), height_px: int = 384
) -> Image.Image:
    """Draw one heat map over its picture, with its boxes, its name, its probability and the notes.

    Args:
        name: One of the attributes that were looked for.
        truth: Boxes that are known to be right, in pixels of the picture; they are dashed.
        height_px: Height of the picture in the drawing; one wider than high is made as wide instead.

    Raises:
        SchemaError: If the attribute was not looked for.
        DataError: If `height_px` is below 64 or above `passerby.visualization.figure_file.MAX_SIDE_PX`.

    Example:
        >>> picture, heat = np.zeros((80, 40, 3), np.uint8), np.ones((1, 80, 40), np.float32)
        >>> regions = ((Region(Box(0, 0, 40, 20), 0.25),),)
        >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, regions)
        >>> draw_localization(found, "Hat", height_px=160).mode
        'RGB'
    """
    _check_height(height_px)
    photo = _draw_photo(localization, height_px)
    panel = _draw_panel(localization, localization.index(name), truth, photo)
    notes: list[LegendEntry] = [(None, note) for note in localization.notes]
    return compose_grid([[panel]], text_px=compute_text_px(height_px), legend=notes)


def draw_localizations(
    localizations: Iterable[Localization],
    *,
    truth: Iterable[Truth] | None = None,
    columns: int = 6,
    height_px: int = 256,
) -> Image.Image:
    """Draw a sheet: a picture and its attributes in each row, or, if that fits better, in each column.

    Pictures go across if they are at least three, all have the same attributes, and these are more than
    `columns` while the pictures are not. Over each map stand the attribute, its probability and whether it is
    present, below it how much of its heat the boxes hold, and their IoU with the known boxes.

    Args:
        localizations: Taken one by one; of each only its small drawings are kept.
        truth: Boxes that are known to be right for each of the pictures; they are dashed.
        columns: So many attributes beside each other at most; further ones follow below, in even lines.
        height_px: Height of a picture in the sheet, or width of one that is wider than high.

    Raises:
        DataError: If there is no picture, `columns` is below 1, `height_px` below 64, or a side of the sheet
            would be above `passerby.visualization.figure_file.MAX_SIDE_PX`.

    Example:
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
    ways: dict[_Way, None] = {}
    known: Iterable[Truth] = repeat({}) if truth is None else truth
    for each, boxes in zip(localizations, known, strict=truth is not None):
        rows.append(_draw_row(each, boxes, height_px))
        names.add(each.names)
        notes.update(each.notes)
        ways[each.method, each.binarization, each.mode] = None
    if not rows:
        raise DataError("expected at least one picture to draw, got none")
    if len(names) == 1 and _go_across(len(rows), len(rows[0]) - 1, columns):
        lines, starts = [list(row) for row in zip(*rows, strict=True)], set(range(1, len(rows[0])))
    else:
        lines, starts = _break_rows(rows, columns)
    text_px = compute_text_px(height_px)
    legend = _explain(ways, notes, has_truth=truth is not None, text_px=text_px)
    return compose_grid(lines, text_px=text_px, starts=starts, legend=legend)


def check_grid_size(
    path: Path, *, pictures: int, attributes: int | None, columns: int = 6, height_px: int = 256
) -> None:
    """Refuse a sheet that cannot be drawn or written, before anything is computed.

    Pictures count as if all of them were higher than wide.

    Args:
        path: The file; its suffix says the format.
        attributes: How many each picture has; None where that is not known yet.
        columns, height_px: As for `draw_localizations`.

    Raises:
        DataError: If no picture format has that suffix, or there is too much for one sheet.
    """
    count = pictures * ceil((attributes or 1) / columns)
    if attributes is not None and _go_across(pictures, attributes, columns):
        count = 1 + attributes
    check_figure(path, count=count, height_px=height_px)


def _check_height(height_px: int) -> None:
    if height_px < _MIN_HEIGHT_PX:
        raise DataError(f"expected height_px ≥ {_MIN_HEIGHT_PX}, got {height_px}")
    check_sides(1, height_px)


# ---------------------------------------------------------------------- panels


def _draw_row(localization: Localization, truth: Truth, height_px: int) -> list[Panel]:
    """The picture itself, then its attributes; or that there are none."""
    height, width, _ = localization.picture.shape
    photo = _draw_photo(localization, height_px)
    first = Panel(photo, localization.source, f"{width} × {height} pixels", is_path=True)
    panels = [
        _draw_panel(localization, i, truth.get(name, ()), photo) for i, name in enumerate(localization.names)
    ]
    blank = Image.new("RGB", photo.size, PAPER)
    return [first, *(panels or [Panel(blank, verdict="none is present")])]


def _draw_photo(localization: Localization, height_px: int) -> Image.Image:
    photo = Image.fromarray(localization.picture)
    scale = height_px / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Image.Resampling.LANCZOS)


def _draw_panel(localization: Localization, i: int, truth: Sequence[Box], photo: Image.Image) -> Panel:
    drawn = draw_overlay(np.asarray(photo), localization.heat[i])
    scales = (photo.width / localization.picture.shape[1], photo.height / localization.picture.shape[0])
    width_px = max(2, round(max(photo.size) / 128))
    regions = localization.regions[i]
    drawn = draw_boxes(drawn, [_scale(region.box, scales) for region in regions], width_px=width_px)
    drawn = draw_boxes(drawn, [_scale(box, scales) for box in truth], width_px=width_px, dashed=True)
    p, present = localization.probabilities[i], localization.names[i] in localization.present
    verdict = f"{100 * p:.2f} %, {'present' if present else 'not present'}"
    return Panel(drawn, localization.names[i], verdict, _describe(regions, truth), present)


def _scale(box: Box, scales: tuple[float, float]) -> Box:
    x, y = scales
    return Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y)


def _describe(regions: Sequence[Region], truth: Sequence[Box]) -> str:
    shares = ", ".join(f"{100 * region.share:.0f} %" for region in regions)
    text = f"{shares} of heat" if regions else "no heat"
    if truth:
        text = f"{text}, IoU {compute_box_iou([region.box for region in regions], truth):.2f}"
    return text


# ---------------------------------------------------------------------- the sheet


def _go_across(pictures: int, attributes: int, columns: int) -> bool:
    return attributes > columns >= pictures > 2


def _break_rows(rows: Sequence[Sequence[Panel]], columns: int) -> tuple[list[list[Panel | None]], set[int]]:
    """Lines of at most so many attributes, even for each picture, and the numbers of those after a rule."""
    lines: list[list[Panel | None]] = []
    starts = set()
    for photo, *panels in rows:
        starts.add(len(lines))
        beside = ceil(len(panels) / ceil(len(panels) / columns))  # seven in six columns: four and three
        parts = (panels[i : i + beside] for i in range(0, len(panels), beside))
        lines += [[None if i else photo, *part] for i, part in enumerate(parts)]
    return lines, starts - {0}


def _explain(
    ways: Iterable[_Way], notes: Mapping[str, int], *, has_truth: bool, text_px: int
) -> list[LegendEntry]:
    """What heat, boxes and dashes are, and of how many pictures something must be known."""
    sample = (3 * text_px, round(1.2 * text_px))
    swatch, whole = Image.new("RGB", sample, FAINT), [Box(0, 0, *sample)]
    entries: list[LegendEntry] = []
    for method, binarization, mode in ways:
        heat = f"heat by {method}, each map from 0 to its peak, or to 3 × its mean"
        around = "box around" if mode == "outer" else "boxes around the pieces of"
        box = f"{around} {_put(binarization)}; below it the share of heat inside"
        entries += [(draw_bar(*sample), heat), (draw_boxes(swatch, whole), box)]
    if has_truth:
        entries.append((draw_boxes(swatch, whole, dashed=True), "known box"))
    return [*entries, *((None, f"{count} picture(s): {note}") for note, count in notes.items())]


def _put(binarization: Binarization) -> str:
    """In words."""
    share = binarization.share
    return {
        "max": f"all that has at least {100 * share:.4g} % of the peak",
        "quantile": f"the hottest {100 * (1 - share):.4g} % of the picture",
        "otsu": "what is above Otsu's threshold",
    }[binarization.rule]
