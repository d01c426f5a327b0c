"""Backgrounds: one wide, blurred scene per camera, of which each image shows a crop."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from passerby.synthetic.canvas import darker, lighter, mix
from passerby.synthetic.rng import create_rng
from passerby.synthetic.scene_canvas import SceneCanvas

__all__ = ["SCENE_WIDTH", "create_scene"]

SCENE_WIDTH = 3
"""Width of a scene in image widths."""


def _draw_shops(scene: SceneCanvas) -> None:
    x, rng = -0.1, scene.rng
    while x < scene.span:
        wide = rng.uniform(0.45, 0.75)
        wall = mix(scene.wall, rng.choice((scene.trim, scene.far, scene.sky)), rng.uniform(0.05, 0.35))
        scene.box((x, 0, x + wide, scene.horizon), wall)
        scene.box((x, 0.14, x + wide, 0.165), lighter(wall, 0.3))
        scene.box((x + 0.05, 0.24, x + wide - 0.05, scene.horizon - 0.03), darker(scene.trim, 0.3))
        glass = mix(scene.sky, scene.trim, 0.32)
        scene.box((x + 0.065, 0.3, x + wide - 0.19, scene.horizon - 0.06), glass)
        corner = scene.px(x + 0.065), scene.px(scene.horizon - 0.06)
        scene.canvas.polygon(
            [
                corner,
                (corner[0] + scene.px(0.12), corner[1]),
                (corner[0] + scene.px(0.26), scene.px(0.3)),
                (corner[0] + scene.px(0.14), scene.px(0.3)),
            ],
            lighter(glass, 0.3),
        )
        scene.box(
            (x + wide - 0.17, 0.3, x + wide - 0.065, scene.horizon - 0.01), mix(scene.sky, scene.trim, 0.5)
        )
        for k in range(4):
            left = x + 0.1 + k * 0.07
            if left < x + wide - 0.24:
                scene.box(
                    (
                        left,
                        scene.horizon - 0.06 - rng.uniform(0.06, 0.16),
                        left + 0.045,
                        scene.horizon - 0.06,
                    ),
                    mix(rng.choice((scene.trim, scene.leaf, scene.wall)), scene.sky, 0.3),
                )
        cloth = rng.choice((scene.trim, scene.leaf, darker(scene.wall, 0.3)))
        stripes = max(4, int(wide / 0.05))
        step = (wide - 0.04) / stripes
        for k in range(stripes):
            left = x + 0.02 + k * step
            colour = cloth if k % 2 else lighter(scene.wall, 0.6)
            scene.canvas.polygon(
                [
                    (scene.px(left), scene.px(0.24)),
                    (scene.px(left + step), scene.px(0.24)),
                    (scene.px(left + step * 1.08), scene.px(0.325)),
                    (scene.px(left - step * 0.08), scene.px(0.325)),
                ],
                colour,
            )
            scene.canvas.ellipse(
                (scene.px(left + step / 2), scene.px(0.325)), (scene.px(step * 0.54), scene.px(0.016)), colour
            )
        x += wide
    scene.paving(6, 0.3)


def _draw_park(scene: SceneCanvas) -> None:
    rng = scene.rng
    for layer, (level, size, share) in enumerate(
        ((0.45, 0.13, 0.65), (0.55, 0.11, 0.35), (0.62, 0.07, 0.12))
    ):
        x = -0.1
        while x < scene.span + 0.1:
            scene.blob(
                (x, level + rng.uniform(-0.05, 0.05)),
                size * rng.uniform(0.8, 1.3),
                mix(darker(scene.leaf, 0.1 * layer), scene.sky, share),
            )
            x += size * rng.uniform(0.9, 1.5)
        scene.box(
            (0, level + 0.04, scene.span, scene.horizon),
            mix(darker(scene.leaf, 0.1 * layer), scene.sky, share),
        )
    grass = mix(scene.leaf, (226, 226, 150), 0.3)
    scene.box((0, scene.horizon - 0.04, scene.span, scene.horizon + 0.05), grass)
    scene.box((0, scene.horizon + 0.05, scene.span, scene.horizon + 0.062), darker(scene.kerb, 0.1))
    for _ in range(4):
        scene.tree(rng.uniform(0, scene.span), rng.uniform(1.1, 1.7))


def _draw_avenue(scene: SceneCanvas) -> None:
    rng = scene.rng
    for share, tall in ((0.65, 0.55), (0.25, 0.42)):
        x = -0.1
        while x < scene.span:
            wide, top = rng.uniform(0.16, 0.34), scene.horizon - rng.uniform(0.6, 1.2) * tall
            wall = mix(mix(scene.wall, scene.trim, rng.uniform(0, 0.5)), scene.sky, share)
            scene.box((x, top, x + wide, scene.horizon), wall)
            pane = lighter(wall, 0.35) if share < 0.5 else darker(wall, 0.06)
            for row in np.arange(top + 0.03, scene.horizon - 0.05, 0.06):
                for column in np.arange(x + 0.025, x + wide - 0.03, 0.05):
                    scene.box((float(column), float(row), float(column) + 0.022, float(row) + 0.034), pane)
            x += wide + rng.uniform(0.0, 0.06)
    scene.box((0, scene.horizon, scene.span, scene.horizon + 0.09), darker(scene.ground, 0.28))
    for k in range(14):
        scene.box(
            (k * 0.2, scene.horizon + 0.04, k * 0.2 + 0.1, scene.horizon + 0.048), lighter(scene.ground, 0.5)
        )
    scene.box((0, scene.horizon + 0.09, scene.span, scene.horizon + 0.11), lighter(scene.kerb, 0.2))
    for _ in range(3):
        scene.tree(rng.uniform(0, scene.span), rng.uniform(1.0, 1.5))


def _draw_wall(scene: SceneCanvas) -> None:
    rng = scene.rng
    scene.box((0, 0, scene.span, scene.horizon), scene.wall)
    height, wide = 0.03, 0.085
    for row in range(int(scene.horizon / height) + 1):
        for column in range(-1, int(scene.span / wide) + 1):
            if rng.random() < 0.6:
                x = column * wide + (row % 2) * wide / 2
                shade = mix(scene.wall, rng.choice((scene.trim, scene.far)), rng.uniform(0.02, 0.2))
                scene.box(
                    (
                        x + 0.003,
                        row * height + 0.003,
                        x + wide - 0.003,
                        min((row + 1) * height, scene.horizon),
                    ),
                    shade,
                )
    for _ in range(4):
        x, y = rng.uniform(0, scene.span), rng.uniform(0.16, 0.3)
        frame = rng.choice((scene.trim, scene.leaf, lighter(scene.wall, 0.6)))
        scene.box((x - 0.11, y, x + 0.11, y + 0.28), frame)
        scene.canvas.ellipse(
            (scene.px(x), scene.px(y + 0.12)), (scene.px(0.065), scene.px(0.065)), lighter(frame, 0.45)
        )
        scene.box((x - 0.07, y + 0.21, x + 0.07, y + 0.225), lighter(frame, 0.5))
    scene.box((0, scene.horizon - 0.05, scene.span, scene.horizon), darker(scene.wall, 0.25))
    scene.paving(5, 0.36)


def _draw_station(scene: SceneCanvas) -> None:
    rng = scene.rng
    scene.box((0, 0, scene.span, scene.horizon), lighter(scene.wall, 0.4))
    grout = mix(lighter(scene.wall, 0.4), scene.far, 0.4)
    for k in range(int(scene.span / 0.07) + 1):
        scene.box((k * 0.07, 0, k * 0.07 + 0.003, scene.horizon), grout)
    for k in range(int(scene.horizon / 0.07) + 1):
        scene.box((0, k * 0.07, scene.span, k * 0.07 + 0.003), grout)
    scene.box((0, 0.17, scene.span, 0.24), scene.trim)
    scene.box((0, 0.196, scene.span, 0.214), lighter(scene.trim, 0.6))
    for _ in range(3):
        x = rng.uniform(0, scene.span)
        scene.box((x, 0.29, x + 0.34, 0.56), darker(scene.far, 0.2))
        poster = rng.choice((scene.leaf, scene.trim, scene.sky))
        scene.box((x + 0.012, 0.302, x + 0.328, 0.548), poster)
        scene.canvas.ellipse(
            (scene.px(x + 0.22), scene.px(0.39)), (scene.px(0.05), scene.px(0.05)), lighter(poster, 0.5)
        )
        scene.canvas.polygon(
            [
                (scene.px(x + 0.03), scene.px(0.548)),
                (scene.px(x + 0.14), scene.px(0.4)),
                (scene.px(x + 0.27), scene.px(0.548)),
            ],
            darker(poster, 0.2),
        )
    for k in range(3):
        x = k * scene.span / 3 + rng.uniform(0, 0.3)
        scene.box((x, 0, x + 0.09, scene.horizon + 0.02), mix(scene.far, scene.wall, 0.4))
        scene.box((x + 0.055, 0, x + 0.09, scene.horizon + 0.02), darker(scene.far, 0.1))
    scene.box((0, scene.horizon + 0.03, scene.span, scene.horizon + 0.05), (226, 190, 90))
    scene.paving(5, 0.4)


_KINDS = (_draw_shops, _draw_park, _draw_avenue, _draw_wall, _draw_station)


@lru_cache(maxsize=64)
def create_scene(seed: int, camera: int, size: tuple[int, int]) -> Image.Image:
    """The scene of a camera.

    Args:
        seed: Seed of the data set.
        camera: Number of the camera.
        size: Width and height of one image in canvas pixels.

    Returns:
        An `RGBX` image `SCENE_WIDTH` times as wide; treat it as read-only, it is cached.
    """
    rng = create_rng(seed, "scene", camera)
    order = list(_KINDS)
    create_rng(seed, "scenes", camera // len(_KINDS)).shuffle(order)
    scene = SceneCanvas((size[0] * SCENE_WIDTH, size[1]), rng)
    order[camera % len(order)](scene)
    soft = scene.image.convert("RGB").filter(ImageFilter.GaussianBlur(size[1] * rng.uniform(0.002, 0.007)))
    return _add_texture(np.asarray(soft), create_rng(seed, "grain", camera).randrange(2**32))


def _add_texture(image: NDArray[np.uint8], seed: int) -> Image.Image:
    """Add large soft patches of light and fine noise, so that no surface is uniform."""
    height, width = image.shape[:2]
    numbers = np.random.Generator(np.random.PCG64(seed))
    light = np.zeros((height, width), np.float32)
    for cell, strength in ((height // 3, 7.0), (height // 12, 3.0), (2, 2.5)):
        coarse = numbers.standard_normal(
            (height // max(cell, 1) + 2, width // max(cell, 1) + 2), dtype=np.float32
        )
        patch = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        light += np.asarray(patch) * strength
    full = np.zeros((height, width, 4), np.uint8)
    full[..., :3] = np.clip(image + light[..., None], 0, 255).astype(np.uint8)
    return Image.frombytes("RGBX", (width, height), full.tobytes())
