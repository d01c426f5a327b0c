"""Da-HAR: distractions masked coarsely in the main network and finely in a side branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.base import AttributeModel, check_dropout, check_stages, check_width
from passerby.models.staged import create_staged_backbone
from passerby.models.visual_attention import VisualAttention
from passerby.parsing import MASK_CLASSES
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["DaHAR", "Fusion", "MaskBlock", "ResidualBlock"]

_OUTLINED = (3, 4)
"""The 4th and the 5th layer of Fig. 4, conv4_x and conv5_x."""


class DaHAR(AttributeModel):
    """Distraction-aware recognition: a main network with self-masks, a side branch with masked attention.

    The main network is the whole backbone; between its stages a `MaskBlock` looks at the features and they
    are multiplied by the mask that it gives. The side branch fuses the features of several stages
    (`Fusion`), multiplies them by a mask that learns from masks of persons, weights them by attention and
    confidence, one map an attribute, and classifies the sum over the positions. The score is the mean of the
    logits of both.

    Paper: Wu et al., *Distraction-Aware Feature Learning for Human Attribute Recognition via Coarse-to-Fine
    Attention Mechanism*, AAAI 2020; train it with the loss `da-har`. What its text and Fig. 3 leave open:

    - Self-masks stand after stages 1, 2 and 3, "between different layers". As in a residual block, their
      middle convolution is a quarter as wide as the features.
    - Stages 2 to 4 are fused, after their self-masks, at the size of stage 3 and 256 channels wide. With 14
      attributes and ResNet-101 that makes 49.0 M parameters, 1.153 times those of the baseline; with the 1000
      classes of ImageNet 52.1 M, 1.169 times. The paper has 52.4 M and 1.154 times, and not with how many.
    - "Two residual blocks on the top of the mask block" must come before its one channel: the features go
      through them, then through the three 1×1 convolutions.
    - The attention is that of SRN (Zhu et al., 2017), as in DIAA. "The same structure for classification" as
      in the main network, pooling and one linear layer, is here the weighted sum and one linear layer.

    Args:
        schema: The attributes, in the order of the logits.
        backbone: Name of a timm model that can be cut into stages.
        pretrained: Weights of the backbone: True (timm's own), the path of a `.safetensors` file, or False.
        dropout: Probability of dropping a pooled feature of the main classifier in training.
        backbone_arguments: Further arguments of the timm model, plain JSON values; see `create_backbone`.
        self_mask_stages: Stages (1 to 4) whose features are masked; none for a network without.
        levels: Stages whose features the side branch fuses; none for a network without side branch.
        masked_attention: Have mask and attention in the side branch; without, it pools and classifies what it
            fused.
        mask_supervision: Learn the mask of the side branch from masks of persons; pictures without one have
            no part in that.
        fusion_channels: Width of the side branch.
        attention_channels: Width of the convolutions in the attention module.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A); branches `main` and, with a side branch, `side`, (N, A); features (N, C, h, w)
            of stage 4; maps `self_mask1` … (N, 1, h, w) in (0, 1), `mask` likewise, `attention` and
            `confidence` (N, A, h, w) and, in evaluation mode, `outline3` and `outline4` (N, 1, h, w) in
            {0, 1} (Fig. 4); parsing `mask` (N, 2, H, W), in training with `mask_supervision` and from
            `parse`.
    """

    has_maps = True

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        backbone: str = "resnet101",
        pretrained: bool | str | Path = False,
        dropout: float = 0.0,
        backbone_arguments: Mapping[str, Any] | None = None,
        self_mask_stages: Sequence[int] = (1, 2, 3),
        levels: Sequence[int] = (2, 3, 4),
        masked_attention: bool = True,
        mask_supervision: bool = True,
        fusion_channels: int = 256,
        attention_channels: int = 512,
    ) -> None:
        super().__init__(schema)
        check_dropout(dropout)
        self_mask_stages = check_stages("self_mask_stages", self_mask_stages)
        self.levels = check_stages("levels", levels)
        check_width("fusion_channels", fusion_channels)
        check_width("attention_channels", attention_channels)
        if masked_attention and not levels:
            raise ModelError(
                "masked_attention looks at fused levels; give levels, or masked_attention: false"
            )
        self.backbone = create_staged_backbone(backbone, pretrained=pretrained, arguments=backbone_arguments)
        self.dropout = nn.Dropout(dropout)
        attributes, channels = len(schema), self.backbone.stage_channels
        self.main = nn.Linear(self.backbone.channels, attributes)
        self.self_masks = nn.ModuleDict(
            {str(stage): MaskBlock(channels[stage - 1]) for stage in self_mask_stages}
        )
        self.fusion, self.side, self.mask, self.attention = None, None, None, None
        if levels:
            self.fusion = Fusion([channels[level - 1] for level in levels], fusion_channels)
            self.side = nn.Linear(fusion_channels, attributes)
        if masked_attention:
            self.mask = nn.Sequential(
                ResidualBlock(fusion_channels), ResidualBlock(fusion_channels), MaskBlock(fusion_channels)
            )
            self.attention = VisualAttention(fusion_channels, attributes, hidden=attention_channels)
            self.parsing_classes = MASK_CLASSES
            self.supervision = ("masks",) if mask_supervision else ()
            self.native_map, self.heat_method = "attention*confidence*mask", "native"
        self.probability_maps = (
            *(f"self_mask{stage}" for stage in self_mask_stages),
            *(f"outline{stage}" for stage in _OUTLINED),
            *(("mask", "confidence") if masked_attention else ()),
        )
        for block in (self.self_masks, self.fusion, self.side, self.mask, self.attention):
            if block is not None:
                block.apply(_draw_weights)

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures."""
        del guidance
        return self._run(images, with_parsing=self.training and bool(self.supervision))

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures, and tell the pixels of the person from the others."""
        del guidance
        if self.mask is None:
            raise ModelError("this da-har model has no mask to parse by (masked_attention: false)")
        return self._run(images, with_parsing=True)

    def _run(self, images: Tensor, *, with_parsing: bool) -> Output:
        maps: dict[str, Tensor] = {}
        stages, features = [], images
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            if stage in _OUTLINED and not self.training:
                maps[f"outline{stage}"] = _draw_outline(features.detach())
            if stage == 4:
                features = self.capture(features)
            if str(stage) in self.self_masks:
                mask = self.self_masks[str(stage)](features).sigmoid()
                maps[f"self_mask{stage}"] = mask.detach()
                features = features * mask
            stages.append(features)
        branches = {"main": self.main(self.dropout(features.mean((2, 3))))}
        parsing: dict[str, Tensor] = {}
        if self.fusion is not None and self.side is not None:
            size = (stages[2].shape[2], stages[2].shape[3])
            fused = self.fusion([stages[level - 1] for level in self.levels], size)  # (N, C, h, w)
            if self.mask is None or self.attention is None:
                branches["side"] = self.side(fused.mean((2, 3)))
            else:
                person = self.mask(fused)  # (N, 1, h, w), logits
                if with_parsing:
                    parsing["mask"] = _compare_with_background(person, (images.shape[2], images.shape[3]))
                mask = person.sigmoid()
                masked = fused * mask
                attention, confidence = self.attention(masked)
                maps |= {"mask": mask.detach(), "attention": attention.detach()}
                if confidence is not None:
                    maps["confidence"] = confidence.detach()
                    attention = attention * confidence
                attended = torch.einsum("nahw,nchw->nac", attention, masked)
                branches["side"] = (attended * self.side.weight).sum(2) + self.side.bias
        logits = torch.stack(list(branches.values())).mean(0)
        return Output(logits, branches=branches, features=features, maps=maps, parsing=parsing)


class MaskBlock(nn.Module):
    """Three 1×1 convolutions, with batch normalisation and ReLU after the first two: how salient a place is.

    Paper: Da-HAR, "Coarse Distraction-Aware Learning": "constructed similar to a residual block", whose
    width in the middle, a quarter of that of the features, is taken over.

    Shape:
        features: (N, C, h, w). Returns logits (N, 1, h, w); their sigmoid is the mask.

    Example:
        >>> MaskBlock(8)(torch.zeros(2, 8, 5, 4)).shape
        torch.Size([2, 1, 5, 4])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the mask."""
        mask: Tensor = self.layers(features)
        return mask


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation beside the identity (He et al., 2016).

    Shape:
        features: (N, C, h, w). Returns the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Run the block."""
        return F.relu(features + self.layers(features))


class Fusion(nn.Module):
    """Features of several stages as one map: reduced to one width, resampled to one size, added up, smoothed.

    Paper: Da-HAR, "Multi-Level Feature Aggregation": a 1×1 convolution, a resampling layer (bilinear here)
    and stacked residual blocks (two here) "to alleviate the aliasing effect of up-sampling", hence after the
    sum.

    Args:
        channels: Of the features of each level.
        width: Of the result.

    Shape:
        levels: (N, C_l, h_l, w_l) each; size: h and w. Returns (N, width, h, w).

    Example:
        >>> fuse = Fusion((8, 16), 4)
        >>> fuse([torch.zeros(2, 8, 6, 4), torch.zeros(2, 16, 3, 2)], (6, 4)).shape
        torch.Size([2, 4, 6, 4])
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.smooth = nn.Sequential(ResidualBlock(width), ResidualBlock(width))

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Fuse the levels."""
        reduced = [reduce(features) for reduce, features in zip(self.reduce, levels, strict=True)]
        resampled = [
            each if each.shape[2:] == size else F.interpolate(each, size=size, mode="bilinear")
            for each in reduced
        ]
        fused: Tensor = self.smooth(torch.stack(resampled).sum(0))
        return fused


def _draw_outline(features: Tensor) -> Tensor:
    """Where the sum over the channels is above its median, (N, 1, h, w) in {0, 1} (Fig. 4)."""
    total = features.sum(1, keepdim=True)
    ordered = total.flatten(2).sort(2).values  # (N, 1, h·w); ONNX has no median
    threshold = ordered[:, :, (ordered.shape[2] - 1) // 2]  # (N, 1), of an even number the lower
    return (total > threshold[:, :, None, None]).to(features.dtype)


def _compare_with_background(person: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits of a mask, (N, 1, h, w), as those of background and person in each pixel, (N, 2, H, W)."""
    pixels = F.interpolate(person, size=size, mode="bilinear")
    return torch.cat([torch.zeros_like(pixels), pixels], dim=1)


def _draw_weights(module: nn.Module) -> None:
    """The paper's start of its blocks: N(0, 0.01)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
