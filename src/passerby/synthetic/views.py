"""Cameras, and the pose in which a camera sees an identity."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from passerby.synthetic.attribute_choices import YAWS, choose_one
from passerby.synthetic.config import SynthConfig
from passerby.synthetic.identities import Identity
from passerby.synthetic.rng import create_rng

__all__ = ["Camera", "View", "create_camera", "create_view"]


@dataclass(frozen=True)
class Camera:
    """Properties of a camera that all of its images share."""

    number: int
    pitch: float
    yaw_offset: float
    preferred_direction: str
    tint: tuple[float, float, float]
    gamma: float
    softness: float
    noise: float
    coarseness: float


@dataclass(frozen=True)
class View:
    """A pose of an identity in front of a camera; angles in degrees, yaw 0 faces the viewer, 90 right."""

    direction: str
    yaw: float
    head_turn: float
    stride: float
    phase: float
    standing: bool
    arm_spread: float
    hold: bool
    held_style: int
    centre: float
    height: float
    cut: float


def create_camera(config: SynthConfig, seed: int, number: int) -> Camera:
    """Create the camera of a number."""
    rng = create_rng(seed, "camera", number)
    warmth, green = rng.uniform(-1, 1), rng.uniform(-0.4, 0.4)
    strength = 0.02 + 0.07 * config.difficulty
    return Camera(
        number=number,
        pitch=rng.uniform(0.10, 0.2),
        yaw_offset=rng.uniform(-8, 8),
        preferred_direction=rng.choice(tuple(YAWS)),
        tint=(1.0 + strength * warmth, 1.0 + strength * green, 1.0 - strength * warmth),
        gamma=1.0 + 0.35 * config.difficulty * rng.uniform(-0.8, 1.0),
        softness=config.difficulty * rng.uniform(0.0, 1.0),
        noise=config.difficulty * rng.uniform(0.2, 1.0),
        coarseness=config.difficulty * rng.uniform(0.0, 1.0),
    )


def create_view(
    config: SynthConfig, rng: random.Random, subject: tuple[Identity, Camera], force: Mapping[str, bool]
) -> View:
    """Create the view of an identity in front of a camera; `rng` is the random stream of the image."""
    identity, camera = subject
    free = dict.fromkeys(YAWS, (1.0, 1.0))
    free[camera.preferred_direction] = (1.8, 1.8)
    direction = choose_one(config, rng, free, force)
    spread = 20.0 + 22.0 * config.difficulty
    yaw = YAWS[direction] * (1 if rng.random() < 0.5 else -1)
    yaw += max(-42.0, min(42.0, camera.yaw_offset + rng.uniform(-spread, spread)))
    old = identity.attributes["AgeOver60"]
    hard = config.difficulty
    return View(
        direction=direction,
        yaw=yaw,
        head_turn=rng.uniform(-18, 18),
        stride=rng.uniform(12, 27) * (0.65 if old else 1.0),
        phase=rng.choice((-1.0, 1.0)) * rng.uniform(0.35, 1.0),
        standing=rng.random() < 0.25,
        arm_spread=rng.uniform(5, 13),
        hold=identity.attributes["HoldObjectsInFront"],
        held_style=int(rng.random() * 4),
        centre=0.5 + rng.uniform(-1, 1) * (0.03 + 0.07 * hard),
        height=rng.uniform(0.86, 0.93)
        - 0.1 * hard * rng.random()
        - (0.05 if identity.attributes["AgeLess18"] else 0),
        cut=max(0.0, rng.uniform(-3.0, 1.0)) * 0.2 * hard,
    )
