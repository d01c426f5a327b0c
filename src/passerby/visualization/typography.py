"""The look of figures: colours, the typeface, lines of text that fit their place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

__all__ = [
    "FAINT",
    "GAP_PX",
    "INK",
    "PAPER",
    "RULE",
    "compute_text_px",
    "get_font",
    "wrap_text",
    "write_head",
    "write_line",
]

PAPER, INK, FAINT, RULE = "#ffffff", "#1c2430", "#6b7480", "#d5dae0"
_YES = "#1f7a6d"
GAP_PX = 8
"""Between the parts of a figure."""

_LEAST_PX = 8
"""Text below this size is not legible."""


def compute_text_px(height_px: int) -> int:
    """Size of the text in a figure of pictures of some height."""
    return max(11, round(height_px / 19))


@lru_cache(maxsize=32)
def get_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: Pillow's own font knows no × and few alphabets."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size_px)


def write_line(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    *,
    width: int,
    size: int,
    fill: str = INK,
    anchor: str = "la",
    keep_end: bool = False,
) -> None:
    """Write one line: smaller where it is too long for the width; what still does not fit is left out.

    Args:
        keep_end: Leave out the beginning, as of a path, instead of the end.
    """
    font = get_font(size)
    while size > _LEAST_PX and font.getlength(text) > width:
        size -= 1
        font = get_font(size)
    if font.getlength(text) > width:
        while text and font.getlength(f"{text}…") > width:
            text = text[1:] if keep_end else text[:-1]
        text = f"…{text}" if keep_end else f"{text}…"
    pen.text(at, text, fill=fill, font=font, anchor=anchor)


def write_head(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    title: str,
    verdict: str,
    *,
    yes: bool,
    width: int,
    size: int,
    keep_end: bool = False,
) -> None:
    """Write what stands over a panel: a title, and a line below it that is green for yes."""
    x, y = at
    write_line(pen, (x, y), title, width=width, size=size, keep_end=keep_end)
    fill = _YES if yes else FAINT
    write_line(pen, (x, y + round(1.4 * size)), verdict, width=width, size=size - 1, fill=fill)


def wrap_text(text: str, *, width: int, size: int) -> list[str]:
    """Lines of whole words that are no wider than `width` pixels, but for single words that are.

    Example:
        >>> wrap_text("where a hat is seen", width=80, size=12)
        ['where a hat', 'is seen']
    """
    font, lines = get_font(size), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
