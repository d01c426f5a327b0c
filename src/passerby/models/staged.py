"""Any timm network in four stages, so that a model can use or replace intermediate features."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbones import Backbone, build_backbone

__all__ = ["StageTail", "StagedBackbone", "create_staged_backbone"]

_STAGED_HINT = (
    "choose a backbone with features at strides 4, 8, 16 and 32, such as resnet50, densenet121, "
    "convnext_tiny or swin_small_patch4_window7_224"
)


class StagedBackbone(Backbone):
    """A timm network cut at its stage boundaries, so that a model can use or replace intermediate features.

    The first three stages end at timm's features of stride 4, 8 and 16 pixels; the fourth contains all
    remaining layers before the classifier (a last normalisation, MobileNetV2's widening convolution). The
    weights and their names are those of `Backbone`.

    Args:
        network: A timm model created with `num_classes=0`.

    Attributes:
        stage_channels: Number of channels after each stage.

    Raises:
        ModelError: If the network is not a chain of layers, or has no features at one of the strides (vision
            transformers with a single scale).

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
        features, channels = torch.zeros(1, 3, *self.probe_size_px()), []
        training = self.training
        self.eval()
        with torch.no_grad():
            for stage in range(1, 5):
                features = self.run_stage(stage, features)
                channels.append(int(features.shape[1]))
        self.train(training)
        self.stage_channels = (channels[0], channels[1], channels[2], channels[3])

    def count_layers(self, stage: int) -> int:
        """Number of layers of a stage, 1 to 4; stage 2 of ResNet-50 has the blocks 3a to 3d.

        Raises:
            ModelError: If there is no such stage.
        """
        return len(self._name_layers(stage))

    def copy_tail(self, stage: int, count: int) -> StageTail:
        """Copies of the last `count` layers of a stage, with separate weights that are initially equal.

        Raises:
            ModelError: If there is no such stage, or it has fewer layers.

        Example:
            >>> backbone = create_staged_backbone("test_resnet")
            >>> tail = backbone.copy_tail(3, 1)
            >>> features = backbone.run_stage(2, backbone.run_stage(1, torch.zeros(1, 3, 64, 64)))
            >>> tuple(tail(backbone.run_stage(3, features, layers=slice(-1))).shape)
            (1, 192, 4, 4)
        """
        names = self._name_layers(stage)
        if not isinstance(count, int) or not 0 < count <= len(names):
            raise ModelError(
                f"expected a number of layers from 1 to {len(names)} in stage {stage}, got {count!r}"
            )
        layers = (copy.deepcopy(self.network.get_submodule(name)) for name in names[-count:])
        return StageTail(layers, channels_last=self.channels_last)

    def run_stage(self, stage: int, features: Tensor, *, layers: slice = slice(None)) -> Tensor:
        """Run one stage, 1 to 4, on the images (stage 1) or on the features of the previous stage.

        Args:
            layers: Which of its layers; `slice(-2)` omits the last two, `slice(-2, None)` runs only these.

        Shape:
            features: (N, 3, H, W) for stage 1, else (N, C, h, w) as returned by the previous stage, or a
                replacement of that shape.
            returns: (N, C', h', w').

        Raises:
            ModelError: If there is no such stage, or the network requires another image size.
        """
        names = self._name_layers(stage)
        if stage == 1:
            self.check_size(features)
        elif self.channels_last:
            features = features.permute(0, 2, 3, 1)  # (N, h, w, C)
        for name in names[layers]:
            features = self.network.get_submodule(name)(features)
        return features.permute(0, 3, 1, 2) if self.channels_last else features  # (N, C, h, w)

    def _name_layers(self, stage: int) -> tuple[str, ...]:
        if not isinstance(stage, int) or not 1 <= stage <= len(self._stages):
            raise ModelError(f"expected a stage from 1 to {len(self._stages)}, got {stage!r}")
        return self._stages[stage - 1]

    def keep_stages(self, count: int) -> None:
        """Remove the layers of all stages after the first `count`, 1 to 4, and their weights.

        Raises:
            ModelError: If there are fewer stages.

        Example:
            >>> backbone = create_staged_backbone("test_resnet")
            >>> backbone.keep_stages(3)
            >>> backbone.channels, tuple(backbone(torch.zeros(1, 3, 64, 64)).shape)
            (192, (1, 192, 4, 4))
        """
        if not isinstance(count, int) or not 1 <= count <= len(self._stages):
            raise ModelError(f"expected a number of stages from 1 to {len(self._stages)}, got {count!r}")
        for names in self._stages[count:]:
            for name in names:
                self.network.set_submodule(name, nn.Identity())
        self._stages = self._stages[:count]
        self.channels = self.stage_channels[count - 1]

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features, stage by stage."""
        features = images
        for stage in range(1, len(self._stages) + 1):
            features = self.run_stage(stage, features)
        return features

    def _cut(self) -> tuple[tuple[str, ...], ...]:
        """Names of the layers of each stage."""
        chain = _find_chain(self.network, torch.zeros(1, 3, *self.probe_size_px()))
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


class StageTail(nn.Module):
    """Layers from the end of a stage, as a separate module.

    Args:
        layers: The layers, in order.
        channels_last: Whether the layers take (N, h, w, C).

    Shape:
        features: (N, C, h, w), the output of the preceding layers in the network.
        returns: (N, C', h', w').
    """

    def __init__(self, layers: Iterable[nn.Module], *, channels_last: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.channels_last = channels_last

    def forward(self, features: Tensor) -> Tensor:
        """Run the layers."""
        if not self.channels_last:
            result: Tensor = self.layers(features)
            return result
        return self.layers(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


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
    return build_backbone(StagedBackbone, name, pretrained, arguments)


def _find_chain(network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Names of the layers that compute the features sequentially.

    Found by recording the inputs and outputs of the submodules; `nn.Sequential` containers are expanded.

    Raises:
        ModelError: If the output of a layer is not the input of the next: running them in order would not
            compute the same features.
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
        f"{type(network).__name__} is not a chain of layers, so it cannot be cut into stages; {_STAGED_HINT}"
    )
