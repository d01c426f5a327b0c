"""The strong baseline: a backbone, global average pooling, one linear layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from passerby.models.backbones import create_backbone
from passerby.models.base import AttributeModel, check_dropout
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["Baseline"]


class Baseline(AttributeModel):
    """Global average pooling and a linear layer over any timm backbone.

    Paper: Jia et al., *Rethinking of Pedestrian Attribute Recognition: A Reliable Evaluation under Zero-Shot
    Pedestrian Identity Setting* (arXiv 2107.03576). Departures: any backbone of timm; optional dropout.
    The whole network before its classifier belongs to the backbone, MobileNetV2's widening last convolution
    (1280 channels) included.

    Args:
        schema: The attributes, in the order of the logits.
        backbone: Name of a timm model.
        pretrained: Weights of the backbone: True (timm's own), the path of a `.safetensors` file, or False.
        dropout: Probability of dropping a pooled feature in training; SB uses none.
        backbone_arguments: Further arguments of the timm model, plain JSON values; see `create_backbone`.

    Raises:
        ModelError: If the backbone, its weights or its arguments do not exist, or dropout is outside [0, 1).

    Shape:
        images: (N, 3, H, W) float.
        returns: logits (N, A), features (N, C, h, w).
    """

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        backbone: str = "resnet50",
        pretrained: bool | str | Path = False,
        dropout: float = 0.0,
        backbone_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(schema)
        check_dropout(dropout)
        self.backbone = create_backbone(backbone, pretrained=pretrained, arguments=backbone_arguments)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.backbone.channels, len(schema))

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures; the guidance is not used."""
        del guidance
        features = self.capture(self.backbone(images))
        pooled = features.mean((2, 3))  # (N, C)
        return Output(self.classifier(self.dropout(pooled)), features=features)
