"""Hard attention: the features of the background are multiplied by zero."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mask_features", "resize_masks"]


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at the size of a map: a cell is the person's if at least half of its area is.

    A mask without a single such cell counts as missing: all of its cells become the person's.

    Paper: MAN (2020), section 4.4, "masks are resized to have the same size as the corresponding feature
    maps" and stay binary; how is ours.

    Shape:
        masks: (N, 1, H, W) float in [0, 1], 1 on the person.
        returns: (N, 1, h, w) float, 0 or 1.

    Example:
        >>> resize_masks(torch.tensor([[[[1.0, 1, 0, 0], [0, 1, 0, 1]]]]), (1, 2))
        tensor([[[[1., 0.]]]])
    """
    rows = _overlap(masks.shape[2], size[0], like=masks)  # (h, H)
    columns = _overlap(masks.shape[3], size[1], like=masks)  # (w, W)
    cells = (rows @ masks @ columns.T >= 0.5 - 1e-4).to(masks.dtype)
    empty = (cells.amax((2, 3), keepdim=True) == 0).to(masks.dtype)
    return cells + empty


def mask_features(features: Tensor, masks: Tensor) -> Tensor:
    """The attention glimpses G = M ⊙ F of section 3.4; nothing of the background is left, nor a gradient.

    Shape:
        features: (N, C, h, w). masks: (N, 1, H, W) float in [0, 1].
        returns: (N, C, h, w).
    """
    size = (features.shape[2], features.shape[3])
    cells = resize_masks(masks.float(), size)
    # Chosen, not multiplied: 0 · ∞ and 0 · NaN would let the background through.
    return torch.where(cells > 0, features, torch.zeros((), dtype=features.dtype, device=features.device))


def _overlap(pixels: int, cells: int, *, like: Tensor) -> Tensor:
    """Which share of each cell's length lies on each pixel, (cells, pixels); each row sums to 1."""
    length = pixels / cells
    edges = torch.arange(cells + 1, device=like.device, dtype=torch.float64) * length
    pixel = torch.arange(pixels, device=like.device, dtype=torch.float64)
    low = torch.maximum(edges[:-1, None], pixel[None])
    high = torch.minimum(edges[1:, None], pixel[None] + 1)
    return ((high - low).clamp_min(0) / length).to(like.dtype)
