"""Independent streams of random numbers."""

from __future__ import annotations

import random

__all__ = ["create_rng"]


def create_rng(seed: int, *names: object) -> random.Random:
    """Random numbers that depend on nothing but the seed and the names."""
    return random.Random("/".join(["passerby", str(seed), *map(str, names)]))
