"""Images of any kind, from a path to a tensor, as RGB images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import ImageError
from passerby.images import limits
from passerby.images.decode import read_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Picture", "open_picture", "source_of"]

Picture: TypeAlias = (
    "str | Path | bytes | BinaryIO | Image.Image | NDArray[np.uint8 | np.floating[Any]] | Tensor"
)
"""A path, the bytes of a file, an open binary file, a PIL image, an array, or a tensor.

An array is RGB (H, W, 3) or grey (H, W) or (H, W, 1); a tensor is RGB (3, H, W) or grey (H, W) or (1, H, W).
Both contain uint8, or floats in [0, 1]."""


def open_picture(picture: Picture) -> Image.Image:
    """Open an image of any kind as upright RGB.

    Raises:
        ImageError: If the image cannot be read, or it is of another kind, shape or type than in `Picture`.

    Example:
        >>> open_picture(np.zeros((6, 4, 3), np.uint8)).size
        (4, 6)
    """
    if isinstance(picture, np.ndarray):
        return read_image(_from_array(picture))
    if _is_tensor(picture):
        return read_image(_from_tensor(picture))
    if isinstance(picture, str | Path | bytes | Image.Image):
        return read_image(picture)
    if hasattr(picture, "read"):
        return read_image(_read_stream(picture))  # type: ignore[arg-type]  # TypeGuard does not exclude Tensor
    raise ImageError(
        "expected an image as a path, bytes, open binary file, PIL image, array or tensor, got "
        f"{type(picture).__name__}; pass one of these, or several in a list"
    )


def source_of(picture: Picture) -> str:
    r"""Name of an image in predictions: its path, or `<image>` if it is in memory.

    A byte of the path that is no UTF-8, such as E9, becomes `\udce9`: different paths stay different.

    Example:
        >>> source_of("a/b.jpg"), source_of(b"")
        ('a/b.jpg', '<image>')
    """
    if not isinstance(picture, str | Path):
        return "<image>"
    return str(picture).encode(errors="backslashreplace").decode()  # a name need not be valid Unicode


def _is_tensor(picture: Picture) -> TypeGuard[Tensor]:
    torch = sys.modules.get("torch")  # no tensor exists before torch is imported
    return torch is not None and isinstance(picture, torch.Tensor)


def _read_stream(stream: BinaryIO) -> bytes:
    """The bytes of an open file from its start, if it can be rewound; else the rest of them."""
    if getattr(stream, "seekable", bool)():
        stream.seek(0)
    content = stream.read(limits.MAX_FILE_BYTES + 1)
    if not isinstance(content, bytes):
        raise ImageError(
            f"expected a file opened in binary mode ('rb'), which reads bytes, got {type(content).__name__}"
        )
    if len(content) > limits.MAX_FILE_BYTES:
        raise ImageError(
            f"expected an open file of at most {limits.MAX_FILE_BYTES:,} bytes, got more; scale it down"
        )
    return content


def _from_array(picture: NDArray[Any]) -> Image.Image:
    shape, dtype = picture.shape, picture.dtype
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and shape[2] not in (1, 3)):
        raise ImageError(f"expected an array (H, W, 3), or grey (H, W), got {shape}; {_advise(shape)}")
    if dtype.kind == "f":
        if not ((picture >= 0) & (picture <= 1)).all():
            raise ImageError(
                "expected floats in [0, 1] before mean and std are applied, got others; pass values of "
                "0 … 255 as uint8"
            )
        picture = (picture.astype(np.float32) * 255).round().astype(np.uint8)
    elif dtype != np.uint8:
        raise ImageError(f"expected uint8 in 0 … 255, or floats in [0, 1], got {dtype}; convert it first")
    grey = picture.ndim == 2 or shape[2] == 1
    return Image.fromarray(np.ascontiguousarray(picture.reshape(shape[:2]) if grey else picture))


def _advise(shape: tuple[int, ...]) -> str:
    """How to pass an array of another shape."""
    if len(shape) == 4:
        return "pass several images as a list"
    if len(shape) == 3 and shape[0] in (1, 3):
        return "move the channels to the end"
    if len(shape) == 3 and shape[2] == 4:
        return "drop the alpha channel: array[..., :3]"
    return "pass one image"


def _from_tensor(picture: Tensor) -> Image.Image:
    shape = tuple(picture.shape)
    if len(shape) != 2 and (len(shape) != 3 or shape[0] not in (1, 3)):
        advice = "pass several images as a list" if len(shape) == 4 else "move the channels to the front"
        raise ImageError(f"expected a tensor (3, H, W), or grey (H, W), got {shape}; {advice}")
    values = picture.detach().cpu()
    values = values.float() if values.is_floating_point() else values  # NumPy has no bfloat16
    return _from_array((values if len(shape) == 2 else values.permute(1, 2, 0)).numpy())
