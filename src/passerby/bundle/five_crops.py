"""`FiveCrops`: a bundle that looks at each picture five times."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from passerby.bundle.bundle import Bundle
from passerby.data.crops import PLACES, crop_batch, locate_crop, scale_side
from passerby.errors import ModelError
from passerby.types import Guidance

__all__ = ["FiveCrops"]

SHARE = 7 / 8
"""Side of a crop as a share of the input's: 224 of 256 pixels, as in the training of Da-HAR."""


class FiveCrops(Bundle):
    """A bundle that answers with the mean over five crops: the four corners and the centre.

    *Paper*: Wu et al., "Distraction-Aware Feature Learning for Human Attribute Recognition via Coarse-to-Fine
    Attention Mechanism", AAAI 2020, "Training Details": the second way of testing "introduces an averaged
    result of five-crop evaluation". It says neither how large the crops are nor whether probabilities or
    logits are averaged. Here a crop has 7/8 of the input's height and width, rounded (224 of 256 pixels, the
    size that the paper trains with), the network runs at that size, and probabilities are averaged.

    Masks, parsing maps and keypoints are cropped with the picture; keypoints beyond a crop get score 0.
    Parsing maps that the model makes are of the whole picture. Everything else, also what `save` writes, is
    that of the bundle itself.

    Example:
        >>> from passerby.models import create_model
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> from passerby.types import Preprocess
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> crops = FiveCrops.of(Bundle(model, Preprocess(64, 48)))
        >>> crops.predict_batch(torch.zeros(2, 3, 64, 48, dtype=torch.uint8)).shape
        torch.Size([2, 1])
    """

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The same bundle, and the same model in memory, seen through five crops."""
        return cls(bundle.model, bundle.preprocess, bundle.thresholds, bundle.metadata)

    def predict_batch(self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True) -> Tensor:
        """Mean probabilities of the five crops of each prepared picture.

        Args:
            guidance, warn: As for `Bundle.predict_batch`; the guidance is that of the whole pictures.

        Shape:
            images: (N, 3, H, W) uint8, of the size that `preprocess` says, on any device.
            returns: (N, A) float32 in [0, 1], on the model's device.

        Raises:
            ModelError: If the pictures have another shape or type, or the backbone does not take pictures of
                a crop's size.
        """
        self.check_images(images)
        height, width = (scale_side(side, SHARE) for side in images.shape[-2:])
        part = Bundle(self.model, replace(self.preprocess, height=height, width=width), self.thresholds)
        probs = []
        for place in range(len(PLACES)):
            crop = locate_crop(place, images.shape[-2:], (height, width))
            cut = crop_batch(images, guidance or Guidance(), crop)
            try:
                probs.append(part.predict_batch(*cut, warn=warn and place == 0))
            except AssertionError as error:  # how timm refuses sides that patches or windows do not divide
                raise ModelError(
                    f"the backbone takes no pictures of {height}×{width} pixels, the size of a crop "
                    f"({error}); leave five crops out, or train for an input of which it takes 7/8"
                ) from error
        return torch.stack(probs).mean(0)  # (5, N, A) → (N, A)

    def parse_batch(
        self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean probabilities of the five crops, and the parsing class of each pixel of the whole picture.

        Args, returns and errors are those of `Bundle.parse_batch`.
        """
        _, maps = super().parse_batch(images, guidance, warn=warn)
        return self.predict_batch(images, guidance, warn=False), maps
