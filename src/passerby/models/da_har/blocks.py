"""Layers of Da-HAR: mask block, residual block, fusion of several stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Fusion", "MaskBlock", "ResidualBlock", "compute_outline", "initialize_weights"]


class MaskBlock(nn.Module):
    """Three 1×1 convolutions, the first two with batch normalisation and ReLU: saliency of each position.

    Paper: Da-HAR, "Coarse Distraction-Aware Learning": "constructed similar to a residual block". As in a
    residual block, the middle convolution is a quarter as wide as the features.

    Shape:
        features: (N, C, h, w). Returns logits (N, 1, h, w); their sigmoid is the mask.

    Example:
        >>> MaskBlock(8)(torch.zeros(2, 8, 5, 4)).shape
        torch.Size([2, 1, 5, 4])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the mask."""
        mask: Tensor = self.layers(features)
        return mask


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation, added to the identity (He et al., 2016).

    Shape:
        features: (N, C, h, w). Returns the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Run the block."""
        return F.relu(features + self.layers(features))


class Fusion(nn.Module):
    """Features of several stages as one map: reduced to one width, resampled to one size, summed, smoothed.

    Paper: Da-HAR, "Multi-Level Feature Aggregation": a 1×1 convolution, a resampling layer (bilinear here)
    and stacked residual blocks (two here) "to alleviate the aliasing effect of up-sampling", hence after the
    sum.

    Args:
        channels: Channels of the features at each level.
        width: Channels of the result.

    Shape:
        levels: (N, C_l, h_l, w_l) each; size: h and w. Returns (N, width, h, w).

    Example:
        >>> fuse = Fusion((8, 16), 4)
        >>> fuse([torch.zeros(2, 8, 6, 4), torch.zeros(2, 16, 3, 2)], (6, 4)).shape
        torch.Size([2, 4, 6, 4])
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.smooth = nn.Sequential(ResidualBlock(width), ResidualBlock(width))

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Fuse the levels."""
        reduced = [reduce(features) for reduce, features in zip(self.reduce, levels, strict=True)]
        resampled = [
            each if each.shape[2:] == size else F.interpolate(each, size=size, mode="bilinear")
            for each in reduced
        ]
        fused: Tensor = self.smooth(torch.stack(resampled).sum(0))
        return fused


def compute_outline(features: Tensor) -> Tensor:
    """Positions whose sum over the channels is above the median of these sums (Fig. 4).

    Shape:
        features: (N, C, h, w). Returns (N, 1, h, w) in {0, 1}.
    """
    total = features.sum(1, keepdim=True)
    ordered = total.flatten(2).sort(2).values  # (N, 1, h·w); ONNX has no median
    threshold = ordered[:, :, (ordered.shape[2] - 1) // 2]  # (N, 1); of an even number, the lower one
    return (total > threshold[:, :, None, None]).to(features.dtype)


def initialize_weights(module: nn.Module) -> None:
    """Draw the weights of a convolution or linear layer from N(0, 0.01), as the paper does."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
