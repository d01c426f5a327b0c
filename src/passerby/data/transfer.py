"""Asynchronous transfer from the host to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["send"]


def send(values: NDArray[Any], device: torch.device) -> Tensor:
    """Convert an array to a tensor on a device; on the CPU, both share memory.

    Transfers to a GPU use pinned memory: from pageable memory, CUDA synchronises first.
    """
    import torch

    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
