"""Options of the generator."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from passerby.errors import ConfigError

__all__ = ["ATTRIBUTES", "SynthConfig"]

ATTRIBUTES = (
    "Female",
    "AgeOver60",
    "Age18-60",
    "AgeLess18",
    "Front",
    "Side",
    "Back",
    "Hat",
    "Glasses",
    "HandBag",
    "ShoulderBag",
    "Backpack",
    "HoldObjectsInFront",
    "ShortSleeve",
    "LongSleeve",
    "UpperStride",
    "UpperLogo",
    "UpperPlaid",
    "UpperSplice",
    "LowerStripe",
    "LowerPattern",
    "LongCoat",
    "Trousers",
    "Shorts",
    "Skirt&Dress",
    "boots",
)
"""The attributes of PA-100K, in the order of its file."""

SHARES = ("difficulty", "imbalance", "occlusion", "clutter")
LIMITS = {
    "height": (32, 2048),
    "width": (24, 2048),
    "distractors": (0.0, 4.0),
    "object_scale": (0.1, 1.5),
    "views_per_identity": (1, 10_000),
    "supersampling": (1, 4),
}


@dataclass(frozen=True, slots=True)
class SynthConfig:
    """Appearance of the drawn people. An image depends only on these options, the seed and its index.

    Args:
        height: Height of an image in pixels.
        width: Width of an image in pixels.
        difficulty: From 0 (clean) to 1: blur, noise, low resolution, colour cast, people cut off by the
            frame, viewpoints near the border between two classes.
        imbalance: From 0 (attributes about as often present as absent, where that makes sense) to 1
            (long-tailed, as on a real street).
        distractors: Expected number of other people in an image.
        occlusion: Probability of an object in front of the person.
        clutter: From 0 (empty scene) to 1 (full of street furniture).
        object_scale: Size of the objects that show attributes (hat, glasses, bags, held objects, print on
            the chest, patterns) relative to the body; 1 is natural, less makes attributes smaller.
        views_per_identity: Number of consecutive indices that show the same person.
        supersampling: Each pixel is the mean of this number squared of samples; 2 is fast, 3 has finer edges.

    Raises:
        ConfigError: If a number is out of range; the message gives the range.

    Example:
        >>> SynthConfig(difficulty=0.8).difficulty
        0.8
    """

    height: int = 256
    width: int = 192
    difficulty: float = 0.3
    imbalance: float = 0.0
    distractors: float = 0.3
    occlusion: float = 0.15
    clutter: float = 0.5
    object_scale: float = 1.0
    views_per_identity: int = 4
    supersampling: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = (0.0, 1.0) if field.name in SHARES else LIMITS[field.name]
            is_integer = field.type == "int"
            if isinstance(value, bool) or not isinstance(value, int if is_integer else (int, float)):
                kind = "an integer" if is_integer else "a number"
                raise ConfigError(f"{field.name}: expected {kind} in [{low}, {high}], got {value!r}")
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{field.name}: expected a value in [{low}, {high}], got {value!r}")
