from __future__ import annotations

import math

import pytest
import torch

from passerby.errors import ConfigError, DataError
from passerby.losses import compute_label_weights, compute_positive_ratio


@pytest.mark.parametrize(
    ("weighting", "ratio", "positive", "negative"),
    [
        ("none", 0.3, 1.0, 1.0),
        ("sb", 0.1, math.exp(0.9), math.exp(0.1)),
        ("sb", 0.5, math.exp(0.5), math.exp(0.5)),
        ("sb-printed", 0.1, math.exp(0.1), math.exp(0.9)),
        ("wpal", 0.1, 5.0, 1 / 1.8),
        ("wpal", 0.5, 1.0, 1.0),
        ("mixed", 0.1, 3.0, (1 + 1 / 1.8) / 2),
        ("diaa", 0.1, math.exp(-0.1), math.exp(-0.1)),
        ("diaa", 0.0, 1.0, 1.0),
        ("diaa", 1.0, 1 / math.e, 1 / math.e),
        ("sb", 0.0, math.e, 1.0),
        ("wpal", 0.0, 1.0, 0.5),
        ("wpal", 1.0, 0.5, 1.0),
    ],
)
def test_weights_by_hand(weighting: str, ratio: float, positive: float, negative: float) -> None:
    weights = compute_label_weights(weighting, torch.tensor([ratio], dtype=torch.float64))
    assert [w.item() for w in weights] == pytest.approx([positive, negative], rel=1e-6)


@pytest.mark.parametrize("weighting", ["sb", "wpal"])
def test_the_rarer_label_weighs_more(weighting: str) -> None:
    positive, negative = compute_label_weights(weighting, torch.tensor([0.05, 0.95]))
    assert positive[0] > negative[0]
    assert positive[1] < negative[1]


def test_diaa_gives_the_rarer_attribute_more_weight_and_both_labels_the_same() -> None:
    positive, negative = compute_label_weights("diaa", torch.tensor([0.05, 0.95]))
    assert torch.equal(positive, negative)
    assert positive[0] > positive[1]


@pytest.mark.parametrize("ratio", [[math.nan], [1.5], [-0.1], [], [[0.5]]])
def test_a_ratio_out_of_range_is_refused(ratio: list[float]) -> None:
    with pytest.raises(DataError, match="positive ratios"):
        compute_label_weights("sb", torch.tensor(ratio))


def test_an_unknown_weighting_lists_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match="none, sb, sb-printed, wpal, mixed, diaa"):
        compute_label_weights("focal", torch.tensor([0.5]))


def test_positive_ratio() -> None:
    labels = torch.tensor([[1, 0, -1], [0, 0, -1], [-1, 0, -1], [-1, 0, -1]])
    assert compute_positive_ratio(labels).tolist() == [0.5, 0.0, 0.5]
    assert compute_positive_ratio(labels, unknown="negative").tolist() == [0.25, 0.0, 0.0]
    with pytest.raises(DataError, match="N >= 1"):
        compute_positive_ratio(torch.zeros(0, 3))
