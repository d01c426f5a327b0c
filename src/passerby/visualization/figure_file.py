"""Write a figure to a file, and check its format and size beforehand."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from passerby.errors import DataError
from passerby.io import replace_file

__all__ = ["MAX_SIDE_PX", "check_figure", "check_sides", "save_figure"]

MAX_SIDE_PX = 60_000
"""Longest side of a figure; JPEG, for example, allows at most 65,535 pixels."""


def check_figure(path: Path, *, count: int, height_px: int) -> None:
    """Reject a figure that cannot be drawn or written, before any computation.

    Args:
        path: The file; its suffix determines the format.
        count: Number of images, one below the other.
        height_px: Height of each image in the figure.

    Raises:
        DataError: If no image format has that suffix, or there are too many images for one figure.

    Example:
        >>> check_figure(Path("attention.doc"), count=1, height_px=256)
        Traceback (most recent call last):
        passerby.errors.DataError: no image format for attention.doc; use .png, .jpg, .webp or .pdf
    """
    _get_format(path)
    check_sides(1, count * height_px)


def save_figure(path: Path, figure: Image.Image) -> None:
    """Write a figure atomically, in the format of the suffix.

    Raises:
        DataError: If no image format has that suffix, or the file cannot be written.
    """
    name = _get_format(path)
    try:
        with replace_file(path) as temporary:
            figure.save(temporary, format=name)
    except (OSError, ValueError) as error:  # formats have limits, such as 16,383 pixels for WebP
        raise DataError(f"cannot write {path} ({error}); use another path, or .png") from error


def _get_format(path: Path) -> str:
    name = Image.registered_extensions().get(path.suffix.lower())
    if name is None or name not in Image.SAVE:
        raise DataError(f"no image format for {path}; use .png, .jpg, .webp or .pdf")
    return name


def check_sides(width: int, height: int) -> None:
    """Reject a figure that is too large for image formats.

    Raises:
        DataError: If a side, in pixels, exceeds `MAX_SIDE_PX`.
    """
    if max(width, height) > MAX_SIDE_PX:
        raise DataError(
            f"expected a figure of at most {MAX_SIDE_PX} pixels per side, got at least {width} × {height}; "
            "give fewer images or attributes, or a smaller height"
        )
