from __future__ import annotations

import pytest

from passerby.data.formats.dataset_files import load_schema
from passerby.errors import ConfigError
from passerby.synthetic import ATTRIBUTES, SynthConfig


def test_attributes_are_those_of_pa100k_in_the_order_of_its_file() -> None:
    assert load_schema("pa100k").names == ATTRIBUTES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("height", 8),
        ("height", 100.5),
        ("width", True),
        ("difficulty", 1.01),
        ("imbalance", -0.1),
        ("occlusion", float("nan")),
        ("clutter", "much"),
        ("distractors", 9),
        ("object_scale", 0),
        ("views_per_identity", 0),
        ("supersampling", 9),
    ],
)
def test_out_of_range_is_refused_with_the_range(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: expected .* in \[.*\], got "):
        SynthConfig(**{name: value})


def test_limits_are_accepted() -> None:
    config = SynthConfig(difficulty=1, imbalance=0, distractors=4, object_scale=0.1)
    assert config.difficulty == 1
