"""The evaluation of a trained model on a split of its recipe's data."""

from __future__ import annotations

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.manifest import Manifest
from passerby.evaluation import Evaluation, evaluate
from passerby.evaluation.loading import Loading

__all__ = ["evaluate_split"]


def evaluate_split(bundle: Bundle, recipe: Recipe, split: str, *, protocol: str = "default") -> Evaluation:
    """Evaluate a bundle on a split, with the recipe's image cache, accelerator and workers.

    Args:
        bundle: Is moved to the recipe's accelerator.
        recipe: The recipe that the bundle was trained by.
        split: `train`, `val` or `test` of the recipe's partition.
        protocol: Name of the evaluation protocol.
    """
    data = recipe.data
    return evaluate(
        bundle.to("cpu" if recipe.training.accelerator == "cpu" else "auto"),
        Manifest.load(data.manifest, root=data.root),
        partition=data.partition_name,
        split=split,
        protocol=protocol,
        loading=Loading(
            cache=data.cache, on_unreadable=data.on_unreadable, workers=max(1, recipe.training.workers)
        ),
    )
