"""Unmeasured attributes: those that lack positives or negatives among the labels of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.evaluation.protocols import COUNT_UNMEASURABLE, Protocol, add_rule, load_protocol
from passerby.io import list_some

__all__ = ["UNMEASURED", "count_labels", "describe_unmeasured", "find_unmeasured", "state_old_rule"]

UNMEASURED = "unmeasured"
"""Key of their names in the metrics of a score file."""


def count_labels(labels: NDArray[np.int8], protocol: Protocol) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of positives and negatives of each attribute under a protocol.

    Shape:
        labels: (N, A) in {1, 0, −1}; returns: (A,) each.
    """
    positives = np.count_nonzero(labels == 1, axis=0)
    negatives = labels <= 0 if protocol.unknown == "negative" else labels == 0
    return positives, np.count_nonzero(negatives, axis=0)


def find_unmeasured(names: Iterable[str], positives: Iterable[Any], negatives: Iterable[Any]) -> list[str]:
    """The attributes whose number of positives or of negatives is 0.

    Example:
        >>> find_unmeasured(["Hat", "Bag"], [3, 0], [9, 12])
        ['Bag']
    """
    return [name for name, *counts in zip(names, positives, negatives, strict=True) if 0 in counts]


def describe_unmeasured(names: Sequence[str], total: int, *, protocol: str) -> str:
    """State how many attributes cannot be measured, which, and what follows; empty if there is none.

    Args:
        names: The attributes.
        total: Number of all attributes.
        protocol: Name of the protocol.

    Example:
        >>> describe_unmeasured(["Bag", "Clogs"], 58, protocol="default")
        '2 of 58 attributes lack positives or negatives and are left out of mA: Bag, Clogs.'
        >>> describe_unmeasured([], 58, protocol="default")
        ''
        >>> describe_unmeasured(["Bag"], 58, protocol="default")
        '1 of 58 attributes lacks positives or negatives and is left out of mA: Bag.'
    """
    if not names:
        return ""
    counted = load_protocol(protocol).unmeasured == "zero"
    lack, are = ("lacks", "is") if len(names) == 1 else ("lack", "are")
    effect = "; what cannot be measured counts as 0 in mA" if counted else f" and {are} left out of mA"
    share = f"{len(names)} of {total} {'attribute' if total == 1 else 'attributes'}"
    return f"{share} {lack} positives or negatives{effect}: {list_some(names)}."


def state_old_rule(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name the rule by which passerby up to 0.2 scored what cannot be measured: it counted as 0.

    Such a file lacks `unmeasured` in its metrics. If it has such attributes, its protocol becomes
    `count-unmeasurable`, so that it is not averaged or compared with scores of the current `default`.

    Args:
        values: The values of a score file.

    Example:
        >>> counts = {"Bag": {"positives": 0, "negatives": 9}}
        >>> old = {"protocol": {"name": "default"}, "metrics": {"mA": 0.5, "per_attribute": counts}}
        >>> new = state_old_rule(old)
        >>> new["protocol"], new["metrics"]["unmeasured"]
        ({'name': 'count-unmeasurable'}, ['Bag'])
    """
    metrics, protocol = values.get("metrics"), values.get("protocol")
    if not isinstance(metrics, Mapping) or UNMEASURED in metrics or not isinstance(protocol, Mapping):
        return dict(values)
    per_attribute = metrics.get("per_attribute")
    if not isinstance(per_attribute, Mapping) or not all(
        isinstance(v, Mapping) for v in per_attribute.values()
    ):
        return dict(values)
    counts = ([v.get(key) for v in per_attribute.values()] for key in ("positives", "negatives"))
    names = find_unmeasured(per_attribute, *counts)
    if names and isinstance(protocol.get("name"), str):
        protocol = {**protocol, "name": add_rule(protocol["name"], COUNT_UNMEASURABLE)}
    return {**values, "protocol": protocol, "metrics": {**metrics, UNMEASURED: names}}
