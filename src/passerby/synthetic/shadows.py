"""Soft shadows on the ground."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from passerby.synthetic.canvas import Canvas, Point

__all__ = ["cast_shadow"]


@lru_cache(maxsize=1)
def _soft_disc() -> Image.Image:
    axis = np.linspace(-1, 1, 48, dtype=np.float32)
    distance = np.sqrt(axis[None, :] ** 2 + axis[:, None] ** 2)
    return Image.fromarray((np.clip(1.0 - distance, 0, 1) ** 0.8 * 150).astype(np.uint8))


def cast_shadow(canvas: Canvas, centre: Point, radii: Point) -> None:
    """Draw a soft shadow on the ground; the light comes from the upper left."""
    width, height = max(2, round(2 * radii[0])), max(2, round(2 * radii[1]))
    mask = _soft_disc().resize((width, height), Image.Resampling.BILINEAR)
    left, top = round(centre[0] - radii[0] * 0.75), round(centre[1] - radii[1])
    canvas.image.paste((44, 36, 70, 0), (left, top, left + width, top + height), mask)
