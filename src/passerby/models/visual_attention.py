"""One attention map per attribute, weighted by confidence: a module of DIAA and of Da-HAR."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["VisualAttention"]


class VisualAttention(nn.Module):
    """One spatial attention map per attribute, weighted by the confidence in that attribute.

    Three 1×1 convolutions (batch normalisation and ReLU after the first two) give z, and Eq. 2 normalises it:
    a = exp z / Σ exp z over the positions. In parallel, one 1×1 convolution and a sigmoid give the
    confidence.

    Paper: Sarafianos et al., ECCV 2018, section 3.1, Fig. 3 and Eq. 2. The widths are not stated; 512 is
    that of the published code and of SRN, on which the section builds. The last convolution has neither
    normalisation nor ReLU (with ReLU, the softmax could not distinguish positions below zero) and no bias,
    which the softmax would cancel.

    Args:
        channels: Channels of the features.
        attributes: Number of attributes A.
        hidden: Width of the first two convolutions.
        confidence_weighting: Include the confidence branch.

    Shape:
        features: (N, C, h, w) float.
        returns: attention (N, A, h, w), each map in [0, 1] with sum 1, and the confidence (N, A, h, w) in
            [0, 1] or None.

    Example:
        >>> import torch
        >>> attention, confidence = VisualAttention(8, 3, hidden=4)(torch.randn(2, 8, 5, 4))
        >>> torch.allclose(attention.sum((2, 3)), torch.ones(2, 3)), confidence.shape
        (True, torch.Size([2, 3, 5, 4]))
    """

    def __init__(
        self, channels: int, attributes: int, *, hidden: int = 512, confidence_weighting: bool = True
    ) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            *_pointwise(channels, hidden),
            *_pointwise(hidden, hidden),
            nn.Conv2d(hidden, attributes, kernel_size=1, bias=False),
        )
        self.confidence = nn.Conv2d(channels, attributes, kernel_size=1) if confidence_weighting else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Attention and confidence of every attribute at every position."""
        scores = self.attention(features)  # (N, A, h, w)
        attention = scores.flatten(2).softmax(2).view_as(scores)
        return attention, None if self.confidence is None else self.confidence(features).sigmoid()


def _pointwise(channels: int, out: int) -> tuple[nn.Module, ...]:
    """A 1×1 convolution with batch normalisation (which cancels its bias) and ReLU."""
    return nn.Conv2d(channels, out, kernel_size=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
