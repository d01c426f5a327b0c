"""The numbers of NumPy's own Philox, for many rows at once."""

from __future__ import annotations

import numpy as np
import pytest

from passerby.data.streams import draw_uniform

ROWS = np.array([0, 1, 7, 2**31, 2**40, 99_999])


@pytest.mark.parametrize("count", [1, 4, 5, 21])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (3, 5), (2**32 - 1, 1000), (2**63, 2**64 - 1)])
def test_numbers_are_those_of_numpy(seed: int, epoch: int, count: int) -> None:
    key = np.array([seed, epoch], np.uint64)
    streams = [np.random.Philox(key=key, counter=[0, 0, 0, int(row)]) for row in ROWS]
    expected = [np.random.Generator(stream).random(count) for stream in streams]
    drawn = draw_uniform(ROWS, count, seed=seed, epoch=epoch)
    assert drawn.dtype == np.float64
    np.testing.assert_array_equal(drawn, expected)


def test_no_rows_draw_nothing() -> None:
    assert draw_uniform(np.zeros(0, np.int64), 21, seed=0, epoch=0).shape == (0, 21)
