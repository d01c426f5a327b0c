"""Where attributes truly are: from parsing maps, or from the boxes beside drawn people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, DataError, ManifestError
from passerby.evaluation.localization.names import find_of_paper, match_names
from passerby.explain.boxes import BoxMode, find_boxes
from passerby.images.decode import read_size
from passerby.images.placement import Placement, compute_placement
from passerby.io import read_json
from passerby.synthetic.labels import WHOLE_PERSON
from passerby.types import Box, Preprocess

__all__ = ["BOXES_FILE", "BoxTruth", "ParsingTruth", "TrueRegion", "Truth", "TruthKind", "create_truth"]

TruthKind = Literal["parsing", "boxes"]
BOXES_FILE = "boxes.json"
"""Beside the pictures of a drawn data set: the tight box of each visible attribute."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TrueRegion:
    """Where an attribute truly is in a picture, at the size of the network's input.

    Args:
        boxes: Its outer rectangle, or one around each of its pieces.
        inside: The pixels whose centre lies in one of the boxes.
        mask: Its own pixels; None where only boxes are known.

    Shape:
        inside, mask: (H, W) bool.
    """

    boxes: tuple[Box, ...]
    inside: Flags
    mask: Flags | None = None

    @classmethod
    def of_mask(cls, mask: Flags, mode: BoxMode) -> TrueRegion:
        """From the pixels.

        Example:
            >>> region = TrueRegion.of_mask(np.array([[1, 0, 1], [0, 0, 1]], bool), "components")
            >>> [box.as_xyxy() for box in region.boxes], region.inside.tolist()
            ([(2.0, 0.0, 3.0, 2.0), (0.0, 0.0, 1.0, 1.0)], [[True, False, True], [False, False, True]])
        """
        boxes = find_boxes(mask.astype(np.float32), mode=mode)
        return cls(boxes, fill_boxes(boxes, (mask.shape[0], mask.shape[1])), mask)


def fill_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Flags:
    """The pixels whose centre lies in one of the boxes.

    Shape:
        size: H and W; returns (H, W).

    Example:
        >>> fill_boxes([Box(0.6, 0, 2.4, 1)], (1, 3)).tolist()
        [[False, True, False]]
    """
    inside = np.zeros(size, np.bool_)
    for box in boxes:
        x0, y0, x1, y1 = (max(0, ceil(edge - 0.5)) for edge in box.as_xyxy())
        inside[y0:y1, x0:x1] = True
    return inside


class Truth(Protocol):
    """Where the attributes of a model truly are in the pictures of some rows.

    Args:
        kind: What it comes from.
        names: The attributes that it knows, and what each is called in it.
        exclude_from_mean: Attributes that are everywhere on the person, so that where they are says little.
        of_paper: The attributes of SSPNet's Table 10.
    """

    kind: TruthKind
    names: Mapping[str, tuple[str, ...]]
    exclude_from_mean: tuple[str, ...]
    of_paper: tuple[str, ...]

    def count(self, row: int) -> NDArray[np.int64]:
        """Number of true pixels (of a mask, or inside a box) of each of `names` in a row, (A',)."""
        ...

    def find(self, row: int, attribute: int) -> TrueRegion:
        """Where the attribute of that number in `names` is in a row that has pixels of it."""
        ...


class ParsingTruth:
    """Truth from parsing maps whose classes are attributes, as CCP's are.

    Args:
        maps: Parsing maps of all rows at the input's size, as `PackedCache.parsing` has them.
        classes: Names of their numbers.
        attributes: Of the model.
        names: See `match_names`.
        boxes: One outer rectangle, or one around each piece.

    Shape:
        maps: (N, H, W) uint8, 255 where a pixel's class is not known: nothing is there, for all we know.
    """

    kind: TruthKind = "parsing"
    exclude_from_mean: tuple[str, ...] = ()

    def __init__(
        self,
        maps: NDArray[np.uint8],
        *,
        classes: Sequence[str],
        attributes: Sequence[str],
        names: Mapping[str, str | Sequence[str]] | None = None,
        boxes: BoxMode = "outer",
    ) -> None:
        self.names = match_names(attributes, classes, names)
        self.of_paper = find_of_paper(self.names, classes)
        self._maps, self._mode = maps, boxes
        numbers = {name: number for number, name in enumerate(classes)}
        self._members = np.zeros((len(self.names), 256), np.bool_)
        for i, each in enumerate(self.names.values()):
            self._members[i, [numbers[name] for name in each]] = True

    def count(self, row: int) -> NDArray[np.int64]:  # noqa: D102 - as in Truth
        found: NDArray[np.int64] = self._members @ np.bincount(self._maps[row].ravel(), minlength=256)
        return found

    def find(self, row: int, attribute: int) -> TrueRegion:  # noqa: D102
        return TrueRegion.of_mask(self._members[attribute][self._maps[row]], self._mode)


class BoxTruth:
    """Truth from `boxes.json` beside drawn people; there are no masks then.

    Args:
        manifest: The rows that are asked for.
        preprocess: How pictures become inputs: boxes go the same way.
        attributes: Of the model.
        names: See `match_names`.

    Raises:
        DataError: If the file is missing, or not of the form `{picture: {attribute: [left, top, right,
            bottom]}}`, in pixels of the picture.
    """

    kind: TruthKind = "boxes"
    of_paper: tuple[str, ...] = ()

    def __init__(
        self,
        manifest: Manifest,
        preprocess: Preprocess,
        *,
        attributes: Sequence[str],
        names: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None:
        self._boxes = _load_boxes(manifest.root / BOXES_FILE)
        self._images, self._crops, self._root = manifest.images, manifest.boxes(), manifest.root
        self._preprocess, self._size = preprocess, (preprocess.height, preprocess.width)
        self._placed: dict[int, list[tuple[Box, ...]]] = {}
        known = dict.fromkeys(name for image in self._images for name in self._boxes.get(image, {}))
        self.names = match_names(attributes, tuple(known), names)
        self.exclude_from_mean = tuple(
            name for name, each in self.names.items() if set(each) & set(WHOLE_PERSON)
        )

    def count(self, row: int) -> NDArray[np.int64]:  # noqa: D102
        found = [fill_boxes(each, self._size).sum() for each in self._place(row)]
        return np.array(found, np.int64)

    def find(self, row: int, attribute: int) -> TrueRegion:  # noqa: D102
        boxes = self._place(row)[attribute]
        return TrueRegion(boxes, fill_boxes(boxes, self._size))

    def _place(self, row: int) -> list[tuple[Box, ...]]:
        """The box of each attribute in pixels of the input; none where the crop shows nothing of it."""
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
    """The outer rectangle, in pixels of the input, of what the crop shows of some boxes of the picture."""
    left, top, right, bottom = placement.source
    cut = [(max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)) for x0, y0, x1, y1 in boxes]
    seen = [box for box in cut if box[2] > box[0] and box[3] > box[1]]
    if not seen:
        return ()
    width, height = placement.target_size
    x_scale, y_scale = width / (right - left), height / (bottom - top)
    x, y = placement.target[:2]
    outer = Box(
        x + (min(box[0] for box in seen) - left) * x_scale,
        y + (min(box[1] for box in seen) - top) * y_scale,
        x + (max(box[2] for box in seen) - left) * x_scale,
        y + (max(box[3] for box in seen) - top) * y_scale,
    )
    return (outer,)


def _load_boxes(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"no boxes at {path}; `passerby synth` writes them beside its pictures")
    values = read_json(path)
    try:
        boxes = (box for each in values.values() for box in each.values())
        good = all(len(box) == 4 and np.isfinite(np.asarray(box, float)).all() for box in boxes)
    except (AttributeError, TypeError, ValueError):
        good = False
    if not good:
        raise DataError(
            f"{path}: expected {{picture: {{attribute: [left, top, right, bottom]}}}}, in pixels of the "
            "picture; draw the people anew by `passerby synth`"
        )
    return values


def create_truth(
    manifest: Manifest,
    preprocess: Preprocess,
    *,
    parsing: NDArray[np.uint8] | None,
    attributes: Sequence[str],
    names: Mapping[str, str | Sequence[str]] | None,
    boxes: BoxMode,
    kind: TruthKind | None,
) -> Truth:
    """The truth of a manifest: its `boxes.json` if it has one, else its parsing maps.

    Args:
        manifest: Of the rows of `parsing`.
        parsing: Parsing maps at the input's size.
        kind: Which of the two, if not as above.

    Raises:
        ManifestError: If there are no parsing maps, or they do not say which classes they have.
        ConfigError: If pieces are asked for where only outer boxes are known.
    """
    if (kind or ("boxes" if (manifest.root / BOXES_FILE).is_file() else "parsing")) == "boxes":
        if boxes == "components":
            raise ConfigError(f"{BOXES_FILE} has one outer box an attribute; use boxes=outer (--boxes outer)")
        return BoxTruth(manifest, preprocess, attributes=attributes, names=names)
    if parsing is None:
        raise ManifestError(
            f"expected parsing maps in the manifest, or {BOXES_FILE} in {manifest.root}, to know where "
            "attributes are; got neither. CCP has maps, drawn people have boxes"
        )
    if not manifest.parsing_classes:
        raise ManifestError(
            "the manifest does not name the classes of its parsing maps; prepare it anew, or name them by "
            "`passerby annotate --parsing-from given --parsing-classes lip`"
        )
    return ParsingTruth(
        parsing, classes=manifest.parsing_classes, attributes=attributes, names=names, boxes=boxes
    )
