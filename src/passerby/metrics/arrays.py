"""Probabilities and labels of any kind as tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from passerby.errors import DataError

__all__ = ["convert_to_tensor", "convert_to_tensors"]


def convert_to_tensors(
    probs: Tensor | ArrayLike, labels: Tensor | ArrayLike, *, names: tuple[str, str] = ("probs", "labels")
) -> tuple[Tensor, Tensor]:
    """Probabilities and labels as tensors on one device; tensors are returned unchanged.

    Args:
        probs: Tensor, array or nested lists.
        labels: Likewise.
        names: Names of both in errors.

    Raises:
        DataError: If one is not a rectangular table of numbers.

    Example:
        >>> convert_to_tensors([[0.5, 0.25]], [[True, False]])
        (tensor([[0.5000, 0.2500]], dtype=torch.float64), tensor([[ True, False]]))
    """
    pair = convert_to_tensor(probs, name=names[0]), convert_to_tensor(labels, name=names[1])
    if isinstance(probs, Tensor) == isinstance(labels, Tensor):
        return pair
    device = pair[0].device if isinstance(probs, Tensor) else pair[1].device
    return pair[0].to(device), pair[1].to(device)


def convert_to_tensor(values: Tensor | ArrayLike, *, name: str) -> Tensor:
    """Values as a tensor that keeps their precision: lists of floats become float64.

    Args:
        values: Tensor, array or nested lists.
        name: Name in errors.

    Raises:
        DataError: If they are not a rectangular table of numbers.
    """
    if isinstance(values, Tensor):
        return values
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name}: expected rows of equal length, got {type(values).__name__}: {error}"
        ) from error
    if array.dtype.kind not in "bifu":
        raise DataError(
            f"{name}: expected numbers (N, A) as a tensor, an array or nested lists, got "
            f"{type(values).__name__} of {array.dtype}"
        )
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch hardly supports them
    # Torch takes arrays that are writable, of native byte order and without negative strides.
    copied = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    return torch.from_numpy(copied)
