"""Images of any kind, from a path to a tensor, as RGB images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import ImageError
from passerby.images.decode import read_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Picture", "open_picture", "source_of"]

Picture: TypeAlias = "str | Path | bytes | Image.Image | NDArray[np.uint8] | Tensor"
"""A path, the bytes of a file, a PIL image, an RGB array (H, W, 3) of uint8, or an RGB tensor (3, H, W) of
uint8 or of floats in [0, 1]."""


def open_picture(picture: Picture) -> Image.Image:
    """Open an image of any kind as upright RGB.

    Raises:
        ImageError: If the image cannot be read, or an array or tensor has another shape or type than in
            `Picture`.

    Example:
        >>> open_picture(np.zeros((6, 4, 3), np.uint8)).size
        (4, 6)
    """
    if isinstance(picture, np.ndarray):
        return read_image(_from_array(picture))
    if _is_tensor(picture):
        return read_image(_from_tensor(picture))
    return read_image(picture)  # type: ignore[arg-type]  # TypeGuard does not exclude Tensor


def source_of(picture: Picture) -> str:
    """Name of an image in predictions: its path, or `<image>` if it is in memory.

    Example:
        >>> source_of("a/b.jpg"), source_of(b"")
        ('a/b.jpg', '<image>')
    """
    if not isinstance(picture, str | Path):
        return "<image>"
    return str(picture).encode(errors="replace").decode()  # a file name need not be valid Unicode


def _is_tensor(picture: Picture) -> TypeGuard[Tensor]:
    torch = sys.modules.get("torch")  # no tensor exists before torch is imported
    return torch is not None and isinstance(picture, torch.Tensor)


def _from_array(picture: NDArray[np.uint8]) -> Image.Image:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError(f"expected an RGB array (H, W, 3) of uint8, got {picture.dtype} {picture.shape}")
    return Image.fromarray(np.ascontiguousarray(picture))


def _from_tensor(picture: Tensor) -> Image.Image:
    import torch

    is_float, shape = picture.is_floating_point(), tuple(picture.shape)
    if len(shape) != 3 or shape[0] != 3 or not (is_float or picture.dtype == torch.uint8):
        dtype = str(picture.dtype).removeprefix("torch.")
        raise ImageError(
            f"expected an RGB tensor (3, H, W) of uint8, or float in [0, 1], got {dtype} {shape}"
        )
    if is_float:
        if not bool(((picture >= 0) & (picture <= 1)).all()):
            raise ImageError(
                "expected a float tensor in [0, 1]; pass the image before mean and std are applied"
            )
        picture = (picture * 255).round().to(torch.uint8)
    return Image.fromarray(picture.detach().cpu().permute(1, 2, 0).contiguous().numpy())
