"""From the drawn canvas to the picture a camera delivers: soft light, colour cast, blur, low resolution, noise."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from passerby.data.synthetic.parts import Part
from passerby.data.synthetic.people import Camera

__all__ = ["develop"]

_RELIEF = np.zeros(256, np.uint8)
_RELIEF[1 : len(Part)] = 150
_RELIEF[[Part.FACE, Part.HAIR, Part.HAT, Part.GLASSES]] = 215
_RELIEF[[Part.SLEEVE, Part.LEFT_ARM, Part.RIGHT_ARM, Part.BACKPACK, Part.HELD]] = 195
_RELIEF[[Part.HAND_BAG, Part.SHOULDER_BAG, Part.SCARF]] = 205
_RELIEF[[Part.TROUSERS, Part.LEFT_LEG, Part.RIGHT_LEG, Part.SHORTS, Part.LOWER_PATTERN, Part.LOWER_STRIPE]] = 125


def develop(picture: Image.Image, parts: NDArray[np.uint8], camera: Camera, dice: random.Random) -> Image.Image:
    """What the camera makes of it.

    Args:
        picture: RGB, at its final size.
        parts: Part of each pixel, for the light.
        camera: Whose tint, softness, noise and coarseness.
        dice: Where this picture's share of them comes from.
    """
    exposure, soft, coarse, shift_x, shift_y = (dice.random() for _ in range(5))
    picture = _light(picture, parts)
    picture = picture.point(_tone_table(camera, exposure))
    width, height = picture.size
    unit = height / 256.0
    factor = 1.0 + 2.2 * camera.coarseness * (0.5 + 0.5 * coarse)
    if factor > 1.25:
        small = picture.resize((max(8, round(width / factor)), max(8, round(height / factor))), Image.Resampling.BOX)
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
    radius = 1.3 * camera.softness * soft * unit
    if radius > 0.15:
        picture = picture.filter(ImageFilter.BoxBlur(radius))
    return _add_grain(picture, 1.2 + 9.0 * camera.noise, (shift_x, shift_y))


def _light(picture: Image.Image, parts: NDArray[np.uint8]) -> Image.Image:
    """Soft relief: edges towards the light (upper left) shine, those away from it throw a small shade."""
    radius = picture.size[1] / 256.0 * 1.6
    relief = Image.fromarray(_RELIEF[parts]).filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius))
    step = max(1, round(picture.size[1] / 256.0 * 2))
    slope = np.asarray(ImageChops.subtract(ImageChops.offset(relief, -step, -step), ImageChops.offset(relief, step, step),
                                           6.0, 128))
    slope = np.where(parts == 0, np.minimum(slope, 128), slope)
    slope[:step], slope[-step:], slope[:, :step], slope[:, -step:] = 128, 128, 128, 128
    grey = Image.fromarray(slope)
    return ImageChops.add(picture, Image.merge("RGB", (grey, grey, grey)), 1.0, -128)


def _tone_table(camera: Camera, exposure: float) -> list[int]:
    gain = 1.0 + (exposure - 0.5) * 0.35 * abs(camera.gamma - 1.0) * 4.0
    axis = np.linspace(0.0, 1.0, 256) ** camera.gamma
    lift = 0.06 * max(0.0, camera.gamma - 1.0)
    tables = [np.clip(255 * (lift + (1 - lift) * axis * gain * tint), 0, 255).round() for tint in camera.tint]
    return [int(v) for table in tables for v in table]


@lru_cache(maxsize=32)
def _grain(strength: int) -> Image.Image:
    """A tile of noise, grey 128 on average; `strength` is its standard deviation in quarters of a level."""
    numbers = np.random.Generator(np.random.PCG64(20260101))
    tile = numbers.standard_normal((640, 512, 3), dtype=np.float32)
    tile = 0.75 * tile.mean(axis=2, keepdims=True) * 1.73 + 0.5 * tile  # mostly in lightness
    return Image.fromarray(np.clip(128.0 + tile * (strength / 4.0), 0, 255).astype(np.uint8))


def _add_grain(picture: Image.Image, strength: float, shift: tuple[float, float]) -> Image.Image:
    width, height = picture.size
    tile = _grain(round(strength * 4.0))
    if width > tile.size[0] // 2 or height > tile.size[1] // 2:
        repeated = Image.new("RGB", (width + tile.size[0], height + tile.size[1]))
        for x in range(0, repeated.size[0], tile.size[0]):
            for y in range(0, repeated.size[1], tile.size[1]):
                repeated.paste(tile, (x, y))
        tile = repeated
    x, y = int(shift[0] * (tile.size[0] - width)), int(shift[1] * (tile.size[1] - height))
    return ImageChops.add(picture, tile.crop((x, y, x + width, y + height)), 1.0, -128)
