"""The feature pyramid: maps of equal width at strides 4, 8 and 16."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FeaturePyramid"]


class FeaturePyramid(nn.Module):
    """Maps P1, P2 and P3 at strides 4, 8 and 16 from the four stages of a backbone.

    A 1×1 convolution reduces each stage to the same width; starting at the last stage, each sum is upsampled
    (bilinear) and added to the next finer stage. A 3×3 convolution smooths P1, P2 and P3.

    Paper: Shen et al., 2023, section 3.2.2, after Lin et al., CVPR 2017. Width, bilinear upsampling and
    smoothing follow the published code. Table 3's parameters on ResNet-50 match SSPNet-K and -S with the
    smoothing (1.8 million) and SSPNet-R without it, so smoothing is an argument.

    Args:
        stage_channels: Channels of the four stages, at strides 4, 8, 16 and 32.
        channels: Width of the pyramid.
        scales: The levels that will be used; others have no layers.
        smoothing: Apply the 3×3 convolutions.

    Example:
        >>> import torch
        >>> stages = [torch.zeros(2, c, 32 // s, 24 // s) for c, s in ((8, 1), (16, 2), (32, 4), (64, 8))]
        >>> pyramid = FeaturePyramid((8, 16, 32, 64), 5)
        >>> {scale: tuple(level.shape) for scale, level in pyramid(stages, (1, 3)).items()}
        {3: (2, 5, 8, 6), 1: (2, 5, 32, 24)}
    """

    def __init__(
        self,
        stage_channels: Sequence[int],
        channels: int,
        *,
        scales: Sequence[int] = (1, 2, 3),
        smoothing: bool = True,
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Conv2d(c, channels, kernel_size=1) if stage >= min(scales) else nn.Identity()
            for stage, c in enumerate(stage_channels, start=1)
        )
        self.smoothing = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1)
            if smoothing and scale in scales
            else nn.Identity()
            for scale in (1, 2, 3)
        )

    def forward(self, stages: Sequence[Tensor], scales: Sequence[int]) -> dict[int, Tensor]:
        """Compute the requested levels, and no finer ones.

        Args:
            stages: Maps of the four stages, (N, Cᵢ, hᵢ, wᵢ) each.
            scales: Which of 1 (stride 4), 2 and 3 (stride 16), among the `scales` of the constructor.

        Returns:
            A map (N, C, h, w) for each scale.
        """
        levels: dict[int, Tensor] = {}
        summed: Tensor = self.lateral[3](stages[3])
        for scale in range(3, min(scales) - 1, -1):
            lateral = self.lateral[scale - 1](stages[scale - 1])
            summed = lateral + _upsample(summed, like=lateral)
            if scale in scales:
                levels[scale] = self.smoothing[scale - 1](summed)
        return levels


def _upsample(features: Tensor, *, like: Tensor) -> Tensor:
    """Upsample to the size and memory format of another map, bilinear.

    On a CPU, channels-last makes this about twenty times as fast for a map of 256 channels.
    """
    last = features.contiguous(memory_format=torch.channels_last)
    upsampled = F.interpolate(last, size=like.shape[2:], mode="bilinear", align_corners=False)
    keep = like.is_contiguous(memory_format=torch.channels_last)
    return upsampled if keep else upsampled.contiguous()
