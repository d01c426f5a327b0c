"""A wrong loss and wrong predictions of teachers are refused before images are packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from passerby.config import Recipe
from passerby.errors import ConfigError, DataError, TrainingError
from passerby.losses import create_loss
from passerby.training.checks import load_manifest
from passerby.training.criterion import check_criterion, create_criterion

MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ({"name": "bce", "arguments": {"weight": "sb"}}, ConfigError, r"loss 'bce' has no argument 'weight'"),
        (
            {"name": "mtms", "arguments": {"first_epochs": 3}},
            TrainingError,
            r"first_epochs below training\.epochs \(3\), got 3",
        ),
    ],
)
def test_a_wrong_loss_is_refused(
    make_recipe: MakeRecipe, loss: dict[str, object], error: type[Exception], message: str
) -> None:
    for policy in ("raise", "skip"):
        recipe = make_recipe(loss=loss, data={"on_unreadable": policy})
        with pytest.raises(error, match=message):
            check_criterion(recipe, load_manifest(recipe))


def test_predictions_of_teachers_are_read_unless_images_may_be_skipped(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """A teacher has no predictions of an unreadable image either."""
    (tmp_path / "predictions.parquet").write_bytes(b"damaged")
    recipe = make_recipe(loss={"name": "bce", "teachers": [str(tmp_path)]})
    with pytest.raises(DataError, match=r"predictions\.parquet"):
        check_criterion(recipe, load_manifest(recipe))
    recipe = make_recipe(loss={"name": "bce", "teachers": [str(tmp_path)]}, data={"on_unreadable": "skip"})
    check_criterion(recipe, load_manifest(recipe))


def test_the_share_of_positives_is_that_of_the_training_rows(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(loss={"name": "bce", "arguments": {"weighting": "sb"}})
    manifest, rows = load_manifest(recipe), np.array([0, 2, 5, 7, 11])
    criterion = create_criterion(recipe, manifest, rows)
    labels = manifest.labels[rows]
    ratio = torch.from_numpy((labels == 1).sum(0) / (labels >= 0).sum(0)).float()
    expected = create_loss("bce", positive_ratio=ratio, weighting="sb")
    assert torch.equal(criterion.positive_weights, expected.positive_weights)
    assert torch.equal(criterion.negative_weights, expected.negative_weights)
