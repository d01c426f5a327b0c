"""From the host to a device, without making either wait for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["send"]


def send(values: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device; on the CPU they share their memory.

    To a GPU it goes by way of pinned memory: from any other, CUDA first waits for all that is under way.
    """
    import torch

    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
