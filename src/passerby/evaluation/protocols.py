"""The rules of a score; each set of rules has a name, which is printed with the score.

The conventions of the field that make published numbers incomparable have separate names, which can be joined
with `+`: `threshold-0.45+unknown-negative`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from passerby.errors import ConfigError

__all__ = ["COUNT_UNMEASURABLE", "PROTOCOLS", "Protocol", "add_rule", "load_protocol"]

COUNT_UNMEASURABLE = "count-unmeasurable"
"""The protocol of the literature, and of passerby up to 0.2, for attributes that cannot be measured."""

_THRESHOLD = re.compile(r"threshold-(0?\.\d+)")


@dataclass(frozen=True, slots=True)
class Protocol:
    """How probabilities become decisions, and what happens to unknown labels and unmeasured attributes.

    Args:
        name: Name, printed with the score.
        threshold: One threshold for all attributes; None for the thresholds of the bundle, which are 0.5
            unless they were calibrated on the validation split.
        unknown: Whether an unknown label (−1) is left out or counts as "no".
        unmeasured: Whether an attribute without positives or without negatives is left out of mA (`drop`), or
            the half that cannot be measured counts as 0 (`zero`); see `passerby.metrics.compute_scores`.

    Example:
        >>> load_protocol("default").describe((0.5, 0.5))
        'default: positive if p > 0.5, unknown labels ignored'
    """

    name: str
    threshold: float | None = None
    unknown: Literal["ignore", "negative"] = "ignore"
    unmeasured: Literal["drop", "zero"] = "drop"

    def choose_thresholds(self, of_bundle: Sequence[float]) -> tuple[float, ...]:
        """The threshold of each attribute under this protocol, given those of the bundle."""
        if self.threshold is None:
            return tuple(float(t) for t in of_bundle)
        return (self.threshold,) * len(of_bundle)

    def describe(self, thresholds: Sequence[float]) -> str:
        """The rules in one line; `thresholds` are those of the score."""
        counted = ", unmeasured attributes counted as 0" if self.unmeasured == "zero" else ""
        decision = self.describe_threshold(thresholds)
        return f"{self.name}: positive if {decision}, {self.describe_unknown()}{counted}"

    def describe_threshold(self, thresholds: Sequence[float]) -> str:
        """The rule that turns a probability into a decision."""
        low, high = min(thresholds), max(thresholds)
        if low == high:
            return f"p > {low:g}"
        return f"p > the attribute's own threshold ({low:.2f} to {high:.2f}, stored in the bundle)"

    def describe_unknown(self) -> str:
        """The treatment of unknown labels."""
        return "unknown labels ignored" if self.unknown == "ignore" else "unknown labels counted as no"


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "default": Protocol("default"),
        "threshold-0.5": Protocol("threshold-0.5", threshold=0.5),
        "threshold-0.45": Protocol("threshold-0.45", threshold=0.45),
        "unknown-negative": Protocol("unknown-negative", unknown="negative"),
        COUNT_UNMEASURABLE: Protocol(COUNT_UNMEASURABLE, unmeasured="zero"),
        "select-on-test": Protocol("select-on-test"),  # as `default`; a recipe with `val: test` requires it
    }
)
"""The named protocols; `threshold-<t>` accepts any number between 0 and 1."""


def load_protocol(name: str) -> Protocol:
    """Look up a protocol, or create one from names joined by `+`.

    Raises:
        ConfigError: If there is no such protocol; the message lists the available ones.

    Example:
        >>> protocol = load_protocol("threshold-0.45+unknown-negative")
        >>> protocol.threshold, protocol.unknown, protocol.unmeasured
        (0.45, 'negative', 'drop')
    """
    protocol = Protocol(name)
    for word in name.split("+"):
        one = PROTOCOLS.get(word) or _read_threshold(word)
        if one is None:
            known = ", ".join((*PROTOCOLS, "threshold-<t> with t between 0 and 1"))
            raise ConfigError(f"no protocol {word!r}; expected one of {known}, or several joined by '+'")
        if one.threshold is not None:
            protocol = replace(protocol, threshold=one.threshold)
        if one.unknown != "ignore":
            protocol = replace(protocol, unknown=one.unknown)
        if one.unmeasured != "drop":
            protocol = replace(protocol, unmeasured=one.unmeasured)
    return protocol


def add_rule(name: str, rule: str) -> str:
    """The name of a protocol with one more rule.

    Example:
        >>> add_rule("default", "count-unmeasurable"), add_rule("threshold-0.5", "count-unmeasurable")
        ('count-unmeasurable', 'threshold-0.5+count-unmeasurable')
    """
    return rule if name == "default" else f"{name}+{rule}"


def _read_threshold(word: str) -> Protocol | None:
    found = _THRESHOLD.fullmatch(word)
    return Protocol(word, threshold=float(found.group(1))) if found else None
