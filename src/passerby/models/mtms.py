"""MTMS: coarse localisation before fine recognition, with parsing as a second task of both stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.base import AttributeModel, check_dropout
from passerby.models.staged import StagedBackbone, create_staged_backbone
from passerby.parsing import CLASS_LISTS, MASK_CLASSES
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["MTMS", "RelationAttention"]

Stage = Literal["stage1", "stage2"]


class MTMS(AttributeModel):
    """Hierarchical multi-task network: attributes and parsing, learnt in two successive stages.

    Stage I is the backbone to stride 8 (ResNet-50: block 3d), whose last layers are there three times, for
    attributes, for parsing, and for the trunk; the mean of the three maps (Eq. 4) goes on to stage II, which
    ends at stride 16 (block 4f) in two branches. Attributes: a 1×1 convolution to one map an attribute and
    the mean over it. Parsing: a transposed convolution to the size of the pictures. Between the attribute
    maps of the two stages stands `RelationAttention`.

    Paper: Gao et al., ACM MM 2019, sections 3.1–3.3. Where the branches split is not printed; its
    "approximately tripled computations" are those of the layers that are there three times. Here these are
    the last half of each stage's layers, rounded down, at least one.

    Args:
        schema: The attributes, in the order of the logits.
        backbone: Name of a timm model that can be cut into stages.
        pretrained: Weights of the backbone: True (timm's own), the path of a `.safetensors` file, or False.
        dropout: Probability of dropping a channel before the attributes' convolutions in training; the paper
            names none.
        backbone_arguments: Further arguments of the timm model, plain JSON values; see `create_backbone`.
        parsing_classes: The K classes of the parsing maps that it learns from: `lip` (20), `coarse` (6),
            `mask` (2, learnt from masks), or their names, the background first: what lies beyond a picture
            counts as that.
        branch_layers: How many of the last layers of stage I and of stage II each branch has for itself.
        hierarchical: Have the two stages; without, attributes and parsing split in stage I and each go on to
            stride 16 by themselves ("Multi-task" of Table 1).
        attention: Have the attribute relationship attention.
        predict_from: The stage whose attribute logits are the prediction.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A); branches `stage1` and `stage2`, (N, A); features (N, C, h, w) of the attribute
            branch that predicts; maps `stage1` and `stage2`, sigmoids of the attribute maps, (N, A, h, w);
            parsing `stage1` and `stage2`, (N, K, H, W), in training and from `parse`. What neither the
            prediction nor these need is left out.
    """

    has_maps = True
    probability_maps = ("stage1", "stage2")

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        backbone: str = "resnet50",
        pretrained: bool | str | Path = False,
        dropout: float = 0.0,
        backbone_arguments: Mapping[str, Any] | None = None,
        parsing_classes: str | Sequence[str] = "lip",
        branch_layers: tuple[int, int] | None = None,
        hierarchical: bool = True,
        attention: bool = True,
        predict_from: Stage = "stage2",
    ) -> None:
        super().__init__(schema)
        check_dropout(dropout)
        self.parsing_classes = _name_classes(parsing_classes)
        if not hierarchical and (attention or predict_from == "stage1"):
            raise ModelError(
                "attention and predict_from: stage1 need two stages; set hierarchical: true, or attention: "
                "false and predict_from: stage2"
            )
        if predict_from not in get_args(Stage):
            raise ModelError(f"expected predict_from stage1 or stage2, got {predict_from!r}")
        self.supervision = ("masks",) if self.parsing_classes == MASK_CLASSES else ("parsing",)
        self.predict_from: Stage = predict_from
        self.native_map = predict_from
        self.dropout = nn.Dropout2d(dropout)  # of channels: what it is to the mean over the map
        self.backbone = create_staged_backbone(backbone, pretrained=pretrained, arguments=backbone_arguments)
        self.backbone.keep_stages(3)
        self.tails = _count_tails(self.backbone, branch_layers)
        attributes = len(schema)
        _, width1, width2, _ = self.backbone.stage_channels
        self.parsing1_tail = self.backbone.copy_tail(2, self.tails[0])
        self.attributes2 = nn.Conv2d(width2, attributes, 1)
        self.parsing2 = _create_deconvolution(width2, len(self.parsing_classes), stride=16)
        self.hierarchical = hierarchical
        if hierarchical:
            self.attributes1_tail = self.backbone.copy_tail(2, self.tails[0])
            self.attributes1 = nn.Conv2d(width1, attributes, 1)
            self.parsing1 = _create_deconvolution(width1, len(self.parsing_classes), stride=8)
        copied = self.tails[1] if hierarchical else self.backbone.count_layers(3)
        self.parsing2_tail = self.backbone.copy_tail(3, copied)
        self.attention = RelationAttention(attributes) if attention else None

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures."""
        del guidance
        return self._run(images, with_parsing=self.training)

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures and parse them."""
        del guidance
        return self._run(images, with_parsing=True)

    def _run(self, images: Tensor, *, with_parsing: bool) -> Output:
        size = (images.shape[2], images.shape[3])
        features: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        parsing: dict[str, Tensor] = {}
        shared = self.backbone.run_stage(2, self.backbone.run_stage(1, images), layers=slice(-self.tails[0]))
        if self.hierarchical:
            features["stage1"] = self.attributes1_tail(shared)
            if self.predict_from == "stage1":
                features["stage1"] = self.capture(features["stage1"])
            maps["stage1"] = self.attributes1(self.dropout(features["stage1"]))  # (N, A, h, w)
        if self.predict_from == "stage2" or with_parsing:
            trunk = self.backbone.run_stage(2, shared, layers=slice(-self.tails[0], None))
            if self.hierarchical:
                parsed = self.parsing1_tail(shared)
                if with_parsing:
                    parsing["stage1"] = _fit(self.parsing1(parsed), size)
                trunk = (features["stage1"] + parsed + trunk) / 3
            middle = self.backbone.run_stage(3, trunk, layers=slice(-self.tails[1]))
            features["stage2"] = self.backbone.run_stage(3, middle, layers=slice(-self.tails[1], None))
            if self.predict_from == "stage2":
                features["stage2"] = self.capture(features["stage2"])
            if with_parsing:
                apart = middle if self.hierarchical else self.parsing1_tail(shared)
                parsing["stage2"] = _fit(self.parsing2(self.parsing2_tail(apart)), size)
            maps["stage2"] = self.attributes2(self.dropout(features["stage2"]))
            if self.attention is not None:
                maps["stage2"] = self.attention(maps["stage1"], maps["stage2"])
        scores = {stage: each.mean((2, 3)) for stage, each in maps.items()}
        return Output(
            scores[self.predict_from],
            branches=scores,
            features=features[self.predict_from],
            maps={stage: each.detach().sigmoid() for stage, each in maps.items()},
            parsing=parsing,
        )


class RelationAttention(nn.Module):
    """Attribute relationship attention: what stage I found scales and shifts the maps of stage II.

    y = b + w · x₂ with w = ReLU(Θ_w(x₁)), b = Θ_b(x₁), x₁ being the maps of stage I after a convolution of
    stride 2 and a ReLU.

    Paper: MTMS, Eq. 6–7 and Fig. 3, which do not print the kernels: 3×3 to halve the map, 1×1 for Θ, each
    from all attributes to all. At the start Θ_w gives nearly 1 and Θ_b nearly 0 (weights of 0.01 in the
    standard deviation), so that stage II is nearly what it was.

    Args:
        attributes: A.

    Shape:
        first: (N, A, h, w), maps of stage I. second: (N, A, h', w'), maps of stage II.
        returns: (N, A, h', w').

    Example:
        >>> import torch
        >>> attention = RelationAttention(5)
        >>> second = torch.randn(2, 5, 4, 3)
        >>> torch.allclose(attention(torch.randn(2, 5, 8, 6), second), second, atol=0.5)
        True
    """

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(attributes, attributes, 3, stride=2, padding=1)
        self.weight = nn.Conv2d(attributes, attributes, 1)
        self.bias = nn.Conv2d(attributes, attributes, 1)
        for layer, value in ((self.weight, 1.0), (self.bias, 0.0)):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, value)  # type: ignore[arg-type]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Refine the maps of stage II."""
        halved = self.halve(first).relu()
        if halved.shape[2:] != second.shape[2:]:  # backbones round sizes that 16 does not divide
            halved = F.interpolate(halved, size=second.shape[2:], mode="bilinear")
        refined: Tensor = self.bias(halved) + self.weight(halved).relu() * second
        return refined


def _count_tails(backbone: StagedBackbone, given: Sequence[int] | None) -> tuple[int, int]:
    """How many layers at the end of stage I and of stage II each branch has for itself."""
    layers = (backbone.count_layers(2), backbone.count_layers(3))
    if given is None:
        return (max(1, layers[0] // 2), max(1, layers[1] // 2))
    counts = tuple(given) if isinstance(given, list | tuple) else ()
    if len(counts) != 2 or not all(
        isinstance(n, int) and 0 < n <= most for n, most in zip(counts, layers, strict=True)
    ):
        raise ModelError(
            f"expected two numbers of branch_layers, 1 … {layers[0]} and 1 … {layers[1]}, got {given!r}"
        )
    return counts


def _name_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """The names of a list of parsing classes."""
    lists = {"mask": MASK_CLASSES, **CLASS_LISTS}
    names: tuple[str, ...] = ()
    if isinstance(classes, str):
        names = lists.get(classes, ())
    elif isinstance(classes, list | tuple):
        names = tuple(classes)
    named = all(isinstance(name, str) for name in names)
    if not named or len(names) < 2 or len(set(names)) < len(names):
        raise ModelError(
            f"expected parsing_classes {', '.join(lists)}, or at least two different names, got {classes!r}"
        )
    return names


def _create_deconvolution(channels: int, classes: int, *, stride: int) -> nn.ConvTranspose2d:
    """Each pixel looks at the two nearest cells in either direction."""
    return nn.ConvTranspose2d(channels, classes, 2 * stride, stride=stride, padding=stride // 2)


def _fit(parsing: Tensor, size: tuple[int, int]) -> Tensor:
    """To the size of the picture where the stride does not divide it: backbones round up, or down."""
    cut = parsing[:, :, : size[0], : size[1]]
    return cut if cut.shape[2:] == size else F.interpolate(cut, size=size, mode="bilinear")
