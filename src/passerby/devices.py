"""Whether a device can exist on this machine, found without torch, which takes seconds to import."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from passerby.errors import ConfigError

__all__ = ["check_device", "explain_missing_cuda"]

_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|hpu|mtia|meta)(:\d+)?")


def check_device(device: str) -> None:
    """Refuse a device that this machine certainly lacks; torch checks the others when it uses them.

    Args:
        device: `auto`, `cpu`, or a device of torch such as `cuda:0`.

    Raises:
        ConfigError: If the name is not that of a device, or torch cannot use such a device here.

    Example:
        >>> check_device("cpu")
        >>> check_device("gpu")
        Traceback (most recent call last):
        passerby.errors.ConfigError: expected a device such as auto, cpu or cuda:0, got 'gpu'
    """
    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"expected a device such as auto, cpu or cuda:0, got {device!r}")
    kind = device.partition(":")[0]
    reason = explain_missing_cuda() if kind == "cuda" else _explain_missing_mps() if kind == "mps" else ""
    if reason:
        raise ConfigError(f"no GPU for the device {device!r}: {reason}; use cpu, or auto")


def explain_missing_cuda() -> str:
    """Why torch cannot use CUDA (or ROCm, which has the same name); empty if it may."""
    cuda, rocm = _read_build()
    if not (cuda or rocm):
        return "the installed torch is built for the CPU"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides all GPUs"
    if rocm or sys.platform != "linux":
        return ""
    try:
        ctypes.CDLL("libcuda.so.1")  # as torch does; nothing is initialised
    except OSError:
        return "the NVIDIA driver (libcuda.so.1) is not installed"
    return ""


def _explain_missing_mps() -> str:
    return "" if sys.platform == "darwin" else "mps is the GPU of a Mac"


def _read_build() -> tuple[bool, bool]:
    """Whether torch is built for CUDA and for ROCm; both if its file of versions is unknown."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return True, True
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = {name: re.search(rf"^{name}\b.*= *(.*)$", text, re.MULTILINE) for name in ("cuda", "hip")}
    cuda, rocm = (match is None or match[1].strip() != "None" for match in found.values())
    return cuda, rocm
