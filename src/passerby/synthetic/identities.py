"""Identities: the properties of a person that all of their images share.

Every random choice is made whether it is needed or not, from random streams that belong to the identity, the
view and the camera. Forcing one attribute therefore leaves everything else in the image unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passerby.synthetic import palettes
from passerby.synthetic.attribute_choices import choose_attributes
from passerby.synthetic.canvas import Colour, mix
from passerby.synthetic.config import SynthConfig
from passerby.synthetic.rng import create_rng

__all__ = ["Identity", "create_identity"]


@dataclass(frozen=True)
class Identity:
    """Properties of a person that all of their images share."""

    attributes: Mapping[str, bool]
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


def create_identity(config: SynthConfig, seed: int, number: int, force: Mapping[str, bool]) -> Identity:
    """Create the identity of a number."""
    rng = create_rng(seed, "identity", number)
    attributes = choose_attributes(config, rng, force)
    female, old, child = attributes["Female"], attributes["AgeOver60"], attributes["AgeLess18"]
    draws = {
        name: rng.random() for name in ("style", "hat", "bald", "beard", "scarf", "dress", "tuck", "grey")
    }
    shape = rng.gauss(0.0, 1.0)
    stature = rng.gauss(0.0, 0.02)
    styles = palettes.FEMALE_HAIR if female else palettes.MALE_HAIR
    style = styles[int(draws["style"] * len(styles))]
    if old and not female and draws["bald"] < 0.5:
        style = "bald"
    elif old and female and style in ("pony", "long"):
        style = "bun"
    hair = palettes.HAIR[int(rng.random() * len(palettes.HAIR))]
    grey = palettes.GREY_HAIR[int(draws["grey"] * len(palettes.GREY_HAIR))]
    hair = grey if old else hair
    skirt = attributes["Skirt&Dress"]
    colours = palettes.create_outfit(rng)
    if sum(abs(a - b) for a, b in zip(colours["hat"], hair, strict=True)) < 120:  # hat and hair must differ
        colours["hat"] = mix(hair, (214, 69, 65) if sum(hair) > 450 else (248, 236, 214), 0.8)
    return Identity(
        attributes=attributes,
        skin=palettes.SKIN[int(rng.random() * len(palettes.SKIN))],
        hair=hair,
        hair_style=style,
        beard=not female and not child and draws["beard"] < 0.3,
        hat_style=("cap", "beanie", "brim", "cap")[int(draws["hat"] * 4)],
        scarf=draws["scarf"] < (0.5 if attributes["LongCoat"] else 0.06),
        dress=skirt and not attributes["LongCoat"] and not attributes["UpperSplice"] and draws["dress"] < 0.5,
        tucked=not attributes["LongCoat"] and (draws["tuck"] < (0.6 if skirt else 0.25)),
        glasses_dark=rng.random() < 0.4,
        logo_style=int(rng.random() * 4),
        pattern_style=int(rng.random() * 3),
        colours=colours,
        girth=min(1.32, max(0.86, 1.0 + 0.09 * shape)),
        stature=stature,
        side=1 if rng.random() < 0.5 else -1,
    )
