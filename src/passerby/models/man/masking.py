"""Hard attention: the features of the background are set to zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["mask_features", "resize_masks"]


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize masks to the size of a map: a cell is foreground if at least half of its area is.

    If no cell reaches half, the cells with the largest share are foreground. An empty mask counts as missing:
    all cells are foreground.

    Paper: MAN (2020), section 4.4, "masks are resized to have the same size as the corresponding feature
    maps" and stay binary; the method of resizing is not stated.

    Shape:
        masks: (N, 1, H, W) float in [0, 1], 1 on the person.
        returns: (N, 1, h, w) float, 0 or 1.

    Example:
        >>> resize_masks(torch.tensor([[[[1.0, 1, 0, 0], [0, 1, 0, 1]]]]), (1, 2))
        tensor([[[[1., 0.]]]])
    """
    shares = _average(_average(masks, size[1]).transpose(2, 3), size[0]).transpose(2, 3)
    least = shares.amax((2, 3), keepdim=True).clamp(max=0.5)
    return (shares >= least - 1e-4).to(masks.dtype)


def mask_features(features: Tensor, masks: Tensor) -> Tensor:
    """The attention glimpses G = M ⊙ F of section 3.4; the background has neither features nor gradients.

    Shape:
        features: (N, C, h, w). masks: (N, 1, H, W) float in [0, 1].
        returns: (N, C, h, w).
    """
    size = (features.shape[2], features.shape[3])
    cells = resize_masks(masks.float(), size)
    # Selected, not multiplied: 0 · ∞ and 0 · NaN would be NaN.
    return torch.where(cells > 0, features, torch.zeros((), dtype=features.dtype, device=features.device))


def _average(values: Tensor, cells: int) -> Tensor:
    """Means over cells of equal length along the last axis; cell borders may lie inside a pixel."""
    pixels = values.shape[-1]
    edges = [cell * pixels / cells for cell in range(cells + 1)]
    first = [min(int(edge), pixels - 1) for edge in edges]
    fraction = torch.tensor([edge - pixel for edge, pixel in zip(edges, first, strict=True)]).to(values)
    # No matrix product: mixed precision would round its factors.
    sums = nn.functional.pad(values, (1, 0)).cumsum(-1)
    until = sums[..., first] + values[..., first] * fraction  # (…, cells + 1), the sum up to each edge
    return (until[..., 1:] - until[..., :-1]) * (cells / pixels)
