"""Colour palettes of people and scenes."""

from __future__ import annotations

import random

from passerby.synthetic.canvas import Colour, mix

__all__ = [
    "FEMALE_HAIR",
    "GREY_HAIR",
    "HAIR",
    "MALE_HAIR",
    "SCENES",
    "SKIN",
    "create_outfit",
    "from_hex",
]

FEMALE_HAIR = ("long", "long", "pony", "bun", "bob", "curly")
MALE_HAIR = ("short", "short", "crew", "quiff", "curly")


def from_hex(*codes: str) -> tuple[Colour, ...]:
    """Colours from their six hexadecimal digits.

    Example:
        >>> from_hex("ff8000")
        ((255, 128, 0),)
    """
    return tuple((int(c[0:2], 16), int(c[2:4], 16), int(c[4:6], 16)) for c in codes)


SKIN = from_hex("f6d3b8", "eebf9c", "e2a87f", "cf9068", "b27550", "8c5a3c", "6a4330", "f2c9a6")
HAIR = from_hex("2a2430", "3b2a26", "57392a", "7c5233", "a8713f", "cf9d57", "1d1f2b", "8b3f2c", "4a3a45")
GREY_HAIR = from_hex("e9e6e2", "cfccd0", "b3b3ba", "f2efe8", "c2bcb4")

# Each outfit: upper, accent, lower, shoes, bag; the colours match.
OUTFITS = tuple(
    from_hex(*codes.split())
    for codes in (
        "e4572e f6e7cb 2e3a59 f3efe6 8a5a3b",
        "f2b134 23395b 3d5a80 f7f3e9 b5502f",
        "2a9d8f f4e3b2 264653 e9c46a 7a4b2e",
        "e8e3d9 d1495b 4f6d8f 3a2e39 c98b4b",
        "6d597a f1d5b8 355070 f5f0e8 b56576",
        "d1495b fbe6d4 30475e f0ede5 5c4742",
        "8ab0ab f8efe0 4a4e69 c97c5d 6b4f3a",
        "f4f1ea 457b9d 1d3557 d9614c a47148",
        "3a6ea5 fbd87f 40434e efeae0 9c6644",
        "f28482 fdf3e1 3b5f6b 84593f d8a24a",
        "84a59d f7d08a 5b5f71 ede6da 7d5a50",
        "283d5b e9b44c 8d99ae c8553d a9673f",
        "b5838d fff1dc 4c566a 2f2f3b 6d4c41",
        "588157 f2e8cf 6b705c ddbea9 9a5b3c",
        "ffb5a7 5e548e 4a5a86 fefae0 8a5a44",
        "4ea8de fdf0d5 2b3a67 f26a4b 8d6b4f",
        "c9ada7 4a4e69 22223b f2e9e4 9a6a4f",
        "7f5539 ede0d4 3f4a3c 2f2a28 c58940",
    )
)

# Each scene: sky, far, wall, trim, ground, kerb, leaf.
SCENES = tuple(
    from_hex(*codes.split())
    for codes in (
        "dcebf2 b9cfd8 e9dcc9 b07d62 cfc8be b4aca3 8fae8b",
        "f7e6d4 e3c4b0 d9a78b 8c5a4b d7cabf bdaea2 9aa981",
        "cfe3ea a9c3cc c3ced3 5f7f8c c5c9cb a8afb3 7fa08f",
        "f3ead9 d6cdb8 bfc9b2 7a8a6b d8d0bf bcb39f 88a678",
        "e2e0ee bfbdd4 b3a9c4 6f6390 cbc7d2 aeaab8 93a99c",
        "fbe9d8 eccab1 e8d5bd c96f53 d3c6b8 b8a999 a3ad7f",
        "d5e8e4 abcac6 dfe5dc 4f8a86 c9cfca abb3ae 79a58a",
        "e8edf0 c4cdd4 a9b4bf 54606e bfc3c7 9fa5ab 8aa399",
    )
)


def create_outfit(rng: random.Random) -> dict[str, Colour]:
    """Colours of the clothes and objects of one person, by role."""
    upper, accent, lower, shoes, bag = OUTFITS[int(rng.random() * len(OUTFITS))]
    other = OUTFITS[int(rng.random() * len(OUTFITS))]
    if rng.random() < 0.3:  # sometimes trousers of another outfit
        lower = other[2]
    hat = (accent, upper, other[0], bag)[int(rng.random() * 4)]
    return {
        "upper": upper,
        "accent": accent,
        "lower": lower,
        "trim": mix(accent, (255, 255, 255), 0.25),
        "shoes": shoes,
        "boots": mix(bag, (40, 24, 24), 0.45),
        "bag": bag,
        "pack": other[0] if rng.random() < 0.5 else mix(lower, bag, 0.6),
        "hat": hat,
        "held": other[1],
        "scarf": other[0],
        "logo": (255, 250, 240) if sum(upper) < 480 else (196, 54, 66),
        "logo_ground": (196, 54, 66) if sum(upper) < 480 else (250, 244, 232),
        "coat": (other[0], mix(bag, (225, 205, 180), 0.45), lower, upper)[int(rng.random() * 4)],
    }
