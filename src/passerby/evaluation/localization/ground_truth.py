"""Ground truth of localisation: parsing maps whose classes are attributes, or boxes of synthetic images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.errors import ConfigError, ManifestError
from passerby.evaluation.localization.box_truth import BOXES_FILE, BoxTruth
from passerby.evaluation.localization.true_region import TrueRegion, TruthKind
from passerby.explain.boxes import BoxMode
from passerby.types import Preprocess

__all__ = ["PAPER_CLASSES", "ParsingTruth", "Truth", "TruthKind", "create_truth", "find_of_paper"]

PAPER_CLASSES = ("hat", "boots", "glasses", "skirt", "jeans", "dress", "shorts", "sunglasses", "t-shirt")
"""CCP's names of the nine attributes in SSPNet's Table 10."""


class Truth(Protocol):
    """The true regions of a model's attributes in the images of some rows.

    Args:
        kind: Origin of the regions.
        names: The attributes with a truth, and for each its class or classes in the ground truth.
        exclude_from_mean: Attributes that cover the whole person, so that localising them is trivial.
        of_paper: The attributes in SSPNet's Table 10.
    """

    kind: TruthKind
    names: Mapping[str, tuple[str, ...]]
    exclude_from_mean: tuple[str, ...]
    of_paper: tuple[str, ...]

    def count(self, row: int) -> NDArray[np.int64]:
        """Count the true pixels (of a mask, or inside a box) of each of `names` in a row, (A',)."""
        ...

    def find(self, row: int, attribute: int) -> TrueRegion:
        """Find the region of an attribute, an index into `names`, in a row that has pixels of it."""
        ...


class ParsingTruth:
    """Ground truth from parsing maps whose classes are attributes, such as CCP's.

    Args:
        maps: Parsing maps of all rows at the size of the input, such as `PackedCache.parsing`.
        classes: Names of the classes, by number.
        attributes: Attributes of the model.
        label_map: Class or classes of each attribute; by default those of the same name.
        boxes: One outer rectangle, or one around each connected piece.

    Shape:
        maps: (N, H, W) uint8, 255 for a pixel of unknown class, which belongs to no attribute.

    Raises:
        SchemaError: If the label map fits neither the model nor the classes.
    """

    kind: TruthKind = "parsing"
    exclude_from_mean: tuple[str, ...] = ()

    def __init__(
        self,
        maps: NDArray[np.uint8],
        *,
        classes: Sequence[str],
        attributes: Sequence[str],
        label_map: LabelMap | None = None,
        boxes: BoxMode = "outer",
    ) -> None:
        bound = (label_map or LabelMap.by_name(classes, attributes)).bind(classes, attributes)
        self.names: Mapping[str, tuple[str, ...]] = bound.classes
        self.of_paper = find_of_paper(self.names, classes)
        self._maps, self._mode = maps, boxes
        self._members = np.zeros((len(self.names), 256), np.bool_)
        for i, columns in enumerate(bound.columns):
            self._members[i, list(columns)] = True

    def count(self, row: int) -> NDArray[np.int64]:
        """Count the pixels of each attribute, see `Truth`."""
        counts: NDArray[np.int64] = self._members @ np.bincount(self._maps[row].ravel(), minlength=256)
        return counts

    def find(self, row: int, attribute: int) -> TrueRegion:
        """Find the region of an attribute, see `Truth`."""
        return TrueRegion.of_mask(self._members[attribute][self._maps[row]], self._mode)


def find_of_paper(names: Mapping[str, Sequence[str]], classes: Sequence[str]) -> tuple[str, ...]:
    """Find the attributes in SSPNet's Table 10; none unless the ground truth is CCP's parsing maps.

    Args:
        names: Class or classes of each attribute.
        classes: All classes of the ground truth.

    Example:
        >>> from passerby.data.formats.ccp import CLASSES
        >>> from passerby.data.formats.pa100k import SCHEMA
        >>> names = LabelMap.load_truth("pa100k-to-ccp").bind(CLASSES, SCHEMA.names).classes
        >>> find_of_paper(names, CLASSES)
        ('Hat', 'Shorts', 'boots')
    """
    if not set(PAPER_CLASSES) <= set(classes):
        return ()
    return tuple(name for name, each in names.items() if len(each) == 1 and each[0] in PAPER_CLASSES)


def create_truth(
    manifest: Manifest,
    preprocess: Preprocess,
    *,
    parsing: NDArray[np.uint8] | None,
    attributes: Sequence[str],
    label_map: LabelMap | None,
    boxes: BoxMode,
    kind: TruthKind | None,
) -> Truth:
    """Create the ground truth of a manifest: its `boxes.json` if it has one, else its parsing maps.

    Args:
        manifest: Manifest of the rows of `parsing`.
        preprocess: Preprocessing of the images.
        parsing: Parsing maps at the size of the input.
        attributes: Attributes of the model.
        label_map: Class or classes of each attribute; by default those of the same name.
        boxes: One outer rectangle, or one around each connected piece.
        kind: `parsing` or `boxes`, to override the rule above.

    Raises:
        ManifestError: If there are no parsing maps, or the manifest does not name their classes.
        ConfigError: If `boxes` is `components` and only outer boxes are known.
        SchemaError: If the label map fits neither the model nor the ground truth.
    """
    if (kind or ("boxes" if (manifest.root / BOXES_FILE).is_file() else "parsing")) == "boxes":
        if boxes == "components":
            raise ConfigError(
                f"{BOXES_FILE} has one outer box per attribute; use boxes=outer (--boxes outer)"
            )
        return BoxTruth(manifest, preprocess, attributes=attributes, label_map=label_map)
    if parsing is None:
        raise ManifestError(
            f"expected parsing maps in the manifest or {BOXES_FILE} in {manifest.root} as ground truth; got "
            "neither. CCP has parsing maps, synthetic data has boxes"
        )
    if not manifest.parsing_classes:
        raise ManifestError(
            "the manifest does not name the classes of its parsing maps; prepare it again, or name them with "
            "`passerby annotate --parsing-from files --parsing-classes lip`"
        )
    return ParsingTruth(
        parsing,
        classes=manifest.parsing_classes,
        attributes=attributes,
        label_map=label_map,
        boxes=boxes,
    )
