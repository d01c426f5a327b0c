"""Create torchvision's detectors and load their weights."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from passerby.errors import ModelError
from passerby.io import state_reason

__all__ = ["build_detector", "check_weights_path", "download_detector", "load_weights"]


def build_detector(architecture: str, network_type: str, options: Mapping[str, Any]) -> nn.Module:
    """Create a network of torchvision's registry, and check its type."""
    from torchvision import models

    names = models.list_models(include=[f"{network_type.lower()}*"])
    if architecture not in models.list_models():
        near = get_close_matches(architecture, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}"
        raise ModelError(f"torchvision has no architecture {architecture!r}; {hint}")
    try:
        network = models.get_model(architecture, **{"weights": None, "weights_backbone": None, **options})
    except TypeError:  # not a detector: it does not accept the options
        network = None
    if not isinstance(network, nn.Module) or not isinstance(network, getattr(models.detection, network_type)):
        raise ModelError(
            f"expected a {network_type}, {architecture} is not one; choose one of {', '.join(names)}"
        )
    return network


def download_detector(
    architecture: str, network_type: str, options: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """A network with the weights of torchvision, and the name of their file, which contains their hash."""
    from torchvision import models

    with torch.device("meta"):
        build_detector(architecture, network_type, options)  # check the name before the download
    try:
        weights = models.get_model_weights(architecture).DEFAULT
        network = build_detector(architecture, network_type, {**options, "weights": weights})
    except Exception as error:  # URLError, OSError, RuntimeError (hash), ValueError (no weights), …
        reason = state_reason(error)
        raise ModelError(
            f"torchvision's weights of {architecture} could not be downloaded ({reason}); check the "
            "connection, or give the path of a .safetensors or .pth file as weights"
        ) from error
    return network, {"weights": Path(weights.url).name}


def check_weights_path(weights: str | Path) -> Path:
    """Check that a weights file exists and has a known extension."""
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ModelError(f'no weights at {path}; give a .safetensors or .pth file or "torchvision"')
    if path.suffix not in (".safetensors", ".pth"):
        raise ModelError(f"expected weights as .safetensors or .pth, got {path.name}; convert or rename them")
    return path


def load_weights(network: nn.Module, path: Path, architecture: str) -> None:
    """Load a state_dict, which must match exactly."""
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors and torch raise many kinds
        reason = state_reason(error)
        raise ModelError(
            f"{path} is damaged or contains more than tensors ({reason}); download it again"
        ) from error
    wrong = _first_wrong_key(network, state)
    if wrong is not None:
        raise ModelError(
            f"{path.name} does not fit {architecture} ({wrong}); expected the state_dict of torchvision's "
            f"{architecture}"
        )
    if not any(key.endswith("num_batches_tracked") for key in state):
        # Saved with frozen normalisation, as torchvision's weights of 2019, for which it sets epsilon to 0.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0


def _first_wrong_key(network: nn.Module, state: Any) -> str | None:
    """Load a state_dict; describe its first wrong key, or return None if it fits."""
    if not isinstance(state, Mapping):
        return f"it contains a {type(state).__name__}, not a dictionary of tensors"
    try:
        # The networks rename the keys of older files, so only load_state_dict can determine missing keys.
        keys = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1].strip()
    if keys.missing_keys:
        return f"{len(keys.missing_keys)} tensors are missing, first {keys.missing_keys[0]}"
    if keys.unexpected_keys:
        return f"{len(keys.unexpected_keys)} tensors are unknown, first {keys.unexpected_keys[0]}"
    return None
