"""Thresholds chosen on samples outside the training and test splits."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError
from passerby.evaluation.calibration import GOALS, Goal, calibrate, choose_thresholds
from passerby.evaluation.evaluation import Evaluation
from passerby.models import create_model
from passerby.types import Preprocess


def draw_samples(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One attribute with 5 % positives; the logits of both classes are normal."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 1)) < 0.05).astype(np.int8)
    logits = rng.normal(size=(count, 1)) + 2.0 * labels - 3.0
    return 1 / (1 + np.exp(-logits)), labels


def score(goal: str, probs: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    predicted, positive = probs[:, 0] > threshold, labels[:, 0] == 1
    if goal == "mA":
        return float((predicted[positive].mean() + (~predicted[~positive]).mean()) / 2)
    return float(2 * (predicted & positive).sum() / (predicted.sum() + positive.sum()))


@pytest.mark.parametrize("goal", GOALS)
def test_the_threshold_is_near_the_best_on_other_samples(goal: Goal) -> None:
    threshold = choose_thresholds(*draw_samples(4000, seed=1), goal=goal)[0]
    others = draw_samples(40_000, seed=2)
    grid = np.linspace(0.01, 0.9, 300)
    best = max(score(goal, *others, each) for each in grid)
    assert score(goal, *others, threshold) > best - 0.01
    assert score(goal, *others, threshold) > score(goal, *others, 0.5) + 0.05


def test_for_mA_it_is_the_intersection_of_two_equal_normals() -> None:
    threshold = choose_thresholds(*draw_samples(60_000, seed=3), goal="mA", resamples=30)[0]
    assert np.log(threshold / (1 - threshold)) == pytest.approx(-2.0, abs=0.1)


def test_every_cut_is_tried_and_ties_are_no_cut() -> None:
    probs = np.array([[0.9], [0.6], [0.6], [0.6], [0.2]])
    labels = np.array([[1], [1], [1], [0], [0]], np.int8)
    many = np.repeat(probs, 400, axis=0), np.repeat(labels, 400, axis=0)
    assert 0.2 < choose_thresholds(*many, goal="f1")[0] < 0.6  # 3 of 4 right, all found: F1 6/7


def test_unknown_labels_do_not_count_and_rare_attributes_have_no_threshold() -> None:
    probs = np.repeat([[0.1, 0.3, 0.9], [0.4, 0.9, 0.1], [0.99, 0.2, 0.5]], 10, axis=0)
    labels = np.repeat([[0, 1, 0], [1, 1, 1], [-1, 1, 0]], 10, axis=0).astype(np.int8)
    labels[0, 2] = -1
    found = choose_thresholds(probs, labels, goal="mA")
    assert 0.1 < found[0] < 0.4
    assert np.isnan(found[1])  # positives only
    labels[10, 2] = -1
    assert np.isnan(choose_thresholds(probs, labels, goal="mA")[2])  # nine positives
    assert np.isfinite(choose_thresholds(probs, labels, goal="mA", min_count=9)[2])


def test_probabilities_of_0_and_1_are_allowed() -> None:
    labels = np.array([[0], [1]], np.int8)
    found = choose_thresholds(np.array([[0.0], [1.0]]), labels, goal="f1", min_count=1)
    assert 0 < found[0] < 1


@pytest.mark.parametrize(
    ("probs", "labels", "options", "error"),
    [
        (np.zeros((2, 1)), np.zeros((2, 1), np.int8), {"goal": "mB"}, ConfigError),
        (np.zeros((2, 1)), np.zeros((2, 1), np.int8), {"goal": "mA", "resamples": 0}, ConfigError),
        (np.zeros((2, 1)), np.zeros((2, 2), np.int8), {"goal": "mA"}, DataError),
        (np.zeros((0, 1)), np.zeros((0, 1), np.int8), {"goal": "mA"}, DataError),
    ],
)
def test_wrong_arguments_are_refused(
    probs: np.ndarray, labels: np.ndarray, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        choose_thresholds(probs, labels, **options)  # type: ignore[arg-type]


def test_a_bundle_gets_thresholds_and_records_their_origin(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = functools.partial(choose_thresholds, min_count=3)  # the evaluation has few samples
    monkeypatch.setattr("passerby.evaluation.calibration.choose_thresholds", few)
    val = replace(evaluation, split="val")
    model = create_model("baseline", schema=val.schema, backbone="test_resnet")
    bundle = Bundle(model, Preprocess(64, 48), (0.3,) * len(val.schema), {"seed": 3, "domain": "drawn"})
    new = calibrate(bundle, val, goal="f1")
    found = choose_thresholds(val.probs, val.labels, goal="f1", min_count=3)
    assert np.isfinite(found).any()
    assert np.isnan(found).any()
    np.testing.assert_allclose(new.thresholds, np.where(np.isnan(found), 0.3, found))
    assert new.metadata["seed"] == 3
    assert new.domain == "drawn"
    assert new.metadata["calibration"].startswith("thresholds for the best f1 on ")
    assert new.metadata["calibration"].endswith("/val")
    assert set(bundle.thresholds) == {0.3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "flatter"),
        ({"split": "train"}, "trained on split 'train'"),
        ({"partition": "other"}, "trained on partition own of"),
    ],
)
def test_samples_of_the_training_and_test_splits_are_refused(
    evaluation: Evaluation, changes: dict[str, str], message: str
) -> None:
    own = replace(evaluation, partition="own", split="val")
    model = create_model("baseline", schema=own.schema, backbone="test_resnet")
    origin = {"dataset": own.dataset, "partition": "own", "train_splits": ["train"]}
    bundle = Bundle(model, Preprocess(64, 48), (), origin)
    assert calibrate(bundle, own, goal="mA").metadata["calibration"]
    with pytest.raises(DataError, match=message):
        calibrate(bundle, replace(own, **changes), goal="mA")  # type: ignore[arg-type]
