"""Adjust brightness, contrast and saturation of a batch, with a separate factor for each image.

The arithmetic is that of torchvision's `adjust_brightness`, `adjust_contrast` and `adjust_saturation`, which
take one factor for all images. All functions work in place.

Shape:
    images: (N, 3, H, W) uint8; factors: (N,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data.transfer import send

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["adjust_brightness", "adjust_contrast", "adjust_saturation"]

Factors = NDArray[np.float64]


def adjust_brightness(images: Tensor, factors: Factors) -> None:
    """Multiply the pixels; factors are 0 or more."""
    images.copy_(images.mul(_send_factors(factors, images)).clamp_(0, 255))


def adjust_contrast(images: Tensor, factors: Factors) -> None:
    """Blend with the mean grey of the image: 0 is grey, 1 the image, above 1 more contrast."""
    _blend(images, _compute_grey(images).mean((-3, -2, -1), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Factors) -> None:
    """Blend with the greyscale image: 0 is grey, 1 the image, above 1 more colour."""
    _blend(images, _compute_grey(images), factors)


def _send_factors(factors: Factors, images: Tensor) -> Tensor:
    return send(factors.astype(np.float32), images.device)[:, None, None, None]


def _blend(images: Tensor, others: Tensor, factors: Factors) -> None:
    factor, rest = (_send_factors(values, images) for values in (factors, 1 - factors))
    images.copy_(images.mul(factor).addcmul_(others, rest).clamp_(0, 255))


def _compute_grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    grey = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey.floor_()[:, None]
