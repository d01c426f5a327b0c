"""Masks from parsing maps: all pixels of the person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.annotators.relabel import list_coarse_names
from passerby.errors import DataError
from passerby.parsing import COARSE_CLASSES, UNKNOWN_CLASS, find_unnamed

__all__ = ["UnionOfParsing"]

_NOT_THE_PERSON = frozenset({"background", "carried"})


class UnionOfParsing:
    """The union of all classes of the person, without background and carried objects.

    Pixels of `UNKNOWN_CLASS` belong to the person: the label is ambiguous, but not background (such as skin
    in CCP). A map that only has unknown pixels counts as missing.

    Args:
        parsing_classes: Class names of the parsing maps, from `LIP_CLASSES`, `COARSE_CLASSES` or CCP.

    Raises:
        DataError: If a name is in none of these lists, or there are no names.

    Example:
        >>> from PIL import Image
        >>> parsing = np.array([[0, 1, 2], [5, 3, 255]], np.uint8)
        >>> person = Sample(Image.new("RGB", (3, 2)), parsing=parsing)
        >>> (mask,) = UnionOfParsing(COARSE_CLASSES).annotate([person])
        >>> mask.tolist()
        [[0, 1, 1], [0, 1, 1]]
    """

    kind: Kind = "masks"
    name = "parsing"
    needs: tuple[Kind, ...] = ("parsing",)
    classes: tuple[str, ...] = ()

    def __init__(self, parsing_classes: Sequence[str]) -> None:
        coarse = list_coarse_names()
        unknown = [name for name in parsing_classes if name.lower() not in coarse]
        if unknown or not parsing_classes:
            raise DataError(
                f"expected class names of Look-Into-Person, CCP or {', '.join(COARSE_CLASSES)}, got "
                f"{', '.join(unknown) or 'none'}; create other maps with `passerby annotate … --parsing`, or "
                "name the classes of these with --parsing-from files --parsing-classes lip"
            )
        self.parsing_classes = tuple(parsing_classes)
        self._is_person = np.zeros(256, np.uint8)
        self._is_person[: len(self.parsing_classes)] = [
            coarse[name.lower()] not in _NOT_THE_PERSON for name in self.parsing_classes
        ]
        self._is_person[UNKNOWN_CLASS] = 1

    def describe(self) -> Mapping[str, Any]:
        """The method and the classes of the maps that it reads."""
        return {"method": self.name, "version": 1, "parsing_classes": list(self.parsing_classes)}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Merge the classes of each map.

        Returns:
            One mask (h, w) uint8 per sample; None without a map, or if it only has background, carried
            objects and unknown pixels.

        Raises:
            DataError: If the size of a map differs from that of its image, or it has a class without a name.
        """
        return [self._merge(sample) for sample in samples]

    def _merge(self, sample: Sample) -> NDArray[np.uint8] | None:
        parsing = sample.parsing
        if parsing is None:
            return None
        if parsing.shape != (sample.image.height, sample.image.width):
            raise DataError(
                f"expected a parsing map of {sample.image.height} × {sample.image.width} (height × width), "
                f"the size of the image, got {parsing.shape}; crop both to the same box"
            )
        named = parsing[parsing != UNKNOWN_CLASS]
        unnamed = find_unnamed(parsing, self.parsing_classes)
        if unnamed is not None:
            raise DataError(
                f"expected classes 0 … {len(self.parsing_classes) - 1} (or {UNKNOWN_CLASS} for unknown) in "
                f"the parsing map, got {unnamed}; the maps use another class list"
            )
        return self._is_person[parsing] if self._is_person[named].any() else None
