"""Names of attributes as a person types them, and as names of files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passerby.schema import AttributeSchema

__all__ = ["name_files", "split_attributes"]


def split_attributes(text: str, schema: AttributeSchema) -> list[str]:
    """Names between commas; a name that has a comma itself may stand alone.

    Raises:
        SchemaError: If there is no attribute of a name.
    """
    names = [text] if text in schema else [name.strip() for name in text.split(",")]
    for name in names:
        schema.index(name)  # proposes the nearest name
    return names


def name_files(names: Iterable[str]) -> dict[str, str]:
    """For each name one that any file system takes; those that would be alike get a number.

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
