"""Where in a picture a model sees attributes: heat maps and boxes in the pixels of the picture itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.bundle import Bundle, Picture, source_of
from passerby.errors import DataError, SchemaError
from passerby.explain.boxes import Binarization, BoxMode, find_boxes
from passerby.explain.heat import Method, compute_heat_maps
from passerby.images.placement import restore_heat
from passerby.inference.auxiliary import AuxiliaryInputs
from passerby.inference.batches import OpenedBatch, open_batch, stream_batches
from passerby.inference.predictor import Skipped
from passerby.types import Box

__all__ = ["Localization", "Region", "localize", "localize_many"]


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a picture in which an attribute is seen.

    Args:
        box: In pixels of the picture.
        share: How much of the attribute's heat lies in the box, in (0, 1].
    """

    box: Box
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """Where some attributes of one person are seen.

    Args:
        source: Where the picture came from: a path, or `<image>` when it came from memory.
        picture: As it was opened, upright.
        names: The attributes that were looked for.
        probabilities: One number in [0, 1] an attribute.
        thresholds: An attribute is present when its probability is strictly above its threshold.
        heat: A map an attribute, each on a scale of its own.
        regions: Those of each attribute, the one with the most heat first; none where the map is 0
            everywhere.
        method: How the heat maps were made, one of `passerby.explain.METHODS`.
        binarization: Which pixels of a map the boxes are drawn around.
        mode: `outer` for one box an attribute, `components` for one a piece.
        notes: What a reader must know, such as that the model had no mask to look at.

    Shape:
        picture: (H, W, 3) uint8 RGB.
        heat: (A', H, W) float32 ≥ 0, A' being the number of `names`.

    Raises:
        SchemaError: From `localization[name]`, if that attribute was not looked for.

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
        """Those of the names whose probability is above their threshold."""
        triples = zip(self.names, self.probabilities, self.thresholds, strict=True)
        return tuple(name for name, p, threshold in triples if p > threshold)

    def index(self, name: str) -> int:
        """Position of an attribute among those that were looked for.

        Raises:
            SchemaError: If it was not.
        """
        if name not in self.names:
            looked = f"expected one of {', '.join(self.names)}" if self.names else "none were"
            raise SchemaError(f"attribute {name!r} was not looked for; {looked}")
        return self.names.index(name)

    def __getitem__(self, name: str) -> tuple[Region, ...]:
        return self.regions[self.index(name)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, numbers to six decimals; notes if there are any, no heat maps.

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
    """Find where in one picture attributes are seen.

    The model's mode and state are left as they were.

    Args:
        picture: A path or a picture in memory; see `Picture`.
        attributes: Names; by default those that are present in the picture.
        method: How the heat maps are made, see `compute_heat_maps`; None takes the model's `heat_method`.
        binarization: Which pixels of a map are in a box; by default those with at least half of its maximum.
        boxes: `outer` for one box an attribute, `components` for one a piece; see `find_boxes`.
        auxiliary: Finds what the model looks at beside the picture, such as a mask; None leaves it without,
            which is noted.

    Raises:
        ImageError: If the picture cannot be read.
        SchemaError: If there is no attribute of a name.
        ConfigError: If there is no such method or mode of boxes.
        ModelError: If the model shows no map of its own, and that was asked for.
        DataError: If no attribute is named, or a heat map has numbers that are not finite.

    Example:
        >>> from PIL import Image
        >>> from passerby import create_model
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> from passerby.types import Preprocess
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "has a bag")))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> photo = Image.new("RGB", (40, 90), "teal")
        >>> found = localize(Bundle(model, Preprocess(64, 48)), photo, attributes=["Bag"])
        >>> found.names, found.heat.shape
        (('Bag',), (1, 90, 40))
    """
    names = _check_attributes(bundle, attributes)
    batch = open_batch(bundle, [bundle.open(picture)], [source_of(picture)], auxiliary=auxiliary)
    found = _compute(bundle, batch, names=names, method=method, binarization=binarization, boxes=boxes)
    return next(found)


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
    """Find where attributes are seen in many pictures, one after the other in the order given.

    A picture that cannot be read comes out as `Skipped`; any other error ends the stream. Maps of the size
    of a picture are made when it is its turn, so that a stream holds those of one picture only.

    Args:
        pictures: Asked for as they are needed.
        attributes, method, binarization, boxes, auxiliary: As for `localize`; by default the attributes
            of each picture are those that are present in it.
        batch_size: Pictures that go through the network at a time; the heat maps of all attributes of a
            batch come from a single pass.

    Raises:
        SchemaError: At once, if there is no attribute of a name.
        DataError: If `batch_size` is below 1, and as from `localize`.
    """
    compute = partial(
        _compute,
        bundle,
        names=_check_attributes(bundle, attributes),
        method=method,
        binarization=binarization,
        boxes=boxes,
    )
    return stream_batches(bundle, pictures, compute, batch_size=batch_size, auxiliary=auxiliary)


def _check_attributes(bundle: Bundle, attributes: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names without repetitions; None for those that are present."""
    if attributes is None:
        return None
    for name in attributes:
        bundle.schema.index(name)  # proposes the nearest name
    if not attributes:
        raise DataError("expected at least one attribute to look for, got none; None looks for those present")
    return tuple(dict.fromkeys(attributes))


def _compute(
    bundle: Bundle,
    batch: OpenedBatch,
    *,
    names: tuple[str, ...] | None,
    method: Method | None,
    binarization: Binarization | None,
    boxes: BoxMode,
) -> Iterator[Localization]:
    """What is found in the pictures of a batch, from one pass; maps are enlarged one picture at a time."""
    guidance = batch.found.guidance.to(bundle.device)
    maps = compute_heat_maps(bundle.model, batch.normalise(bundle), guidance, attributes=names, method=method)
    small = maps.resize((bundle.preprocess.height, bundle.preprocess.width)).float().cpu().numpy()
    probs = maps.logits.float().sigmoid().tolist()
    rule = binarization or Binarization()
    for i, (source, image) in enumerate(zip(batch.sources, batch.images, strict=True)):
        rows = list(range(len(maps.attributes)))  # of all attributes where none is named
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
            tuple(_find_regions(each, rule, boxes) for each in heat),
            method or bundle.model.heat_method,
            rule,
            boxes,
            (*bundle.explain_missing(batch.found.missing[i]), *filter(None, [batch.found.problems.get(i)])),
        )


def _find_regions(heat: NDArray[np.float32], binarization: Binarization, mode: BoxMode) -> tuple[Region, ...]:
    total = float(heat.sum(dtype=np.float64))
    regions = []
    for box in find_boxes(heat, binarization, mode=mode):
        x0, y0, x1, y1 = map(int, box.as_xyxy())
        regions.append(Region(box, float(heat[y0:y1, x0:x1].sum(dtype=np.float64)) / total))
    return tuple(regions)
