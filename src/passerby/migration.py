"""Reading files that passerby 0.1 wrote: old names become those of today.

Bundles, manifests, score files and comparisons of 0.1 use other keys. Each reader passes what it has parsed
through `upgrade`; `scripts/migrate_results.py` rewrites stored files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["upgrade"]

_KEYS: Mapping[str, str] = {
    "system": "model",
    "train_parts": "train_splits",
    "mA_per_part": "mA_per_body_part",
    "apart": "exclude_from_mean",
    "fading": "insertion_deletion",
    "least_px": "min_area_px",
    "least_samples": "min_samples",
    "groups": "n_clusters",
    "people": "n_samples",
    "test_people": "n_test_identities",
}
"""Keys that have one new name wherever they occur."""

_VALUES: Mapping[str, Mapping[str, str]] = {
    "method": {"own": "native"},
    "protocol": {"honest": "default"},
    "name": {"honest": "default"},
}
"""Values that were renamed, by key."""

_BY_NAME = (
    "per_attribute",
    "thresholds",
    "scores",
    "differences",
    "names",
    "counts",
    "too_small",
    "attributes",
)
"""Objects whose keys are names of attributes, which stay as they are."""

_SPLITS = ("train", "val", "test")


def upgrade(values: Any) -> Any:
    """The same JSON value under the names of today; a value that has them already is unchanged.

    Example:
        >>> upgrade({"system": "man", "split": "official-1/test", "protocol": {"name": "honest"}})
        {'model': 'man', 'partition': 'official-1', 'split': 'test', 'protocol': {'name': 'default'}}
        >>> upgrade({"name": "Hat", "part": "head"})
        {'name': 'Hat', 'body_part': 'head'}
    """
    if isinstance(values, list):
        return [upgrade(value) for value in values]
    if not isinstance(values, Mapping):
        return values
    upgraded: dict[str, Any] = {}
    for key, value in values.items():
        upgraded |= _upgrade_entry(key, value)
    return upgraded


def _upgrade_entry(key: str, value: Any) -> dict[str, Any]:
    if key == "split" and isinstance(value, str) and value not in _SPLITS:
        name, _, split = value.rpartition("/")
        return {"partition": name, "split": split} if split in _SPLITS else {"partition": value}
    if key == "part" and isinstance(value, str):
        return {"split" if value in _SPLITS else "body_part": value}
    if key == "names" and isinstance(value, str):
        return {"label_map": value}
    if key in _BY_NAME and isinstance(value, Mapping):
        return {key: {name: upgrade(each) for name, each in value.items()}}
    if key == "groups" and not isinstance(value, int):
        return {key: upgrade(value)}
    if isinstance(value, str):
        value = _VALUES.get(key, {}).get(value, value)
        value = _upgrade_text(key, value)
    return {_KEYS.get(key, key): upgrade(value)}


def _upgrade_text(key: str, text: str) -> str:
    """Words within a text that a program wrote."""
    if key == "protocol_line":
        return text.replace("own, foreground", "native, foreground")
    if key == "variant":
        return text.replace("untaught", "undistilled")
    return text
