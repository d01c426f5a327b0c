"""Test-time augmentation: probabilities averaged over several views of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from passerby.bundle.batches import check_batch
from passerby.bundle.bundle import Bundle
from passerby.errors import ConfigError, DataError, ModelError
from passerby.types import Guidance

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TTA", "average_views", "check_tta"]

TTA: TypeAlias = Literal["flip", "five-crops"]
"""Names of the augmentations: the mirror image; the four corners and the centre."""

CROP_SHARE = 7 / 8
"""Side of a crop as a share of the input's: 224 of 256 pixels, as in the training of Da-HAR."""


def check_tta(tta: Sequence[str] | None, *, has_guidance: bool = False) -> tuple[TTA, ...]:
    """The augmentations as a tuple, in a fixed order.

    Args:
        has_guidance: Whether masks, parsing maps or keypoints come with the images.

    Raises:
        ConfigError: If a name is unknown or repeated.
        DataError: If `flip` is combined with masks, parsing maps or keypoints.

    Example:
        >>> check_tta(["five-crops", "flip"]), check_tta(None)
        (('flip', 'five-crops'), ())
    """
    names = () if tta is None else tta
    if isinstance(names, str) or len(set(names)) < len(names) or not set(names) <= set(get_args(TTA)):
        raise ConfigError(
            f"expected tta as a list of different names among {', '.join(get_args(TTA))}, got {tta!r}"
        )
    if "flip" in names and has_guidance:
        raise DataError(
            "flip does not mirror masks, parsing maps and keypoints and cannot be combined with them; leave "
            "flip out"
        )
    return tuple(name for name in get_args(TTA) if name in names)


def average_views(
    bundle: Bundle,
    images: Tensor,
    guidance: Guidance | None,
    *,
    tta: Sequence[TTA],
    probs: Tensor | None = None,
    warn: bool = True,
) -> Tensor:
    """Mean probabilities over the views of each prepared image.

    `flip` takes the mean of the image and its mirror image. `five-crops` takes the mean over the four
    corners and the centre; with both, the mirror image is cropped as well.

    *Paper*, `five-crops`: Wu et al., "Distraction-Aware Feature Learning for Human Attribute Recognition via
    Coarse-to-Fine Attention Mechanism", AAAI 2020, "Training Details": the second way of testing "introduces
    an averaged result of five-crop evaluation". The paper states neither the size of the crops nor whether
    probabilities or logits are averaged. Here a crop has 7/8 of the input's height and width, rounded (224 of
    256 pixels, the size that the paper trains with), the network runs at that size, and probabilities are
    averaged. Masks, parsing maps and keypoints are cropped with the image; keypoints outside a crop get
    score 0.

    Args:
        guidance: The auxiliary inputs of the uncropped images.
        tta: The augmentations; none returns the probabilities of the images themselves.
        probs: Probabilities (N, A) of the images themselves, if they are known.
        warn: As for `Bundle.predict_batch`.

    Shape:
        images: (N, 3, H, W) uint8, of the size in `bundle.preprocess`.
        returns: (N, A) float32 in [0, 1].

    Raises:
        DataError: If `flip` is used with auxiliary inputs.
        ModelError: If the images have another shape or type, or the backbone does not accept the size of a
            crop.
    """
    check_tta(tta, has_guidance=guidance is not None and bool(guidance.kinds))
    if "five-crops" in tta:
        mean = _predict_five_crops(bundle, images, guidance, warn=warn)
    else:
        mean = bundle.predict_batch(images, guidance, warn=warn) if probs is None else probs
    if "flip" not in tta:
        return mean
    others = [name for name in tta if name != "flip"]
    return (mean + average_views(bundle, images.flip(-1), None, tta=others, warn=False)) / 2


def _predict_five_crops(bundle: Bundle, images: Tensor, guidance: Guidance | None, *, warn: bool) -> Tensor:
    import torch

    from passerby.data.crops import CROP_POSITIONS, crop_batch, locate_crop, scale_side

    check_batch(images, bundle.preprocess)
    height, width = (scale_side(side, CROP_SHARE) for side in images.shape[-2:])
    cropped = Bundle(bundle.model, replace(bundle.preprocess, height=height, width=width), bundle.thresholds)
    probs = []
    for position in range(len(CROP_POSITIONS)):
        crop = locate_crop(position, images.shape[-2:], (height, width))
        try:
            probs.append(
                cropped.predict_batch(
                    *crop_batch(images, guidance or Guidance(), crop), warn=warn and position == 0
                )
            )
        except AssertionError as error:  # timm refuses sides that patches or windows do not divide
            raise ModelError(
                f"the backbone accepts no images of {height}×{width} pixels, the size of a crop "
                f"({error}); leave five-crops out, or train with an input size of which it accepts 7/8"
            ) from error
    return torch.stack(probs).mean(0)  # (5, N, A) → (N, A)
