"""What tests compute in loops over plain floats, to compare with."""

from __future__ import annotations


def loop_bilinear(values: list[list[float]], height: int, width: int) -> list[list[float]]:
    """Resize; centres of cells lie at half numbers, and the edge goes on beyond the outermost."""

    def find(i: int, size: int, cells: int) -> tuple[int, int, float]:
        at = min(max((i + 0.5) * cells / size - 0.5, 0.0), cells - 1.0)
        return int(at), min(int(at) + 1, cells - 1), at - int(at)

    found = []
    for y in range(height):
        top, below, v = find(y, height, len(values))
        row = []
        for x in range(width):
            left, right, u = find(x, width, len(values[0]))
            upper = (1 - u) * values[top][left] + u * values[top][right]
            lower = (1 - u) * values[below][left] + u * values[below][right]
            row.append((1 - v) * upper + v * lower)
        found.append(row)
    return found
