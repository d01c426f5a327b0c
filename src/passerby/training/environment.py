"""The software and hardware of a run."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from passerby.evaluation.commit import find_commit

__all__ = ["describe_environment"]


def describe_environment(accelerator: str) -> dict[str, Any]:
    """Versions, device and commit, as plain values without host names and paths.

    Args:
        accelerator: The recipe's `training.accelerator`: `auto`, `cpu`, `gpu`, `cuda` or `mps`.
    """
    return {
        "passerby": version("passerby"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **{
            name: version(name)
            for name in ("torch", "torchvision", "timm", "lightning", "torchmetrics", "numpy")
        },
        "cpus": os.cpu_count(),
        "device": _describe_device(accelerator),
        "commit": find_commit(),
    }


def _describe_device(accelerator: str) -> str:
    """The device that Lightning chooses for an accelerator."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "mps" if accelerator != "cpu" and torch.backends.mps.is_available() else "cpu"
