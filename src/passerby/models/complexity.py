"""Parameters and multiply-accumulates of a network, counted from shapes only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import timm
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from passerby.errors import ModelError
from passerby.io import state_reason
from passerby.models import AttributeModel, create_model
from passerby.models.base import evaluating
from passerby.models.published import Setting
from passerby.schema import BODY_PARTS, Attribute, AttributeSchema
from passerby.types import Output

__all__ = ["Complexity", "Count", "compute_complexity", "count_setting", "create_shapes_only"]


@dataclass(frozen=True, slots=True)
class Complexity:
    """Size and computational cost of a network.

    Args:
        parameters: Number of weights and biases, each counted once, including frozen ones, without buffers
            (running means).
        macs: Multiply-accumulates of one image in evaluation mode; a FLOP count is twice that.
        size_px: Height and width of that image, in pixels.
    """

    parameters: int
    macs: int
    size_px: tuple[int, int]


def compute_complexity(network: nn.Module, *, size_px: tuple[int, int]) -> Complexity:
    """Count the parameters of a network and the multiply-accumulates of one image.

    The count covers convolutions and matrix products (linear layers, attention) as torch executes them,
    including the padding of windows in Swin. As in published tables, it excludes normalisations, activations,
    pooling, resizing and sums. Only shapes are computed (torch's meta device), whatever device the network is
    on; its weights, gradients, running statistics and mode stay unchanged.

    Args:
        size_px: Height and width of the input, in pixels.

    Raises:
        ModelError: If the network does not support that size, or uses tensors that are neither parameters nor
            buffers.

    Example:
        >>> compute_complexity(nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False), size_px=(10, 10))
        Complexity(parameters=216, macs=21600, size_px=(10, 10))
    """
    if min(size_px) < 1:
        raise ModelError(f"expected an input of at least 1 × 1 pixel, got {size_px[0]} × {size_px[1]}")
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    images = torch.empty(1, 3, *size_px, device="meta")
    try:
        with evaluating(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(network, shapes, (images,))
    except RuntimeError as error:
        raise ModelError(
            f"{type(network).__name__} cannot be counted at {size_px[0]} × {size_px[1]} pixels "
            f"({state_reason(error)}); choose another size"
        ) from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, counter.get_total_flops() // 2, size_px)


def create_shapes_only(
    model: str,
    *,
    backbone: str = "",
    attributes: int,
    size_px: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
) -> AttributeModel:
    """A model whose tensors have shapes but neither values nor memory (torch's meta device).

    Its attributes cover all body parts. A backbone with a fixed input size (vision transformers, Swin) is
    created for the given size.

    Args:
        model: A key of `passerby.models.MODELS`.
        backbone: Name of a timm model; empty for a model that takes none.
        attributes: Number of attributes.
        size_px: Height and width of the input, in pixels.
        arguments: Further arguments of that model.

    Raises:
        ModelError: If there is no such model or backbone, the model cannot use that backbone, or an
            argument is wrong.

    Example:
        >>> model = create_shapes_only("baseline", backbone="test_resnet", attributes=5, size_px=(64, 48))
        >>> model.classifier.weight.shape, model.classifier.weight.device.type
        (torch.Size([5, 96]), 'meta')
    """
    if attributes < 1:
        raise ModelError(f"expected at least 1 attribute, got {attributes}")
    schema = AttributeSchema(
        "count",
        tuple(
            Attribute(f"a{i}", f"has property {i}", body_part=BODY_PARTS[i % len(BODY_PARTS)])
            for i in range(attributes)
        ),
    )
    given = {**({"backbone": backbone} if backbone else {}), **(arguments or {})}
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True) if timm.is_model(backbone) else None
    if config and config.fixed_input_size and tuple(config.input_size[1:]) != size_px:
        given["backbone_arguments"] = {"img_size": list(size_px), **given.get("backbone_arguments", {})}
    with torch.device("meta"):
        return create_model(model, schema=schema, **given)


@dataclass(frozen=True, slots=True)
class Count:
    """The counts of a setting and of the baseline on the same backbone.

    Args:
        setting: What was counted, with the published figures.
        counted: Parameters and multiply-accumulates.
        baseline: Counts of the baseline on the same backbone, size and attributes; None for the baseline.
    """

    setting: Setting
    counted: Complexity
    baseline: Complexity | None = None

    @property
    def parameters_ratio(self) -> float | None:
        """Parameters divided by the published figure."""
        published = self.setting.parameters
        return None if published is None else self.counted.parameters / 1e6 / published

    @property
    def gmacs_ratio(self) -> float | None:
        """Multiply-accumulates divided by the published figure."""
        published = self.setting.gmacs
        return None if published is None else self.counted.macs / 1e9 / published

    @property
    def parameters_overhead(self) -> float | None:
        """Parameters added to the baseline, as a fraction of its parameters."""
        return None if self.baseline is None else self.counted.parameters / self.baseline.parameters - 1

    @property
    def gmacs_overhead(self) -> float | None:
        """Multiply-accumulates added to the baseline, as a fraction of its multiply-accumulates."""
        return None if self.baseline is None else self.counted.macs / self.baseline.macs - 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; published figures are in the units of the papers (10⁶, 10⁹)."""
        setting = asdict(self.setting)
        setting["size_px"] = list(self.setting.size_px)
        published = {f"published_{name}": setting.pop(name) for name in ("parameters", "gmacs")}
        return {
            **setting,
            "parameters": self.counted.parameters,
            "macs": self.counted.macs,
            **published,
            "parameters_ratio": self.parameters_ratio,
            "gmacs_ratio": self.gmacs_ratio,
            "parameters_overhead": self.parameters_overhead,
            "gmacs_overhead": self.gmacs_overhead,
        }


def count_setting(setting: Setting) -> Count:
    """Count one setting, and the baseline on the same backbone unless the setting is a baseline.

    Raises:
        ModelError: As `create_shapes_only` and `compute_complexity`.

    Example:
        >>> count_setting(Setting("baseline", "resnet50", 1000, parameters=25.6)).counted.parameters
        25557032
    """
    counted = _count(setting.model, setting, setting.arguments, parsing=setting.parsing)
    if setting.model == "baseline" or not setting.backbone:
        return Count(setting, counted)
    shared = {key: value for key, value in setting.arguments.items() if key == "backbone_arguments"}
    return Count(setting, counted, _count("baseline", setting, shared))


def _count(name: str, setting: Setting, arguments: Mapping[str, Any], *, parsing: bool = False) -> Complexity:
    text = json.dumps(arguments, sort_keys=True)
    return _count_once(name, setting.backbone, setting.attributes, setting.size_px, text, parsing)


@lru_cache
def _count_once(
    name: str, backbone: str, attributes: int, size_px: tuple[int, int], arguments: str, parsing: bool
) -> Complexity:
    """Count a network; that of a baseline is needed for several models.

    Args:
        arguments: JSON.
    """
    model = create_shapes_only(
        name, backbone=backbone, attributes=attributes, size_px=size_px, arguments=json.loads(arguments)
    )
    return compute_complexity(_Parsing(model) if parsing else model, size_px=size_px)


class _Parsing(nn.Module):
    """Computes the parsing maps of a model in `forward`."""

    def __init__(self, model: AttributeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Output:
        return self.model.parse(images)
