"""Augmentation of picture, mask, parsing map and keypoints together.

Padding, cropping and flipping (the field's habit) happen while a batch is gathered, for all kinds of data by
one function; resized crops at the corners and the centre, affine changes, colours and erasing follow on the
device where the batch is. What happens to a sample depends on (seed, epoch, row) alone: each row draws from
its own Philox stream, and each option has its own place in that stream, so turning one on does not change the
others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data import colours
from passerby.data.affine import Motions, move_batch
from passerby.data.crops import PLACES, Crop, find_inside, locate_crop, resize_crops, scale_side
from passerby.data.streams import draw_uniform
from passerby.data.transfer import send
from passerby.errors import DataError
from passerby.types import Guidance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "COCO_MIRROR",
    "Augmentation",
    "Draws",
    "draw_parameters",
    "gather_keypoints",
    "gather_pixels",
    "hide_outside",
    "transform_batch",
]

COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Which COCO keypoint each becomes in a mirror: left and right change places, the nose stays."""

_ERASED_RGB = (124, 116, 104)  # about zero after the usual normalisation
_SLOTS = (
    *("top", "left", "flip", "rotation", "shift_x", "shift_y", "zoom", "shear_x", "shear_y"),
    *("brightness", "contrast", "saturation", "hue"),
    *("erase", "erase_area", "erase_aspect", "erase_top", "erase_left"),
    *("crop_place", "crop_height", "crop_width"),
)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a training sample; every amount is drawn uniformly.

    *Paper*: the crops are those of Da-HAR (Wu et al., AAAI 2020, "Training Details"): at the four corners and
    the centre of 256×256, sides of 256, 224, 192, 168 or 128 (shares of 1, 0.875, 0.75, 0.65625, 0.5),
    resized to 224×224 (0.875); on RAP at the input's ratio of height to width.

    Args:
        pad_px: Zeros added on each side before a crop of the old size is taken at random; 10 at 256×192 is
            the field's habit, 5 does the same at 128×96.
        flip: Mirror half of the samples; left and right keypoints change places.
        rotation_deg: Rotate by up to ± this angle.
        shift: Move by up to ± this fraction of height and width.
        zoom: Scale by a factor of 1 ± this.
        shear_deg: Shear by up to ± this angle along both axes.
        brightness: Factor 1 ± this.
        contrast: Factor 1 ± this.
        saturation: Factor 1 ± this.
        hue: Turn of the colour circle by up to ± this fraction of it, at most 0.5.
        erase: Probability of covering a rectangle of 2–20 % of the picture (not of its mask).
        crop_sides: Sides of crops as shares of the input's height and width, each in (0, 1]: a sample shows a
            corner or the centre, its height and its width any of these. Empty for no such crops. They are
            taken after padding and flipping, so `pad_px` is usually 0 with them. A crop beside the person has
            an empty mask, which models take for a missing one.
        crop_keep_ratio: Draw one share for both sides: a crop has the input's ratio of height to width.
        crop_to: Height and width that each crop is resized to, as a share of the input's, in (0, 1]: below 1
            the network trains on smaller pictures than it is tested on.

    Raises:
        DataError: If a value is negative or beyond its range, or `crop_to` has no crops to resize.

    Example:
        >>> Augmentation(pad_px=5).is_plain, Augmentation(hue=0.1).is_plain
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
    hue: float = 0.0
    erase: float = 0.0
    crop_sides: tuple[float, ...] = ()
    crop_keep_ratio: bool = False
    crop_to: float = 1.0

    def __post_init__(self) -> None:
        limits = {"rotation_deg": 180.0, "shear_deg": 60.0, "zoom": 0.9, "hue": 0.5, "pad_px": math.inf}
        for name in (item.name for item in fields(self) if not item.name.startswith("crop_")):
            value, limit = getattr(self, name), limits.get(name, 1.0)
            if not 0 <= value <= limit:
                raise DataError(f"augmentation {name}: expected a value in [0, {limit:g}], got {value}")
        self._check_crops()

    def _check_crops(self) -> None:
        if not isinstance(self.crop_sides, tuple):
            raise DataError(f"augmentation crop_sides: expected a tuple of shares, got {self.crop_sides!r}")
        for name, shares in (("crop_sides", self.crop_sides), ("crop_to", (self.crop_to,))):
            for share in shares:
                if not 0 < share <= 1:
                    raise DataError(
                        f"augmentation {name}: expected shares of the input in (0, 1], got {share}; "
                        "224 of 256 pixels are 0.875"
                    )
        if self.crop_to != 1 and not self.crop_sides:
            raise DataError(
                f"augmentation crop_to: {self.crop_to} resizes crops, and crop_sides is empty; give their "
                "sides, or leave crop_to at 1"
            )

    @property
    def is_affine(self) -> bool:
        """Whether samples may be rotated, moved, scaled or sheared."""
        return bool(self.rotation_deg or self.shift or self.zoom or self.shear_deg)

    @property
    def is_plain(self) -> bool:
        """Whether padding, cropping back to the old size and flipping is all there is."""
        colours = self.brightness or self.contrast or self.saturation or self.hue
        return not (self.crop_sides or self.is_affine or colours or self.erase)


@dataclass(frozen=True, slots=True)
class Draws:
    """What was drawn for each sample of a batch.

    Shape:
        shift_px: (N, 2) int64 in [-pad, pad], rows and columns: pixel (y, x) of the crop is pixel
            (y + shift_px[0], x + shift_px[1]) of the picture, or zero outside of it.
        flip: (N,) bool, after the crop.
        uniform: (N, 21) float64 in [0, 1), by slot.
    """

    shift_px: NDArray[np.int64]
    flip: NDArray[np.bool_]
    uniform: NDArray[np.float64]

    def spread(self, slot: str) -> NDArray[np.float64]:
        """The numbers of a slot, (N,) in [-1, 1)."""
        return 2.0 * self.fraction(slot) - 1.0

    def fraction(self, slot: str) -> NDArray[np.float64]:
        """The numbers of a slot, (N,) in [0, 1)."""
        return self.uniform[:, _SLOTS.index(slot)]

    def take(self, part: slice) -> Draws:
        """Those of some of the samples."""
        return Draws(self.shift_px[part], self.flip[part], self.uniform[part])


def draw_parameters(
    augmentation: Augmentation | None, rows: NDArray[np.int64], *, seed: int, epoch: int
) -> Draws:
    """Draw for each row what happens to it in an epoch.

    Args:
        augmentation: None for nothing at all.
        rows: Rows of the manifest; each has its own random stream, whatever stands beside it.
        seed: Seed of the run, 0 or more.
        epoch: Number of the epoch, 0 or more.

    Example:
        >>> a, b = (draw_parameters(Augmentation(), np.array(r), seed=0, epoch=3) for r in ([7, 9], [9]))
        >>> bool((a.shift_px[1] == b.shift_px[0]).all())
        True
    """
    n = len(rows)
    if augmentation is None:
        return Draws(np.zeros((n, 2), np.int64), np.zeros(n, np.bool_), np.zeros((n, len(_SLOTS))))
    uniform = draw_uniform(rows, len(_SLOTS), seed=seed, epoch=epoch)
    side = 2 * augmentation.pad_px + 1
    shift = np.floor(uniform[:, :2] * side).astype(np.int64) - augmentation.pad_px
    flip = (uniform[:, 2] < 0.5) if augmentation.flip else np.zeros(n, np.bool_)
    return Draws(shift, flip, uniform)


# ---------------------------------------------------------------------- crop and flip


def gather_pixels(source: NDArray[np.uint8], rows: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
    """Gather rows of a cache, cropped and flipped.

    Shape:
        source: (M, H, W, 3) or (M, H, W). Returns (N, 3, H, W) or (N, H, W), contiguous.

    Example:
        >>> still = draw_parameters(None, np.array([1]), seed=0, epoch=0)
        >>> gather_pixels(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.array([1]), still).tolist()
        [[[6, 7, 8], [9, 10, 11]]]
    """
    height, width = source.shape[1:3]
    out = np.zeros((len(rows), *source.shape[3:], height, width), np.uint8)
    for i, (row, (dy, dx), flip) in enumerate(zip(rows, draws.shift_px.tolist(), draws.flip, strict=True)):
        top, bottom = max(0, -dy), min(height, height - dy)
        left, right = max(0, -dx), min(width, width - dx)
        if bottom <= top or right <= left:
            continue  # the crop shows nothing but padding
        picture = source[row, top + dy : bottom + dy, left + dx : right + dx]
        target = out[i, ..., ::-1] if flip else out[i]
        if picture.ndim == 2:
            target[top:bottom, left:right] = picture
            continue
        for channel in range(picture.shape[2]):
            target[channel, top:bottom, left:right] = picture[..., channel]
    return out


def gather_keypoints(
    source: NDArray[np.float32], rows: NDArray[np.int64], draws: Draws, *, width_px: int
) -> NDArray[np.float32]:
    """Gather keypoints, moved and mirrored as `gather_pixels` does with pixels.

    Shape:
        source: (M, 17, 3): x, y, score. Returns (N, 17, 3).
    """
    points = source[rows]
    points[..., 0] -= draws.shift_px[:, None, 1]
    points[..., 1] -= draws.shift_px[:, None, 0]
    mirrored = points[:, COCO_MIRROR]
    mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
    return np.where(draws.flip[:, None, None], mirrored, points)


def hide_outside(keypoints: Tensor, size: Sequence[int]) -> None:
    """Give score 0 to keypoints that lie outside of the input, and 0, 0, 0 to missing ones, in place.

    Shape:
        keypoints: (N, 17, 3); size: H and W.
    """
    import torch

    keypoints.nan_to_num_(nan=0.0)
    score = keypoints[..., 2]
    score.copy_(torch.where(find_inside(keypoints, size), score, 0.0))


# ---------------------------------------------------------------------- everything else


def transform_batch(
    augmentation: Augmentation, draws: Draws, images: Tensor, guidance: Guidance
) -> tuple[Tensor, Guidance]:
    """Crop and resize, rotate, move, scale, shear, recolour and erase, each sample by its own draws.

    Crops and affine changes reach everything, colours and erasing the picture only. Rectangles are erased
    with the mean colour of ImageNet, about zero after normalisation.

    Shape:
        images: (N, 3, H, W) uint8, on any device; returns (N, 3, H · crop_to, W · crop_to), rounded, and
        guidance of this size. Without crops it is all done in place.
    """
    if augmentation.crop_sides:
        height, width = images.shape[-2:]
        size = scale_side(height, augmentation.crop_to), scale_side(width, augmentation.crop_to)
        crops = _choose_crops(augmentation, draws, (height, width))
        images, guidance = resize_crops(images, guidance, crops, size=size)
    # One picture fits into the caches of a CPU; a GPU wants them all at once.
    step = 1 if images.device.type == "cpu" else len(images)
    for start in range(0, len(images), step):
        part = slice(start, start + step)
        some = (guidance.masks, guidance.parsing, guidance.keypoints)
        views = Guidance(*(None if values is None else values[part] for values in some))
        _change(augmentation, draws.take(part), images[part], views)
    return images, guidance


def _change(augmentation: Augmentation, draws: Draws, images: Tensor, guidance: Guidance) -> None:
    """All that keeps the size of the pictures, in place."""
    if augmentation.is_affine:
        move_batch(images, guidance, _choose_motions(augmentation, draws, images.shape[-2:]))
    if amount := augmentation.brightness:
        colours.adjust_brightness(images, 1 + amount * draws.spread("brightness"))
    if amount := augmentation.contrast:
        colours.adjust_contrast(images, 1 + amount * draws.spread("contrast"))
    if amount := augmentation.saturation:
        colours.adjust_saturation(images, 1 + amount * draws.spread("saturation"))
    if amount := augmentation.hue:
        colours.adjust_hue(images, amount * draws.spread("hue"))
    if (erased := draws.fraction("erase") < augmentation.erase).any():
        _erase(images, _choose_rectangles(draws, images.shape[-2:]) * erased)


def _choose_crops(augmentation: Augmentation, draws: Draws, size: tuple[int, int]) -> list[Crop]:
    sides = augmentation.crop_sides
    second = "crop_height" if augmentation.crop_keep_ratio else "crop_width"
    slots = [(draws.fraction(slot) * len(sides)).astype(int) for slot in ("crop_height", second)]
    places = (draws.fraction("crop_place") * len(PLACES)).astype(int)
    crops = []
    for place, *numbers in zip(places.tolist(), *(slot.tolist() for slot in slots), strict=True):
        crop_size = [scale_side(side, sides[k]) for side, k in zip(size, numbers, strict=True)]
        crops.append(locate_crop(place, size, crop_size))
    return crops


def _choose_motions(augmentation: Augmentation, draws: Draws, size: Sequence[int]) -> Motions:
    height, width = size
    return Motions(
        angle_deg=augmentation.rotation_deg * draws.spread("rotation"),
        shift_px=np.stack(
            [
                augmentation.shift * width * draws.spread("shift_x"),
                augmentation.shift * height * draws.spread("shift_y"),
            ],
            axis=1,
        ),
        scale=1 + augmentation.zoom * draws.spread("zoom"),
        shear_deg=augmentation.shear_deg
        * np.stack([draws.spread("shear_x"), draws.spread("shear_y")], axis=1),
    )


def _choose_rectangles(draws: Draws, size: Sequence[int]) -> NDArray[np.int64]:
    """Top, left, bottom and right, (4, N), of 2–20 % of the area, aspect ratio 1:3 to 3:1."""
    area = (0.02 + 0.18 * draws.fraction("erase_area")) * size[0] * size[1]
    aspect = 3.0 ** draws.spread("erase_aspect")
    height = np.clip(np.rint(np.sqrt(area * aspect)), 1, size[0])
    width = np.clip(np.rint(np.sqrt(area / aspect)), 1, size[1])
    top = np.floor(draws.fraction("erase_top") * (size[0] - height + 1))
    left = np.floor(draws.fraction("erase_left") * (size[1] - width + 1))
    return np.stack([top, left, top + height, left + width]).astype(np.int64)


def _erase(images: Tensor, rectangles: NDArray[np.int64]) -> None:
    """Cover a rectangle of each picture, of which some are empty, in place."""
    import torch

    top, left, bottom, right = send(rectangles, images.device)[..., None, None]
    y = torch.arange(images.shape[-2], device=images.device)[:, None]
    x = torch.arange(images.shape[-1], device=images.device)
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)  # (N, H, W)
    for channel, value in enumerate(_ERASED_RGB):
        images[:, channel].masked_fill_(inside, value)
