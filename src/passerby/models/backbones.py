"""Any network of timm as one map of features: pictures (N, 3, H, W) in, features (N, C, h, w) out."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from math import isqrt
from pathlib import Path
from typing import Any, TypeVar

import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from passerby.errors import ModelError

__all__ = ["Backbone", "StagedBackbone", "create_backbone", "create_staged_backbone"]

_PROBE_SIDE_PX = 128
"""Side of the empty picture that shows what a network of free input size returns."""

_Kind = TypeVar("_Kind", bound="Backbone")

_STAGED_HINT = (
    "choose a backbone with features at strides 4, 8, 16 and 32, such as resnet50, densenet121, "
    "convnext_tiny or swin_small_patch4_window7_224"
)

_RESERVED = {"num_classes", "in_chans", "features_only", "pretrained", "checkpoint_path"}


class Backbone(nn.Module):
    """A timm network without its classifier, whatever the layout of its features.

    Tokens (vision transformers) lose their class and register tokens and are laid out on their grid; channels
    that come last (Swin) are moved to the front. Layers that only the removed classifier would have used are
    removed too, so that every parameter gets a gradient (distributed training insists on it).

    Args:
        network: A timm model created with `num_classes=0`.

    Attributes:
        channels: Number of feature channels C.
        input_mean: Per-channel mean that the pretrained weights expect of pixel values in [0, 1].
        input_std: Per-channel standard deviation, likewise.

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
        self._channels_last = getattr(network, "output_fmt", None) == "NHWC"
        _drop_unused(network, self._probe())

    def forward(self, images: Tensor) -> Tensor:
        """Compute the map of features."""
        size = self._check_size(images)
        features: Any = self.network.forward_features(images)
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            kind = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ModelError(f"expected a backbone that returns a map or tokens, not {kind}; choose another")
        return self._tokens_to_map(features, size) if features.ndim == 3 else self._channels_first(features)

    def _check_size(self, images: Tensor) -> tuple[int, int]:
        size = (images.shape[2], images.shape[3])
        if self._fixed_size_px is not None and size != self._fixed_size_px:
            raise ModelError(
                f"this backbone takes pictures of {self._fixed_size_px} pixels (height, width), got {size}; "
                f'resize them or create it with backbone_arguments={{"img_size": [{size[0]}, {size[1]}]}}'
            )
        return size

    def _channels_first(self, features: Tensor) -> Tensor:
        if self._channels_last or features.shape[1] != self.channels:
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
                f"{count} tokens do not fill a grid for pictures of {size_px} pixels; "
                "choose an input size that the patches divide, or another backbone"
            )
        return tokens.transpose(1, 2).reshape(-1, self.channels, h, count // h)  # (N, C, h, w)

    def _probe_size_px(self) -> tuple[int, int]:
        return self._fixed_size_px or (_PROBE_SIDE_PX, _PROBE_SIDE_PX)

    def _probe(self) -> Tensor:
        """Features of an empty picture, with the graph that leads to every parameter in use."""
        training = self.training
        self.eval()
        with torch.enable_grad():
            features = Backbone.forward(self, torch.zeros(1, 3, *self._probe_size_px()))
        self.train(training)
        return features


class StagedBackbone(Backbone):
    """A timm network cut at its stage boundaries, so that a system can read or replace features in between.

    The first three stages end where timm says that the features of stride 4, 8 and 16 (pixels of the picture)
    are complete; the fourth takes all that is left before the classifier (a last normalisation, MobileNetV2's
    widening convolution). The weights are those of `Backbone`, under the same names.

    Args:
        network: A timm model created with `num_classes=0`.

    Attributes:
        stage_channels: Number of channels after each stage.

    Raises:
        ModelError: If the network is no chain of layers, or has no map at one of the strides (vision
            transformers of a single scale).

    Shape:
        images: (N, 3, H, W) float.
        returns: (N, C, h, w) float, as `Backbone`.

    Example:
        >>> backbone = create_staged_backbone("test_resnet")
        >>> features = torch.zeros(2, 3, 64, 64)
        >>> for stage in (1, 2, 3, 4):
        ...     features = backbone.run_stage(stage, features)
        ...     print(stage, *features.shape)
        1 2 32 16 16
        2 2 48 8 8
        3 2 192 4 4
        4 2 96 2 2
    """

    strides = (4, 8, 16, 32)
    stage_channels: tuple[int, int, int, int]

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self._stages = self._cut()
        features, channels = torch.zeros(1, 3, *self._probe_size_px()), []
        training = self.training
        self.eval()
        with torch.no_grad():
            for stage in range(1, 5):
                features = self.run_stage(stage, features)
                channels.append(int(features.shape[1]))
        self.train(training)
        self.stage_channels = (channels[0], channels[1], channels[2], channels[3])

    def run_stage(self, stage: int, features: Tensor) -> Tensor:
        """Run one stage, 1 to 4, on the pictures (stage 1) or on the map of the stage before.

        Shape:
            features: (N, 3, H, W) for stage 1, else (N, C, h, w) as the stage before returned it, or a
                replacement of that shape.
            returns: (N, C', h', w').

        Raises:
            ModelError: If there is no such stage, or the network insists on another size of the pictures.
        """
        if stage not in (1, 2, 3, 4):
            raise ModelError(f"expected a stage from 1 to 4, got {stage!r}")
        if stage == 1:
            self._check_size(features)
        elif self._channels_last:
            features = features.permute(0, 2, 3, 1)  # (N, h, w, C)
        for name in self._stages[stage - 1]:
            features = self.network.get_submodule(name)(features)
        return features.permute(0, 3, 1, 2) if self._channels_last else features  # (N, C, h, w)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the map of features, stage by stage."""
        features = images
        for stage in (1, 2, 3, 4):
            features = self.run_stage(stage, features)
        return features

    def _cut(self) -> tuple[tuple[str, ...], ...]:
        """Names of the layers of each stage."""
        chain = _find_chain(self.network, torch.zeros(1, 3, *self._probe_size_px()))
        ends = {info["reduction"]: info["module"] for info in getattr(self.network, "feature_info", ())}
        stages: list[tuple[str, ...]] = []
        first = 0
        for stride in self.strides[:3]:
            end = ends.get(stride)
            inside = [i for i, name in enumerate(chain) if f"{name}.".startswith(f"{end}.")]
            if not inside or inside[-1] < first or len(chain) == inside[-1] + 1:
                raise ModelError(
                    f"{type(self.network).__name__} has no stage that ends at stride {stride}, so it cannot "
                    f"be cut into stages; {_STAGED_HINT}"
                )
            stages.append(chain[first : inside[-1] + 1])
            first = inside[-1] + 1
        stages.append(chain[first:])
        return tuple(stages)


def create_staged_backbone(
    name: str,
    *,
    pretrained: bool | str | Path = False,
    arguments: Mapping[str, Any] | None = None,
) -> StagedBackbone:
    """Create a timm network, load its weights and cut it into stages; otherwise as `create_backbone`.

    Raises:
        ModelError: As `create_backbone`, and if the network has no stages.

    Example:
        >>> create_staged_backbone("test_resnet").stage_channels
        (32, 48, 192, 96)
    """
    return _create(StagedBackbone, name, pretrained, arguments)


def create_backbone(
    name: str,
    *,
    pretrained: bool | str | Path = False,
    arguments: Mapping[str, Any] | None = None,
) -> Backbone:
    """Create a timm network and load its weights.

    Args:
        name: Name of a timm model, with or without the tag of its weights (`resnet50`, `resnet50.a1_in1k`).
        pretrained: True for timm's own weights (from the local Hugging Face cache, else downloaded), the path
            of a `.safetensors` file in timm's layout for local ones, False for random ones.
        arguments: Further arguments of that timm model, plain JSON values: `{"pad_type": "same"}`,
            `{"img_size": [256, 192]}`, `{"drop_path_rate": 0.1}`,
            `{"pretrained_cfg_overlay": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}`.

    Raises:
        ModelError: If there is no such model (the message proposes near names), it does not take the
            arguments, or the weights are missing or belong to another model.

    Example:
        >>> create_backbone("test_resnet").channels
        96
    """
    return _create(Backbone, name, pretrained, arguments)


def _create(
    kind: type[_Kind], name: str, pretrained: bool | str | Path, arguments: Mapping[str, Any] | None
) -> _Kind:
    if not timm.is_model(name):
        near = get_close_matches(name.split(".")[0], timm.list_models(), n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "see timm.list_models() for the names"
        raise ModelError(f"timm {timm.__version__} has no model {name!r}; {hint}")
    options: dict[str, Any] = dict(arguments or {})
    if reserved := sorted(_RESERVED & set(options)):
        raise ModelError(f"backbone_arguments may not set {', '.join(reserved)}; leave them out")
    path = None if isinstance(pretrained, bool) else _checked_weights_path(pretrained)
    if path is not None:
        overlay = options.get("pretrained_cfg_overlay", {})
        options["pretrained_cfg_overlay"] = {**overlay, "file": str(path), "custom_load": False}
    try:
        network = timm.create_model(name, pretrained=bool(pretrained), num_classes=0, **options)
        if path is not None:
            _check_coverage(network, path, name)
        return kind(network)
    except ModelError:
        raise
    except TypeError as error:
        raise ModelError(f"{name} does not take backbone_arguments {sorted(options)}: {error}") from error
    except Exception as error:  # timm and the hub raise dozens of kinds, from AssertionError to OSError
        raise ModelError(_why_not_created(name, pretrained, error)) from error


def _checked_weights_path(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(
            f"no weights at {path}; give the path of a .safetensors file, True (timm's own) or False"
        )
    if path.suffix != ".safetensors":
        raise ModelError(
            f"expected weights as .safetensors, got {path.name}: other formats can run code when read; "
            "convert them with safetensors.torch.save_file(model.state_dict(), …)"
        )
    return path


def _check_coverage(network: nn.Module, path: Path, name: str) -> None:
    """Refuse a file that would leave parameters at random: timm is not strict when classes differ."""
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or no safetensors file ({error}); fetch it again") from error
    parameters = [key for key, _ in network.named_parameters()]
    missing = [key for key in parameters if key not in present]
    if missing:
        raise ModelError(
            f"{path.name} lacks {len(missing)} of {len(parameters)} tensors of {name} (first: {missing[0]}); "
            f"expected the state_dict of timm's {name} with the same backbone_arguments"
        )


def _why_not_created(name: str, pretrained: bool | str | Path, error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    if pretrained is True:
        return (
            f"the weights of {name} could not be had ({reason}); "
            "go online, give a local .safetensors file (pretrained=path) or none (pretrained=False)"
        )
    if pretrained:
        return (
            f"{pretrained} holds no weights for {name} ({reason}); expected the state_dict of timm's {name}"
        )
    return f"{name} could not be created ({reason}); check its backbone_arguments"


def _triple(values: Any, *, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if values is None or len(values) != 3:
        return default
    return (float(values[0]), float(values[1]), float(values[2]))


def _fixed_size(network: Any) -> tuple[int, int] | None:
    """Height and width in pixels that the network insists on, None when it takes any."""
    patches = getattr(network, "patch_embed", None)
    size = getattr(patches, "img_size", None)
    if size is not None:
        return (int(size[0]), int(size[1])) if getattr(patches, "strict_img_size", True) else None
    config = network.pretrained_cfg
    return (config["input_size"][1], config["input_size"][2]) if config.get("fixed_input_size") else None


def _drop_unused(network: nn.Module, features: Tensor) -> None:
    """Remove the layers that do not lead to the features; freeze single parameters that do not."""
    used = _parameters_behind(features)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            parameters = list(child.parameters())
            if parameters and not any(id(p) in used for p in parameters):
                setattr(parent, name, nn.Identity())
    for parameter in network.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)


def _parameters_behind(tensor: Tensor) -> set[int]:
    """Identities of the parameters from which the tensor was computed."""
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


def _find_chain(network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Names of the layers that turn pictures into features one after the other.

    Found by watching which children run and what they pass on; containers that only chain are opened.

    Raises:
        ModelError: If anything happens between two layers: running them in turn would not be the same.
    """
    calls: list[tuple[str, Any, Any]] = []
    opened = {"": network}
    children = {}
    while opened:
        prefix, container = opened.popitem()
        for name, child in container.named_children():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(child, nn.Sequential) and type(child).forward is nn.Sequential.forward:
                opened[path] = child
            else:
                children[path] = child
    hooks = [
        child.register_forward_hook(lambda _m, given, got, path=path: calls.append((path, given[0], got)))
        for path, child in children.items()
    ]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            features = network.forward_features(images)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    given = images
    for _, received, returned in calls:
        if received is not given:
            break
        given = returned
    else:
        if given is features:
            return tuple(path for path, _, _ in calls)
    raise ModelError(
        f"{type(network).__name__} is no chain of layers, so it cannot be cut into stages; {_STAGED_HINT}"
    )
