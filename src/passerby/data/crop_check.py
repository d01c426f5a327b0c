"""Find crops that are outside of their image, partly outside, or of a few pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.images.placement import clip_box

__all__ = ["MIN_CROP_PX", "CropCheck", "check_crops"]

MIN_CROP_PX = 8
"""A crop with a smaller side in pixels shows hardly anything of a person."""

TOLERANCE_PX = 1
"""A box may exceed its image by this many pixels, from rounding."""


@dataclass(frozen=True)
class CropCheck:
    """Questionable crops, each as the image and its box in words.

    Args:
        outside: Boxes outside their image. Training and evaluation cannot use these rows.
        clipped: Boxes partly outside their image by more than `TOLERANCE_PX`; clipped to it.
        small: Crops, clipped to the image, with a side below `MIN_CROP_PX`.
    """

    outside: list[str] = field(default_factory=list)
    clipped: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)


def check_crops(manifest: Manifest, sizes: Mapping[str, tuple[int, int]]) -> CropCheck:
    """Compare the boxes of a manifest with the sizes of its images.

    Args:
        manifest: A row without a box is a crop of the full image.
        sizes: Width and height in pixels by path; the crops of other images are not checked.

    Example:
        >>> from pathlib import Path
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> m = Manifest.create("toy", schema, root=Path("."), images=["a.jpg"] * 3, labels=[[0]] * 3,
        ...                     partitions={}, boxes=[(90, 0, 130, 60), (9, 9, 12, 40), (200, 0, 250, 60)])
        >>> check = check_crops(m, {"a.jpg": (100, 60)})
        >>> check.outside, check.small
        (['a.jpg: box 200, 0, 250, 60 in 100 × 60 pixels'], ['a.jpg: 3 × 31 pixels'])
    """
    found = CropCheck()
    for image, box in zip(manifest.images, manifest.boxes(), strict=True):
        if image not in sizes:
            continue
        size = sizes[image]
        crop: tuple[float, ...] = (0, 0, *size)
        if box is not None:
            words = f"{image}: box {', '.join(f'{v:g}' for v in box)} in {size[0]} × {size[1]} pixels"
            try:
                crop = clip_box(size, box)
            except DataError:
                found.outside.append(words)
                continue
            if max(abs(a - b) for a, b in zip(box, crop, strict=True)) > TOLERANCE_PX:
                found.clipped.append(words)
        width, height = crop[2] - crop[0], crop[3] - crop[1]
        if min(width, height) < MIN_CROP_PX:
            found.small.append(f"{image}: {width:g} × {height:g} pixels")
    return found
