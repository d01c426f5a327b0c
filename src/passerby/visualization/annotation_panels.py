"""Panels of a contact sheet: mask, parsing map and keypoints of one person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from passerby.parsing import get_palette

__all__ = [
    "FAINT",
    "INK",
    "LEFT",
    "PAPER",
    "RIGHT",
    "Font",
    "Frame",
    "draw_keypoints",
    "draw_mask",
    "draw_missing",
    "draw_parsing",
    "get_font",
]

PAPER, INK, FAINT = "#ffffff", "#1c2430", "#8a93a0"
LEFT, RIGHT = "#56b4e9", "#e69f00"
_MIDDLE, _OUTLINE, _TRACK, _HATCH = "#ffffff", "#f0e442", "#eef0f3", "#d5dae1"

_DIM, _PALE = 0.3, 0.55
_SMOOTH = 3
"""Skeletons are drawn at this scale and then reduced, because Pillow does not antialias lines."""

_BONES = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (11, 12), (5, 11), (6, 12)),
    *((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)),
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Frame:
    """A panel, and the region that a crop fills at its aspect ratio.

    Args:
        size: Width and height of the panel in pixels.
        crop_size: Width and height of the crop.
    """

    size: tuple[int, int]
    crop_size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels of the panel per pixel of the crop."""
        return min(self.size[0] / self.crop_size[0], self.size[1] / self.crop_size[1])

    @property
    def filled(self) -> tuple[int, int]:
        """Width and height of the filled region."""
        width, height = (max(1, round(side * self.scale)) for side in self.crop_size)
        return (min(width, self.size[0]), min(height, self.size[1]))

    @property
    def corner(self) -> tuple[int, int]:
        """Top left corner of the filled region."""
        return ((self.size[0] - self.filled[0]) // 2, (self.size[1] - self.filled[1]) // 2)

    def place(self, image: Image.Image) -> Image.Image:
        """Resize a crop and paste it into the panel."""
        panel = Image.new("RGB", self.size, _TRACK)
        method = Image.Resampling.LANCZOS
        panel.paste(image if image.size == self.filled else image.resize(self.filled, method), self.corner)
        return panel


@lru_cache(maxsize=16)
def get_font(size_px: int) -> Font:
    """The font of the contact sheet."""
    return ImageFont.load_default(size_px)


def draw_mask(image: Image.Image, mask: NDArray[np.uint8], frame: Frame) -> Image.Image:
    """The crop with the mask outlined and the background dimmed."""
    photo = image.resize(frame.filled, Image.Resampling.LANCZOS)
    enlarged = Image.fromarray(((mask > 0) * 255).astype(np.uint8)).resize(
        frame.filled, Image.Resampling.BILINEAR
    )
    person = enlarged.point([255 * (value > 127) for value in range(256)])
    around = person.filter(ImageFilter.MaxFilter(5))
    dimmed = photo.point([round(value * _DIM) for value in range(256)] * 3)
    dimmed.paste(_OUTLINE, (0, 0), around)
    dimmed.paste(photo, (0, 0), person)
    return frame.place(dimmed)


def draw_parsing(parsing: NDArray[np.uint8], frame: Frame) -> Image.Image:
    """The parsing map in colours."""
    coloured = Image.fromarray(get_palette()[parsing])
    return frame.place(coloured.resize(frame.filled, Image.Resampling.NEAREST))


def draw_keypoints(
    image: Image.Image, keypoints: NDArray[np.float32], frame: Frame, *, min_score: float
) -> Image.Image:
    """The faded crop with a skeleton, in separate colours for the left and right of the person.

    Args:
        keypoints: (17, 3) in pixels of the crop.
        min_score: A keypoint with a lower score is a ring, and its bones are faint and dashed.
    """
    photo = image.resize(frame.filled, Image.Resampling.LANCZOS)
    panel = frame.place(Image.blend(photo, Image.new("RGB", photo.size, "#3a4049"), _PALE))
    large = (frame.size[0] * _SMOOTH, frame.size[1] * _SMOOTH)
    layer = Image.new("RGBA", large, (255, 255, 255, 0))
    draw = ImageDraw.Draw(layer)
    points = ((keypoints[:, :2] + 0.5) * frame.scale + frame.corner) * _SMOOTH
    confident = keypoints[:, 2] >= min_score
    thick = max(2, round(frame.size[1] / 75 * _SMOOTH))
    for a, b in _BONES:
        colour = _get_side_colour(a, b)
        ends = ((float(points[a, 0]), float(points[a, 1])), (float(points[b, 0]), float(points[b, 1])))
        if confident[a] and confident[b]:
            draw.line(ends, fill=colour, width=thick)
            continue
        for dash in _cut_dashes(*ends, length=2.5 * thick):
            draw.line(dash, fill=f"{colour}90", width=max(1, thick // 2))
    for k, (x, y) in enumerate(points.tolist()):
        radius = thick * (0.55 if k < 5 else 0.9)
        bounds = (x - radius, y - radius, x + radius, y + radius)
        if confident[k]:
            draw.ellipse(bounds, fill=_get_side_colour(k, k), outline="#000000", width=max(1, thick // 4))
        else:
            draw.ellipse(bounds, outline=f"{_get_side_colour(k, k)}b0", width=max(1, thick // 4))
    reduced = layer.resize(frame.size, Image.Resampling.BOX)
    panel.paste(reduced, (0, 0), reduced)
    return panel


def _get_side_colour(a: int, b: int) -> str:
    """Odd COCO keypoints are on the left of the person; the nose is on neither side."""
    if 0 in (a, b) or a % 2 != b % 2:
        return _MIDDLE
    return LEFT if a % 2 else RIGHT


def _cut_dashes(
    start: tuple[float, float], end: tuple[float, float], *, length: float
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Every second piece of a line."""
    a, b = np.array(start), np.array(end)
    count = min(max(1, round(float(np.linalg.norm(b - a)) / length)), 200)
    for i in range(0, count, 2):
        p, q = a + (b - a) * i / count, a + (b - a) * min((i + 1) / count, 1)
        yield (float(p[0]), float(p[1])), (float(q[0]), float(q[1]))


def draw_missing(text: str, size: tuple[int, int]) -> Image.Image:
    """A hatched panel with the reason for a missing annotation."""
    width, height = size
    panel = Image.new("RGB", size, _TRACK)
    draw = ImageDraw.Draw(panel)
    for x in range(-height, width, 9):
        draw.line((x, height, x + height, 0), fill=_HATCH, width=2)
    font = get_font(max(9, height // 15))
    lines = text.split(" ")
    line_px = max(11, height // 12)
    top = (height - line_px * len(lines)) // 2
    widest = max(font.getlength(line) for line in lines)
    left, right = round((width - widest) / 2) - 4, round((width + widest) / 2) + 4
    draw.rectangle((left, top - 3, right, top + line_px * len(lines) + 3), fill=_TRACK)
    for i, line in enumerate(lines):
        draw.text((width / 2, top + line_px * (i + 0.5)), line, fill="#5c6672", font=font, anchor="mm")
    return panel
