"""Hard attention (MAN, section 3.4) against cells, pixels and their overlaps counted one by one."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from passerby.models.man.masking import mask_features, resize_masks

SIZES = [
    ((256, 256), (16, 16)),  # of the paper
    ((128, 128), (16, 16)),  # of the light variant
    ((64, 48), (5, 3)),  # cell borders within pixels, along one axis
    ((37, 29), (6, 7)),  # and along both axes
    ((100, 60), (7, 4)),
    ((9, 11), (9, 11)),  # equal sizes
    ((3, 2), (8, 5)),  # cells smaller than pixels
    ((4, 30), (8, 4)),  # smaller along one axis, larger along the other
    ((5, 7), (1, 1)),
]

each_size = pytest.mark.parametrize(("pixels", "cells"), SIZES)

Grid = list[list[float]]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def speckles(size: tuple[int, int], count: int = 3) -> Tensor:
    """Random pixels, about half of them foreground: all cells are close to the threshold."""
    return (draw(count, 1, *size, seed=1) > 0.5).float()


def ellipses(size: tuple[int, int], count: int = 3) -> Tensor:
    """Masks of one ellipse each, at random positions."""
    shares = draw(4, count, 1, 1, seed=2)
    rows = (torch.arange(size[0]) + 0.5)[None, :, None] / size[0]
    columns = (torch.arange(size[1]) + 0.5)[None, None] / size[1]
    down = (rows - 0.3 - 0.4 * shares[0]) / (0.2 + 0.3 * shares[1])
    across = (columns - 0.3 - 0.4 * shares[2]) / (0.1 + 0.3 * shares[3])
    return (down.square() + across.square() <= 1).float()[:, None]


# --- the oracle: exact areas, in units of which a pixel is h by w and a cell H by W ---


def loop_overlap(cell: int, cells: int, pixel: int, pixels: int) -> int:
    """Overlap of a cell and a pixel along one side of the image."""
    return max(0, min((cell + 1) * pixels, (pixel + 1) * cells) - max(cell * pixels, pixel * cells))


def loop_share(mask: Grid, cell: tuple[int, int], size: tuple[int, int]) -> Fraction:
    """Fraction of a cell's area that is foreground."""
    (row, column), (h, w), (height, width) = cell, size, (len(mask), len(mask[0]))
    lines = {y: length for y in range(height) if (length := loop_overlap(row, h, y, height))}
    overlaps = {x: length for x in range(width) if (length := loop_overlap(column, w, x, width))}
    area: Fraction | int = 0
    for y, down in lines.items():
        for x, across in overlaps.items():
            if mask[y][x] == 1:
                area += down * across
            elif mask[y][x]:
                area += down * across * Fraction(mask[y][x])
    return Fraction(area, height * width)


def loop_resize(mask: Grid, size: tuple[int, int]) -> Grid:
    shares = [[loop_share(mask, (row, column), size) for column in range(size[1])] for row in range(size[0])]
    least = min(Fraction(1, 2), max(map(max, shares)))
    return [[float(share >= least) for share in line] for line in shares]


def loop_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.tensor([[loop_resize(mask[0].tolist(), size)] for mask in masks])


# --- masks at the map's size ---


@each_size
def test_resizing_in_a_loop(pixels: tuple[int, int], cells: tuple[int, int]) -> None:
    for masks in (speckles(pixels), ellipses(pixels)):
        resized = resize_masks(masks, cells)
        assert resized.shape == (3, 1, *cells)
        assert resized.dtype == torch.float32
        assert torch.equal(resized, loop_masks(masks, cells))


@pytest.mark.parametrize("pixels", [(64, 48), (37, 29), (3, 2)])
def test_soft_masks_in_a_loop(pixels: tuple[int, int]) -> None:
    """A mask value of 0.5 counts half; the result is binary."""
    masks = draw(3, 1, *pixels, seed=3)
    resized = resize_masks(masks, (5, 4))
    assert set(resized.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(resized, loop_masks(masks, (5, 4)))


def test_resizing_by_hand() -> None:
    mask = torch.tensor([[[[1.0, 1, 0, 1, 1, 1], [1, 0, 0, 0, 1, 0]]]])
    assert resize_masks(mask, (1, 3)).tolist() == [[[[1, 0, 1]]]]  # 3, 1 and 3 of 4
    assert resize_masks(mask, (2, 2)).tolist() == [[[[1, 1], [0, 0]]]]  # 2, 3, 1 and 1 of 3
    assert resize_masks(mask, (1, 1)).tolist() == [[[[1]]]]  # 7 of 12
    # Cells of 1.5 pixels: 1 + 1/2, 0 + 1/2, 1 + 1/2 and 1 + 1/2 above, 1, 0, 1/2 and 1/2 below, of 3/2.
    assert resize_masks(mask, (2, 4)).tolist() == [[[[1, 0, 1, 1], [1, 0, 0, 0]]]]


@pytest.mark.parametrize("side", range(2, 61, 2))
def test_a_cell_is_foreground_from_half_of_its_area_on(side: int) -> None:
    """The upper or the left half of each cell, then one pixel less in one of them."""
    cells = torch.zeros(2, 1, 3, side, 2, side)
    cells[0, :, :, : side // 2] = 1
    cells[1, ..., : side // 2] = 1
    masks = cells.reshape(2, 1, 3 * side, 2 * side)
    assert resize_masks(masks, (3, 2)).tolist() == [[[[1, 1]] * 3]] * 2
    masks[..., side, side] = 0  # a corner of the second cell of the second row
    assert resize_masks(masks, (3, 2)).tolist() == [[[[1, 1], [1, 0], [1, 1]]]] * 2


@pytest.mark.parametrize("side", [3, 7, 12, 50])
def test_a_soft_mask_of_half_counts_half(side: int) -> None:
    masks = torch.zeros(1, 1, 2 * side, side)
    masks[:, :, :side] = 0.5
    assert resize_masks(masks, (2, 1)).tolist() == [[[[1], [0]]]]
    masks[:, :, :side] = 0.498
    masks[:, :, side:] = 0.502
    assert resize_masks(masks, (2, 1)).tolist() == [[[[0], [1]]]]


@pytest.mark.parametrize(("pixels", "cells"), [((64, 48), (4, 3)), ((64, 48), (5, 3)), ((3, 2), (8, 5))])
def test_an_empty_mask_counts_as_all_ones(pixels: tuple[int, int], cells: tuple[int, int]) -> None:
    assert bool((resize_masks(torch.zeros(2, 1, *pixels), cells) == 1).all())
    faint = torch.full((1, 1, *pixels), 0.4)  # below half, and constant
    assert bool((resize_masks(faint, cells) == 1).all())


def test_only_the_empty_masks_of_a_batch_are_filled() -> None:
    masks = torch.zeros(5, 1, 32, 32)
    masks[1, :, :16, :16] = 1  # one cell of 2×2
    masks[2, :, 8:24, 8:18] = 1  # less than half of every cell, mostly on the left
    masks[4, :, :, :] = 1
    full = [[1, 1], [1, 1]]
    expected = [[full], [[[1, 0], [0, 0]]], [[[1, 0], [1, 0]]], [full], [full]]
    assert resize_masks(masks, (2, 2)).tolist() == expected
    for n in range(5):
        assert resize_masks(masks[n : n + 1], (2, 2)).tolist() == [expected[n]]
    assert resize_masks(masks, (4, 4))[2].sum() == 2  # at a larger map, half of some cells


def test_resizing_does_not_change_its_input() -> None:
    masks = speckles((64, 48))
    before = masks.clone()
    resize_masks(masks, (5, 3))
    mask_features(torch.ones(3, 2, 5, 3), masks)
    assert torch.equal(masks, before)


def test_resizing_in_double_precision() -> None:
    masks = speckles((37, 29)).double()
    resized = resize_masks(masks, (6, 7))
    assert resized.dtype == torch.float64
    assert torch.equal(resized, loop_masks(masks, (6, 7)).double())


# --- the product ---


def loop_product(features: Tensor, masks: Tensor) -> Tensor:
    """G = M ⊙ F, position by position."""
    count, channels, h, w = features.shape
    out = torch.zeros_like(features)
    for n in range(count):
        cells = loop_resize(masks[n, 0].tolist(), (h, w))
        for c in range(channels):
            for y in range(h):
                for x in range(w):
                    if cells[y][x]:
                        out[n, c, y, x] = features[n, c, y, x]
    return out


@pytest.mark.parametrize(("pixels", "cells"), [((64, 64), (4, 4)), ((64, 48), (5, 3)), ((3, 2), (8, 5))])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_product_in_a_loop(dtype: torch.dtype, pixels: tuple[int, int], cells: tuple[int, int]) -> None:
    features = (draw(3, 4, *cells, seed=4) - 0.5).to(dtype)
    masks = speckles(pixels)
    masks[1] = 0  # missing
    glimpses = mask_features(features, masks)
    assert glimpses.dtype == dtype
    assert torch.equal(glimpses, loop_product(features, masks))
    assert torch.equal(glimpses[1], features[1])
    assert bool((glimpses == 0).any())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_masks_of_other_types_give_the_same_result(dtype: torch.dtype) -> None:
    features, masks = draw(3, 2, 7, 4, seed=5), speckles((100, 60))
    assert torch.equal(mask_features(features, masks.to(dtype)), mask_features(features, masks))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 3e38])
def test_the_background_has_neither_features_nor_gradients(value: float) -> None:
    masks = ellipses((64, 48))
    background = (loop_masks(masks, (5, 3)) == 0).expand(3, 4, 5, 3)
    assert 0 < background.sum() < background.numel()
    clean = draw(3, 4, 5, 3, seed=6)
    features = clean.masked_fill(background, value).requires_grad_()
    glimpses = mask_features(features, masks)
    assert bool((glimpses[background] == 0).all())
    assert torch.equal(glimpses[~background], clean[~background])
    upstream = draw(3, 4, 5, 3, seed=7) + 0.5
    (gradient,) = torch.autograd.grad(glimpses, features, upstream)
    assert bool((gradient[background] == 0).all())
    assert torch.equal(gradient[~background], upstream[~background])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_the_foreground_keeps_any_value(value: float) -> None:
    features, masks = torch.full((1, 1, 2, 2), value), torch.zeros(1, 1, 8, 8)
    masks[..., :4, :] = 1
    glimpses = mask_features(features, masks)
    torch.testing.assert_close(
        glimpses, torch.tensor([[[[value, value], [0.0, 0.0]]]]), rtol=0, atol=0, equal_nan=True
    )


def test_a_non_finite_gradient_does_not_reach_the_background() -> None:
    masks = ellipses((64, 48))
    background = (loop_masks(masks, (5, 3)) == 0).expand(3, 4, 5, 3)
    features = draw(3, 4, 5, 3, seed=8).requires_grad_()
    upstream = torch.ones(3, 4, 5, 3).masked_fill(background, math.nan)
    (gradient,) = torch.autograd.grad(mask_features(features, masks), features, upstream)
    assert torch.equal(gradient, (~background).float())


def test_a_soft_mask_scales_nothing() -> None:
    """Hard attention: features are kept unchanged or set to zero."""
    features, masks = torch.full((1, 2, 2, 2), 3.0), torch.zeros(1, 1, 8, 8)
    masks[..., :4, :] = 0.7
    assert mask_features(features, masks).tolist() == [[[[3.0, 3.0], [0.0, 0.0]]] * 2]


def test_each_image_has_its_own_mask() -> None:
    features, masks = draw(4, 2, 4, 3, seed=9) + 1, ellipses((64, 48), count=4)
    together = mask_features(features, masks)
    for n in range(4):
        assert torch.equal(together[n : n + 1], mask_features(features[n : n + 1], masks[n : n + 1]))
    assert len({tuple((glimpse == 0).flatten().tolist()) for glimpse in together}) > 1


def assert_same_cells_in(dtype: torch.dtype, pixels: tuple[int, int], cells: tuple[int, int]) -> None:
    features = torch.ones(3, 1, *cells, dtype=dtype)
    for masks in (speckles(pixels), ellipses(pixels)):
        with torch.autocast("cpu", dtype=dtype):
            glimpses = mask_features(features, masks)
        assert torch.equal(glimpses.float(), loop_masks(masks, cells))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("pixels", "cells"), [((128, 96), (8, 6)), ((64, 64), (8, 8))])
def test_mixed_precision_keeps_the_same_cells(
    pixels: tuple[int, int], cells: tuple[int, int], dtype: torch.dtype
) -> None:
    assert_same_cells_in(dtype, pixels, cells)


@pytest.mark.parametrize(("pixels", "cells"), [((100, 60), (7, 4)), ((64, 48), (5, 3))])
def test_mixed_precision_keeps_the_same_cells_with_borders_within_pixels(
    pixels: tuple[int, int], cells: tuple[int, int]
) -> None:
    assert_same_cells_in(torch.bfloat16, pixels, cells)
