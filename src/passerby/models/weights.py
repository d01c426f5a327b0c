"""Checks of weights files for backbones."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from passerby.errors import ModelError

__all__ = ["check_coverage", "check_weights_path", "explain_failure"]


def check_weights_path(path: str | Path) -> Path:
    """The path of an existing `.safetensors` file.

    Raises:
        ModelError: If there is no such file, or it has another format.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"no weights at {path}; give the path of a .safetensors file, True (timm's weights) or False"
        )
    if path.suffix != ".safetensors":
        raise ModelError(
            f"expected weights as .safetensors, got {path.name}: other formats can run code when loaded; "
            "convert them with safetensors.torch.save_file(model.state_dict(), …)"
        )
    return path


def check_coverage(network: nn.Module, path: Path, name: str) -> None:
    """Refuse a file without all parameters: timm does not check this when the classes differ.

    Raises:
        ModelError: If the file is damaged or lacks tensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is damaged or not a safetensors file ({error}); download it again"
        ) from error
    parameters = [key for key, _ in network.named_parameters()]
    missing = [key for key in parameters if key not in present]
    if missing:
        raise ModelError(
            f"{path.name} lacks {len(missing)} of {len(parameters)} tensors of {name} (first: {missing[0]}); "
            f"expected the state_dict of timm's {name} with the same backbone_arguments"
        )


def explain_failure(name: str, pretrained: bool | str | Path, error: Exception) -> str:
    """Message for a network that timm could not create, by the kind of weights."""
    reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if pretrained is True:
        return (
            f"the weights of {name} are not available ({reason}); "
            "go online, give a local .safetensors file (pretrained=path) or train from scratch "
            "(pretrained=False)"
        )
    if pretrained:
        return (
            f"{pretrained} contains no weights for {name} ({reason}); "
            f"expected the state_dict of timm's {name}"
        )
    return f"{name} could not be created ({reason}); check its backbone_arguments"
