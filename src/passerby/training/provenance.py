"""What a bundle says about its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.training.data import TrainingData

__all__ = ["describe_provenance"]


def describe_provenance(recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """What the bundle says about its origin; no paths of this machine."""
    return {
        "model": recipe.model.name,
        "variant": recipe.variant,
        "backbone": recipe.model.arguments.get("backbone"),
        "pretraining": _describe_pretraining(recipe),
        "dataset": data.manifest.dataset,
        "partition": recipe.data.partition,
        "train_splits": list(recipe.data.train),
        "train_images": len(data.train_rows),
        "manifest": data.manifest.fingerprint,
        "protocol": recipe.protocol,
        "selection": f"best {recipe.training.select} on {recipe.data.val}",
        "ema": recipe.training.ema,
        "teacher_files": len(recipe.loss.teachers) or None,
        "teacher_weight": recipe.loss.teacher_weight if recipe.loss.teachers else None,
        "teachers_as_labels": recipe.loss.teachers_as_labels if recipe.loss.teachers else None,
        "seed": recipe.seed,
        "epochs": recipe.training.epochs,
    }


def _describe_pretraining(recipe: Recipe) -> str:
    if recipe.model.init_from is not None:
        start = Bundle.load(recipe.model.init_from).metadata
        words = (start.get("model"), start.get("variant"), start.get("dataset"))
        return "bundle " + " ".join(str(word) for word in words if word)
    if isinstance(recipe.model.pretrained, str):
        return Path(recipe.model.pretrained).name.removesuffix(".safetensors")
    return "imagenet" if recipe.model.pretrained else "none"
