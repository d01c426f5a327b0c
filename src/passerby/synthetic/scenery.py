"""Where cameras stand: one wide, softly blurred scene a camera, of which each picture shows a window."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from passerby.synthetic import palettes
from passerby.synthetic.canvas import Canvas, Colour, darker, lighter, mix
from passerby.synthetic.people import stream

__all__ = ["WIDTHS", "create_scene"]

WIDTHS = 3
"""A scene is this many pictures wide."""


class _Place:
    """A scene under construction; lengths are shares of its height."""

    def __init__(self, size: tuple[int, int], dice: random.Random) -> None:
        self.width_px, self.height_px = size
        self.dice = dice
        self.sky, self.far, self.wall, self.trim, self.ground, self.kerb, self.leaf = dice.choice(
            palettes.SCENES
        )
        self.horizon = dice.uniform(0.66, 0.76)
        self.span = self.width_px / self.height_px
        self.image = self._paint_base()
        self.canvas = Canvas(self.image, tagged=False)

    def _paint_base(self) -> Image.Image:
        rows = (np.arange(self.height_px, dtype=np.float32) + 0.5)[:, None] / self.height_px
        sky = np.asarray(lighter(self.sky, 0.35), np.float32) * (1 - rows / self.horizon) + np.asarray(
            mix(self.sky, self.far, 0.25), np.float32
        ) * (rows / self.horizon)
        depth = (rows - self.horizon) / (1 - self.horizon)
        ground = (
            np.asarray(self.kerb, np.float32) * (1 - depth)
            + np.asarray(lighter(self.ground, 0.12), np.float32) * depth
        )
        column = np.where(rows < self.horizon, sky, ground)
        full = np.zeros((self.height_px, self.width_px, 4), np.uint8)
        full[..., :3] = np.clip(column, 0, 255).astype(np.uint8)[:, None, :]
        return Image.frombytes("RGBX", (self.width_px, self.height_px), full.tobytes())

    def px(self, share: float) -> float:
        return share * self.height_px

    def box(self, sides: tuple[float, float, float, float], colour: Colour) -> None:
        """A rectangle: left, top, right, bottom in shares of the height."""
        x0, y0, x1, y1 = (v * self.height_px for v in sides)
        self.canvas.rectangle((x0, y0, x1, y1), colour)

    def blob(self, spot: tuple[float, float], radius: float, colour: Colour) -> None:
        """A crown of leaves."""
        for dx, dy, r in (
            (0.0, 0.0, 1.0),
            (-0.7, 0.25, 0.7),
            (0.7, 0.3, 0.72),
            (-0.3, -0.55, 0.65),
            (0.4, -0.5, 0.6),
        ):
            self.canvas.ellipse(
                (self.px(spot[0] + dx * radius), self.px(spot[1] + dy * radius)),
                (self.px(radius * r), self.px(radius * r)),
                colour,
            )
        for dx, dy, r in ((-0.35, -0.35, 0.5), (-0.75, 0.1, 0.35)):
            self.canvas.ellipse(
                (self.px(spot[0] + dx * radius), self.px(spot[1] + dy * radius)),
                (self.px(radius * r), self.px(radius * r)),
                lighter(colour, 0.16),
            )

    def tree(self, x: float, size: float) -> None:
        """A street tree on the edge of the ground."""
        trunk = mix(self.trim, (96, 72, 62), 0.75)
        base = self.horizon + 0.02
        self.box((x - 0.012, base - 0.3 * size, x + 0.012, base), trunk)
        self.blob(
            (x, base - 0.38 * size), 0.15 * size, mix(self.leaf, self.sky, self.dice.uniform(0.0, 0.25))
        )

    def paving(self, rows: int, columns: float) -> None:
        """Lines of slabs that run towards the horizon."""
        line = mix(self.ground, self.kerb, 0.7)
        depth = 1.0 - self.horizon
        for i in range(1, rows + 1):
            y = self.horizon + depth * (i / rows) ** 1.8
            self.box((0, y, self.span, y + 0.0035), line)
        middle = self.span / 2
        for k in range(-24, 25):
            top, low = middle + k * columns * 0.5, middle + k * columns
            self.canvas.line(
                [(self.px(top), self.px(self.horizon)), (self.px(low), self.px(1.0))], self.px(0.0035), line
            )


def _draw_shops(place: _Place) -> None:
    x, dice = -0.1, place.dice
    while x < place.span:
        wide = dice.uniform(0.45, 0.75)
        wall = mix(place.wall, dice.choice((place.trim, place.far, place.sky)), dice.uniform(0.05, 0.35))
        place.box((x, 0, x + wide, place.horizon), wall)
        place.box((x, 0.14, x + wide, 0.165), lighter(wall, 0.3))
        place.box((x + 0.05, 0.24, x + wide - 0.05, place.horizon - 0.03), darker(place.trim, 0.3))
        glass = mix(place.sky, place.trim, 0.32)
        place.box((x + 0.065, 0.3, x + wide - 0.19, place.horizon - 0.06), glass)
        corner = place.px(x + 0.065), place.px(place.horizon - 0.06)
        place.canvas.polygon(
            [
                corner,
                (corner[0] + place.px(0.12), corner[1]),
                (corner[0] + place.px(0.26), place.px(0.3)),
                (corner[0] + place.px(0.14), place.px(0.3)),
            ],
            lighter(glass, 0.3),
        )
        place.box(
            (x + wide - 0.17, 0.3, x + wide - 0.065, place.horizon - 0.01), mix(place.sky, place.trim, 0.5)
        )
        for k in range(4):
            left = x + 0.1 + k * 0.07
            if left < x + wide - 0.24:
                place.box(
                    (
                        left,
                        place.horizon - 0.06 - dice.uniform(0.06, 0.16),
                        left + 0.045,
                        place.horizon - 0.06,
                    ),
                    mix(dice.choice((place.trim, place.leaf, place.wall)), place.sky, 0.3),
                )
        cloth = dice.choice((place.trim, place.leaf, darker(place.wall, 0.3)))
        stripes = max(4, int(wide / 0.05))
        step = (wide - 0.04) / stripes
        for k in range(stripes):
            left = x + 0.02 + k * step
            colour = cloth if k % 2 else lighter(place.wall, 0.6)
            place.canvas.polygon(
                [
                    (place.px(left), place.px(0.24)),
                    (place.px(left + step), place.px(0.24)),
                    (place.px(left + step * 1.08), place.px(0.325)),
                    (place.px(left - step * 0.08), place.px(0.325)),
                ],
                colour,
            )
            place.canvas.ellipse(
                (place.px(left + step / 2), place.px(0.325)), (place.px(step * 0.54), place.px(0.016)), colour
            )
        x += wide
    place.paving(6, 0.3)


def _draw_park(place: _Place) -> None:
    dice = place.dice
    for layer, (level, size, share) in enumerate(
        ((0.45, 0.13, 0.65), (0.55, 0.11, 0.35), (0.62, 0.07, 0.12))
    ):
        x = -0.1
        while x < place.span + 0.1:
            place.blob(
                (x, level + dice.uniform(-0.05, 0.05)),
                size * dice.uniform(0.8, 1.3),
                mix(darker(place.leaf, 0.1 * layer), place.sky, share),
            )
            x += size * dice.uniform(0.9, 1.5)
        place.box(
            (0, level + 0.04, place.span, place.horizon),
            mix(darker(place.leaf, 0.1 * layer), place.sky, share),
        )
    grass = mix(place.leaf, (226, 226, 150), 0.3)
    place.box((0, place.horizon - 0.04, place.span, place.horizon + 0.05), grass)
    place.box((0, place.horizon + 0.05, place.span, place.horizon + 0.062), darker(place.kerb, 0.1))
    for _ in range(4):
        place.tree(dice.uniform(0, place.span), dice.uniform(1.1, 1.7))


def _draw_avenue(place: _Place) -> None:
    dice = place.dice
    for share, tall in ((0.65, 0.55), (0.25, 0.42)):
        x = -0.1
        while x < place.span:
            wide, top = dice.uniform(0.16, 0.34), place.horizon - dice.uniform(0.6, 1.2) * tall
            wall = mix(mix(place.wall, place.trim, dice.uniform(0, 0.5)), place.sky, share)
            place.box((x, top, x + wide, place.horizon), wall)
            pane = lighter(wall, 0.35) if share < 0.5 else darker(wall, 0.06)
            for row in np.arange(top + 0.03, place.horizon - 0.05, 0.06):
                for column in np.arange(x + 0.025, x + wide - 0.03, 0.05):
                    place.box((float(column), float(row), float(column) + 0.022, float(row) + 0.034), pane)
            x += wide + dice.uniform(0.0, 0.06)
    place.box((0, place.horizon, place.span, place.horizon + 0.09), darker(place.ground, 0.28))
    for k in range(14):
        place.box(
            (k * 0.2, place.horizon + 0.04, k * 0.2 + 0.1, place.horizon + 0.048), lighter(place.ground, 0.5)
        )
    place.box((0, place.horizon + 0.09, place.span, place.horizon + 0.11), lighter(place.kerb, 0.2))
    for _ in range(3):
        place.tree(dice.uniform(0, place.span), dice.uniform(1.0, 1.5))


def _draw_wall(place: _Place) -> None:
    dice = place.dice
    place.box((0, 0, place.span, place.horizon), place.wall)
    height, wide = 0.03, 0.085
    for row in range(int(place.horizon / height) + 1):
        for column in range(-1, int(place.span / wide) + 1):
            if dice.random() < 0.6:
                x = column * wide + (row % 2) * wide / 2
                shade = mix(place.wall, dice.choice((place.trim, place.far)), dice.uniform(0.02, 0.2))
                place.box(
                    (
                        x + 0.003,
                        row * height + 0.003,
                        x + wide - 0.003,
                        min((row + 1) * height, place.horizon),
                    ),
                    shade,
                )
    for _ in range(4):
        x, y = dice.uniform(0, place.span), dice.uniform(0.16, 0.3)
        frame = dice.choice((place.trim, place.leaf, lighter(place.wall, 0.6)))
        place.box((x - 0.11, y, x + 0.11, y + 0.28), frame)
        place.canvas.ellipse(
            (place.px(x), place.px(y + 0.12)), (place.px(0.065), place.px(0.065)), lighter(frame, 0.45)
        )
        place.box((x - 0.07, y + 0.21, x + 0.07, y + 0.225), lighter(frame, 0.5))
    place.box((0, place.horizon - 0.05, place.span, place.horizon), darker(place.wall, 0.25))
    place.paving(5, 0.36)


def _draw_station(place: _Place) -> None:
    dice = place.dice
    place.box((0, 0, place.span, place.horizon), lighter(place.wall, 0.4))
    grout = mix(lighter(place.wall, 0.4), place.far, 0.4)
    for k in range(int(place.span / 0.07) + 1):
        place.box((k * 0.07, 0, k * 0.07 + 0.003, place.horizon), grout)
    for k in range(int(place.horizon / 0.07) + 1):
        place.box((0, k * 0.07, place.span, k * 0.07 + 0.003), grout)
    place.box((0, 0.17, place.span, 0.24), place.trim)
    place.box((0, 0.196, place.span, 0.214), lighter(place.trim, 0.6))
    for _ in range(3):
        x = dice.uniform(0, place.span)
        place.box((x, 0.29, x + 0.34, 0.56), darker(place.far, 0.2))
        poster = dice.choice((place.leaf, place.trim, place.sky))
        place.box((x + 0.012, 0.302, x + 0.328, 0.548), poster)
        place.canvas.ellipse(
            (place.px(x + 0.22), place.px(0.39)), (place.px(0.05), place.px(0.05)), lighter(poster, 0.5)
        )
        place.canvas.polygon(
            [
                (place.px(x + 0.03), place.px(0.548)),
                (place.px(x + 0.14), place.px(0.4)),
                (place.px(x + 0.27), place.px(0.548)),
            ],
            darker(poster, 0.2),
        )
    for k in range(3):
        x = k * place.span / 3 + dice.uniform(0, 0.3)
        place.box((x, 0, x + 0.09, place.horizon + 0.02), mix(place.far, place.wall, 0.4))
        place.box((x + 0.055, 0, x + 0.09, place.horizon + 0.02), darker(place.far, 0.1))
    place.box((0, place.horizon + 0.03, place.span, place.horizon + 0.05), (226, 190, 90))
    place.paving(5, 0.4)


_KINDS = (_draw_shops, _draw_park, _draw_avenue, _draw_wall, _draw_station)


@lru_cache(maxsize=64)
def create_scene(seed: int, camera: int, size: tuple[int, int]) -> Image.Image:
    """The scene of a camera.

    Args:
        seed: Seed of the whole set.
        camera: Number of the camera.
        size: Width and height of one picture, in canvas pixels.

    Returns:
        An `RGBX` picture `WIDTHS` times as wide; treat it as read-only, it is kept for later pictures.
    """
    dice = stream(seed, "scene", camera)
    order = list(_KINDS)
    stream(seed, "scenes", camera // len(_KINDS)).shuffle(order)
    place = _Place((size[0] * WIDTHS, size[1]), dice)
    order[camera % len(order)](place)
    soft = place.image.convert("RGB").filter(ImageFilter.GaussianBlur(size[1] * dice.uniform(0.002, 0.007)))
    return _with_grain(np.asarray(soft), stream(seed, "grain", camera).randrange(2**32))


def _with_grain(picture: NDArray[np.uint8], seed: int) -> Image.Image:
    """Large soft patches of light and a fine grain, so that no surface is quite flat."""
    height, width = picture.shape[:2]
    numbers = np.random.Generator(np.random.PCG64(seed))
    light = np.zeros((height, width), np.float32)
    for cell, strength in ((height // 3, 7.0), (height // 12, 3.0), (2, 2.5)):
        coarse = numbers.standard_normal(
            (height // max(cell, 1) + 2, width // max(cell, 1) + 2), dtype=np.float32
        )
        patch = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        light += np.asarray(patch) * strength
    full = np.zeros((height, width, 4), np.uint8)
    full[..., :3] = np.clip(picture + light[..., None], 0, 255).astype(np.uint8)
    return Image.frombytes("RGBX", (width, height), full.tobytes())
