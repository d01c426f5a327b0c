"""The loss of a recipe, checked before images are packed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.errors import TrainingError
from passerby.losses import Distilled, compute_positive_ratio, create_loss
from passerby.training.checks import select_training_rows
from passerby.training.teachers import load_soft_labels

__all__ = ["check_criterion", "create_criterion"]


def check_criterion(recipe: Recipe, manifest: Manifest) -> None:
    """Refuse a wrong loss or wrong predictions of teachers, before images are packed.

    Teachers may lack rows whose images are skipped as unreadable; with `data.on_unreadable: skip`, their
    predictions are checked after packing.

    Raises:
        ConfigError: If there is no such loss, or it does not take the arguments.
        TrainingError: If the first epochs, without loss of stage II, are all epochs.
        DataError: If predictions of teachers are damaged or incomplete.
    """
    rows = select_training_rows(recipe, manifest)
    _create_loss(recipe, manifest, rows)
    if recipe.loss.teachers and recipe.data.on_unreadable != "skip":
        load_soft_labels(recipe.loss.teachers, manifest, rows)


def create_criterion(recipe: Recipe, manifest: Manifest, rows: NDArray[np.int64]) -> nn.Module:
    """The recipe's loss for the training rows, with distillation if it names teachers.

    Args:
        recipe: Loss and teachers.
        manifest: Restricted to the recipe's attributes.
        rows: The training rows, ascending.

    Raises:
        PasserbyError: See `check_criterion`.
    """
    section, criterion = recipe.loss, _create_loss(recipe, manifest, rows)
    if not section.teachers:
        return criterion
    return Distilled(
        criterion,
        rows=torch.from_numpy(rows),
        soft=load_soft_labels(section.teachers, manifest, rows),
        weight=section.teacher_weight,
        as_labels=section.teachers_as_labels,
    )


def _create_loss(recipe: Recipe, manifest: Manifest, rows: NDArray[np.int64]) -> nn.Module:
    section = recipe.loss
    labels = torch.from_numpy(manifest.labels[rows])
    criterion = create_loss(
        section.name,
        positive_ratio=compute_positive_ratio(labels, unknown=section.arguments.get("unknown", "ignore")),
        rows=torch.from_numpy(rows),
        schema=manifest.schema,
        **section.arguments,
    )
    if (first := getattr(criterion, "first_epochs", 0)) >= recipe.training.epochs:
        raise TrainingError(
            f"expected loss.arguments.first_epochs below training.epochs ({recipe.training.epochs}), got "
            f"{first}; stage II would not be trained"
        )
    return criterion
