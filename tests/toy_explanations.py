"""A model with known maps, and maps and localisations made by hand, for tests of `explain` and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from passerby.bundle import Bundle
from passerby.explain.attention_maps import AttentionMaps
from passerby.explain.localization import Localization, Region
from passerby.models import AttributeModel
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box, Guidance, Output, Preprocess

NAMES = ("Hat", "Bag", "Boots")
SCHEMA = AttributeSchema("toy", tuple(Attribute(name, f"has {name}") for name in NAMES))
CELLS = ((0, 1), (3, 0), (7, 4))  # row, column of the one bright cell of each attribute


class Spotlight(AttributeModel):
    """Its map "spot" has one fixed cell of 8 × 5 for each attribute; "red" follows the red of an image."""

    name, arguments, has_maps = "spotlight", {}, True

    def __init__(self, maps: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(SCHEMA)
        self.bias = nn.Parameter(torch.tensor([2.0, 0.0, -2.0]))
        self.norm = nn.BatchNorm2d(3)
        self.given = maps

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        if self.training:
            raise RuntimeError("expected evaluation mode")
        images = self.norm(images)
        count = len(images)
        spot = torch.zeros(count, len(SCHEMA), 8, 5)
        for i, (row, column) in enumerate(CELLS):
            spot[:, i, row, column] = 1
        redness = nn.functional.adaptive_avg_pool2d(images[:, :1] - images[:, 1:2], (16, 10))
        maps = {
            "spot": spot,
            "even": torch.full((count, 1, 2, 2), 0.25),
            "red": (4 * redness).flatten(2).softmax(2).view(count, 1, 16, 10),
        }
        logits = self.bias + 0 * images.mean((1, 2, 3))[:, None]
        return Output(logits, maps=maps if self.given is None else self.given)


def create_spotlight(maps: Mapping[str, Tensor] | None = None, *, resize: str = "stretch") -> Bundle:
    return Bundle(Spotlight(maps), Preprocess(96, 40, resize=resize), (0.5, 0.5, 0.1))  # type: ignore[arg-type]


def create_maps(**maps: NDArray[np.float32]) -> AttentionMaps:
    picture = np.full((32, 20, 3), 128, np.uint8)
    given = {name: np.broadcast_to(values, (3, *values.shape)).copy() for name, values in maps.items()}
    return AttentionMaps("a.jpg", picture, NAMES, (0.9, 0.5, 0.2), (0.5, 0.5, 0.1), given)


def create_localization(count: int = 1, size: tuple[int, int] = (48, 96), **changes: Any) -> Localization:
    width, height = size
    heat = np.zeros((count, height, width), np.float32)
    heat[:, : height // 2] = 1
    region = Region(Box(0, 0, width, height // 2), 1.0)
    values: dict[str, Any] = {
        "source": "a.jpg",
        "picture": np.full((height, width, 3), 128, np.uint8),
        "names": tuple(f"attribute {i}" for i in range(count)),
        "probabilities": (0.875,) * count,
        "thresholds": (0.5,) * count,
        "heat": heat,
        "regions": ((region,),) * count,
    }
    return Localization(**{**values, **changes})
