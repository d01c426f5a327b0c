"""The tables behind label maps: those of this package, by pair of data sets, and the user's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from passerby.errors import DataError
from passerby.schema import AttributeSchema

__all__ = ["EXAMPLE", "LABEL_MAP_DATASETS", "Rows", "derive_rows", "list_label_maps", "read_rows"]

Rows = Mapping[str, str | Sequence[str]]
"""Attributes of the target and for each `name`, `not name`, `name?` (optional) or a list of these."""

LABEL_MAP_DATASETS = ("peta", "pa100k", "rap1", "rap2", "upar", "market1501", "wider", "ccp")
"""Data sets between which there are label maps, by the names of their formats."""

EXAMPLE = '{"Female": "not personalMale", "Trousers": ["lowerBodyTrousers", "lowerBodyJeans"]}'

_OPPOSITES = {"male": "female", "female": "male"}


def list_label_maps() -> tuple[str, ...]:
    """Names of the maps of this package, `<source>-to-<target>`.

    Example:
        >>> len(list_label_maps()), list_label_maps()[0]
        (56, 'peta-to-pa100k')
    """
    return tuple(f"{a}-to-{b}" for a in LABEL_MAP_DATASETS for b in LABEL_MAP_DATASETS if a != b)


def derive_rows(source: str, target: str) -> Rows:
    """Rows of shared concepts, and the curated ones over them, in the order of the target's schema.

    Args:
        source: One of `LABEL_MAP_DATASETS`.
        target: Another.

    Example:
        >>> derive_rows("wider", "ccp")["hat"], derive_rows("peta", "pa100k")["Female"]
        ('Hat', 'not personalMale')
    """
    known: dict[str, str | Sequence[str]] = {}
    for attribute in reversed(_load_schema(source).attributes):  # of male and female the first counts
        if attribute.concept in _OPPOSITES:
            known[_OPPOSITES[attribute.concept]] = f"not {attribute.name}"
        if attribute.concept:
            known[attribute.concept] = attribute.name
    curated = _load_curated().get(f"{source}-to-{target}", {})
    rows = {a.name: curated.get(a.name) or known.get(a.concept) for a in _load_schema(target)}
    return {name: row for name, row in rows.items() if row}


@cache
def _load_schema(name: str) -> AttributeSchema:
    # Not through `passerby.data.formats`, whose readers import far more than these tables need.
    return AttributeSchema.from_csv(Path(__file__).parent / "formats" / f"{name}.csv", name=name)


@cache
def _load_curated() -> Mapping[str, Rows]:
    path = Path(__file__).parent / "label_maps" / "curated.yaml"
    values: Mapping[str, Rows] = _load_yaml(path.read_text(encoding="utf-8"))
    return values


def read_rows(path: Path) -> Rows:
    """Read a JSON file (`.json`) or a YAML file.

    Raises:
        DataError: If it cannot be read, has another form, or a key occurs twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        is_json = path.suffix.lower() == ".json"
        values = json.loads(text, object_pairs_hook=_refuse_duplicates) if is_json else _load_yaml(text)
        if not isinstance(values, dict) or not all(_is_row(*pair) for pair in values.items()):
            raise ValueError("other values (YAML reads unquoted numbers, yes and no as such: quote them)")
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"{path}: expected JSON or YAML such as {EXAMPLE}, got {error}") from error
    return values


def _is_row(target: object, row: object) -> bool:
    names = row if isinstance(row, list) else [row]
    return isinstance(target, str) and all(isinstance(name, str) for name in names)


class _StrictLoader(yaml.SafeLoader):
    """YAML in which no key occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _refuse_duplicates([(self.construct_object(key, deep=True), None) for key, _ in node.value])
        return super().construct_mapping(node, deep)


def _load_yaml(text: str) -> Any:
    return _StrictLoader(text).get_single_data()


def _refuse_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} twice")
        found[key] = value
    return found
