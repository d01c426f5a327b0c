"""Contact sheet: random persons of a manifest with their masks, parsing maps and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from passerby.annotators.crops import Crop, compute_crop, load_cut_map, shift_keypoints
from passerby.errors import DataError
from passerby.images.decode import read_image
from passerby.parsing import UNKNOWN_CLASS, get_class_colour
from passerby.visualization.annotation_panels import (
    FAINT,
    INK,
    LEFT,
    PAPER,
    RIGHT,
    Frame,
    draw_keypoints,
    draw_mask,
    draw_missing,
    draw_parsing,
    get_font,
)

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["draw_contact_sheet"]

_MARGIN, _GAP, _TILE_GAP = 24, 2, 14
_MAX_NAMES = 24
"""For longer class lists, the legend only contains the classes that occur."""


def draw_contact_sheet(
    manifest: Manifest,
    *,
    count: int = 48,
    seed: int = 0,
    columns: int | None = None,
    height_px: int = 192,
    min_score: float = 0.3,
) -> Image.Image:
    """Draw random rows: for each the crop, and the mask, parsing map and keypoints if the manifest has them.

    The mask is outlined, with the background dimmed. Class colours are distinguishable with colour
    blindness and explained in a legend. Keypoints below `min_score` are rings with dashed bones. A missing
    annotation is a hatched panel; a kind that all rows lack is omitted.

    Args:
        count: Number of rows; all if there are fewer.
        seed: Seed of the choice.
        columns: Number of persons per line; by default, the sheet is one and a half times as wide as high.
        height_px: Height of a panel.

    Raises:
        DataError: If the manifest is empty or a number is out of range.
    """
    if not len(manifest):
        raise DataError("expected a manifest with at least one row, got an empty one")
    if count < 1 or (columns is not None and columns < 1) or not 48 <= height_px <= 2048:
        raise DataError(
            f"expected count ≥ 1, columns ≥ 1 and height_px in 48 … 2048, got {count}, {columns}, {height_px}"
        )
    chosen = np.random.default_rng(seed).permutation(len(manifest))[:count]
    rows = sorted(int(row) for row in chosen)
    sheet = _Sheet(manifest, min_score)
    persons = [sheet.load(row) for row in rows]
    shapes = [p[0].width / p[0].height for p in persons if isinstance(p, tuple)]
    width = round(height_px * min(max(median(shapes) if shapes else 0.5, 0.3), 1.2))
    size = (width, height_px)
    tiles = [sheet.draw_tile(row, person, size) for row, person in zip(rows, persons, strict=True)]
    if columns is None:
        columns = max(1, round(sqrt(1.5 * len(tiles) * tiles[0].height / tiles[0].width)))
    title = f"{manifest.dataset}: {len(rows):,} of {len(manifest):,} rows, drawn with seed {seed}"
    return _arrange(tiles, columns=columns, texts=(title, sheet.explain()), legend=sheet.list_legend())


_Person = tuple[Image.Image, Crop, tuple[int, int]]
"""The crop, its position in the image, and the size of the image."""


class _Sheet:
    """The columns of a manifest, the kinds that it has, and the classes that occurred so far."""

    def __init__(self, manifest: Manifest, min_score: float) -> None:
        self.root, self.images, self.boxes = manifest.root, manifest.images, manifest.boxes()
        self.masks, self.parsing = manifest.paths("mask"), manifest.paths("parsing")
        self.keypoints, self.min_score = manifest.keypoints(), min_score
        self.has_masks = any(path is not None for path in self.masks)
        self.has_parsing = any(path is not None for path in self.parsing)
        self.names, self.seen = manifest.parsing_classes, set[int]()

    def load(self, row: int) -> _Person | None:
        try:
            image = read_image(self.root / self.images[row])
            crop = compute_crop(image.size, self.boxes[row])
        except DataError:
            return None
        return image.crop(crop), crop, image.size

    def draw_tile(self, row: int, person: _Person | None, size: tuple[int, int]) -> Image.Image:
        """The panels of a row next to each other, its number and image name below."""
        panels = self._draw_panels(row, person, size)
        font_px = max(9, size[1] // 16)
        width = len(panels) * (size[0] + _GAP) - _GAP
        tile = Image.new("RGB", (width, size[1] + round(font_px * 1.5)), PAPER)
        for i, panel in enumerate(panels):
            tile.paste(panel, (i * (size[0] + _GAP), 0))
        name, font = f"{row}  {self.images[row]}", get_font(font_px)
        while font.getlength(name) > width and len(name) > 4:
            name = f"{name[: len(name) - 4]}..."
        ImageDraw.Draw(tile).text((0, tile.height), name, fill=FAINT, font=font, anchor="ld")
        return tile

    def _draw_panels(self, row: int, person: _Person | None, size: tuple[int, int]) -> list[Image.Image]:
        kinds = 1 + self.has_masks + self.has_parsing + (self.keypoints is not None)
        if person is None:
            return [draw_missing("unreadable image", size)] * kinds
        image, crop, _ = person
        frame = Frame(size, image.size)
        panels = [frame.place(image)]
        if self.has_masks:
            mask = self._load_map(self.masks[row], person)
            panels.append(
                draw_missing(f"{mask} mask", size) if isinstance(mask, str) else draw_mask(image, mask, frame)
            )
        if self.has_parsing:
            parsing = self._load_map(self.parsing[row], person)
            if isinstance(parsing, str):
                panels.append(draw_missing(f"{parsing} parsing", size))
            else:
                self.seen |= set(np.unique(parsing).tolist())
                panels.append(draw_parsing(parsing, frame))
        if self.keypoints is not None:
            points = shift_keypoints(self.keypoints[row], -crop[0], -crop[1])
            known = bool(np.isfinite(points).all())
            drawn = draw_keypoints(image, points, frame, min_score=self.min_score) if known else None
            panels.append(drawn or draw_missing("no keypoints", size))
        return panels

    def _load_map(self, path: str | None, person: _Person) -> NDArray[np.uint8] | str:
        """The crop of a map, or `no` or `damaged`."""
        if path is None:
            return "no"
        try:
            return load_cut_map(self.root / path, person[2], person[1])
        except DataError:
            return "damaged"

    def explain(self) -> str:
        """The explanation of the panels."""
        panels = ["image"]
        panels += ["mask (outlined)"] if self.has_masks else []
        panels += ["parsing map"] if self.has_parsing else []
        panels += ["keypoints"] if self.keypoints is not None else []
        return f"Each row: {', '.join(panels)}. Below: row number and image name."

    def list_legend(self) -> list[tuple[str, str]]:
        """Colours and their meaning."""
        numbers = set(range(len(self.names))) if len(self.names) <= _MAX_NAMES else set[int]()
        names = dict(enumerate(self.names)) | {UNKNOWN_CLASS: "unknown"}
        entries = []
        if self.has_parsing:
            shown = sorted(self.seen | numbers)
            entries = [(get_class_colour(n), names.get(n, f"class {n}")) for n in shown]
        if self.keypoints is not None:
            entries += [(LEFT, "left limbs"), (RIGHT, "right limbs")]
            entries += [("dashed", f"score below {self.min_score:g}")]
        return entries


def _arrange(
    tiles: Sequence[Image.Image], *, columns: int, texts: tuple[str, str], legend: Sequence[tuple[str, str]]
) -> Image.Image:
    """Title and explanation, the tiles in lines, the legend below."""
    columns = min(columns, len(tiles))
    step_x, step_y = tiles[0].width + _TILE_GAP, tiles[0].height + _TILE_GAP
    lines = -(-len(tiles) // columns)
    title, explanation, small = get_font(22), texts[1], get_font(14)
    width = max(columns * step_x - _TILE_GAP, round(small.getlength(explanation)), 480) + 2 * _MARGIN
    top = _MARGIN + 64
    bottom = top + lines * step_y
    positions, height = _place_legend(legend, width, bottom)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), texts[0], fill=INK, font=title, anchor="lt")
    draw.text((_MARGIN, _MARGIN + 32), explanation, fill=FAINT, font=small, anchor="lt")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (_MARGIN + i % columns * step_x, top + i // columns * step_y))
    for (colour, name), (x, y) in zip(legend, positions, strict=True):
        if colour == "dashed":
            for dash in range(0, 18, 7):
                draw.line((x + dash, y + 7, x + dash + 3, y + 7), fill=FAINT, width=2)
        else:
            draw.rectangle((x, y, x + 16, y + 14), fill=colour, outline=FAINT)
        draw.text((x + 23, y + 7), name, fill=INK, font=small, anchor="lm")
    return sheet


def _place_legend(
    legend: Sequence[tuple[str, str]], width: int, top: int
) -> tuple[list[tuple[int, int]], int]:
    """Position of each entry, with line breaks, and the height of the sheet."""
    positions, x, y, font = list[tuple[int, int]](), _MARGIN, top + 6, get_font(14)
    for _, name in legend:
        entry_width = 23 + round(font.getlength(name)) + 22
        if x + entry_width - 22 > width - _MARGIN and x > _MARGIN:
            x, y = _MARGIN, y + 24
        positions.append((x, y))
        x += entry_width
    return positions, (y + 18 + _MARGIN) if legend else top - _TILE_GAP + _MARGIN
