"""The labels of the validation split, which must be able to measure the score that selects the epoch."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import TrainingError
from passerby.evaluation.protocols import load_protocol
from passerby.evaluation.unmeasured import count_labels, describe_unmeasured, find_unmeasured

__all__ = ["check_selection", "find_val_unmeasured"]

logger = logging.getLogger(__name__)

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def check_selection(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse validation labels that cannot measure the selecting score; log which attributes they cannot.

    Args:
        recipe: The recipe.
        manifest: Restricted to the recipe's attributes.

    Raises:
        TrainingError: If no label measures `training.select`.
    """
    protocol, score = load_protocol(recipe.protocol), recipe.training.select
    positives, negatives = _count(recipe, manifest)
    needed, counts = {
        "mA": ("an attribute with positives and negatives", np.minimum(positives, negatives)),
        "mAP": ("an attribute with positives", positives),
    }.get(score, ("a known label", positives + negatives))
    if not counts.any() and (protocol.unmeasured == "drop" or score == "mAP"):
        raise TrainingError(
            f"training.select: {score} needs {needed} in the {recipe.data.val} split, and there is none; use "
            "another data.val, another partition, or training.select: f1"
        )
    names = find_unmeasured(manifest.schema.names, positives, negatives)
    if line := describe_unmeasured(names, len(manifest.schema), protocol=recipe.protocol):
        logger.info("%s split: %s", recipe.data.val, line)


def find_val_unmeasured(recipe: Recipe, manifest: Manifest) -> list[str]:
    """The attributes that lack positives or negatives in the validation split."""
    return find_unmeasured(manifest.schema.names, *_count(recipe, manifest))


def _count(recipe: Recipe, manifest: Manifest) -> Counts:
    """Numbers of positives and negatives of each attribute in the validation split."""
    rows = manifest.split_rows(recipe.data.partition_name, recipe.data.val)
    return count_labels(manifest.labels[rows], load_protocol(recipe.protocol))
