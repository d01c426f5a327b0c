"""Functions shared by annotators with networks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from passerby.errors import ModelError
from passerby.io import state_reason

__all__ = ["hash_files", "prepare_network"]


def hash_files(*paths: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the concatenated contents of files.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> hash_files(path) if path.write_bytes(b"") else hash_files(path, path)
        'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def prepare_network(network: nn.Module, device: str) -> torch.device:
    """Move a network to a device for inference; ModelError if the device is not available."""
    try:
        target = torch.device(device)
        network.eval().requires_grad_(False).to(target)
    except (AssertionError, RuntimeError) as error:  # torch raises both when CUDA is missing
        reason = state_reason(error)
        raise ModelError(
            f"the device {device!r} cannot be used ({reason}); choose cpu or an available device"
        ) from error
    return target
