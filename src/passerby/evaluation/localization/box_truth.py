"""Ground truth from the `boxes.json` of synthetic images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.localization.true_region import TrueRegion, TruthKind, fill_boxes
from passerby.images.decode import read_size
from passerby.images.placement import Placement, compute_placement
from passerby.io import read_json
from passerby.synthetic.labels import WHOLE_PERSON
from passerby.types import Box, Preprocess

__all__ = ["BOXES_FILE", "BoxTruth"]

BOXES_FILE = "boxes.json"
"""File next to synthetic images: the tight box of each visible attribute."""


class BoxTruth:
    """Ground truth from `boxes.json`, which has no masks.

    Args:
        manifest: The rows that are evaluated.
        preprocess: Preprocessing of the images, applied to the boxes as well.
        attributes: Attributes of the model.
        label_map: Names in `boxes.json` for each attribute; by default the same name.

    Raises:
        DataError: If the file is missing, or is not of the form `{image: {attribute: [left, top, right,
            bottom]}}`, in pixels of the image.
        SchemaError: If the label map fits neither the model nor the file.
    """

    kind: TruthKind = "boxes"
    of_paper: tuple[str, ...] = ()

    def __init__(
        self,
        manifest: Manifest,
        preprocess: Preprocess,
        *,
        attributes: Sequence[str],
        label_map: LabelMap | None = None,
    ) -> None:
        self._boxes = _load_boxes(manifest.root / BOXES_FILE)
        self._images, self._crops, self._root = manifest.images, manifest.boxes(), manifest.root
        self._preprocess, self._size = preprocess, (preprocess.height, preprocess.width)
        self._placed: dict[int, list[tuple[Box, ...]]] = {}
        known = dict.fromkeys(name for image in self._images for name in self._boxes.get(image, {}))
        bound = (label_map or LabelMap.by_name(tuple(known), attributes)).bind(tuple(known), attributes)
        self.names: Mapping[str, tuple[str, ...]] = bound.classes
        self.exclude_from_mean = tuple(
            name for name, classes in self.names.items() if set(classes) & set(WHOLE_PERSON)
        )

    def count(self, row: int) -> NDArray[np.int64]:
        """Count the pixels inside the box of each attribute, see `Truth`."""
        return np.array([fill_boxes(each, self._size).sum() for each in self._place(row)], np.int64)

    def find(self, row: int, attribute: int) -> TrueRegion:
        """Find the region of an attribute, see `Truth`."""
        boxes = self._place(row)[attribute]
        return TrueRegion(boxes, fill_boxes(boxes, self._size))

    def _place(self, row: int) -> list[tuple[Box, ...]]:
        """The box of each attribute in pixels of the input; empty if the crop does not contain it."""
        if row in self._placed:
            return self._placed[row]
        boxes = self._boxes.get(self._images[row], {})
        size = read_size(self._root / self._images[row])
        placement = compute_placement(size, self._preprocess, self._crops[row])
        self._placed[row] = [
            _place_boxes([boxes[name] for name in classes if name in boxes], placement)
            for classes in self.names.values()
        ]
        return self._placed[row]


def _place_boxes(boxes: Sequence[Sequence[float]], placement: Placement) -> tuple[Box, ...]:
    """The outer rectangle of the boxes within the crop, in pixels of the input."""
    left, top, right, bottom = placement.source
    cut = [(max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)) for x0, y0, x1, y1 in boxes]
    visible = [box for box in cut if box[2] > box[0] and box[3] > box[1]]
    if not visible:
        return ()
    width, height = placement.target_size
    x_scale, y_scale = width / (right - left), height / (bottom - top)
    x, y = placement.target[:2]
    outer = Box(
        x + (min(box[0] for box in visible) - left) * x_scale,
        y + (min(box[1] for box in visible) - top) * y_scale,
        x + (max(box[2] for box in visible) - left) * x_scale,
        y + (max(box[3] for box in visible) - top) * y_scale,
    )
    return (outer,)


def _load_boxes(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"no boxes at {path}; `passerby synth` writes them next to its images")
    values = read_json(path)
    try:
        boxes = (box for each in values.values() for box in each.values())
        valid = all(len(box) == 4 and np.isfinite(np.asarray(box, float)).all() for box in boxes)
    except (AttributeError, TypeError, ValueError):
        valid = False
    if not valid:
        raise DataError(
            f"{path}: expected {{image: {{attribute: [left, top, right, bottom]}}}}, in pixels of the "
            "image; generate the data again with `passerby synth`"
        )
    return values
