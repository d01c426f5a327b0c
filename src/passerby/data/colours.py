"""Brightness, contrast, saturation and hue of a batch, each picture by an amount of its own.

The arithmetic is that of torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation` and
`adjust_hue`, which take one amount for all pictures. All functions work in place.

Shape:
    images: (N, 3, H, W) uint8; factors and turns: (N,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data.transfer import send

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["adjust_brightness", "adjust_contrast", "adjust_hue", "adjust_saturation"]

Amounts = NDArray[np.float64]


def adjust_brightness(images: Tensor, factors: Amounts) -> None:
    """Multiply the pixels; factors are 0 or more."""
    images.copy_(images.mul(_send_amounts(factors, images)).clamp_(0, 255))


def adjust_contrast(images: Tensor, factors: Amounts) -> None:
    """Blend with the picture's mean grey: 0 is grey, 1 the picture, above 1 more contrast."""
    _blend(images, _compute_grey(images).mean((-3, -2, -1), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Amounts) -> None:
    """Blend with the picture in grey: 0 is grey, 1 the picture, above 1 more colour."""
    _blend(images, _compute_grey(images), factors)


def adjust_hue(images: Tensor, turns: Amounts) -> None:
    """Turn the colour circle by a fraction of it, in [-0.5, 0.5]."""
    hue, saturation, value = _compute_hsv(images.float().mul_(1 / 255))
    hue = hue.add_(_send_amounts(turns, images)[:, 0]).remainder_(1.0).mul_(6)
    sector = hue.floor()
    across = saturation * hue.sub_(sector)
    low = (1 - saturation).mul_(value).clamp_(0, 1)
    falling = (1 - across).mul_(value).clamp_(0, 1)
    rising = across.add_(1 - saturation).mul_(value).clamp_(0, 1)
    for channel, lag in enumerate((0, 4, 2)):  # red begins where it is highest, green and blue follow
        place = (sector + lag).remainder_(6)
        colour = low.where((place == 2) | (place == 3), value)
        colour = rising.where(place == 4, falling.where(place == 1, colour))
        images[:, channel] = colour.mul_(256 - 1e-3)  # a little less than 256, and the fraction is cut off


def _send_amounts(amounts: Amounts, images: Tensor) -> Tensor:
    return send(amounts.astype(np.float32), images.device)[:, None, None, None]


def _blend(images: Tensor, others: Tensor, factors: Amounts) -> None:
    factor, rest = (_send_amounts(amounts, images) for amounts in (factors, 1 - factors))
    images.copy_(images.mul(factor).addcmul_(others, rest).clamp_(0, 255))


def _compute_grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    grey = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey.floor_()[:, None]


def _compute_hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value in [0, 1], each (N, H, W), of pixels in [0, 1]."""
    import torch

    red, green, _ = rgb.unbind(1)
    low, value = torch.aminmax(rgb, dim=1)
    span = value - low
    is_grey = span == 0
    saturation = span / value.masked_fill(is_grey, 1)
    r, g, b = ((value[:, None] - rgb) / span.masked_fill_(is_grey, 1)[:, None]).unbind(1)
    from_green, from_blue = r.add(2).sub_(b), g.add(4).sub_(r)
    hue = b.sub_(g).where(value == red, from_green.where(value == green, from_blue))
    return hue.mul_(1 / 6).add_(1).fmod_(1), saturation, value
