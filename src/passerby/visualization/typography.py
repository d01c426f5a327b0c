"""Typography of figures: colours, the font, and lines of text that fit a width."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

__all__ = [
    "BACKGROUND",
    "GAP_PX",
    "MUTED",
    "RULE",
    "TEXT",
    "compute_text_px",
    "get_font",
    "wrap_text",
    "write_header",
    "write_line",
]

BACKGROUND, TEXT, MUTED, RULE = "#ffffff", "#1c2430", "#6b7480", "#d5dae0"
_PRESENT = "#1f7a6d"
GAP_PX = 8
"""Space between the elements of a figure."""

_MIN_PX = 8
"""Smallest legible size of text."""


def compute_text_px(height_px: int) -> int:
    """The size of text in a figure whose images have this height."""
    return max(11, round(height_px / 19))


@lru_cache(maxsize=32)
def get_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans from matplotlib: Pillow's default font lacks × and many alphabets."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size_px)


def write_line(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    *,
    width: int,
    size: int,
    fill: str = TEXT,
    anchor: str = "la",
    keep_end: bool = False,
) -> None:
    """Write one line; text that is too wide is reduced in size, then shortened.

    Args:
        keep_end: Shorten the text at its start, as for a path, instead of at its end.
    """
    font = get_font(size)
    while size > _MIN_PX and font.getlength(text) > width:
        size -= 1
        font = get_font(size)
    if font.getlength(text) > width:
        while text and font.getlength(f"{text}…") > width:
            text = text[1:] if keep_end else text[:-1]
        text = f"…{text}" if keep_end else f"{text}…"
    draw.text(at, text, fill=fill, font=font, anchor=anchor)


def write_header(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    title: str,
    subtitle: str,
    *,
    is_present: bool,
    width: int,
    size: int,
    keep_end: bool = False,
) -> None:
    """Write the two lines above a panel; the subtitle is green for an attribute that is present."""
    x, y = at
    write_line(draw, (x, y), title, width=width, size=size, keep_end=keep_end)
    fill = _PRESENT if is_present else MUTED
    write_line(draw, (x, y + round(1.4 * size)), subtitle, width=width, size=size - 1, fill=fill)


def wrap_text(text: str, *, width: int, size: int) -> list[str]:
    """Break text into lines of at most `width` pixels; only a single long word may exceed it.

    Example:
        >>> wrap_text("heat map of a hat", width=80, size=12)
        ['heat map of', 'a hat']
    """
    font, lines = get_font(size), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
