"""Localisation of attributes in images: heat maps and boxes in pixels of the original image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.crops import Crop, compute_crop
from passerby.bundle import Bundle, Picture
from passerby.errors import DataError, SchemaError
from passerby.explain.boxes import Binarization, BoxMode, find_boxes
from passerby.explain.heat import Method, compute_heat_maps
from passerby.explain.streaming import compute_one, list_notes, normalise_inputs, stream_results
from passerby.images.placement import restore_heat
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs
from passerby.inference.batches import BoxLike, PictureBatch, Skipped
from passerby.schema import list_names
from passerby.types import Box

__all__ = ["Localization", "Region", "localize", "localize_many"]


@dataclass(frozen=True, slots=True)
class Region:
    """A region of an image that shows an attribute.

    Args:
        box: In pixels of the image, even if the person has a box in it.
        share: Share of the attribute's heat inside the box, in (0, 1].
    """

    box: Box
    share: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Localization:
    """The localised attributes of one person.

    Args:
        source: Path of the image, or `<image>` for an image in memory.
        picture: The original image, upright; with a box, the crop of it that covers the box.
        names: The localised attributes.
        probabilities: One number in [0, 1] per attribute.
        thresholds: An attribute is present when its probability is strictly above its threshold.
        heat: One map per attribute, not on a common scale.
        regions: Those of each attribute, the one with the most heat first; none if the map is 0 everywhere.
        method: Method of the heat maps, one of `passerby.explain.METHODS`.
        binarization: Foreground of a map, which the boxes enclose.
        mode: `outer` for one box per attribute, `components` for one per connected component.
        notes: Limitations of the result, such as a missing mask.
        box: The person's box in the image, as given; None for the full image.
        image_size: Width and height of the image; None if `picture` is all of it.
        row: The person's row in a table of images, if there is one.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        heat: (A', H, W) float32 ≥ 0 for the A' attributes in `names`; with a box, its upper left corner is at
            `crop[:2]` in the image.

    Raises:
        SchemaError: From `localization[name]`, if that attribute was not localised.
        DataError: If `picture` has another size than `crop`.

    Example:
        >>> picture, heat = np.zeros((4, 2, 3), np.uint8), np.ones((1, 4, 2), np.float32)
        >>> regions = ((Region(Box(0, 0, 2, 1), 0.25),),)
        >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, regions)
        >>> found.present, found["Hat"][0].box.as_xyxy()
        (('Hat',), (0, 0, 2, 1))
        >>> found
        Localization(a.jpg: Hat 0.90, 1 box; 2 × 4 pixels, grad-cam-p)
    """

    source: str
    picture: NDArray[np.uint8]
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    thresholds: tuple[float, ...]
    heat: NDArray[np.float32]
    regions: tuple[tuple[Region, ...], ...]
    method: Method = "grad-cam-p"
    binarization: Binarization = field(default_factory=Binarization)
    mode: BoxMode = "outer"
    notes: tuple[str, ...] = ()
    box: Box | None = None
    image_size: tuple[int, int] | None = None
    row: int | None = None

    def __post_init__(self) -> None:
        left, top, right, bottom = self.crop
        height, width, _ = self.picture.shape
        if (right - left, bottom - top) != (width, height):
            raise DataError(
                f"expected a picture of {right - left} × {bottom - top} pixels, what the box {self.box} "
                f"covers, got {width} × {height}; give `image_size`, and the picture within `crop`"
            )

    @property
    def crop(self) -> Crop:
        """Left, top, right and bottom of `picture` and `heat` in the image: the box in whole pixels.

        Example:
            >>> picture, heat = np.zeros((4, 3, 3), np.uint8), np.ones((1, 4, 3), np.float32)
            >>> box = Box(7.5, 2, 10, 6)
            >>> Localization(
            ...     "a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, ((),), box=box, image_size=(20, 9)
            ... ).crop
            (7, 2, 10, 6)
        """
        height, width, _ = self.picture.shape
        return compute_crop(
            self.image_size or (width, height), None if self.box is None else self.box.as_xyxy()
        )

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the localised attributes whose probability is above their threshold."""
        triples = zip(self.names, self.probabilities, self.thresholds, strict=True)
        return tuple(name for name, p, threshold in triples if p > threshold)

    def index(self, name: str) -> int:
        """Index of an attribute in `names`.

        Raises:
            SchemaError: If it was not localised.
        """
        if name not in self.names:
            others = f"expected one of {', '.join(self.names)}" if self.names else "no attribute was"
            raise SchemaError(f"attribute {name!r} was not localised; {others}")
        return self.names.index(name)

    def __getitem__(self, name: str) -> tuple[Region, ...]:
        return self.regions[self.index(name)]

    def __repr__(self) -> str:
        rows = zip(self.names, self.probabilities, self.regions, strict=True)
        shown = [
            f"{name} {p:.2f}, {len(regions)} {'box' if len(regions) == 1 else 'boxes'}"
            for name, p, regions in rows
        ]
        source = self.source if self.box is None else f"{self.source} [{self.box}]"
        height, width, _ = self.picture.shape
        parts = [*(shown or ["no attribute"]), f"{width} × {height} pixels, {self.method}"]
        return f"Localization({source}: {'; '.join(parts)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, numbers with six decimals; notes if there are any, no heat maps.

        Width and height are those of the image. Row and box are included if the person has them.

        Example:
            >>> picture, heat = np.zeros((4, 2, 3), np.uint8), np.ones((1, 4, 2), np.float32)
            >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, ((),))
            >>> found.to_dict()["attributes"]
            {'Hat': {'probability': 0.9, 'threshold': 0.5, 'present': True, 'boxes': []}}
        """
        rows = zip(self.names, self.probabilities, self.thresholds, self.regions, strict=True)
        height, width, _ = self.picture.shape
        width, height = self.image_size or (width, height)
        return {
            "source": self.source,
            **({} if self.row is None else {"row": self.row}),
            **({} if self.box is None else {"box": list(self.box.as_xyxy())}),
            "width": width,
            "height": height,
            "method": self.method,
            "binarization": str(self.binarization),
            "mode": self.mode,
            "attributes": {
                name: {
                    "probability": round(p, 6),
                    "threshold": round(threshold, 6),
                    "present": p > threshold,
                    "boxes": [{"xyxy": list(r.box.as_xyxy()), "share": round(r.share, 6)} for r in regions],
                }
                for name, p, threshold, regions in rows
            },
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def localize(
    bundle: Bundle,
    picture: Picture,
    *,
    attributes: str | Sequence[str] | None = None,
    method: Method | None = None,
    binarization: Binarization | None = None,
    boxes: BoxMode = "outer",
    crop: BoxLike | None = None,
    auxiliary: AuxiliaryInputs | None = None,
) -> Localization:
    """Localise attributes in one image, or of one person in it.

    The model's mode and state stay unchanged.

    Args:
        picture: A path or an image in memory; see `Picture`.
        attributes: One name or several; by default the attributes that are present in the image.
        method: Method of the heat maps, see `compute_heat_maps`; None takes the model's `heat_method`.
        binarization: Foreground of a map; by default the pixels with at least half of its maximum.
        boxes: `outer` for one box per attribute, `components` for one per connected component; see
            `find_boxes`.
        crop: The person's box in the image: left, top, right, bottom in pixels of the upright image, clipped
            to it. The model gets this part alone; heat maps cover it, enlarged to whole pixels, and regions
            are in pixels of the image. By default the full image.
        auxiliary: Finds the auxiliary inputs of the model, such as masks. With None the model gets none, and
            the result notes the fallback.

    Raises:
        ImageError: If the image cannot be read.
        SchemaError: If there is no attribute of a name.
        ConfigError: If there is no such method or box mode; if `crop` comes with auxiliary inputs from files,
            which exist once for each image.
        ModelError: If `native` is requested and the model has no native map.
        DataError: If `attributes` is empty, `crop` is empty, in fractions or outside the image, or a heat map
            has numbers that are not finite.

    Example:
        >>> from PIL import Image
        >>> from passerby import Attribute, AttributeSchema, Preprocess, create_model
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "has a bag")))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> photo = Image.new("RGB", (40, 90), "teal")
        >>> found = localize(Bundle(model, Preprocess(64, 48)), photo, attributes="Bag")
        >>> found.names, found.heat.shape
        (('Bag',), (1, 90, 40))
        >>> person = localize(
        ...     Bundle(model, Preprocess(64, 48)), photo, attributes=["Bag"], crop=(10.5, 20, 30, 80)
        ... )
        >>> person.crop, person.heat.shape
        ((10, 20, 30, 80), (1, 60, 20))
    """
    compute = partial(
        _compute, bundle, _check_attributes(bundle, attributes), method, binarization or Binarization(), boxes
    )
    return compute_one(bundle, picture, compute, crop=crop, auxiliary=auxiliary)


def localize_many(
    bundle: Bundle,
    pictures: Iterable[Picture],
    *,
    attributes: str | Sequence[str] | None = None,
    method: Method | None = None,
    binarization: Binarization | None = None,
    boxes: BoxMode = "outer",
    crops: Iterable[BoxLike | None] | None = None,
    batch_size: int = 16,
    auxiliary: AuxiliaryInputs | None = None,
) -> Iterator[Localization | Skipped]:
    """Localise attributes in many images, one by one in the order given.

    An unreadable image or an impossible box yields `Skipped`; any other error ends the stream. Maps are
    enlarged to the size of the images one image at a time, so that a stream holds those of one image only.

    Args:
        pictures: Taken as they are needed; an image with several persons is repeated.
        attributes, method, binarization, boxes, auxiliary: As for `localize`.
        crops: For each image the person's box in it, as for `localize`; None for the full image.
        batch_size: Images per batch; all heat maps of a batch come from one forward pass.

    Raises:
        SchemaError: Immediately, if there is no attribute of a name.
        ConfigError: As `localize`.
        DataError: If `batch_size` is below 1, there are more images than crops or fewer, and as `localize`.
    """
    compute = partial(
        _compute, bundle, _check_attributes(bundle, attributes), method, binarization or Binarization(), boxes
    )
    return stream_results(bundle, pictures, compute, crops=crops, batch_size=batch_size, auxiliary=auxiliary)


def _check_attributes(bundle: Bundle, attributes: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The names without repetitions; None for the attributes that are present."""
    if attributes is None:
        return None
    attributes = list_names(attributes)
    for name in attributes:
        bundle.schema.index(name)  # raises an error that suggests similar names
    if not attributes:
        raise DataError(
            "expected at least one attribute to localise, got an empty list; pass None for those present"
        )
    return tuple(dict.fromkeys(attributes))


def _compute(
    bundle: Bundle,
    names: tuple[str, ...] | None,
    method: Method | None,
    binarization: Binarization,
    boxes: BoxMode,
    batch: PictureBatch,
    found: FoundInputs,
) -> Iterator[Localization]:
    """Localise in the images of a batch, in one pass; maps are enlarged for one image at a time."""
    inputs, guidance = normalise_inputs(batch, bundle), found.guidance.to(bundle.device)
    maps = compute_heat_maps(bundle.model, inputs, guidance, attributes=names, method=method)
    small = maps.resize((bundle.preprocess.height, bundle.preprocess.width)).float().cpu().numpy()
    probs = maps.logits.float().sigmoid().tolist()
    for i, (source, image) in enumerate(zip(batch.sources, batch.originals, strict=True)):
        rows = list(range(len(maps.attributes)))  # of all attributes, unless some are named
        if names is None:
            rows = [row for row in rows if probs[i][row] > bundle.thresholds[row]]
        numbers = [maps.attributes[row] for row in rows]
        heat = restore_heat(small[i, rows], image.size, bundle.preprocess)  # (A', h, w)
        box = batch.boxes[i]
        crop = compute_crop(batch.sizes[i], None if box is None else box.as_xyxy())
        yield Localization(
            source,
            np.asarray(image),
            tuple(bundle.schema.names[j] for j in numbers),
            tuple(probs[i][j] for j in numbers),
            tuple(bundle.thresholds[j] for j in numbers),
            heat,
            tuple(_find_regions(each, binarization, boxes, crop=crop) for each in heat),
            method or bundle.model.heat_method,
            binarization,
            boxes,
            list_notes(bundle, found, i),
            box,
            None if box is None else batch.sizes[i],
        )


def _find_regions(
    heat: NDArray[np.float32], binarization: Binarization, mode: BoxMode, *, crop: Crop
) -> tuple[Region, ...]:
    """The regions of a heat map that covers a crop, in pixels of the image."""
    left, top = crop[:2]
    total = float(heat.sum(dtype=np.float64))
    regions = []
    for box in find_boxes(heat, binarization, mode=mode):
        x0, y0, x1, y1 = map(int, box.as_xyxy())
        share = float(heat[y0:y1, x0:x1].sum(dtype=np.float64)) / total
        regions.append(Region(box.shift(left, top), share))
    return tuple(regions)
