"""What every model promises to the rest of the house."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["AttributeModel"]


class AttributeModel(nn.Module, ABC):
    """A network that maps pictures of persons to one logit an attribute.

    Args:
        schema: The attributes, in the order of the logits.

    A subclass takes keyword arguments only, all of them plain JSON values (the bundle stores them, see
    `passerby.models.create_model`), and in evaluation mode treats each sample on its own.
    """

    name: str
    arguments: Mapping[str, Any]
    guidance: tuple[str, ...] = ()
    """Fields of `Guidance` that training this model needs; a loader prepares no others."""

    def __init__(self, schema: AttributeSchema) -> None:
        super().__init__()
        self.schema = schema

    @abstractmethod
    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures.

        Shape:
            images: (N, 3, H, W) float, normalised as the bundle's `Preprocess` says.
            returns: `Output` with logits (N, A) and the map (N, C, h, w) that localisation looks at.
        """
