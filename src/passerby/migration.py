"""Convert the values of files that passerby 0.1 wrote to the current names.

Bundles, schemas, score files and comparisons of 0.1 use other keys. Every reader passes the values that it
parsed through `upgrade`; `scripts/migrate_results.py` rewrites stored files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["upgrade"]

_KEYS: Mapping[str, tuple[str, type]] = {
    "train_parts": ("train_splits", list),
    "mA_per_part": ("mA_per_body_part", Mapping),
    "apart": ("exclude_from_mean", list),
    "fading": ("insertion_deletion", int),
    "least_px": ("min_area_px", int),
    "least_samples": ("min_samples", int),
    "groups": ("n_clusters", int),
    "people": ("n_samples", int),
    "test_people": ("n_test_identities", int),
}
"""Renamed keys, each with the type of its value: an attribute of the same name has another one."""

_BY_NAME = (
    "per_attribute",
    "thresholds",
    "scores",
    "differences",
    "names",
    "counts",
    "too_small",
    "attributes",
    "IoU",
)
"""Objects whose keys are names of attributes or classes, which must not change."""

_SPLITS = ("train", "val", "test")


def upgrade(values: Any) -> Any:
    """Rename the keys and values of 0.1 in a JSON value; current ones stay as they are.

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
    has_part = values.get("part") in _SPLITS if isinstance(values.get("part"), str) else False
    for key, value in values.items():
        if key == "split" and has_part:  # even if the partition has the name of a split
            upgraded["partition"] = value
        else:
            upgraded |= _upgrade_entry(key, value)
    return upgraded


def _upgrade_entry(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return _upgrade_string(key, value)
    if key == "protocol" and isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {key: {**upgrade(value), "name": _upgrade_protocol(value["name"])}}
    if key in _BY_NAME and isinstance(value, Mapping):
        return {key: {name: upgrade(each) for name, each in value.items()}}
    if key in _KEYS:
        new, kind = _KEYS[key]
        return {new if isinstance(value, kind) else key: upgrade(value)}
    return {key: upgrade(value)}


def _upgrade_string(key: str, value: str) -> dict[str, str]:
    if key == "split" and value not in _SPLITS:
        name, _, split = value.rpartition("/")
        return {"partition": name, "split": split} if split in _SPLITS else {"partition": value}
    if key == "part":
        return {"split" if value in _SPLITS else "body_part": value}
    if key == "names":
        return {"label_map": value}
    if key == "system":
        return {"model": value}
    if key == "method":
        return {key: "native" if value == "own" else value}
    if key in ("protocol", "protocol_line"):
        return {key: _upgrade_protocol(value)}
    if key == "variant":
        return {key: value.replace("untaught", "undistilled")}
    return {key: value}


def _upgrade_protocol(text: str) -> str:
    """The name of a protocol, or a line that begins with it or with the method of heat maps."""
    for old, new in (("honest", "default"), ("own, foreground", "native, foreground")):
        text = new + text.removeprefix(old) if text.startswith(old) else text
    return text
