"""Da-HAR: distractions are masked coarsely in the main network and finely in a side branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbone_model import BackboneArguments, StagedModel, share_arguments
from passerby.models.base import check_stages, check_width
from passerby.models.da_har.blocks import (
    Fusion,
    MaskBlock,
    ResidualBlock,
    compute_outline,
    initialize_weights,
)
from passerby.models.visual_attention import VisualAttention
from passerby.parsing import MASK_CLASSES
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["DaHAR"]

_OUTLINED = (3, 4)
"""The 4th and the 5th layer of Fig. 4, conv4_x and conv5_x."""


class DaHAR(StagedModel):
    """Distraction-aware recognition: a main network with self-masks, a side branch with masked attention.

    The main network is the entire backbone; between its stages, a `MaskBlock` computes a mask of the
    features, which are multiplied by it. The side branch fuses the features of several stages (`Fusion`),
    multiplies them by a mask that is supervised by person masks, weights them by attention and confidence
    (one map per attribute), and classifies the sum over the positions. The score is the mean of the logits of
    both.

    Paper: Wu et al., *Distraction-Aware Feature Learning for Human Attribute Recognition via Coarse-to-Fine
    Attention Mechanism*, AAAI 2020; train it with the loss `da-har`. Choices where the text and Fig. 3 leave
    details open:

    - Self-masks follow stages 1, 2 and 3, "between different layers". As in a residual block, their middle
      convolution is a quarter as wide as the features.
    - Stages 2 to 4 are fused, after their self-masks, at the size of stage 3 and 256 channels wide. With 14
      attributes and ResNet-101, this makes 49.0 M parameters, 1.153 times those of the baseline; with the
      1000 classes of ImageNet 52.1 M, 1.169 times. The paper reports 52.4 M and 1.154 times, without the
      number of classes.
    - "Two residual blocks on the top of the mask block" must precede its single channel: the features pass
      through them, then through the three 1×1 convolutions.
    - The attention is that of SRN (Zhu et al., 2017), as in DIAA. "The same structure for classification" as
      in the main network, pooling and one linear layer, is here the weighted sum and one linear layer.

    Args:
        schema: The attributes, in the order of the logits.
        self_mask_stages: Stages (1 to 4) whose features are masked; empty for a network without self-masks.
        levels: Stages whose features the side branch fuses; empty for a network without side branch.
        masked_attention: Use mask and attention in the side branch; otherwise it pools and classifies the
            fused features.
        mask_supervision: Train the mask of the side branch with person masks; images without one do not
            contribute to that loss.
        fusion_channels: Width of the side branch.
        attention_channels: Width of the convolutions in the attention module.
        shared: See `BackboneModel`; the default backbone is resnet101. `dropout` applies to the pooled
            features of the main classifier.

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

    shared_arguments = share_arguments(backbone="resnet101")
    has_maps = True
    has_parsing = True

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        self_mask_stages: Sequence[int] = (1, 2, 3),
        levels: Sequence[int] = (2, 3, 4),
        masked_attention: bool = True,
        mask_supervision: bool = True,
        fusion_channels: int = 256,
        attention_channels: int = 512,
        **shared: Unpack[BackboneArguments],
    ) -> None:
        self_mask_stages = check_stages("self_mask_stages", self_mask_stages)
        levels = check_stages("levels", levels)
        check_width("fusion_channels", fusion_channels)
        check_width("attention_channels", attention_channels)
        if masked_attention and not levels:
            raise ModelError("masked_attention needs fused levels; give levels, or masked_attention: false")
        super().__init__(schema, **shared)
        self.levels = levels
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
                block.apply(initialize_weights)

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits; guidance is not used."""
        del guidance
        return self._run(images, with_parsing=self.training and bool(self.supervision))

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits, and a parsing map of background and person."""
        del guidance
        if self.mask is None:
            raise ModelError(
                "this da-har model has no mask for parsing maps; create it with masked_attention: true"
            )
        return self._run(images, with_parsing=True)

    def _run(self, images: Tensor, *, with_parsing: bool) -> Output:
        maps: dict[str, Tensor] = {}
        stages, features = [], images
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            if stage in _OUTLINED and not self.training:
                maps[f"outline{stage}"] = compute_outline(features.detach())
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
                    parsing["mask"] = _add_background(person, (images.shape[2], images.shape[3]))
                mask = person.sigmoid()
                attended, side_maps = _attend(self.attention, fused * mask)
                branches["side"] = (attended * self.side.weight).sum(2) + self.side.bias
                maps |= {"mask": mask.detach(), **side_maps}
        logits = torch.stack(list(branches.values())).mean(0)
        return Output(logits, branches=branches, features=features, maps=maps, parsing=parsing)


def _attend(attention: VisualAttention, features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Features summed with the weights of each attribute, (N, A, C), and the maps of these weights."""
    weights, confidence = attention(features)
    maps = {"attention": weights.detach()}
    if confidence is not None:
        maps["confidence"] = confidence.detach()
        weights = weights * confidence
    return torch.einsum("nahw,nchw->nac", weights, features), maps


def _add_background(person: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits of a mask, (N, 1, h, w), as those of background and person in each pixel, (N, 2, H, W)."""
    pixels = F.interpolate(person, size=size, mode="bilinear")
    return torch.cat([torch.zeros_like(pixels), pixels], dim=1)
