"""Names of attributes from the command line, and in file names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passerby.schema import AttributeSchema

__all__ = ["name_files", "split_attributes"]


def split_attributes(text: str, schema: AttributeSchema) -> list[str]:
    """Split a comma-separated list; a single name may contain a comma.

    Raises:
        SchemaError: If the schema lacks a name.
    """
    names = [text] if text in schema else [name.strip() for name in text.split(",")]
    for name in names:
        schema.index(name)  # proposes the nearest name
    return names


def name_files(names: Iterable[str]) -> dict[str, str]:
    """A name for each attribute that is valid on any file system; equal ones get a number.

    Example:
        >>> name_files(["Skirt&Dress", "bag/case", "Bag:case"])
        {'Skirt&Dress': 'Skirt&Dress', 'bag/case': 'bag-case-1', 'Bag:case': 'Bag-case-2'}
    """
    plain = {name: re.sub(r"[^\w&+,.() -]", "-", name) for name in names}
    alike = Counter(value.casefold() for value in plain.values())
    return {
        name: value if alike[value.casefold()] == 1 else f"{value}-{number}"
        for number, (name, value) in enumerate(plain.items())
    }
