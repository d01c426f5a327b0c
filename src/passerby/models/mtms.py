"""MTMS (ACM MM 2019): coarse localisation, then fine recognition; parsing as a second task of both stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbone_model import BackboneArguments, StagedModel
from passerby.models.base import check_choice
from passerby.models.staged import StagedBackbone
from passerby.parsing import CLASS_LISTS, MASK_CLASSES
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["MTMS", "RelationAttention"]

Stage = Literal["stage1", "stage2"]


class MTMS(StagedModel):
    """Hierarchical multi-task network: attributes and parsing, trained in two successive stages.

    Stage I is the backbone to stride 8 (ResNet-50: block 3d). Its last layers exist three times, for
    attributes, for parsing, and for the trunk; the mean of the three maps (Eq. 4) is the input of stage II,
    which ends at stride 16 (block 4f) in two branches. Attributes: a 1×1 convolution to one map per
    attribute, and the mean over it. Parsing: a transposed convolution to the size of the images.
    `RelationAttention` connects the attribute maps of the two stages.

    Paper: Gao et al., ACM MM 2019, sections 3.1–3.3. It does not state where the branches split; its
    "approximately tripled computations" are those of the layers that exist three times. Here these are the
    last half of each stage's layers, rounded down, at least one.

    Args:
        schema: The attributes, in the order of the logits.
        parsing_classes: The K classes of the parsing maps in training: `lip` (20), `coarse` (6), `mask` (2,
            from masks), or their names, the background first (pixels outside of an image count as
            background).
        branch_layers: Number of last layers of stage I and of stage II that each branch has separately.
        hierarchical: Use the two stages; otherwise, attributes and parsing split in stage I and continue to
            stride 16 separately ("Multi-task" of Table 1).
        attention: Use the attribute relationship attention.
        predict_from: The stage whose attribute logits are the prediction.
        shared: See `BackboneModel`; `dropout` drops channels before the attributes' convolutions, the paper
            has none.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A); branches `stage1` and `stage2`, (N, A); features (N, C, h, w) of the attribute
            branch that predicts; maps `stage1` and `stage2`, sigmoids of the attribute maps, (N, A, h, w);
            parsing `stage1` and `stage2`, (N, K, H, W), in training and from `parse`. A stage that none of
            these needs is not computed.
    """

    has_maps = True
    has_parsing = True
    probability_maps = ("stage1", "stage2")

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        parsing_classes: str | Sequence[str] = "lip",
        branch_layers: tuple[int, int] | None = None,
        hierarchical: bool = True,
        attention: bool = True,
        predict_from: Stage = "stage2",
        **shared: Unpack[BackboneArguments],
    ) -> None:
        classes = _name_classes(parsing_classes)
        check_choice("predict_from", predict_from, get_args(Stage))
        if not hierarchical and (attention or predict_from == "stage1"):
            raise ModelError(
                "attention and predict_from: stage1 need two stages; set hierarchical: true, or attention: "
                "false and predict_from: stage2"
            )
        super().__init__(schema, **shared)
        self.parsing_classes = classes
        self.supervision = ("masks",) if classes == MASK_CLASSES else ("parsing",)
        self.predict_from: Stage = predict_from
        self.native_map = predict_from
        self.dropout = nn.Dropout2d(self.dropout_probability)  # of channels: as dropout after the mean
        self.backbone.keep_stages(3)
        self.tails = _count_tails(self.backbone, branch_layers)
        attributes = len(schema)
        _, width1, width2, _ = self.backbone.stage_channels
        self.parsing1_tail = self.backbone.copy_tail(2, self.tails[0])
        self.attributes2 = nn.Conv2d(width2, attributes, 1)
        self.parsing2 = _create_deconvolution(width2, len(classes), stride=16)
        self.hierarchical = hierarchical
        if hierarchical:
            self.attributes1_tail = self.backbone.copy_tail(2, self.tails[0])
            self.attributes1 = nn.Conv2d(width1, attributes, 1)
            self.parsing1 = _create_deconvolution(width1, len(classes), stride=8)
        copied = self.tails[1] if hierarchical else self.backbone.count_layers(3)
        self.parsing2_tail = self.backbone.copy_tail(3, copied)
        self.attention = RelationAttention(attributes) if attention else None

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits; guidance is not used."""
        del guidance
        return self._run(images, with_parsing=self.training)

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits and the parsing maps."""
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
                branch = middle if self.hierarchical else self.parsing1_tail(shared)
                parsing["stage2"] = _fit(self.parsing2(self.parsing2_tail(branch)), size)
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
    """Attribute relationship attention: the maps of stage I scale and shift those of stage II.

    y = b + w · x₂ with w = ReLU(Θ_w(x₁)) and b = Θ_b(x₁), where x₁ are the maps of stage I after a
    convolution of stride 2 and a ReLU.

    Paper: MTMS, Eq. 6–7 and Fig. 3, which do not state the kernels: here 3×3 to halve the map and 1×1 for Θ,
    each from all attributes to all. Initially, Θ_w gives nearly 1 and Θ_b nearly 0 (weights with a standard
    deviation of 0.01), so the maps of stage II are nearly unchanged.

    Args:
        attributes: Number of attributes A.

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
        if halved.shape[2:] != second.shape[2:]:  # backbones round sizes not divisible by 16
            halved = F.interpolate(halved, size=second.shape[2:], mode="bilinear")
        refined: Tensor = self.bias(halved) + self.weight(halved).relu() * second
        return refined


def _count_tails(backbone: StagedBackbone, given: Sequence[int] | None) -> tuple[int, int]:
    """Number of last layers of stage I and of stage II that each branch has separately."""
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
            f"expected parsing_classes {', '.join(lists)}, or at least two distinct names, got {classes!r}"
        )
    return names


def _create_deconvolution(channels: int, classes: int, *, stride: int) -> nn.ConvTranspose2d:
    """Upsample to the input size; each pixel depends on the two nearest cells in either direction."""
    return nn.ConvTranspose2d(channels, classes, 2 * stride, stride=stride, padding=stride // 2)


def _fit(parsing: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop or resize to the image size if the stride does not divide it: backbones round up or down."""
    cut = parsing[:, :, : size[0], : size[1]]
    return cut if cut.shape[2:] == size else F.interpolate(cut, size=size, mode="bilinear")
