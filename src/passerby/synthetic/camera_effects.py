"""Camera effects: soft light, colour cast, blur, low resolution, noise."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from passerby.synthetic.parts import Part
from passerby.synthetic.views import Camera

__all__ = ["apply_camera_effects"]

# Height of each part above the background, for the light: head highest, legs lowest.
_HEIGHTS = {
    215: (Part.FACE, Part.HAIR, Part.HAT, Part.GLASSES),
    205: (Part.HAND_BAG, Part.SHOULDER_BAG, Part.SCARF),
    195: (Part.SLEEVE, Part.LEFT_ARM, Part.RIGHT_ARM, Part.BACKPACK, Part.HELD),
    125: (Part.TROUSERS, Part.LEFT_LEG, Part.RIGHT_LEG, Part.SHORTS, Part.LOWER_PATTERN, Part.LOWER_STRIPE),
}
_RELIEF = [0] + [150] * 255
for _height, _parts in _HEIGHTS.items():
    for _part in _parts:
        _RELIEF[_part] = _height
_CEILING = [128] + [255] * 255


def apply_camera_effects(
    picture: Image.Image, parts: Image.Image, camera: Camera, rng: random.Random
) -> Image.Image:
    """Light a drawn image and degrade it as a camera would.

    Args:
        image: RGB, at its final size.
        parts: Part of each pixel (`L`), for the light.
        camera: Defines tint, blur, noise and resolution.
        rng: Random numbers of this image.
    """
    exposure, soft, coarse, shift_x, shift_y = (rng.random() for _ in range(5))
    picture = _light(picture, parts)
    picture = picture.point(_tone_table(camera, exposure))
    width, height = picture.size
    unit = height / 256.0
    factor = 1.0 + 2.2 * camera.coarseness * (0.5 + 0.5 * coarse)
    if factor > 1.25:
        small = picture.resize(
            (max(8, round(width / factor)), max(8, round(height / factor))), Image.Resampling.BOX
        )
        picture = small.resize((width, height), Image.Resampling.BICUBIC)
    radius = 1.3 * camera.softness * soft * unit
    if radius > 0.15:
        picture = picture.filter(ImageFilter.BoxBlur(radius))
    return _add_grain(picture, 1.2 + 9.0 * camera.noise, (shift_x, shift_y))


def _light(picture: Image.Image, parts: Image.Image) -> Image.Image:
    """Add relief: edges facing the light (upper left) are brighter, opposite edges cast a small shadow."""
    radius = picture.size[1] / 256.0 * 1.6
    relief = parts.point(_RELIEF).filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius))
    step = max(1, round(picture.size[1] / 256.0 * 2))
    slope = ImageChops.subtract(_moved(relief, -step), _moved(relief, step), 6.0, 128)
    ceiling = parts.point(_CEILING)  # the person may darken the background, but not brighten it
    grey = ImageChops.darker(slope, ceiling)
    return ImageChops.add(picture, Image.merge("RGB", (grey, grey, grey)), 1.0, -128)


def _moved(grey: Image.Image, step: int) -> Image.Image:
    """Shift down and to the right by some pixels (negative: up and left), filling with 0."""
    width, height = grey.size
    return grey.crop((-step, -step, width - step, height - step))


def _tone_table(camera: Camera, exposure: float) -> list[int]:
    gain = 1.0 + (exposure - 0.5) * 0.35 * abs(camera.gamma - 1.0) * 4.0
    axis = np.linspace(0.0, 1.0, 256) ** camera.gamma
    lift = 0.06 * max(0.0, camera.gamma - 1.0)
    curve = 255.0 * (lift + (1.0 - lift) * axis * gain)
    tables = np.clip(np.outer(camera.tint, curve), 0, 255).round().astype(int)
    values: list[int] = tables.ravel().tolist()
    return values


@lru_cache(maxsize=32)
def _grain(strength: int) -> Image.Image:
    """A tile of noise with mean 128; `strength` is its standard deviation in quarters of a grey level."""
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
