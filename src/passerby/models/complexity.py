"""How large a network is and how much it computes, counted without computing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import timm
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from passerby.errors import ModelError
from passerby.models import AttributeModel, create_model
from passerby.models.published import Setting
from passerby.schema import BODY_PARTS, Attribute, AttributeSchema
from passerby.types import Output

__all__ = ["Complexity", "Count", "compute_complexity", "count_setting", "create_shapes_only"]


@dataclass(frozen=True, slots=True)
class Complexity:
    """Size and work of a network.

    Args:
        parameters: Number of weights and biases, each counted once, frozen ones too; buffers (running means)
            are none.
        macs: Multiply-accumulates of one picture in evaluation mode; a FLOP count is twice that.
        size_px: Height and width of that picture, in pixels.
    """

    parameters: int
    macs: int
    size_px: tuple[int, int]


def compute_complexity(network: nn.Module, *, size_px: tuple[int, int]) -> Complexity:
    """Count the parameters of a network and the multiply-accumulates of one picture.

    Counted are convolutions and matrix products (linear layers, attention), by what torch really runs, so the
    padding of windows in Swin is in. Not counted are normalisations, activations, pooling, resizing and sums,
    as in the field's tables. Only shapes are passed on (torch's meta device), whatever device the network is
    on; its weights, gradients, running statistics and mode stay as they were.

    Args:
        size_px: Height and width of the input, in pixels.

    Raises:
        ModelError: If the network cannot take a picture of that size, or computes with tensors that are
            neither parameters nor buffers.

    Example:
        >>> compute_complexity(nn.Conv2d(3, 8, kernel_size=3, padding=1, bias=False), size_px=(10, 10))
        Complexity(parameters=216, macs=21600, size_px=(10, 10))
    """
    if min(size_px) < 1:
        raise ModelError(f"expected an input of at least 1 × 1 pixel, got {size_px[0]} × {size_px[1]}")
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    images = torch.empty(1, 3, *size_px, device="meta")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(network, shapes, (images,))
    except RuntimeError as error:
        raise ModelError(
            f"{type(network).__name__} cannot be counted at {size_px[0]} × {size_px[1]} pixels "
            f"({str(error).splitlines()[0]}); choose another size"
        ) from error
    finally:
        for module, training in modes.items():
            module.training = training
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, counter.get_total_flops() // 2, size_px)


def create_shapes_only(
    model: str,
    *,
    backbone: str,
    attributes: int,
    size_px: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
) -> AttributeModel:
    """A model whose tensors have shapes but neither values nor memory (torch's meta device).

    Its attributes are spread over the parts of the body. A backbone that insists on one size (vision
    transformers, Swin) is created for the given one.

    Args:
        model: A key of `passerby.models.MODELS`.
        backbone: Name of a timm model.
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
    given = dict(arguments or {})
    config = timm.get_pretrained_cfg(backbone, allow_unregistered=True) if timm.is_model(backbone) else None
    if config and config.fixed_input_size and tuple(config.input_size[1:]) != size_px:
        given["backbone_arguments"] = {"img_size": list(size_px), **given.get("backbone_arguments", {})}
    with torch.device("meta"):
        return create_model(model, schema=schema, backbone=backbone, **given)


@dataclass(frozen=True, slots=True)
class Count:
    """A setting as counted, beside the figures of its paper and the baseline on the same backbone.

    Args:
        setting: What was counted, with the published figures.
        counted: Parameters and multiply-accumulates.
        baseline: Those of the baseline on the same backbone, size and attributes; None for the baseline.
    """

    setting: Setting
    counted: Complexity
    baseline: Complexity | None = None

    @property
    def parameters_ratio(self) -> float | None:
        """Parameters, as a multiple of the published figure."""
        published = self.setting.parameters
        return None if published is None else self.counted.parameters / 1e6 / published

    @property
    def gmacs_ratio(self) -> float | None:
        """Multiply-accumulates, as a multiple of the published figure."""
        published = self.setting.gmacs
        return None if published is None else self.counted.macs / 1e9 / published

    @property
    def parameters_overhead(self) -> float | None:
        """Share of parameters added to the baseline's; 0.1 is a tenth more."""
        return None if self.baseline is None else self.counted.parameters / self.baseline.parameters - 1

    @property
    def gmacs_overhead(self) -> float | None:
        """Share of multiply-accumulates added to the baseline's."""
        return None if self.baseline is None else self.counted.macs / self.baseline.macs - 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a published figure is in the unit of its paper (10⁶, 10⁹)."""
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
    """Count one setting, and the baseline on the same backbone unless it is that.

    Raises:
        ModelError: As `create_shapes_only` and `compute_complexity`.

    Example:
        >>> count_setting(Setting("baseline", "resnet50", 1000, parameters=25.6)).counted.parameters
        25557032
    """
    counted = _count(setting.model, setting, setting.arguments, parsing=setting.parsing)
    if setting.model == "baseline":
        return Count(setting, counted)
    shared = {key: value for key, value in setting.arguments.items() if key == "backbone_arguments"}
    return Count(setting, counted, _count("baseline", setting, shared))


def _count(name: str, setting: Setting, arguments: Mapping[str, Any], *, parsing: bool = False) -> Complexity:
    model = create_shapes_only(
        name,
        backbone=setting.backbone,
        attributes=setting.attributes,
        size_px=setting.size_px,
        arguments=arguments,
    )
    return compute_complexity(_Parsing(model) if parsing else model, size_px=setting.size_px)


class _Parsing(nn.Module):
    """A model that computes its parsing maps, too."""

    def __init__(self, model: AttributeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Output:
        return self.model.parse(images)
