"""Who is drawn: identities, and one view of an identity by a camera.

Every choice is made whether it is needed or not, from streams of random numbers that belong to the identity,
the view and the camera. So forcing one attribute leaves everything else of the picture as it was.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from passerby.errors import ConfigError
from passerby.synthetic import palettes
from passerby.synthetic.canvas import Colour, mix
from passerby.synthetic.config import ATTRIBUTES, SynthConfig

__all__ = [
    "Camera",
    "Identity",
    "View",
    "check_force",
    "create_camera",
    "create_identity",
    "create_view",
    "stream",
]

# How often an attribute is present: when balanced, and in a long-tailed street (our own round numbers).
_RATES = {
    "Female": (0.5, 0.45),
    "Hat": (0.4, 0.05),
    "Glasses": (0.45, 0.15),
    "HandBag": (0.35, 0.12),
    "ShoulderBag": (0.35, 0.18),
    "Backpack": (0.35, 0.12),
    "HoldObjectsInFront": (0.35, 0.02),
    "ShortSleeve": (0.45, 0.55),
    "UpperLogo": (0.35, 0.12),
    "LowerStripe": (0.3, 0.01),
    "LowerPattern": (0.35, 0.03),
    "LongCoat": (0.22, 0.02),
    "boots": (0.4, 0.02),
}
_AGES = {"AgeOver60": (1.0, 0.03), "Age18-60": (1.0, 0.9), "AgeLess18": (1.0, 0.07)}
_UPPERS = {
    "": (1.0, 0.79),
    "UpperStride": (1.0, 0.06),
    "UpperPlaid": (1.0, 0.1),
    "UpperSplice": (1.0, 0.05),
}
_LOWERS = {"Trousers": (1.0, 0.76), "Shorts": (1.0, 0.15), "Skirt&Dress": (1.0, 0.09)}
_YAWS = {"Front": 0.0, "Side": 90.0, "Back": 180.0}
_EXCLUSIVE = (tuple(_AGES), tuple(_UPPERS), tuple(_LOWERS), tuple(_YAWS), ("ShortSleeve", "LongSleeve"))


@dataclass(frozen=True)
class Identity:
    """A person: what stays the same from picture to picture."""

    wears: Mapping[str, bool]
    skin: Colour
    hair: Colour
    hair_style: str
    beard: bool
    hat_style: str
    scarf: bool
    dress: bool
    tucked: bool
    glasses_dark: bool
    logo_style: int
    pattern_style: int
    colours: Mapping[str, Colour]
    girth: float
    stature: float
    side: int


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken: what stays the same for all people who pass."""

    number: int
    pitch: float
    yaw_offset: float
    favourite: str
    tint: tuple[float, float, float]
    gamma: float
    softness: float
    noise: float
    coarseness: float


@dataclass(frozen=True)
class View:
    """One passing of an identity before a camera; in degrees, yaw 0 faces the viewer, 90 faces right."""

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


def stream(seed: int, *names: object) -> random.Random:
    """Random numbers that depend on the seed and the names alone."""
    return random.Random("/".join(["passerby", str(seed), *map(str, names)]))


def check_force(force: Mapping[str, bool] | None) -> dict[str, bool]:
    """Refuse unknown attributes and contradictions.

    Raises:
        ConfigError: If a name is none of the 26 or two exclusive attributes are both forced to be present.
    """
    chosen = dict(force or {})
    unknown = sorted(set(chosen) - set(ATTRIBUTES))
    if unknown:
        raise ConfigError(f"force: no attribute {unknown[0]!r}; expected some of {', '.join(ATTRIBUTES)}")
    for group in _EXCLUSIVE:
        both = [name for name in group if chosen.get(name)]
        if len(both) > 1:
            raise ConfigError(f"force: {both[0]} and {both[1]} exclude each other; ask for one of them")
        if all(chosen.get(name) is False for name in group):
            raise ConfigError(f"force: one of {', '.join(group)} has to be present; leave one of them free")
    if chosen.get("LongCoat") and chosen.get("ShortSleeve"):
        raise ConfigError("force: a LongCoat has long sleeves; ask for LongCoat or ShortSleeve")
    return chosen


def create_identity(config: SynthConfig, seed: int, number: int, force: Mapping[str, bool]) -> Identity:
    """The identity of that number."""
    dice = stream(seed, "identity", number)
    wears = _choose_attributes(config, dice, force)
    female, old, child = wears["Female"], wears["AgeOver60"], wears["AgeLess18"]
    look = {
        name: dice.random() for name in ("style", "hat", "bald", "beard", "scarf", "dress", "tuck", "grey")
    }
    shape = dice.gauss(0.0, 1.0)
    stature = dice.gauss(0.0, 0.02)
    styles = palettes.FEMALE_HAIR if female else palettes.MALE_HAIR
    style = styles[int(look["style"] * len(styles))]
    if old and not female and look["bald"] < 0.5:
        style = "bald"
    elif old and female and style in ("pony", "long"):
        style = "bun"
    hair = palettes.HAIR[int(dice.random() * len(palettes.HAIR))]
    grey = palettes.GREY_HAIR[int(look["grey"] * len(palettes.GREY_HAIR))]
    hair = grey if old else hair
    skirt = wears["Skirt&Dress"]
    colours = palettes.create_outfit(dice)
    if sum(abs(a - b) for a, b in zip(colours["hat"], hair, strict=True)) < 120:  # a hat has to show
        colours["hat"] = mix(hair, (214, 69, 65) if sum(hair) > 450 else (248, 236, 214), 0.8)
    return Identity(
        wears=wears,
        skin=palettes.SKIN[int(dice.random() * len(palettes.SKIN))],
        hair=hair,
        hair_style=style,
        beard=not female and not child and look["beard"] < 0.3,
        hat_style=("cap", "beanie", "brim", "cap")[int(look["hat"] * 4)],
        scarf=look["scarf"] < (0.5 if wears["LongCoat"] else 0.06),
        dress=skirt and not wears["LongCoat"] and not wears["UpperSplice"] and look["dress"] < 0.5,
        tucked=not wears["LongCoat"] and (look["tuck"] < (0.6 if skirt else 0.25)),
        glasses_dark=dice.random() < 0.4,
        logo_style=int(dice.random() * 4),
        pattern_style=int(dice.random() * 3),
        colours=colours,
        girth=min(1.32, max(0.86, 1.0 + 0.09 * shape)),
        stature=stature,
        side=1 if dice.random() < 0.5 else -1,
    )


def _choose_attributes(
    config: SynthConfig, dice: random.Random, force: Mapping[str, bool]
) -> dict[str, bool]:
    wears = {name: dice.random() < _blend(config, pair) for name, pair in _RATES.items()}
    wears |= {name: value for name, value in force.items() if name in wears}
    for options in (_AGES, _UPPERS, _LOWERS):
        chosen = _choose_one(config, dice, options, force)
        wears |= {name: name == chosen for name in options if name}
    if "LongSleeve" in force and "ShortSleeve" not in force:
        wears["ShortSleeve"] = not force["LongSleeve"]
    if wears["LongCoat"]:
        if force.get("ShortSleeve") or force.get("LongSleeve") is False:
            wears["LongCoat"] = False
        else:
            wears["ShortSleeve"] = False
    wears["LongSleeve"] = not wears["ShortSleeve"]
    return wears


def _choose_one(
    config: SynthConfig,
    dice: random.Random,
    options: Mapping[str, tuple[float, float]],
    force: Mapping[str, bool],
) -> str:
    point = dice.random()
    for name in options:
        if force.get(name):
            return name
    weights = {name: _blend(config, pair) for name, pair in options.items() if force.get(name) is not False}
    point *= sum(weights.values())
    for name, weight in weights.items():
        point -= weight
        if point < 0:
            return name
    return next(reversed(weights))


def _blend(config: SynthConfig, pair: tuple[float, float]) -> float:
    return pair[0] * (1.0 - config.imbalance) + pair[1] * config.imbalance


def create_camera(config: SynthConfig, seed: int, number: int) -> Camera:
    """The camera of that number."""
    dice = stream(seed, "camera", number)
    warmth, green = dice.uniform(-1, 1), dice.uniform(-0.4, 0.4)
    strength = 0.02 + 0.07 * config.difficulty
    return Camera(
        number=number,
        pitch=dice.uniform(0.10, 0.2),
        yaw_offset=dice.uniform(-8, 8),
        favourite=dice.choice(tuple(_YAWS)),
        tint=(1.0 + strength * warmth, 1.0 + strength * green, 1.0 - strength * warmth),
        gamma=1.0 + 0.35 * config.difficulty * dice.uniform(-0.8, 1.0),
        softness=config.difficulty * dice.uniform(0.0, 1.0),
        noise=config.difficulty * dice.uniform(0.2, 1.0),
        coarseness=config.difficulty * dice.uniform(0.0, 1.0),
    )


def create_view(
    config: SynthConfig, dice: random.Random, who: tuple[Identity, Camera], force: Mapping[str, bool]
) -> View:
    """How this identity passes this camera; `dice` is the stream of the picture's index."""
    identity, camera = who
    free = dict.fromkeys(_YAWS, (1.0, 1.0))
    free[camera.favourite] = (1.8, 1.8)
    direction = _choose_one(config, dice, free, force)
    spread = 20.0 + 22.0 * config.difficulty
    yaw = _YAWS[direction] * (1 if dice.random() < 0.5 else -1)
    yaw += max(-42.0, min(42.0, camera.yaw_offset + dice.uniform(-spread, spread)))
    old = identity.wears["AgeOver60"]
    hard = config.difficulty
    return View(
        direction=direction,
        yaw=yaw,
        head_turn=dice.uniform(-18, 18),
        stride=dice.uniform(12, 27) * (0.65 if old else 1.0),
        phase=dice.choice((-1.0, 1.0)) * dice.uniform(0.35, 1.0),
        standing=dice.random() < 0.25,
        arm_spread=dice.uniform(5, 13),
        hold=identity.wears["HoldObjectsInFront"],
        held_style=int(dice.random() * 4),
        centre=0.5 + dice.uniform(-1, 1) * (0.03 + 0.07 * hard),
        height=dice.uniform(0.86, 0.93)
        - 0.1 * hard * dice.random()
        - (0.05 if identity.wears["AgeLess18"] else 0),
        cut=max(0.0, dice.uniform(-3.0, 1.0)) * 0.2 * hard,
    )
