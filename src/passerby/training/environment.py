"""What a run was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from passerby.evaluation.results import find_commit

__all__ = ["describe_environment", "is_other_process"]


def describe_environment(accelerator: str) -> dict[str, Any]:
    """Versions, device and commit, as plain values; neither host names nor paths.

    Args:
        accelerator: What the recipe asks for: `auto`, `cpu`, `gpu` or `mps`.
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
    """The device that Lightning takes for an accelerator."""
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "mps" if accelerator != "cpu" and torch.backends.mps.is_available() else "cpu"


def is_other_process() -> bool:
    """True in the processes that Lightning starts beside the first one."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
