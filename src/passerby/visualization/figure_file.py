"""The file of a figure: which formats and sizes there are, and writing it whole or not at all."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from passerby.errors import DataError
from passerby.io import replace_file

__all__ = ["MAX_SIDE_PX", "check_figure", "check_sides", "save_figure"]

MAX_SIDE_PX = 60_000
"""Longest side of a figure; JPEG for one knows no sides above 65,535 pixels."""


def check_figure(path: Path, *, count: int, height_px: int) -> None:
    """Refuse a figure that cannot be drawn or written, before anything is computed.

    Args:
        path: The file; its suffix says the format.
        count: Number of pictures.
        height_px: Height of each in the figure.

    Raises:
        DataError: If no picture format has that suffix, or the pictures are too many for one figure.

    Example:
        >>> check_figure(Path("attention.doc"), count=1, height_px=256)
        Traceback (most recent call last):
        passerby.errors.DataError: no format to write attention.doc in; end it in .png, .jpg, .webp or .pdf
    """
    _format_of(path)
    check_sides(1, count * height_px)


def save_figure(path: Path, figure: Image.Image) -> None:
    """Write a figure in the format that the suffix says, whole or not at all.

    Raises:
        DataError: If no picture format has that suffix, or the file cannot be written.
    """
    form = _format_of(path)
    try:
        with replace_file(path) as temporary:
            figure.save(temporary, format=form)
    except (OSError, ValueError) as error:  # formats have limits of their own, such as 16,383 pixels in WebP
        raise DataError(f"cannot write {path} ({error}); give another path, or end it in .png") from error


def _format_of(path: Path) -> str:
    form = Image.registered_extensions().get(path.suffix.lower())
    if form is None or form not in Image.SAVE:
        raise DataError(f"no format to write {path} in; end it in .png, .jpg, .webp or .pdf")
    return form


def check_sides(width: int, height: int) -> None:
    """Refuse a figure that is larger than picture formats can hold.

    Raises:
        DataError: If a side, in pixels, is above `MAX_SIDE_PX`.
    """
    if max(width, height) > MAX_SIDE_PX:
        raise DataError(
            f"a figure of {width} × {height} pixels or more is above the {MAX_SIDE_PX} allowed; give fewer "
            "pictures or attributes, or a smaller height"
        )
