"""One picture: a person in a scene, with everything that is known about it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import ConfigError
from passerby.synthetic import people, things
from passerby.synthetic.canvas import Canvas
from passerby.synthetic.config import SynthConfig
from passerby.synthetic.develop import develop
from passerby.synthetic.figure import draw_figure
from passerby.synthetic.keypoints import compute_keypoints
from passerby.synthetic.labels import compute_boxes, compute_labels
from passerby.synthetic.parts import compute_parsing_table
from passerby.synthetic.scenery import WIDTHS, create_scene
from passerby.synthetic.skeleton import Lens, create_body, create_joints
from passerby.synthetic.sketch import Sketch
from passerby.types import Box

__all__ = ["SyntheticPerson", "draw_person"]

GROUND = 0.962  # where the feet are, as a share of the height


@dataclass(frozen=True)
class SyntheticPerson:
    """A drawn pedestrian.

    Args:
        image: The picture.
        labels: In the order of `ATTRIBUTES`: 1 yes, 0 no, −1 cannot be seen in this picture.
        mask: 1 on the person, without carried things and whatever stands in front; exactly `parsing > 0`.
        parsing: Classes of Look-Into-Person; carried things (bags, straps, held objects) are background.
        keypoints_mpii: In MPII order; x px, y px, score (1 seen, 0.5 hidden by the own body or
            things, 0 behind something else or outside the picture).
        keypoints_coco: The same for COCO's 17.
        boxes: Tight box of the visible pixels of each attribute with label 1; attributes of the whole person
            (sex, age, viewpoint) have the box of the person.
        identity: Number of the identity.
        camera: Number of the camera.

    Shape:
        image (H, W, 3) uint8, labels (26,) int8, mask (H, W) uint8 in {0, 1}, parsing (H, W) uint8 in 0 … 19,
        keypoints (16, 3) and (17, 3) float32.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int8]
    mask: NDArray[np.uint8]
    parsing: NDArray[np.uint8]
    keypoints_mpii: NDArray[np.float32]
    keypoints_coco: NDArray[np.float32]
    boxes: Mapping[str, Box]
    identity: int
    camera: int


@lru_cache(maxsize=256)
def _identity(
    config: SynthConfig, seed: int, number: int, force: frozenset[tuple[str, bool]]
) -> people.Identity:
    return people.create_identity(config, seed, number, dict(force))


def draw_person(
    config: SynthConfig, seed: int, index: int, *, force: Mapping[str, bool] | None = None
) -> SyntheticPerson:
    """Draw the picture of that seed and index, always the same to the last bit.

    Args:
        config: How the people are drawn.
        seed: Which world of people, cameras and scenes.
        index: Which picture of that world; neighbours share an identity (`config.views_per_identity`).
        force: Attributes that have to be present or absent; all else stays as it would be, so two pictures
            with opposite values differ by that attribute (and what it entails: a long coat has long sleeves).

    Raises:
        ConfigError: If the index is negative or `force` is unknown or contradictory.

    Example:
        >>> person = draw_person(SynthConfig(height=128, width=96), 0, 7, force={"Hat": True})
        >>> person.image.shape, person.labels.shape
        ((128, 96, 3), (26,))
    """
    if index < 0:
        raise ConfigError(f"index: expected a number from 0 on, got {index}")
    chosen = people.check_force(force)
    number = index // config.views_per_identity
    identity = _identity(config, seed, number, frozenset(chosen.items()))
    camera = people.create_camera(config, seed, people.stream(seed, "where", index).randrange(config.cameras))
    view = people.create_view(config, people.stream(seed, "view", index), (identity, camera), chosen)

    factor = config.supersampling
    dice = people.stream(seed, "street", index)
    canvas = Canvas(_window(config, seed, camera.number, dice), tagged=True)
    sketch = replace(
        _place(canvas, (identity, view), camera, config.figure_scale), object_scale=config.object_scale
    )
    _draw_surroundings(canvas, config, (seed, index), (camera, view))
    things.cast_shadow(
        canvas, sketch.lens.point((0.0, 0.01, 0.0)), (0.30 * sketch.lens.scale, 0.055 * sketch.lens.scale)
    )
    draw_figure(sketch)
    whole = _read_parts(canvas, factor)
    hidden = _draw_in_front(canvas, config, (seed, index), (camera, view))
    seen = _read_parts(canvas, factor) if hidden else whole

    picture = canvas.image.reduce(factor).convert("RGB") if factor > 1 else canvas.image.convert("RGB")
    picture = develop(picture, seen, camera, people.stream(seed, "film", index))
    labels = compute_labels(sketch, whole, seen)
    parts = np.asarray(seen)
    parsing = compute_parsing_table(
        coat=identity.wears["LongCoat"], dress=identity.dress, skirt=identity.wears["Skirt&Dress"]
    )[parts]
    mpii, coco = compute_keypoints(sketch, parts)
    return SyntheticPerson(
        image=np.array(picture),
        labels=labels,
        mask=(parsing > 0).astype(np.uint8),
        parsing=parsing,
        keypoints_mpii=mpii,
        keypoints_coco=coco,
        boxes=compute_boxes(labels, parts),
        identity=number,
        camera=camera.number,
    )


def _window(config: SynthConfig, seed: int, camera: int, dice: random.Random) -> Image.Image:
    factor = config.supersampling
    width, height = config.width * factor, config.height * factor
    left = int(dice.random() * (WIDTHS - 1) * width)
    return create_scene(seed, camera, (width, height)).crop((left, 0, left + width, height))


def _place(
    canvas: Canvas, who: tuple[people.Identity, people.View], camera: people.Camera, scale: float
) -> Sketch:
    """Put a person on the ground."""
    identity, view = who
    width, height = canvas.image.size
    ground = GROUND + view.cut - 0.25 * max(0.0, 1.0 - scale)
    body = create_body(identity)
    lens = Lens(view.yaw, view.height * scale * height, (view.centre * width, ground * height), camera.pitch)
    return Sketch(canvas, identity, view, body, create_joints(body, view), lens, 1.0)


def _passer(
    config: SynthConfig, key: tuple[int, int, object], camera: people.Camera
) -> tuple[people.Identity, people.View]:
    seed, index, name = key
    dice = people.stream(seed, "passer", index, name)
    identity = people.create_identity(config, seed, dice.randrange(2**40), {})
    return identity, replace(people.create_view(config, dice, (identity, camera), {}), cut=0.0)


def _draw_surroundings(
    canvas: Canvas, config: SynthConfig, key: tuple[int, int], who: tuple[people.Camera, people.View]
) -> None:
    """Street furniture and other people behind the person."""
    camera, view = who
    untagged = Canvas(canvas.image, tagged=False)
    things.draw_clutter(untagged, people.stream(*key[:1], "clutter", key[1]), config.clutter)
    dice = people.stream(key[0], "others", key[1])
    count = int(config.distractors + dice.random())
    spots = sorted((dice.uniform(0.45, 0.85), k) for k in range(count))
    for depth, k in spots:
        identity, other = _passer(config, (key[0], key[1], k), camera)
        side = 1 if dice.random() < 0.5 else -1
        centre = view.centre + side * dice.uniform(0.22, 0.46)
        sketch = _place(
            untagged,
            (identity, replace(other, centre=centre, height=0.9)),
            camera,
            depth * config.figure_scale,
        )
        things.cast_shadow(
            untagged,
            sketch.lens.point((0.0, 0.01, 0.0)),
            (0.26 * sketch.lens.scale, 0.05 * sketch.lens.scale),
        )
        draw_figure(sketch)


def _draw_in_front(
    canvas: Canvas, config: SynthConfig, key: tuple[int, int], who: tuple[people.Camera, people.View]
) -> bool:
    """Perhaps something that hides a part of the person; whether there is any."""
    camera, view = who
    dice = people.stream(key[0], "front", key[1])
    if dice.random() >= config.occlusion:
        return False
    untagged = Canvas(canvas.image, tagged=False)
    if dice.random() < 0.3:
        identity, other = _passer(config, (key[0], key[1], "front"), camera)
        side = 1 if dice.random() < 0.5 else -1
        centre = view.centre + side * dice.uniform(0.2, 0.36)
        sketch = _place(
            untagged, (identity, replace(other, centre=centre, height=0.95, cut=0.1)), camera, 1.03
        )
        draw_figure(sketch)
    else:
        things.draw_occluder(untagged, dice, dice.random())
    return True


def _read_parts(canvas: Canvas, factor: int) -> Image.Image:
    """Part of each pixel: that of the sample nearest to its centre."""
    width, height = canvas.image.size
    return canvas.image.getchannel(3).resize((width // factor, height // factor), Image.Resampling.NEAREST)
