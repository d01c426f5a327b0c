"""The `passerby` model: every position of the last two stages contributes evidence for every attribute."""

from __future__ import annotations

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passerby.models.backbone_model import BackboneArguments, StagedModel
from passerby.models.base import check_width
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["EvidencePooling", "Passerby"]

_STAGES = (3, 4)
_GRID = (8, 6)
"""Rows and columns of the prior: cells of 32 pixels in images of 256×192."""


class EvidencePooling(nn.Module):
    """One logit per attribute: the evidence of every position, weighted by attention that sums to one.

    logit = Σ a · e over the positions, with a = softmax(z + prior). The evidence e and z are linear in the
    same `hidden` channels (a 1×1 convolution of the features with batch normalisation and ReLU). The prior is
    learned, one number per attribute and cell (hats are at the top), and subject to weight decay. It is
    resampled to the map (bilinear), so images may have any size (a map below 4×3 uses only some of its
    numbers).

    Args:
        channels: Channels of the features.
        attributes: Number of attributes A.
        hidden: Width of the first convolution.

    Shape:
        features: (N, C, h, w) float.
        returns: logits (N, A); attention in [0, 1], each map with sum 1, and evidence, (N, A, h, w) each.

    Example:
        >>> logits, attention, evidence = EvidencePooling(8, 3, hidden=4)(torch.randn(2, 8, 5, 4))
        >>> torch.allclose(logits, (attention * evidence).sum((2, 3)))
        True
    """

    def __init__(self, channels: int, attributes: int, *, hidden: int = 256) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, hidden, kernel_size=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
        )
        self.evidence = nn.Conv2d(hidden, attributes, kernel_size=1)
        self.attention = nn.Conv2d(hidden, attributes, kernel_size=1, bias=False)  # softmax cancels a bias
        self.prior = nn.Parameter(torch.zeros(attributes, *_GRID))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, attention and evidence of every attribute."""
        hidden = self.reduce(features)
        evidence: Tensor = self.evidence(hidden)  # (N, A, h, w)
        # No branch that depends on the size: an export would then be valid at that size only.
        size = (features.shape[2], features.shape[3])
        prior = F.interpolate(self.prior[None], size=size, mode="bilinear", align_corners=False)
        scores: Tensor = self.attention(hidden) + prior  # (N, A, h, w)
        attention = scores.flatten(2).softmax(2).view_as(scores)
        return (attention * evidence).sum((2, 3)), attention, evidence


class Passerby(StagedModel):
    """The strong baseline plus the evidence of every position at two scales.

    The logit of an attribute is the sum of three: the linear layer over the pooled features of the last
    stage, as in `Baseline`, and an `EvidencePooling` after the third and the fourth stage (strides 16 and 32,
    two scales as in DIAA). There is one loss, on the sum. The complete method (loss, teachers, thresholds)
    and the contribution of each component: docs/models/passerby.md.

    Paper: none. Attention times confidence after these two stages is DIAA's (Sarafianos et al., ECCV 2018);
    here the products sum to the logit, without classifiers over maps and without separate losses. A pooled
    logit plus the logits of all positions, weighted by a softmax over the positions, is CSRA (Zhu and Wu,
    *Residual Attention*, ICCV 2021); here attention has separate scores and a prior, at two scales, instead
    of the logits times a temperature.

    Args:
        schema: The attributes, in the order of the logits.
        evidence_channels: Width of the convolution before evidence and attention.
        shared: See `BackboneModel`; `dropout` applies to the pooled features of the linear layer.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A), the sum of the branches `pooled`, `positions3` and `positions4`, (N, A) each;
            features (N, C, h, w) of stage 4; maps `attention3`, `attention4`, and `evidence3`, `evidence4`
            through a sigmoid, (N, A, h, w) in [0, 1] each.

    Example:
        >>> from passerby.models import create_model
        >>> from passerby.schema import Attribute
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> model = create_model("passerby", schema=schema, backbone="test_resnet")
        >>> output = model(torch.zeros(2, 3, 64, 48))
        >>> output.logits.shape, output.maps["attention3"].shape
        (torch.Size([2, 1]), torch.Size([2, 1, 4, 3]))
    """

    has_maps = True
    native_map = "+".join(f"attention{stage}*evidence{stage}" for stage in _STAGES)
    heat_method = "native"

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        evidence_channels: int = 256,
        **shared: Unpack[BackboneArguments],
    ) -> None:
        check_width("evidence_channels", evidence_channels)
        super().__init__(schema, **shared)
        self.classifier = nn.Linear(self.backbone.channels, len(schema))
        self.places = nn.ModuleDict(  # the name is that of the weights in bundles
            {
                str(stage): EvidencePooling(
                    self.backbone.stage_channels[stage - 1], len(schema), hidden=evidence_channels
                )
                for stage in _STAGES
            }
        )

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits; guidance is not used."""
        del guidance
        features = images
        branches: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            if stage == 4:
                features = self.capture(features)
            if stage in _STAGES:
                logits, attention, evidence = self.places[str(stage)](features)
                branches[f"positions{stage}"] = logits
                maps |= {f"attention{stage}": attention, f"evidence{stage}": evidence.sigmoid()}
        branches["pooled"] = self.classifier(self.dropout(features.mean((2, 3))))
        logits = torch.stack(list(branches.values())).sum(0)
        return Output(logits, branches=branches, features=features, maps=maps)
