"""Metadata of models and environments as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["describe_data", "describe_model", "list_facts"]


def describe_model(metadata: Mapping[str, Any]) -> str:
    """Name, backbone and variant of a model in one line.

    Example:
        >>> describe_model({"model": "diaa", "backbone": "resnet50", "variant": None})
        'diaa · resnet50'
    """
    values = [str(metadata[key]) for key in ("model", "backbone", "variant") if metadata.get(key)]
    return " · ".join(values) or "model"


def describe_data(
    dataset: str,
    partition: str,
    split: str,
    metadata: Mapping[str, Any],
    *,
    with_model: bool,
    notes: str = "",
) -> str:
    """Data set, partition, split and seed in one line.

    Args:
        dataset: Name of the data set.
        partition: Name of the partition.
        split: Name of the split.
        metadata: Metadata of the bundle.
        with_model: Whether to put the model in front.
        notes: Text between split and seed.

    Example:
        >>> describe_data("peta", "official-1", "test", {"model": "man", "seed": 3}, with_model=True)
        'man on peta, official-1, test, seed 3'
    """
    seed = metadata.get("seed")
    texts = [dataset, partition, split, notes, "" if seed is None else f"seed {seed}"]
    data = ", ".join(filter(None, texts))
    return f"{describe_model(metadata)} on {data}" if with_model else data


def list_facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values as text; the names of nested values are joined, values of None left out.

    Example:
        >>> list_facts({"input_size": [256, 192], "ema": None, "environment": {"device": "cpu"}})
        [('input size', '256, 192'), ('environment: device', 'cpu')]
    """
    facts: list[tuple[str, str]] = []
    for key, value in values.items():
        name = str(key).replace("_", " ")
        if isinstance(value, dict):
            facts += [(f"{name}: {inner}", text) for inner, text in list_facts(value)]
        elif value is not None:
            facts.append((name, _format(value)))
    return facts


def _format(value: object) -> str:
    """A value without braces and quotes."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_format, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
