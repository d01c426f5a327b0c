"""Calibration: thresholds per attribute, chosen on samples outside the training and test splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError
from passerby.evaluation.evaluation import Evaluation

__all__ = [
    "GOALS",
    "MIN_COUNT",
    "Goal",
    "calibrate",
    "check_calibration",
    "choose_thresholds",
    "describe_uncalibrated",
    "name_calibrated",
]

Goal = Literal["mA", "f1"]
Array = NDArray[np.float64]

MIN_COUNT = 10
"""An attribute with fewer positives or fewer negatives keeps its threshold."""

SMALLEST = 1e-6
"""Least distance of probabilities from 0 and 1, as thresholds are searched among their logits."""


def _compute_balance(hits: Array, alarms: Array) -> Array:
    """Mean of the true positive and true negative rate."""
    scores: Array = (hits / hits[-1] + 1 - alarms / alarms[-1]) / 2
    return scores


def _compute_f1(hits: Array, alarms: Array) -> Array:
    """Harmonic mean of precision and recall."""
    scores: Array = 2 * hits / (hits + alarms + hits[-1])
    return scores


GOALS: Mapping[Goal, Callable[[Array, Array], Array]] = MappingProxyType(
    {"mA": _compute_balance, "f1": _compute_f1}
)
"""The objective of a threshold by name, computed from the numbers of positives and negatives above it."""


def choose_thresholds(
    probs: NDArray[np.floating],
    labels: NDArray[np.int8],
    *,
    goal: Goal,
    min_count: int = MIN_COUNT,
    resamples: int = 50,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Choose the threshold of each attribute that maximises an objective.

    The best threshold in one set of samples depends on the few that lie near it. So it is searched in many
    resamples, and the mean of its logits is taken: bagging (Breiman, *Bagging Predictors*, 1996).

    Args:
        probs: Probabilities.
        labels: Labels.
        goal: `mA`, the mean of the true positive and true negative rate, predicts rare attributes more often;
            `f1`, the harmonic mean of precision and recall, is more conservative.
        min_count: An attribute with fewer positives or negatives has no threshold: NaN.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Shape:
        probs: (N, A) in [0, 1]. labels: (N, A) int8, 1, 0 or −1 (unknown, left out).
        returns: (A,) in (0, 1), or NaN.

    Raises:
        ConfigError: If there is no such goal, or no resample.
        DataError: If shapes differ, or there is no sample.

    Example:
        >>> probs = np.array([[0.1], [0.2], [0.3], [0.4]])
        >>> labels = np.array([[0], [0], [1], [1]], np.int8)
        >>> bool(0.2 < choose_thresholds(probs, labels, goal="mA", min_count=2)[0] < 0.3)
        True
    """
    if goal not in GOALS:
        raise ConfigError(f"goal: expected one of {', '.join(GOALS)}, got {goal!r}")
    if resamples < 1:
        raise ConfigError(f"resamples: expected at least 1, got {resamples}")
    if probs.shape != labels.shape or probs.ndim != 2 or not len(probs):
        raise DataError(f"expected probs and labels (N, A), got {probs.shape} and {labels.shape}")
    clipped = np.clip(np.asarray(probs, np.float64), SMALLEST, 1 - SMALLEST)
    logits = np.log(clipped / (1 - clipped))
    draws = np.random.default_rng(seed).integers(0, len(probs), (resamples, len(probs)))
    weights = np.stack([np.bincount(draw, minlength=len(probs)) for draw in draws])  # (B, N)
    counts = _count_fewer(labels)
    means = [
        _find_mean_cut(logits[:, a], labels[:, a], weights, GOALS[goal])
        if count >= max(1, min_count)
        else np.nan
        for a, count in enumerate(counts)
    ]
    thresholds: Array = 1 / (1 + np.exp(-np.asarray(means)))
    return thresholds


def _count_fewer(labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """The number of positives or of negatives of each attribute, whichever is smaller."""
    counts: NDArray[np.int64] = np.minimum((labels == 1).sum(axis=0), (labels == 0).sum(axis=0))
    return counts


def describe_uncalibrated(evaluation: Evaluation) -> str:
    """State which attributes `calibrate` leaves at their thresholds; empty if there is none."""
    counts = _count_fewer(evaluation.labels)
    kept = [name for name, n in zip(evaluation.schema.names, counts, strict=True) if n < MIN_COUNT]
    if not kept:
        return ""
    return (
        f"{len(kept)} of {len(evaluation.schema)} attributes have fewer than {MIN_COUNT} positives or "
        f"negatives and keep their thresholds: {', '.join(kept)}"
    )


def _find_mean_cut(
    logits: Array,
    labels: NDArray[np.int8],
    weights: NDArray[np.int64],
    score: Callable[[Array, Array], Array],
) -> float:
    """Mean of the best cuts, over the resamples that have positives and negatives."""
    known = labels >= 0
    order = np.argsort(-logits[known], kind="stable")
    sorted_logits, positive = logits[known][order], labels[known][order] == 1
    cuts = []
    for weight in weights[:, known][:, order]:
        hits = np.concatenate([[0.0], np.cumsum(weight * positive)])
        alarms = np.concatenate([[0.0], np.cumsum(weight * ~positive)])
        if hits[-1] and alarms[-1]:
            cuts.append(_find_cut(sorted_logits, score(hits, alarms)))
    return float(np.mean(cuts)) if cuts else np.nan


def _find_cut(logits: Array, scores: Array) -> float:
    """The middle of the gap with the highest score; of several gaps the middle one.

    Shape:
        logits: (N,), decreasing.
        scores: (N + 1,), with the first 0 … N predicted.
    """
    is_gap = np.concatenate([[True], logits[1:] < logits[:-1], [True]])
    best = np.flatnonzero(is_gap & (scores >= scores[is_gap].max() - 1e-12))
    index = int(best[len(best) // 2])
    above = logits[index - 1] if index else logits[0] + 1
    below = logits[index] if index < len(logits) else logits[-1] - 1
    return float(above + below) / 2


def check_calibration(metadata: Mapping[str, Any], dataset: str, partition: str, split: str) -> None:
    """Refuse samples on which a bundle was trained or will be tested.

    Args:
        metadata: Of the bundle.
        dataset, partition, split: Of the samples.

    Raises:
        DataError: If the split is the test split or a training split, or the data set is that of the bundle
            under another partition, whose splits contain samples of both.
    """
    if split == "test":
        raise DataError("thresholds chosen on the test split flatter every later score; use val")
    if dataset != metadata.get("dataset"):
        return
    if partition != metadata.get("partition"):
        raise DataError(
            f"the bundle was trained on partition {metadata.get('partition')} of {dataset}; a split of "
            f"{partition} can contain its training or test samples; use the same partition"
        )
    if split in metadata.get("train_splits", ()):
        raise DataError(
            f"the bundle was trained on split {split!r} of partition {partition!r}; "
            "choose another with --split"
        )


def name_calibrated(variant: str, goal: str) -> str:
    """The variant in the score files of a calibrated bundle."""
    return f"{variant}-calibrated-{goal}"


def calibrate(bundle: Bundle, evaluation: Evaluation, *, goal: Goal, rename: bool = False) -> Bundle:
    """Create a bundle with calibrated thresholds, and a note of their origin in its metadata.

    Attributes with too few positives or negatives (see `choose_thresholds`) keep their thresholds.

    Args:
        bundle: The bundle, which stays unchanged; the new one shares its model.
        evaluation: Evaluation of this bundle on samples that it was not trained on.
        goal: See `choose_thresholds`.
        rename: Append `-calibrated-<goal>` to the variant in the metadata, so that the score files of both
            bundles have different names.

    Raises:
        DataError: If the evaluation has other attributes, or `check_calibration` refuses its samples.
    """
    if evaluation.schema.names != bundle.schema.names:
        raise DataError("expected an evaluation of this bundle, got one with other attributes")
    check_calibration(bundle.metadata, evaluation.dataset, evaluation.partition, evaluation.split)
    chosen = choose_thresholds(evaluation.probs, evaluation.labels, goal=goal)
    thresholds = np.where(np.isnan(chosen), bundle.thresholds, chosen)
    note = f"thresholds for the best {goal} on {evaluation.dataset} {evaluation.partition}/{evaluation.split}"
    metadata = {**bundle.metadata, "calibration": note}
    if rename and metadata.get("variant"):
        metadata["variant"] = name_calibrated(metadata["variant"], goal)
    return replace(bundle, thresholds=tuple(thresholds), metadata=metadata)
