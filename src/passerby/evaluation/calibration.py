"""Thresholds of a model's own, chosen on people that neither taught nor test it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.bundle import Bundle
from passerby.errors import ConfigError, DataError
from passerby.evaluation.evaluation import Evaluation

__all__ = ["GOALS", "Goal", "calibrate", "check_calibration", "choose_thresholds", "name_calibrated"]

Goal = Literal["mA", "f1"]
Array = NDArray[np.float64]

SMALLEST = 1e-6
"""Probabilities are held that far from 0 and 1, as a threshold is found among their logits."""


def _compute_balance(hits: Array, alarms: Array) -> Array:
    """Mean of the shares found and cleared."""
    found: Array = (hits / hits[-1] + 1 - alarms / alarms[-1]) / 2
    return found


def _compute_f1(hits: Array, alarms: Array) -> Array:
    """Harmonic mean of precision and recall."""
    found: Array = 2 * hits / (hits + alarms + hits[-1])
    return found


GOALS: Mapping[Goal, Callable[[Array, Array], Array]] = MappingProxyType(
    {"mA": _compute_balance, "f1": _compute_f1}
)
"""What an attribute's threshold is to be best for: from the numbers of positives and negatives above it."""


def choose_thresholds(
    probs: NDArray[np.floating],
    labels: NDArray[np.int8],
    *,
    goal: Goal,
    least: int = 10,
    resamples: int = 50,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The threshold of each attribute that serves a goal best.

    An attribute's best threshold in one sample of people is a matter of the few that lie near it. So it is
    looked for in many resamples, and the mean of its logits is taken: bagging (Breiman, *Bagging
    Predictors*, 1996).

    Args:
        goal: `mA`, the mean of the shares found and cleared, says yes to rare attributes early; `f1`, the
            harmonic mean of precision and recall, is more careful.
        least: With fewer positives or fewer negatives an attribute has no threshold: NaN.
        resamples: People are drawn so many times.
        seed: Of the draws.

    Shape:
        probs: (N, A) in [0, 1]. labels: (N, A) int8, 1, 0 or −1 (unknown, left out).
        returns: (A,) in (0, 1), or NaN.

    Raises:
        ConfigError: If there is no such goal, or no resample.
        DataError: If shapes differ, or there is nobody.

    Example:
        >>> probs = np.array([[0.1], [0.2], [0.3], [0.4]])
        >>> labels = np.array([[0], [0], [1], [1]], np.int8)
        >>> bool(0.2 < choose_thresholds(probs, labels, goal="mA", least=2)[0] < 0.3)
        True
    """
    if goal not in GOALS or resamples < 1:
        raise ConfigError(f"expected a goal of {', '.join(GOALS)} and a resample, got {goal}, {resamples}")
    if probs.shape != labels.shape or probs.ndim != 2 or not len(probs):
        raise DataError(f"expected probs and labels (N, A), got {probs.shape} and {labels.shape}")
    held = np.clip(np.asarray(probs, np.float64), SMALLEST, 1 - SMALLEST)
    logits = np.log(held / (1 - held))
    draws = np.random.default_rng(seed).integers(0, len(probs), (resamples, len(probs)))
    weights = np.stack([np.bincount(draw, minlength=len(probs)) for draw in draws])  # (B, N)
    counts = np.minimum((labels == 1).sum(axis=0), (labels == 0).sum(axis=0))
    means = [
        _find_mean_cut(logits[:, a], labels[:, a], weights, GOALS[goal]) if count >= max(1, least) else np.nan
        for a, count in enumerate(counts)
    ]
    thresholds: Array = 1 / (1 + np.exp(-np.asarray(means)))
    return thresholds


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
    """The middle of the gap where the score is highest; of several gaps the middle one.

    Shape:
        logits: (N,), falling.
        scores: (N + 1,), of saying yes to the first 0 … N.
    """
    apart = np.concatenate([[True], logits[1:] < logits[:-1], [True]])
    best = np.flatnonzero(apart & (scores >= scores[apart].max() - 1e-12))
    place = int(best[len(best) // 2])
    above = logits[place - 1] if place else logits[0] + 1
    below = logits[place] if place < len(logits) else logits[-1] - 1
    return float(above + below) / 2


def check_calibration(bundle: Bundle, dataset: str, partition: str, split: str) -> None:
    """Refuse people who taught the bundle, or who will test it.

    Raises:
        DataError: If the split is the test split, or one that trained; or the data is that of the bundle under
            another partition, in whose splits both are.
    """
    known = bundle.metadata
    if split == "test":
        raise DataError("thresholds chosen on the test split flatter every later score; take val")
    if dataset != known.get("dataset"):
        return
    if partition != known.get("partition"):
        raise DataError(
            f"the bundle learnt from the partition {known.get('partition')} of {dataset}; splits of {partition} hold "
            "people that taught it or will test it; take the same partition"
        )
    if split in known.get("train_splits", ()):
        raise DataError(f"the bundle learnt from the split {split} of {partition}; take another")


def name_calibrated(variant: str, goal: str) -> str:
    """The variant under which a calibrated bundle's scores lie beside the plain one's."""
    return f"{variant}-calibrated-{goal}"


def calibrate(bundle: Bundle, evaluation: Evaluation, *, goal: Goal) -> Bundle:
    """The bundle with thresholds of its own, and a note of where they come from.

    Attributes that have too few positives or negatives (see `choose_thresholds`) keep theirs.

    Args:
        bundle: Stays as it is; the new one shares its model.
        evaluation: Of this bundle, on people that it did not learn from.
        goal: See `choose_thresholds`.

    Raises:
        DataError: If the evaluation is of other attributes, or of people who taught the bundle or will test
            it.
    """
    if evaluation.schema.names != bundle.schema.names:
        raise DataError("expected an evaluation of this bundle, got one of other attributes")
    check_calibration(bundle, evaluation.dataset, evaluation.partition, evaluation.split)
    found = choose_thresholds(evaluation.probs, evaluation.labels, goal=goal)
    thresholds = np.where(np.isnan(found), bundle.thresholds, found)
    note = f"thresholds for the best {goal} on {evaluation.dataset} {evaluation.partition}/{evaluation.split}"
    return replace(bundle, thresholds=tuple(thresholds), metadata={**bundle.metadata, "calibration": note})
