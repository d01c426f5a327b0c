"""The image of a scene under construction, and the shapes that all scenes share."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image

from passerby.synthetic import palettes
from passerby.synthetic.canvas import Canvas, Colour, lighter, mix

__all__ = ["SceneCanvas"]


class SceneCanvas:
    """A scene under construction; lengths are fractions of its height."""

    def __init__(self, size: tuple[int, int], rng: random.Random) -> None:
        self.width_px, self.height_px = size
        self.rng = rng
        self.sky, self.far, self.wall, self.trim, self.ground, self.kerb, self.leaf = rng.choice(
            palettes.SCENES
        )
        self.horizon = rng.uniform(0.66, 0.76)
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
        """Convert a fraction of the height to pixels."""
        return share * self.height_px

    def box(self, sides: tuple[float, float, float, float], colour: Colour) -> None:
        """Draw a rectangle: left, top, right, bottom as fractions of the height."""
        x0, y0, x1, y1 = (v * self.height_px for v in sides)
        self.canvas.rectangle((x0, y0, x1, y1), colour)

    def blob(self, spot: tuple[float, float], radius: float, colour: Colour) -> None:
        """Draw the crown of a tree."""
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
        """Draw a tree on the edge of the ground."""
        trunk = mix(self.trim, (96, 72, 62), 0.75)
        base = self.horizon + 0.02
        self.box((x - 0.012, base - 0.3 * size, x + 0.012, base), trunk)
        self.blob((x, base - 0.38 * size), 0.15 * size, mix(self.leaf, self.sky, self.rng.uniform(0.0, 0.25)))

    def paving(self, rows: int, columns: float) -> None:
        """Draw paving slabs whose lines converge towards the horizon."""
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
