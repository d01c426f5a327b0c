"""The rules of a score."""

from __future__ import annotations

import pytest

from passerby.errors import ConfigError
from passerby.evaluation.protocols import PROTOCOLS, load_protocol


def test_default_uses_the_thresholds_of_the_bundle() -> None:
    default = load_protocol("default")
    assert default.choose_thresholds((0.3, 0.6)) == (0.3, 0.6)
    assert default.unknown == "ignore"
    assert "0.30 to 0.60" in default.describe((0.3, 0.6))


def test_the_conventions_of_the_papers_have_names() -> None:
    assert load_protocol("threshold-0.45").choose_thresholds((0.3, 0.6)) == (0.45, 0.45)
    assert load_protocol("unknown-negative").unknown == "negative"
    assert "p > 0.45" in load_protocol("threshold-0.45").describe((0.45, 0.45))
    assert "counted as no" in load_protocol("unknown-negative").describe((0.5,))


def test_names_join() -> None:
    both = load_protocol("unknown-negative+threshold-.4")
    assert (both.name, both.threshold, both.unknown) == ("unknown-negative+threshold-.4", 0.4, "negative")


def test_counting_what_cannot_be_measured_joins_the_other_rules() -> None:
    assert load_protocol("default").unmeasured == "drop"
    joined = load_protocol("count-unmeasurable+threshold-0.45+unknown-negative")
    assert (joined.unmeasured, joined.threshold, joined.unknown) == ("zero", 0.45, "negative")
    line = load_protocol("count-unmeasurable").describe((0.5,))
    assert line.endswith("p > 0.5, unknown labels ignored, unmeasured attributes counted as 0")


def test_every_named_protocol_carries_its_name() -> None:
    assert all(load_protocol(name) == protocol for name, protocol in PROTOCOLS.items())


@pytest.mark.parametrize("name", ["", "best", "threshold-1.5", "threshold-", "default+", "Default"])
def test_unknown_names_are_refused_with_a_list(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected one of default, threshold-0\.5"):
        load_protocol(name)
