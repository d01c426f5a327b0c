"""Random numbers for many rows at once, each row from a separate stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_uniform"]

Words = NDArray[np.uint64]

_MULTIPLIERS: Words = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64).reshape(2, 1, 1)
_KEY_STEPS: Words = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], np.uint64)
_ROUNDS = 10
_LOW = 2**32 - 1


def draw_uniform(rows: NDArray[np.int64], count: int, *, seed: int, epoch: int) -> NDArray[np.float64]:
    """The first numbers of each row's stream in an epoch, uniform in [0, 1).

    They equal `Generator(Philox(key=[seed, epoch], counter=[0, 0, 0, row])).random(count)` of NumPy. A
    separate generator for each row would take a third of the time that a fast GPU needs for the batch.

    *Paper*: Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

    Shape:
        rows: (N,), 0 or more. Returns (N, count).

    Example:
        >>> stream = np.random.Generator(np.random.Philox(key=[3, 5], counter=[0, 0, 0, 7]))
        >>> bool((draw_uniform(np.array([7]), 6, seed=3, epoch=5) == stream.random(6)).all())
        True
    """
    n, blocks = len(rows), -(-count // 4)
    even, odd = np.zeros((2, 2, n, blocks), np.uint64)  # words 0 and 2, words 1 and 3 of each block of four
    even[0] = np.arange(1, blocks + 1)  # the counter is incremented before each block
    odd[1] = rows[:, None]
    key = np.array([seed, epoch], np.uint64)
    keys = key + np.arange(_ROUNDS, dtype=np.uint64)[:, None] * _KEY_STEPS  # (rounds, 2), modulo 2^64
    for key in keys.reshape(_ROUNDS, 2, 1, 1):
        high, low = _multiply(even)
        even, odd = high[::-1] ^ odd ^ key, low[::-1]
    words = np.stack((even, odd)).transpose(2, 3, 1, 0).reshape(n, 4 * blocks)
    return (words[:, :count] >> 11).astype(np.float64) * 2.0**-53


def _multiply(words: Words) -> tuple[Words, Words]:
    """The upper and lower 64 bits of the products, from products of 32-bit halves."""
    factor_high, factor_low = _MULTIPLIERS >> 32, _MULTIPLIERS & _LOW
    high, low = words >> 32, words & _LOW
    middle = factor_high * low + (factor_low * low >> 32)
    lower_middle = factor_low * high + (middle & _LOW)
    return factor_high * high + (middle >> 32) + (lower_middle >> 32), _MULTIPLIERS * words
