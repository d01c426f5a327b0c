"""DIAA (ECCV 2018): attribute-specific attention at two scales, aggregated at score level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbone_model import BackboneArguments, StagedModel, share_arguments
from passerby.models.base import check_choice, check_stages, check_width
from passerby.models.visual_attention import VisualAttention
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["DIAA", "Aggregation", "AttentionClassifier"]

_GRIDS = ((56, 56), (28, 28), (14, 14), (7, 7))
"""Size of each stage's map for the paper's 224×224 images, at strides 4, 8, 16 and 32."""

Aggregation = Literal["score", "upsample", "max-pool", "strided-conv"]


class AttentionClassifier(nn.Module):
    """One linear layer over the (confidence-weighted) attention maps of all attributes.

    Paper: Sarafianos et al., ECCV 2018, section 3.1: each mask is "fed to a classifier". Like the classifier
    of the primary network, (W_p, b_p), it is a single linear layer here, with a weight for every attribute's
    map at every position, so the logits depend on *where* the attention lies. Batch normalisation first
    brings the maps to one scale. The published code applies a convolutional network to the maps; its layer of
    the same size as the map has 103 million parameters at 14×14, more than twice the primary network, which
    contradicts the section's own "simple". Pooling instead of that layer would discard the position.

    Args:
        attributes: Number of attributes A.
        grid: Rows and columns of the positions that have weights; maps of another size are resampled to it
            (bilinear), so that the model takes images of any size.

    Shape:
        maps: (N, A, h, w) float; returns: logits (N, A).
    """

    def __init__(self, attributes: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.normalisation = nn.BatchNorm2d(attributes)
        self.linear = nn.Conv2d(attributes, attributes, kernel_size=grid)  # as large as the maps

    def forward(self, maps: Tensor) -> Tensor:
        """Classify the maps."""
        # Uniform attention becomes 1 everywhere; otherwise, the ε of the normalisation would dominate.
        maps = self.normalisation(maps * (maps.shape[2] * maps.shape[3]))
        if maps.shape[2:] != self.grid:
            maps = F.interpolate(maps, size=self.grid, mode="bilinear", align_corners=False)
        logits: Tensor = self.linear(maps)  # (N, A, 1, 1)
        return logits.flatten(1)


class DIAA(StagedModel):
    """Deep imbalanced attribute classification: a primary network and visual attention at several scales.

    The primary network is the entire backbone with a linear classifier over its pooled features (ŷp). After
    the third and the fourth stage, an attention module takes the features as input, and a separate classifier
    turns its confidence-weighted maps into logits (ŷa1, ŷa2). The score is their mean, (ŷp + ŷa1 + ŷa2) / 3.

    Paper: Sarafianos, Xu, Kakadiaris, *Deep Imbalanced Attribute Classification using Visual Attention
    Aggregation*, ECCV 2018, section 3.1; train it with the loss `diaa`. Departures: any backbone with
    stages; optional dropout in the primary classifier; see `VisualAttention` and `AttentionClassifier` for
    the details that the paper leaves open. With feature aggregation (section 4.4), the maps of both scales
    are summed, hence one classifier and the mean of two logits.

    Args:
        schema: The attributes, in the order of the logits.
        attention_stages: Stages (1 to 4) with an attention module; the paper uses 3 and 4. Its rows with a
            single scale do not state which; we take 4, as in SRN.
        aggregation: `score` averages the logits of all classifiers. The others first sum the maps of two
            stages: `upsample` enlarges the smaller (bilinear), `max-pool` pools the larger, `strided-conv`
            applies a 3×3 convolution of stride 2 to the larger, the best of the three in section 4.4.
        confidence_weighting: Multiply the attention by the sigmoid of the confidence branch.
        attention_channels: Width of the convolutions in an attention module.
        shared: See `BackboneModel`; the default backbone is resnet101. `dropout` applies to the pooled
            features of the primary classifier.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A); branches `primary` and `attention3`, `attention4` (`attention` after feature
            aggregation), (N, A) each; features (N, C, h, w) of stage 4; maps `attention3`, `attention4` and,
            with confidence weighting, `confidence3`, `confidence4`, (N, A, h, w) each.
    """

    shared_arguments = share_arguments(backbone="resnet101")
    has_maps = True
    heat_method = "native"

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        attention_stages: Sequence[int] = (3, 4),
        aggregation: Aggregation = "score",
        confidence_weighting: bool = True,
        attention_channels: int = 512,
        **shared: Unpack[BackboneArguments],
    ) -> None:
        check_choice("aggregation", aggregation, get_args(Aggregation))
        stages = _check_attention_stages(attention_stages, aggregation)
        check_width("attention_channels", attention_channels)
        super().__init__(schema, **shared)
        self.classifier = nn.Linear(self.backbone.channels, len(schema))
        self.stages = stages
        self.aggregation = aggregation
        self.attention = nn.ModuleDict(
            {
                str(stage): VisualAttention(
                    self.backbone.stage_channels[stage - 1],
                    len(schema),
                    hidden=attention_channels,
                    confidence_weighting=confidence_weighting,
                )
                for stage in self.stages
            }
        )
        names = [f"attention{stage}" for stage in self.stages]
        self.native_map = "+".join(
            f"{name}*{name.replace('attention', 'confidence')}" if confidence_weighting else name
            for name in names
        )
        self.shrink = (
            nn.Conv2d(len(schema), len(schema), kernel_size=3, stride=2, padding=1, bias=False)
            if aggregation == "strided-conv"
            else None
        )
        classified = {f"attention{stage}": stage for stage in self.stages}
        if aggregation != "score":
            classified = {"attention": self.stages[0 if aggregation == "upsample" else 1]}
        self.attention_classifiers = nn.ModuleDict(
            {
                name: AttentionClassifier(len(schema), grid=_GRIDS[stage - 1])
                for name, stage in classified.items()
            }
        )

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits; guidance is not used."""
        del guidance
        features, maps, weighted = images, {}, {}
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            if stage == 4:
                features = self.capture(features)
            if stage in self.stages:
                attention, confidence = self.attention[str(stage)](features)
                maps[f"attention{stage}"] = weighted[f"attention{stage}"] = attention
                if confidence is not None:
                    maps[f"confidence{stage}"] = confidence
                    weighted[f"attention{stage}"] = attention * confidence
        if self.aggregation != "score":
            weighted = {"attention": self._sum_maps(*weighted.values())}
        branches = {"primary": self.classifier(self.dropout(features.mean((2, 3))))}
        for name, each in weighted.items():
            branches[name] = self.attention_classifiers[name](each)
        logits = torch.stack(list(branches.values())).mean(0)
        return Output(logits, branches=branches, features=features, maps=maps)

    def _sum_maps(self, larger: Tensor, smaller: Tensor) -> Tensor:
        """One map per attribute from those of two stages, each scaled so that uniform attention is 1."""
        larger, smaller = (maps * (maps.shape[2] * maps.shape[3]) for maps in (larger, smaller))
        if self.aggregation == "upsample":
            size = (larger.shape[2], larger.shape[3])
            smaller = F.interpolate(smaller, size=size, mode="bilinear", align_corners=False)
        elif self.aggregation == "max-pool":
            larger = F.max_pool2d(larger, kernel_size=2, stride=2, ceil_mode=True)
        elif self.shrink is not None:
            larger = self.shrink(larger)
        if larger.shape != smaller.shape:
            raise ModelError(
                f"maps of {tuple(larger.shape[2:])} and {tuple(smaller.shape[2:])} positions cannot be "
                f"summed: {self.aggregation} halves them once; choose neighbouring attention_stages, or "
                "upsample"
            )
        return (larger + smaller) / (larger.shape[2] * larger.shape[3])


def _check_attention_stages(stages: Sequence[int], aggregation: Aggregation) -> tuple[int, ...]:
    given = check_stages("attention_stages", stages)
    if not given:
        raise ModelError("expected at least one of attention_stages, got none; baseline has no attention")
    if aggregation != "score" and len(given) != 2:
        raise ModelError(f"aggregation {aggregation} sums two stages, got attention_stages {list(given)}")
    return given
