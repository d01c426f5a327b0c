"""Arrays become tensors where they are wanted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from passerby.data.transfer import send


def test_on_the_cpu_memory_is_shared() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = send(values, torch.device("cpu"))
    assert (tensor.dtype, tensor.shape) == (torch.float32, (2, 3))
    values[1, 2] = 9
    assert tensor[1, 2] == 9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_copy_to_a_gpu_is_asynchronous() -> None:
    device = torch.device("cuda")
    values = np.arange(6)
    torch.cuda.set_sync_debug_mode("error")
    try:
        tensor = send(values, device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert tensor.device.type == "cuda"
    assert tensor.tolist() == [0, 1, 2, 3, 4, 5]
