"""The provenance of a bundle: model, data and protocol of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.io import WEIGHTS_SUFFIXES
from passerby.training.data import TrainingData
from passerby.training.selection import find_val_unmeasured
from passerby.weight_packages import PYPI

__all__ = ["describe_provenance"]


def describe_provenance(recipe: Recipe, data: TrainingData) -> dict[str, Any]:
    """Metadata of a bundle about its training, without paths."""
    return {
        "model": recipe.model.name,
        "variant": recipe.variant,
        "backbone": recipe.model.arguments.get("backbone"),
        "pretraining": _describe_pretraining(recipe),
        "dataset": data.manifest.dataset,
        "domain": data.manifest.domain,
        "partition": recipe.data.partition,
        "train_splits": list(recipe.data.train),
        "train_images": len(data.train_rows),
        **_describe_subset(recipe, data),
        "manifest": data.manifest.fingerprint,
        "protocol": recipe.protocol,
        "selection": f"best {recipe.training.select} on {recipe.data.val}",
        "val_unmeasured": find_val_unmeasured(recipe, data.manifest) or None,
        "ema": recipe.training.ema,
        "teacher_files": len(recipe.loss.teachers) or None,
        "teacher_weight": recipe.loss.teacher_weight if recipe.loss.teachers else None,
        "teachers_as_labels": recipe.loss.teachers_as_labels if recipe.loss.teachers else None,
        "seed": recipe.seed,
        "epochs": recipe.training.epochs,
    }


def _describe_subset(recipe: Recipe, data: TrainingData) -> dict[str, str]:
    """The part of the training images that were used; nothing if all were."""
    if not recipe.data.name_subset():
        return {}
    total = sum(len(data.manifest.split_rows(recipe.data.partition_name, s)) for s in recipe.data.train)
    return {"train_subset": f"trained on {len(data.train_rows):,} of {total:,} images, drawn at random"}


def _describe_pretraining(recipe: Recipe) -> str:
    if recipe.model.init_from is not None:
        metadata = Bundle.load(recipe.model.init_from).metadata
        values = (metadata.get("model"), metadata.get("variant"), metadata.get("dataset"))
        return "bundle " + " ".join(str(value) for value in values if value)
    if recipe.model.pretrained == PYPI:
        return "imagenet"
    if isinstance(recipe.model.pretrained, str):
        path = Path(recipe.model.pretrained)
        return path.stem if path.suffix.lower() in WEIGHTS_SUFFIXES else path.name
    return "imagenet" if recipe.model.pretrained else "none"
