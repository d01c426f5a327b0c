"""A picture with its predicted attributes beside it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from passerby.data.images import read_image
from passerby.errors import DataError
from passerby.types import Prediction

__all__ = ["draw_prediction"]

_PAPER, _INK, _FAINT, _TRACK, _YES, _NO = "#ffffff", "#1c2430", "#8a93a0", "#e9ecf0", "#1f7a6d", "#b9c1cb"

_LINE_PX = 18
"""The least height of a line of text and its bar."""


class _Row(NamedTuple):
    name: str
    probability: float
    threshold: float


def draw_prediction(
    image: str | Image.Image | NDArray[np.uint8],
    prediction: Prediction,
    *,
    top: int = 10,
    height_px: int = 384,
) -> Image.Image:
    """Draw a picture and, beside it, its likeliest attributes as bars, each with a tick at its threshold.

    Args:
        image: A path, a PIL image, or an RGB array (H, W, 3) of uint8.
        prediction: What the bundle said about it.
        top: How many attributes to show; fewer where the height leaves no room for so many legible lines.
        height_px: Height of the drawing; the picture is scaled to it, the text follows.

    Raises:
        DataError: If `top` is below 1 or `height_px` below 64.
        ImageError: If the picture cannot be read.

    Example:
        >>> p = Prediction("a.jpg", ("Hat", "Glasses"), (0.9, 0.2), (0.5, 0.5))
        >>> draw_prediction(Image.new("RGB", (96, 192), "grey"), p, height_px=192).height
        192
    """
    if top < 1 or height_px < 64:
        raise DataError(f"expected top ≥ 1 and height_px ≥ 64, got {top} and {height_px}")
    photo = read_image(Image.fromarray(image) if isinstance(image, np.ndarray) else image)
    width_px = max(1, round(photo.width * height_px / photo.height))
    rows = _likeliest(prediction, min(top, height_px // _LINE_PX))
    panel = _draw_panel(rows, height_px)
    drawing = Image.new("RGB", (width_px + panel.width, height_px), _PAPER)
    drawing.paste(photo.resize((width_px, height_px), Image.Resampling.LANCZOS), (0, 0))
    drawing.paste(panel, (width_px, 0))
    return drawing


def _likeliest(prediction: Prediction, top: int) -> list[_Row]:
    parts = zip(prediction.names, prediction.probabilities, prediction.thresholds, strict=True)
    return sorted((_Row(*part) for part in parts), key=lambda row: -row.probability)[:top]


def _draw_panel(rows: list[_Row], height_px: int) -> Image.Image:
    """The bars, drawn to fill the height; a line of text, and a bar under it, for each row."""
    line_px = height_px / (len(rows) + 0.5)
    size_px = max(8.0, min(line_px * 0.5, height_px / 18))
    font = _font(round(size_px))
    margin = round(size_px)
    widest = max(font.getlength(row.name) for row in rows)
    bar_px = round(max(widest + font.getlength("   0.00"), height_px * 0.4))
    panel = Image.new("RGB", (bar_px + 2 * margin, height_px), _PAPER)
    draw = ImageDraw.Draw(panel)
    thick = max(2, round(size_px * 0.28))
    for i, row in enumerate(rows):
        base = round((i + 0.25) * line_px + size_px * 1.15)
        present = row.probability > row.threshold
        draw.text((margin, base), row.name, fill=_INK if present else _FAINT, font=font, anchor="ls")
        number = f"{row.probability:.2f}"
        draw.text((margin + bar_px, base), number, fill=_INK if present else _FAINT, font=font, anchor="rs")
        bar_top = base + round(size_px * 0.35)
        draw.rectangle((margin, bar_top, margin + bar_px, bar_top + thick), fill=_TRACK)
        end = margin + round(bar_px * row.probability)
        if end > margin:
            draw.rectangle((margin, bar_top, end, bar_top + thick), fill=_YES if present else _NO)
        tick = margin + round(bar_px * row.threshold)
        draw.line((tick, bar_top - 1, tick, bar_top + thick + 1), fill=_INK, width=1)
    return panel


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
