"""Hard attention: the features of the background are multiplied by zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["mask_features", "resize_masks"]


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks at the size of a map: a cell is the person's if at least half of its area is.

    Where no cell is, those with the largest share are; an empty mask counts as missing, all cells are the
    person's.

    Paper: MAN (2020), section 4.4, "masks are resized to have the same size as the corresponding feature
    maps" and stay binary; how is ours.

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
    """The attention glimpses G = M ⊙ F of section 3.4; nothing of the background is left, nor a gradient.

    Shape:
        features: (N, C, h, w). masks: (N, 1, H, W) float in [0, 1].
        returns: (N, C, h, w).
    """
    size = (features.shape[2], features.shape[3])
    cells = resize_masks(masks.float(), size)
    # Chosen, not multiplied: 0 · ∞ and 0 · NaN would let the background through.
    return torch.where(cells > 0, features, torch.zeros((), dtype=features.dtype, device=features.device))


def _average(values: Tensor, cells: int) -> Tensor:
    """Means over cells of equal length along the last axis; a cell may begin and end inside a pixel."""
    pixels = values.shape[-1]
    edges = [cell * pixels / cells for cell in range(cells + 1)]
    whole = [min(int(edge), pixels - 1) for edge in edges]
    part = torch.tensor([edge - pixel for edge, pixel in zip(edges, whole, strict=True)]).to(values)
    # No product of matrices: mixed precision would round its factors.
    sums = nn.functional.pad(values, (1, 0)).cumsum(-1)
    until = sums[..., whole] + values[..., whole] * part  # (…, cells + 1), the sum up to each edge
    return (until[..., 1:] - until[..., :-1]) * (cells / pixels)
