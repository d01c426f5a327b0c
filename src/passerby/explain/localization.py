"""Localisation of attributes in images: heat maps and boxes in pixels of the original image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.bundle import Bundle, Picture
from passerby.errors import DataError, SchemaError
from passerby.explain.boxes import Binarization, BoxMode, find_boxes
from passerby.explain.heat import Method, compute_heat_maps
from passerby.explain.streaming import compute_one, list_notes, normalise_inputs, stream_results
from passerby.images.placement import restore_heat
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs
from passerby.inference.batches import PictureBatch, Skipped
from passerby.types import Box

__all__ = ["Localization", "Region", "localize", "localize_many"]


@dataclass(frozen=True, slots=True)
class Region:
    """A region of an image that shows an attribute.

    Args:
        box: In pixels of the image.
        share: Share of the attribute's heat inside the box, in (0, 1].
    """

    box: Box
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """The localised attributes of one person.

    Args:
        source: Path of the image, or `<image>` for an image in memory.
        picture: The original image, upright.
        names: The localised attributes.
        probabilities: One number in [0, 1] per attribute.
        thresholds: An attribute is present when its probability is strictly above its threshold.
        heat: One map per attribute, not on a common scale.
        regions: Those of each attribute, the one with the most heat first; none if the map is 0 everywhere.
        method: Method of the heat maps, one of `passerby.explain.METHODS`.
        binarization: Foreground of a map, which the boxes enclose.
        mode: `outer` for one box per attribute, `components` for one per connected component.
        notes: Limitations of the result, such as a missing mask.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        heat: (A', H, W) float32 ≥ 0 for the A' attributes in `names`.

    Raises:
        SchemaError: From `localization[name]`, if that attribute was not localised.

    Example:
        >>> picture, heat = np.zeros((4, 2, 3), np.uint8), np.ones((1, 4, 2), np.float32)
        >>> regions = ((Region(Box(0, 0, 2, 1), 0.25),),)
        >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, regions)
        >>> found.present, found["Hat"][0].box.as_xyxy()
        (('Hat',), (0, 0, 2, 1))
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, numbers with six decimals; notes if there are any, no heat maps.

        Example:
            >>> picture, heat = np.zeros((4, 2, 3), np.uint8), np.ones((1, 4, 2), np.float32)
            >>> found = Localization("a.jpg", picture, ("Hat",), (0.9,), (0.5,), heat, ((),))
            >>> found.to_dict()["attributes"]
            {'Hat': {'probability': 0.9, 'threshold': 0.5, 'present': True, 'boxes': []}}
        """
        rows = zip(self.names, self.probabilities, self.thresholds, self.regions, strict=True)
        height, width, _ = self.picture.shape
        return {
            "source": self.source,
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
    attributes: Sequence[str] | None = None,
    method: Method | None = None,
    binarization: Binarization | None = None,
    boxes: BoxMode = "outer",
    auxiliary: AuxiliaryInputs | None = None,
) -> Localization:
    """Localise attributes in one image.

    The model's mode and state stay unchanged.

    Args:
        picture: A path or an image in memory; see `Picture`.
        attributes: Names; by default the attributes that are present in the image.
        method: Method of the heat maps, see `compute_heat_maps`; None takes the model's `heat_method`.
        binarization: Foreground of a map; by default the pixels with at least half of its maximum.
        boxes: `outer` for one box per attribute, `components` for one per connected component; see
            `find_boxes`.
        auxiliary: Finds the auxiliary inputs of the model, such as masks. With None the model gets none, and
            the result notes the fallback.

    Raises:
        ImageError: If the image cannot be read.
        SchemaError: If there is no attribute of a name.
        ConfigError: If there is no such method or box mode.
        ModelError: If `native` is requested and the model has no native map.
        DataError: If `attributes` is empty, or a heat map has numbers that are not finite.

    Example:
        >>> from PIL import Image
        >>> from passerby import Attribute, AttributeSchema, Preprocess, create_model
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "has a bag")))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> photo = Image.new("RGB", (40, 90), "teal")
        >>> found = localize(Bundle(model, Preprocess(64, 48)), photo, attributes=["Bag"])
        >>> found.names, found.heat.shape
        (('Bag',), (1, 90, 40))
    """
    compute = partial(
        _compute, bundle, _check_attributes(bundle, attributes), method, binarization or Binarization(), boxes
    )
    return compute_one(bundle, picture, compute, auxiliary=auxiliary)


def localize_many(
    bundle: Bundle,
    pictures: Iterable[Picture],
    *,
    attributes: Sequence[str] | None = None,
    method: Method | None = None,
    binarization: Binarization | None = None,
    boxes: BoxMode = "outer",
    batch_size: int = 16,
    auxiliary: AuxiliaryInputs | None = None,
) -> Iterator[Localization | Skipped]:
    """Localise attributes in many images, one by one in the order given.

    An unreadable image yields `Skipped`; any other error ends the stream. Maps are enlarged to the size of
    the images one image at a time, so that a stream holds those of one image only.

    Args:
        pictures: Taken as they are needed.
        attributes, method, binarization, boxes, auxiliary: As for `localize`.
        batch_size: Images per batch; all heat maps of a batch come from one forward pass.

    Raises:
        SchemaError: Immediately, if there is no attribute of a name.
        DataError: If `batch_size` is below 1, and as `localize`.
    """
    compute = partial(
        _compute, bundle, _check_attributes(bundle, attributes), method, binarization or Binarization(), boxes
    )
    return stream_results(bundle, pictures, compute, batch_size=batch_size, auxiliary=auxiliary)


def _check_attributes(bundle: Bundle, attributes: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names without repetitions; None for the attributes that are present."""
    if attributes is None:
        return None
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
        yield Localization(
            source,
            np.asarray(image),
            tuple(bundle.schema.names[j] for j in numbers),
            tuple(probs[i][j] for j in numbers),
            tuple(bundle.thresholds[j] for j in numbers),
            heat,
            tuple(_find_regions(each, binarization, boxes) for each in heat),
            method or bundle.model.heat_method,
            binarization,
            boxes,
            list_notes(bundle, found, i),
        )


def _find_regions(heat: NDArray[np.float32], binarization: Binarization, mode: BoxMode) -> tuple[Region, ...]:
    total = float(heat.sum(dtype=np.float64))
    regions = []
    for box in find_boxes(heat, binarization, mode=mode):
        x0, y0, x1, y1 = map(int, box.as_xyxy())
        regions.append(Region(box, float(heat[y0:y1, x0:x1].sum(dtype=np.float64)) / total))
    return tuple(regions)
