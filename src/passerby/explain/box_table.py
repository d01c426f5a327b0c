"""The table of localised attributes that `passerby localize` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import TextIO

from rich.table import Table
from rich.text import Text

from passerby.explain.localization import Localization
from passerby.inference.writers import PathCell, print_with_notes

__all__ = ["write_boxes"]


def write_boxes(localizations: Iterable[Localization], stream: TextIO) -> None:
    """Write a readable table: each image with its attributes and their boxes.

    A box is written as left, top, right, bottom in pixels of the image, one box per line. Persons of a table
    also have their row, and their own box.
    """
    remaining = iter(localizations)
    first = next(remaining, None)
    with_rows = first is not None and first.row is not None
    table = Table(box=None, pad_edge=False, header_style="bold")
    persons = ("row", "person") if with_rows else ()
    for title in (*persons, "image", "attribute", "probability", "box", "heat inside"):
        right = title in ("probability", "heat inside")
        table.add_column(title, overflow="fold", justify="right" if right else "left")
    notes: Counter[str] = Counter()
    for each in remaining if first is None else chain([first], remaining):
        notes.update(each.notes)
        place = [str(each.row), str(each.box or "all")] if with_rows else []
        start: list[Text | PathCell] = [*map(Text, place), PathCell(each.source)]
        for name, p, regions in zip(each.names, each.probabilities, each.regions, strict=True):
            style = "" if name in each.present else "dim"
            boxes = "\n".join(" ".join(f"{side:g}" for side in r.box.as_xyxy()) for r in regions)
            shares = "\n".join(f"{100 * r.share:.0f} %" for r in regions)
            cells = (name, f"{p:.2f}", boxes or "none", shares)
            table.add_row(*start, *(Text(cell, style=style) for cell in cells))
            start = [Text() for _ in start]
        if not each.names:
            table.add_row(*start, Text("none", style="dim"))
    print_with_notes(table, notes, stream)
