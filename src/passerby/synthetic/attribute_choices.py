"""Random choice of the attributes of an identity, by their rates and the forced ones."""

from __future__ import annotations

import random
from collections.abc import Mapping

from passerby.errors import ConfigError
from passerby.synthetic.config import ATTRIBUTES, SynthConfig

__all__ = ["YAWS", "check_force", "choose_attributes", "choose_one"]

# Rates of presence: balanced, and long-tailed as on a street (our own round numbers).
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
YAWS = {"Front": 0.0, "Side": 90.0, "Back": 180.0}
"""Yaw of each viewpoint in degrees."""

_EXCLUSIVE = (tuple(_AGES), tuple(_UPPERS), tuple(_LOWERS), tuple(YAWS), ("ShortSleeve", "LongSleeve"))


def check_force(force: Mapping[str, bool] | None) -> dict[str, bool]:
    """Refuse unknown attributes and contradictions.

    Raises:
        ConfigError: If a name is not one of the 26, or two exclusive attributes are both forced.
    """
    chosen = dict(force or {})
    unknown = sorted(set(chosen) - set(ATTRIBUTES))
    if unknown:
        raise ConfigError(f"force: no attribute {unknown[0]!r}; expected some of {', '.join(ATTRIBUTES)}")
    for group in _EXCLUSIVE:
        both = [name for name in group if chosen.get(name)]
        if len(both) > 1:
            raise ConfigError(f"force: {both[0]} and {both[1]} exclude each other; force only one of them")
        if all(chosen.get(name) is False for name in group):
            raise ConfigError(f"force: one of {', '.join(group)} must be present; leave out one of them")
    if chosen.get("LongCoat") and chosen.get("ShortSleeve"):
        raise ConfigError("force: a LongCoat has long sleeves; force LongCoat or ShortSleeve, not both")
    return chosen


def choose_attributes(config: SynthConfig, rng: random.Random, force: Mapping[str, bool]) -> dict[str, bool]:
    """Draw the presence of each attribute of an identity, except for the viewpoint."""
    attributes = {name: rng.random() < _blend(config, pair) for name, pair in _RATES.items()}
    attributes |= {name: value for name, value in force.items() if name in attributes}
    for options in (_AGES, _UPPERS, _LOWERS):
        chosen = choose_one(config, rng, options, force)
        attributes |= {name: name == chosen for name in options if name}
    if "LongSleeve" in force and "ShortSleeve" not in force:
        attributes["ShortSleeve"] = not force["LongSleeve"]
    if attributes["LongCoat"]:
        if force.get("ShortSleeve") or force.get("LongSleeve") is False:
            attributes["LongCoat"] = False
        else:
            attributes["ShortSleeve"] = False
    attributes["LongSleeve"] = not attributes["ShortSleeve"]
    return attributes


def choose_one(
    config: SynthConfig,
    rng: random.Random,
    options: Mapping[str, tuple[float, float]],
    force: Mapping[str, bool],
) -> str:
    """Draw one of several exclusive options by their rates; forced ones take precedence."""
    point = rng.random()
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
