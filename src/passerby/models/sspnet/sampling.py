"""Bilinear sampling of a feature map at arbitrary points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["OffsetSampling", "sample_around", "sample_weighted"]


def sample_weighted(features: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Σ_m weight_m · features(point_m): weighted sums of bilinear samples, in one gather.

    Points are in units of map positions: (0, 0) is the centre of the first position, so integers return the
    features unchanged. Points outside of the map are moved to its border.

    Shape:
        features: (N, C, h, w); points: (N, P, M, 2), x then y; weights: (N, P, M); returns: (N, C, P).

    Example:
        >>> features = torch.arange(6.0).view(1, 1, 2, 3)
        >>> points = torch.tensor([[2.0, 0.0], [0.5, 1.0], [9.0, 9.0]]).view(1, 3, 1, 2)
        >>> sample_weighted(features, points, torch.ones(1, 3, 1))
        tensor([[[2.0000, 3.5000, 5.0000]]])
    """
    batch, channels, height, width = features.shape
    count, each = points.shape[1:3]
    size = torch.tensor((width, height), dtype=points.dtype, device=points.device)
    if torch.compiler.is_exporting():  # ONNX has GridSample, but no embedding bag
        grid = (2 * points + 1) / size - 1
        read = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return (read * weights.unsqueeze(1)).sum(3)
    points = torch.minimum(points.clamp(min=0), size - 1).nan_to_num()  # a NaN offset is not an index
    first = torch.minimum(points.detach().floor(), (size - 2).clamp(min=0))
    right, down = (points - first).unbind(-1)  # (N, P, M) in [0, 1]
    x, y = first.long().unbind(-1)
    row = y * width + x + (torch.arange(batch, device=x.device) * height * width).view(-1, 1, 1)
    step_x, step_y = min(width - 1, 1), width * min(height - 1, 1)
    corners = torch.stack((row, row + step_x, row + step_y, row + step_x + step_y), dim=-1)
    shares = torch.stack(
        ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right), dim=-1
    ) * weights.unsqueeze(-1)
    read = F.embedding_bag(
        corners.view(batch * count, each * 4),
        features.permute(0, 2, 3, 1).reshape(batch * height * width, channels),
        per_sample_weights=shares.view(batch * count, each * 4).to(features.dtype),
        mode="sum",
    )
    return read.view(batch, count, channels).transpose(1, 2)


class OffsetSampling(nn.Module):
    """Parameters that sample the features of a reference point at M learned offsets.

    Φ(P) = Σ_m A_m · W_m · x(P + ΔP_m). A 1×1 convolution of the map, sampled at P, gives the offsets ΔP, in
    units of map positions, and the offset weights W (softmax over the M). A is one learned number per offset.
    The first offset starts at the point itself and the others on a circle with a radius of one position
    around it, so that they receive different gradients; all A start at 1. With zero offsets, Φ(P) = x(P).

    Paper: Shen et al., 2023, Eq. 6 and 8, which name A_m "the learnable weight parameter" and W_m "the offset
    weight" without stating how they are computed. The 1×1 convolution and the softmax are those of the
    published code. That code's sampling grid is shifted even with zero offsets; this one is not.

    Args:
        channels: Channels of the map.
        offsets: Number of offsets M, at least 1.

    Attributes:
        propose: The convolution; of its 3 · M channels, the first 2 · M are offsets (x, y, x, y, …), the
            others are weights before the softmax.
        scale: (M,), the A_m.
    """

    def __init__(self, channels: int, offsets: int = 3) -> None:
        super().__init__()
        self.offsets = offsets
        self.propose = nn.Conv2d(channels, 3 * offsets, kernel_size=1)
        self.scale = nn.Parameter(torch.ones(offsets))
        angles = [2 * math.pi * i / max(offsets - 1, 1) for i in range(offsets - 1)]
        start = [0.0, 0.0, *(side for a in angles for side in (math.cos(a), math.sin(a)))]
        nn.init.normal_(self.propose.weight, std=0.01)
        with torch.no_grad():
            self.propose.bias.copy_(torch.tensor(start + [0.0] * offsets))  # type: ignore[union-attr]


def sample_around(
    features: Tensor, samplers: Sequence[OffsetSampling], points: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Φ(P) for several sets of points, each with separate offsets, in a single gather.

    Args:
        features: (N, C, h, w).
        samplers: The offsets of each set, all with the same M.
        points: For each set (N, P, 2), x then y in positions of the map.

    Returns:
        For each set (N, C, P).

    Example:
        >>> sampler = OffsetSampling(4, 1)  # starts at the point itself
        >>> _ = nn.init.zeros_(sampler.propose.weight)
        >>> features, point = torch.randn(2, 4, 6, 5), torch.tensor([[[3.0, 2.0]]]).expand(2, 1, 2)
        >>> torch.allclose(sample_around(features, [sampler], [point])[0][..., 0], features[:, :, 2, 3])
        True
    """
    number = samplers[0].offsets
    proposed = F.conv2d(
        features,
        torch.cat([sampler.propose.weight for sampler in samplers]),
        torch.cat([sampler.propose.bias for sampler in samplers]),  # type: ignore[misc]  # never None
    )
    everywhere = torch.cat(list(points), dim=1).unsqueeze(2)  # (N, P of all sets, 1, 2)
    read = sample_weighted(proposed, everywhere, torch.ones_like(everywhere[..., 0])).transpose(1, 2)
    counts = [each.shape[1] for each in points]
    shifts, weights = [], []
    for i, (values, sampler) in enumerate(zip(torch.split(read, counts, dim=1), samplers, strict=True)):
        proposal = values[..., 3 * number * i : 3 * number * (i + 1)]  # (N, P, 3 · M)
        shifts.append(proposal[..., : 2 * number].reshape(*proposal.shape[:2], number, 2))
        weights.append(proposal[..., 2 * number :].softmax(2) * sampler.scale)
    moved = everywhere + torch.cat(shifts, dim=1).to(everywhere.dtype)
    return torch.split(sample_weighted(features, moved, torch.cat(weights, dim=1)), counts, dim=2)
