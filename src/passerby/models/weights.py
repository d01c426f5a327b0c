"""Weights files for backbones: reading without unpickling, prefixes of names, checks against a network."""

from __future__ import annotations

import argparse
import logging
import pickle
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from passerby.errors import ModelError
from passerby.io import list_some, state_reason

__all__ = ["explain_failure", "fit_names", "match_by_order", "read_weights"]

logger = logging.getLogger(__name__)

_ENTRIES = (
    *("state_dict_ema", "model_ema"),  # averaged weights come first, as in timm
    *("state_dict", "model_state_dict", "state_dicts", "model", "net", "network", "weights", "params"),
)
"""Entries under which training scripts save the weights, next to the epoch and the optimiser."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file; only tensors are loaded, nothing is unpickled.

    A file of `torch.save` may contain them directly or in an entry such as `state_dict` or `model`.

    Raises:
        ModelError: If the file is damaged, contains no tensors by name, or would have to be unpickled.
    """
    if path.suffix.lower() == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} is damaged or not a safetensors file ({error}); download it again"
            ) from error
    content = _load_tensors(path)
    for entry in _ENTRIES:
        if isinstance(content, Mapping) and isinstance(content.get(entry), Mapping):
            content = content[entry]
            logger.info("%s: reading its entry %s", path.name, entry)
            break
    tensors = (
        {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        kind = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ModelError(
            f"{path.name} contains no tensors by name (it has {kind or 'no entries'}); save the weights with "
            "torch.save(model.state_dict(), …)"
        )
    return tensors


def _load_tensors(path: Path) -> Any:
    try:
        # Training scripts often save their command line, which is harmless.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*TorchScript archive")  # refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} contains more than tensors{_name_objects(path)}, and reading that could run code; "
            "if you trust it, save the tensors alone where the model's code is installed:\n"
            f"  import torch; content = torch.load({path.name!r}, weights_only=False)\n"
            "  torch.save(content.state_dict(), 'weights.pth')       # if the content is a model\n"
            "  torch.save(content['state_dict'], 'weights.pth')      # if it is a dictionary with the weights"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path.name} is damaged or not a file of torch.save ({state_reason(error)}); copy it again; "
            "for a TorchScript file save torch.jit.load(…).state_dict() with torch.save"
        ) from error


def _name_objects(path: Path) -> str:
    """The objects of a file that are not tensors, in parentheses, if torch can tell."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of a file that is no zip archive, or damaged
        return ""
    return f" ({list_some(sorted(names))})" if names else ""


def fit_names(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    file: str,
    network: str,
    classifier: Sequence[str] = (),
) -> dict[str, Tensor]:
    """The tensors of a network and of its classifier, under its own names; the log states what differs.

    A prefix such as `module.` or `backbone.` is the one under which most names are those of the network.

    Args:
        tensors: The content of a weights file.
        expected: The state of the network without its classifier.
        file: Name of the file, for messages.
        network: Name of the network, for messages.
        classifier: Names of the layers that timm removes as the classifier, such as `fc`.

    Raises:
        ModelError: If a floating-point tensor is missing.

    Example:
        >>> fit_names({"module.a.weight": torch.ones(1)}, {"a.weight": torch.zeros(1)}, file="x", network="y")
        {'a.weight': tensor([1.])}
    """
    prefix = _find_prefix(tensors, expected)
    named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    needed = [name for name, value in expected.items() if value.is_floating_point()]
    missing = [name for name in needed if name not in named]
    if len(missing) == len(needed):
        raise ModelError(
            f"{file} contains no weights for {network}: none of its {len(tensors)} tensors ("
            f"{list_some(list(tensors))}) has the name of one of {network} ({list_some(needed)}); "
            f"expected the state_dict of timm's {network}"
        )
    if missing:
        raise ModelError(
            f"{file} lacks {len(missing)} of {len(needed)} tensors of {network} ("
            f"{list_some(missing)}); expected the state_dict of timm's {network} with the same "
            "backbone_arguments"
        )
    if prefix:
        logger.info("%s: the weights of %s have the prefix %s", file, network, prefix)
    outside = [name for name in tensors if not name.startswith(prefix)]
    others = [name for name in named if name not in expected]
    head = [name for name in others if name.rpartition(".")[0] in classifier]
    if head:
        sizes = dict.fromkeys(f"{named[name].shape[0]:,}" for name in head if named[name].ndim)
        outputs = f"; {', '.join(sizes)} outputs" if sizes else ""
        logger.info("%s: left out its classifier (%s%s)", file, ", ".join(head), outputs)
    if rest := [*(name for name in others if name not in head), *outside]:
        logger.info("%s: left out %d tensors that %s lacks (%s)", file, len(rest), network, list_some(rest))
    return {name: named[name] for name in (*expected, *head) if name in named}


def match_by_order(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, file: str, network: str
) -> dict[str, Tensor]:
    """Give the tensors of a package the names of a network, by their order.

    Args:
        tensors: The content of the file: those of the network, then weight and bias of the classifier.
        expected: The state of the network without its classifier.
        file: Name of the file, for messages.
        network: Name of the network, for messages.

    Raises:
        ModelError: If number, shape or kind (last word of the name) of the tensors differ.
    """
    expects = (
        "expected the network without backbone_arguments that change its layers, and the file of the package"
    )
    if len(tensors) != len(expected) + 2:
        raise ModelError(
            f"{file} has {len(tensors)} tensors, {network} with its classifier {len(expected) + 2}; {expects}"
        )
    for (theirs, value), (ours, other) in zip(tensors.items(), expected.items(), strict=False):
        if value.shape != other.shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise ModelError(
                f"{file}: {theirs} has the shape {tuple(value.shape)}, and {ours} of {network} "
                f"{tuple(other.shape)}; {expects}"
            )
    return dict(zip(expected, tensors.values(), strict=False))


def _find_prefix(tensors: Iterable[str], expected: Mapping[str, Tensor]) -> str:
    """The prefix under which most names are expected ones; the shortest of equals."""
    counts: Counter[str] = Counter()
    for name in tensors:
        words = name.split(".")
        for i in range(len(words)):
            if ".".join(words[i:]) in expected:
                counts["".join(f"{word}." for word in words[:i])] += 1
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")


def explain_failure(name: str, pretrained: bool | str | Path, error: Exception) -> str:
    """Message for a network that timm could not create, by the kind of weights."""
    reason = state_reason(error)
    if pretrained is True:
        return (
            f"the weights of {name} are not available ({reason}); go online, give a weights file "
            "(pretrained=path) or train from scratch (pretrained=False)"
        )
    return f"{name} could not be created ({reason}); check its backbone_arguments"
