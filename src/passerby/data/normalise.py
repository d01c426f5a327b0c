"""Normalise uint8 pixels to the float input of a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from passerby.data.transfer import send
from passerby.errors import DataError
from passerby.types import Preprocess

__all__ = ["normalise"]


def normalise(images: Tensor, preprocess: Preprocess, *, out: Tensor | None = None) -> Tensor:
    """Normalise uint8 pixels: value / 255, minus mean, divided by standard deviation.

    Args:
        images: Pixels, as from a loader.
        preprocess: Mean and standard deviation.
        out: A float32 tensor of the same shape, of any memory format, to write to. On a CPU, reusing one is
            several times faster than allocating one for each batch.

    Raises:
        DataError: If the images are not uint8 (N, 3, H, W) or (3, H, W), or `out` does not fit them.

    Shape:
        images: (N, 3, H, W) uint8, on any device; returns the same shape in float32, same device.

    Example:
        >>> import torch
        >>> from passerby.types import Preprocess
        >>> plain = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        >>> normalise(torch.tensor([0, 255]).to(torch.uint8).expand(1, 3, 1, 2), plain)[0, 0].tolist()
        [[-1.0, 1.0]]
    """
    if images.dtype != torch.uint8 or images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise DataError(f"expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
    mean, std = (
        send(np.array(values, np.float32) * np.float32(255), images.device).view(3, 1, 1)
        for values in (preprocess.mean, preprocess.std)
    )
    if out is None:
        out = torch.empty_like(images, dtype=torch.float32)
    elif out.shape != images.shape or out.dtype != torch.float32:
        raise DataError(f"expected out float32 {tuple(images.shape)}, got {out.dtype} {tuple(out.shape)}")
    return out.copy_(images).sub_(mean).div_(std)
