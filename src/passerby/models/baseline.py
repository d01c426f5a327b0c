"""The strong baseline: a backbone, global average pooling, one linear layer."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from passerby.models.backbone_model import BackboneArguments, BackboneModel
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["Baseline"]


class Baseline(BackboneModel):
    """Global average pooling and a linear layer over any timm backbone.

    Paper: Jia et al., *Rethinking of Pedestrian Attribute Recognition: A Reliable Evaluation under Zero-Shot
    Pedestrian Identity Setting* (arXiv 2107.03576). Departures: any backbone of timm; optional dropout.
    The backbone is the entire network before its classifier, including MobileNetV2's last convolution, which
    widens the features to 1280 channels.

    Args:
        schema: The attributes, in the order of the logits.
        shared: See `BackboneModel`; `dropout` applies to the pooled features, SB uses none.

    Raises:
        ModelError: As `BackboneModel`.

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A), features (N, C, h, w).
    """

    def __init__(self, schema: AttributeSchema, **shared: Unpack[BackboneArguments]) -> None:
        super().__init__(schema, **shared)
        self.classifier = nn.Linear(self.backbone.channels, len(schema))

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits; guidance is not used."""
        del guidance
        features = self.capture(self.backbone(images))
        pooled = features.mean((2, 3))  # (N, C)
        return Output(self.classifier(self.dropout(pooled)), features=features)
