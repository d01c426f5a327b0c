"""Intersection over union against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from passerby.errors import DataError
from passerby.metrics import ParsingScores, count_parsing

NAMES = ("a", "b", "c", "d", "nowhere")


def test_in_a_loop() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, (3, 6, 5))  # the last class is nowhere
    predicted = generator.integers(0, 5, truth.shape)
    truth[generator.random(truth.shape) < 0.2] = 255
    counts = sum(
        count_parsing(torch.from_numpy(predicted[i : i + 1]), torch.from_numpy(truth[i : i + 1]), classes=5)
        for i in range(3)
    )
    assert isinstance(counts, torch.Tensor)
    scores = ParsingScores.from_counts(counts, NAMES)
    pairs = [(t, p) for t, p in zip(truth.ravel(), predicted.ravel(), strict=True) if t != 255]
    expected = []
    for number, name in enumerate(NAMES[:4]):
        both = sum(t == p == number for t, p in pairs)
        either = sum(number in pair for pair in pairs)
        expected.append(both / either)
        assert scores.iou[name] == pytest.approx(expected[-1], abs=1e-6)
    assert math.isnan(scores.iou["nowhere"])
    assert scores.mean_iou == pytest.approx(sum(expected) / 4, abs=1e-6)


def test_arrays_and_lists_count_as_tensors() -> None:
    predicted, truth = np.array([[[0, 1], [2, 2]]]), np.array([[[0, 2], [2, 255]]], np.uint8)
    expected = [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    for given in ((predicted, truth), (predicted.tolist(), truth.tolist())):
        counts = count_parsing(*given, classes=3)
        assert counts.tolist() == expected
    names = ("a", "b", "c")
    assert (
        ParsingScores.from_counts(expected, names).iou["c"]
        == ParsingScores.from_counts(counts, names).iou["c"]
    )


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected parsing classes 0 … 4.*got 5"):
        count_parsing(torch.zeros(1, 1, 2), torch.tensor([[[5, 255]]]), classes=5)


def test_nothing_known() -> None:
    unknown = torch.full((1, 2, 2), 255)
    scores = ParsingScores.from_counts(count_parsing(torch.zeros(1, 2, 2), unknown, classes=5), NAMES)
    assert math.isnan(scores.mean_iou)
