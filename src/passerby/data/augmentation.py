"""Options of the augmentation, and the random numbers of each sample.

The augmentation of a sample depends on (seed, epoch, row) alone: each row draws from its own Philox stream.
Each option has a fixed position in that stream, so enabling one does not change the draws of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from passerby.data.streams import draw_uniform
from passerby.errors import DataError

__all__ = ["Augmentation", "Draws", "draw_parameters"]

_POSITIONS = {
    name: position
    for position, name in enumerate(
        (
            *("top", "left", "flip", "rotation", "shift_x", "shift_y", "zoom", "shear_x", "shear_y"),
            *("brightness", "contrast", "saturation"),
        )
    )
} | {"crop_position": 18, "crop_height": 19, "crop_width": 20}
"""Position of each number in the stream of a row. Those of removed options (12 to 17) stay unused, so that a
recipe and a seed reproduce earlier runs."""

_COUNT = max(_POSITIONS.values()) + 1


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of training samples; every amount is drawn uniformly.

    *Paper*: the crops are those of Da-HAR (Wu et al., AAAI 2020, "Training Details"): at the four corners and
    the centre of 256×256, with sides of 256, 224, 192, 168 or 128 (fractions 1, 0.875, 0.75, 0.65625, 0.5),
    resized to 224×224 (0.875); on RAP with the aspect ratio of the input.

    Args:
        pad_px: Zeros added on each side before a random crop of the original size. 10 at 256×192 is common;
            5 is equivalent at 128×96.
        flip: Mirror half of the samples; left and right keypoints are swapped.
        rotation_deg: Rotate by up to ± this angle.
        shift: Translate by up to ± this fraction of height and width.
        zoom: Scale by a factor of 1 ± this.
        shear_deg: Shear by up to ± this angle along both axes.
        brightness: Factor 1 ± this.
        contrast: Factor 1 ± this.
        saturation: Factor 1 ± this.
        crop_sides: Possible sides of crops as fractions of the input's height and width, each in (0, 1]. A
            crop lies at a corner or the centre, and its height and width are each one of these. Empty for no
            crops. They follow padding and flipping, so `pad_px` is usually 0 with them. A crop that misses
            the person has an empty mask, which models treat as a missing one.
        crop_keep_ratio: Draw one fraction for both sides, so that a crop has the aspect ratio of the input.
        crop_to: Height and width that each crop is resized to, as a fraction of the input's, in (0, 1]. Below
            1, the network trains on smaller images than it is tested on.

    Raises:
        DataError: If a value is negative or out of range, or `crop_to` is set without crops.

    Example:
        >>> Augmentation(pad_px=5).is_plain, Augmentation(contrast=0.1).is_plain
        (True, False)
    """

    pad_px: int = 10
    flip: bool = True
    rotation_deg: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    shear_deg: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    crop_sides: tuple[float, ...] = ()
    crop_keep_ratio: bool = False
    crop_to: float = 1.0

    def __post_init__(self) -> None:
        limits = {"rotation_deg": 180.0, "shear_deg": 60.0, "zoom": 0.9, "pad_px": math.inf}
        for name in (item.name for item in fields(self) if not item.name.startswith("crop_")):
            value, limit = getattr(self, name), limits.get(name, 1.0)
            if not 0 <= value <= limit:
                raise DataError(f"augmentation {name}: expected a value in [0, {limit:g}], got {value}")
        self._check_crops()

    def _check_crops(self) -> None:
        if not isinstance(self.crop_sides, tuple):
            raise DataError(
                f"augmentation crop_sides: expected a tuple of fractions, got {self.crop_sides!r}"
            )
        for name, fractions in (("crop_sides", self.crop_sides), ("crop_to", (self.crop_to,))):
            for fraction in fractions:
                if not 0 < fraction <= 1:
                    raise DataError(
                        f"augmentation {name}: expected fractions of the input in (0, 1], got {fraction}; "
                        "224 of 256 pixels are 0.875"
                    )
        if self.crop_to != 1 and not self.crop_sides:
            raise DataError(
                f"augmentation crop_to: {self.crop_to} resizes crops, but crop_sides is empty; set "
                "crop_sides, or leave crop_to at 1"
            )

    @property
    def is_affine(self) -> bool:
        """Whether samples may be rotated, translated, scaled or sheared."""
        return bool(self.rotation_deg or self.shift or self.zoom or self.shear_deg)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but padding, cropping to the original size and flipping."""
        return not (self.crop_sides or self.is_affine or self.brightness or self.contrast or self.saturation)


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers of the samples of a batch.

    Shape:
        shift_px: (N, 2) int64 in [-pad, pad], rows and columns: pixel (y, x) of the crop is pixel
            (y + shift_px[0], x + shift_px[1]) of the image, or zero outside of it.
        flip: (N,) bool, applied after the crop.
        uniform: (N, 21) float64 in [0, 1), by position in the stream.
    """

    shift_px: NDArray[np.int64]
    flip: NDArray[np.bool_]
    uniform: NDArray[np.float64]

    def spread(self, name: str) -> NDArray[np.float64]:
        """The numbers of an option, (N,) in [-1, 1)."""
        return 2.0 * self.fraction(name) - 1.0

    def fraction(self, name: str) -> NDArray[np.float64]:
        """The numbers of an option, (N,) in [0, 1)."""
        return self.uniform[:, _POSITIONS[name]]

    def take(self, samples: slice) -> Draws:
        """The draws of some of the samples."""
        return Draws(self.shift_px[samples], self.flip[samples], self.uniform[samples])


def draw_parameters(
    augmentation: Augmentation | None, rows: NDArray[np.int64], *, seed: int, epoch: int
) -> Draws:
    """Draw the augmentation of some rows in an epoch.

    Args:
        augmentation: None for no augmentation.
        rows: Rows of the manifest; each has its own random stream, independent of the rest of the batch.
        seed: Seed of the run, 0 or more.
        epoch: Number of the epoch, 0 or more.

    Example:
        >>> a, b = (draw_parameters(Augmentation(), np.array(r), seed=0, epoch=3) for r in ([7, 9], [9]))
        >>> bool((a.shift_px[1] == b.shift_px[0]).all())
        True
    """
    n = len(rows)
    if augmentation is None:
        return Draws(np.zeros((n, 2), np.int64), np.zeros(n, np.bool_), np.zeros((n, _COUNT)))
    uniform = draw_uniform(rows, _COUNT, seed=seed, epoch=epoch)
    side = 2 * augmentation.pad_px + 1
    shift = np.floor(uniform[:, :2] * side).astype(np.int64) - augmentation.pad_px
    flip = (uniform[:, 2] < 0.5) if augmentation.flip else np.zeros(n, np.bool_)
    return Draws(shift, flip, uniform)
