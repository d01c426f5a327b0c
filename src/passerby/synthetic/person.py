"""Draw one image: a person in a scene, with labels, masks, keypoints and boxes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import ConfigError
from passerby.synthetic import identities, views
from passerby.synthetic.attribute_choices import check_force
from passerby.synthetic.camera_effects import apply_camera_effects
from passerby.synthetic.canvas import Canvas
from passerby.synthetic.config import SynthConfig
from passerby.synthetic.figure import draw_figure
from passerby.synthetic.furniture import draw_clutter
from passerby.synthetic.keypoints import compute_keypoints
from passerby.synthetic.labels import compute_boxes, compute_labels
from passerby.synthetic.occluders import draw_occluder
from passerby.synthetic.parts import compute_parsing_table
from passerby.synthetic.rng import create_rng
from passerby.synthetic.scenery import SCENE_WIDTH, create_scene
from passerby.synthetic.shadows import cast_shadow
from passerby.synthetic.skeleton import Lens, create_body, create_joints
from passerby.synthetic.sketch import Sketch
from passerby.types import Box

__all__ = ["SyntheticPerson", "draw_person"]

CAMERAS = 8
"""Number of cameras; each has its scene, colour cast, height, preferred viewpoint and sharpness."""

GROUND = 0.962
"""Position of the feet as a fraction of the image height."""


@dataclass(frozen=True)
class SyntheticPerson:
    """A drawn pedestrian.

    Args:
        image: The image.
        labels: In the order of `ATTRIBUTES`: 1 present, 0 absent, −1 not visible in this image.
        mask: 1 on the person, excluding carried and occluding objects; equal to `parsing > 0`.
        parsing: Classes of Look-Into-Person; carried objects (bags, straps, held objects) are background.
        keypoints_mpii: In MPII order; x px, y px, score (1 visible, 0.5 hidden by the person's own body or
            carried objects, 0 occluded by another object or outside the image).
        keypoints_coco: The 17 keypoints of COCO, likewise.
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
def _create_identity(
    config: SynthConfig, seed: int, number: int, force: frozenset[tuple[str, bool]]
) -> identities.Identity:
    return identities.create_identity(config, seed, number, dict(force))


def draw_person(
    config: SynthConfig, seed: int, index: int, *, force: Mapping[str, bool] | None = None
) -> SyntheticPerson:
    """Draw the image of a seed and an index; the result is reproducible bit for bit.

    Args:
        config: Appearance of the people.
        seed: Seed of people, cameras and scenes.
        index: Number of the image; consecutive images share an identity (`config.views_per_identity`).
        force: Attributes that must be present or absent. Everything else is unchanged, so two images with
            opposite values differ by that attribute and its consequences (a long coat has long sleeves).

    Raises:
        ConfigError: If the index is negative or `force` is unknown or contradictory.

    Example:
        >>> person = draw_person(SynthConfig(height=128, width=96), 0, 7, force={"Hat": True})
        >>> person.image.shape, person.labels.shape
        ((128, 96, 3), (26,))
    """
    if index < 0:
        raise ConfigError(f"index: expected 0 or more, got {index}")
    chosen = check_force(force)
    number = index // config.views_per_identity
    identity = _create_identity(config, seed, number, frozenset(chosen.items()))
    camera = views.create_camera(config, seed, create_rng(seed, "where", index).randrange(CAMERAS))
    view = views.create_view(config, create_rng(seed, "view", index), (identity, camera), chosen)

    factor = config.supersampling
    rng = create_rng(seed, "street", index)
    canvas = Canvas(_crop_scene(config, seed, camera.number, rng), tagged=True)
    sketch = replace(_create_sketch(canvas, (identity, view), camera, 1.0), object_scale=config.object_scale)
    _draw_surroundings(canvas, config, (seed, index), (camera, view))
    cast_shadow(
        canvas, sketch.lens.point((0.0, 0.01, 0.0)), (0.30 * sketch.lens.scale, 0.055 * sketch.lens.scale)
    )
    draw_figure(sketch)
    unoccluded = _read_parts(canvas, factor)
    occluded = _draw_occluder(canvas, config, (seed, index), (camera, view))
    visible = _read_parts(canvas, factor) if occluded else unoccluded

    image = canvas.image.reduce(factor).convert("RGB") if factor > 1 else canvas.image.convert("RGB")
    image = apply_camera_effects(image, visible, camera, create_rng(seed, "film", index))
    labels = compute_labels(sketch, unoccluded, visible)
    parts = np.asarray(visible)
    parsing = compute_parsing_table(
        coat=identity.attributes["LongCoat"], dress=identity.dress, skirt=identity.attributes["Skirt&Dress"]
    )[parts]
    mpii, coco = compute_keypoints(sketch, parts)
    return SyntheticPerson(
        image=np.array(image),
        labels=labels,
        mask=(parsing > 0).astype(np.uint8),
        parsing=parsing,
        keypoints_mpii=mpii,
        keypoints_coco=coco,
        boxes=compute_boxes(labels, parts),
        identity=number,
        camera=camera.number,
    )


def _crop_scene(config: SynthConfig, seed: int, camera: int, rng: random.Random) -> Image.Image:
    factor = config.supersampling
    width, height = config.width * factor, config.height * factor
    left = int(rng.random() * (SCENE_WIDTH - 1) * width)
    return create_scene(seed, camera, (width, height)).crop((left, 0, left + width, height))


def _create_sketch(
    canvas: Canvas, subject: tuple[identities.Identity, views.View], camera: views.Camera, scale: float
) -> Sketch:
    """Position a person on the ground."""
    identity, view = subject
    width, height = canvas.image.size
    ground = GROUND + view.cut - 0.25 * max(0.0, 1.0 - scale)
    body = create_body(identity)
    lens = Lens(view.yaw, view.height * scale * height, (view.centre * width, ground * height), camera.pitch)
    return Sketch(canvas, identity, view, body, create_joints(body, view), lens, 1.0)


def _create_distractor(
    config: SynthConfig, key: tuple[int, int, object], camera: views.Camera
) -> tuple[identities.Identity, views.View]:
    seed, index, name = key
    rng = create_rng(seed, "passer", index, name)
    identity = identities.create_identity(config, seed, rng.randrange(2**40), {})
    return identity, replace(views.create_view(config, rng, (identity, camera), {}), cut=0.0)


def _draw_surroundings(
    canvas: Canvas, config: SynthConfig, key: tuple[int, int], setup: tuple[views.Camera, views.View]
) -> None:
    """Draw street furniture and other people behind the person."""
    camera, view = setup
    untagged = Canvas(canvas.image, tagged=False)
    draw_clutter(untagged, create_rng(*key[:1], "clutter", key[1]), config.clutter)
    rng = create_rng(key[0], "others", key[1])
    count = int(config.distractors + rng.random())
    for scale, k in sorted((rng.uniform(0.45, 0.85), k) for k in range(count)):
        identity, other = _create_distractor(config, (key[0], key[1], k), camera)
        side = 1 if rng.random() < 0.5 else -1
        centre = view.centre + side * rng.uniform(0.22, 0.46)
        sketch = _create_sketch(
            untagged, (identity, replace(other, centre=centre, height=0.9)), camera, scale
        )
        cast_shadow(
            untagged,
            sketch.lens.point((0.0, 0.01, 0.0)),
            (0.26 * sketch.lens.scale, 0.05 * sketch.lens.scale),
        )
        draw_figure(sketch)


def _draw_occluder(
    canvas: Canvas, config: SynthConfig, key: tuple[int, int], setup: tuple[views.Camera, views.View]
) -> bool:
    """Draw an occluding person or object with probability `config.occlusion`; True if one was drawn."""
    camera, view = setup
    rng = create_rng(key[0], "front", key[1])
    if rng.random() >= config.occlusion:
        return False
    untagged = Canvas(canvas.image, tagged=False)
    if rng.random() < 0.3:
        identity, other = _create_distractor(config, (key[0], key[1], "front"), camera)
        side = 1 if rng.random() < 0.5 else -1
        centre = view.centre + side * rng.uniform(0.2, 0.36)
        sketch = _create_sketch(
            untagged, (identity, replace(other, centre=centre, height=0.95, cut=0.1)), camera, 1.03
        )
        draw_figure(sketch)
    else:
        draw_occluder(untagged, rng, rng.random())
    return True


def _read_parts(canvas: Canvas, factor: int) -> Image.Image:
    """The part at each pixel, sampled at its centre."""
    width, height = canvas.image.size
    return canvas.image.getchannel(3).resize((width // factor, height // factor), Image.Resampling.NEAREST)
