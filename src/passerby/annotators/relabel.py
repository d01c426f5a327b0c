"""Convert existing parsing maps to another class list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.data.formats import ccp
from passerby.errors import ConfigError
from passerby.parsing import CLASS_LISTS, COARSE_CLASSES, LIP_CLASSES, LIP_TO_COARSE, convert_parsing

__all__ = ["CONVERSIONS", "Relabel", "list_coarse_names"]

CONVERSIONS: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {
    LIP_CLASSES: {"coarse": LIP_TO_COARSE},
    ccp.CLASSES: {"lip": ccp.TO_LIP, "coarse": ccp.TO_COARSE},
}
"""For each class list, the lists that it can be converted to, by name, and the new number of each class."""


def list_coarse_names() -> dict[str, str]:
    """The coarse class of each class of any list, by its name in lower case; `unknown` if it has none."""
    found = {name: name for name in COARSE_CLASSES}
    for names, tables in CONVERSIONS.items():
        for name, number in zip(names, tables["coarse"], strict=True):
            known = number < len(COARSE_CLASSES)
            found.setdefault(name.lower(), COARSE_CLASSES[number] if known else "unknown")
    return found


class Relabel:
    """Converts the parsing map of a sample to another class list.

    Args:
        parsing_classes: Class names of the existing maps: `LIP_CLASSES` or the 59 of CCP.
        to: `lip` or `coarse`.

    Raises:
        ConfigError: If the names are unknown, or the list cannot be converted to the other.
        DataError: From `annotate`, if a map has a class without a name.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> person = Sample(Image.new("RGB", (2, 1)), parsing=np.array([[0, 2]], np.uint8))
        >>> Relabel(LIP_CLASSES, "coarse").annotate([person])[0].tolist()
        [[0, 1]]
    """

    kind: Kind = "parsing"
    name = "relabel"
    needs: tuple[Kind, ...] = ("parsing",)

    def __init__(self, parsing_classes: Sequence[str], to: str) -> None:
        self.parsing_classes, self.to = tuple(parsing_classes), to
        if to not in CLASS_LISTS:
            raise ConfigError(f"expected {' or '.join(CLASS_LISTS)} to relabel to, got {to!r}")
        self.classes = CLASS_LISTS[to]
        if self.parsing_classes == self.classes:
            raise ConfigError(f"the parsing maps have the classes of {to} already; leave out relabel")
        if not self.parsing_classes:
            raise ConfigError(
                "the manifest does not name the classes of its parsing maps, so they cannot be relabelled; "
                "name them first with --parsing-from files --parsing-classes lip"
            )
        tables = CONVERSIONS.get(self.parsing_classes, {})
        if to not in tables:
            shown = ", ".join(self.parsing_classes[:4])
            raise ConfigError(
                f"expected parsing maps that can be converted to {to}: those of CCP, or from lip to coarse; "
                f"got {len(self.parsing_classes)} classes: {shown} …; choose another --parsing-classes, or "
                "another method with --parsing-from"
            )
        self.table = tables[to]

    def describe(self) -> Mapping[str, Any]:
        """The method, the original classes and the table."""
        return {
            "method": self.name,
            "version": 1,
            "parsing_classes": list(self.parsing_classes),
            "to": self.to,
            "table": list(self.table),
        }

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Convert the map of each sample; None if it has none."""
        return [None if s.parsing is None else convert_parsing(s.parsing, self.table) for s in samples]
