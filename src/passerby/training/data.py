"""The training and validation data of a recipe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.config import Recipe
from passerby.data.augmentation import Augmentation
from passerby.data.cache import PackedCache
from passerby.data.device_cache import DeviceCacheLoader
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import TrainingError
from passerby.models import AttributeModel
from passerby.parsing import are_within
from passerby.training.checks import select_training_rows
from passerby.training.progress import show_packing
from passerby.training.selection import check_selection
from passerby.types import Preprocess

__all__ = ["TrainingData", "check_batches", "check_guidance"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """A manifest with its packed images, and its training and validation rows.

    Args:
        manifest: Restricted to the recipe's attributes.
        cache: Its images at the recipe's size.
        labels: (N, A) in {1, 0, −1}.
        train_rows: Training rows with a readable image, ascending.
        val_rows: Validation rows with a readable image, ascending.
    """

    manifest: Manifest
    cache: PackedCache
    labels: NDArray[np.int8]
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]

    @classmethod
    def load(cls, recipe: Recipe, preprocess: Preprocess, manifest: Manifest) -> TrainingData:
        """Pack the images of a manifest; shows the progress and logs the skipped images.

        Args:
            recipe: Its partition must be resolved, see `resolve_partition`.
            preprocess: Size of the input.
            manifest: See `load_manifest`.

        Raises:
            ManifestError: If a split has no rows.
            DataError: If an image cannot be read and the recipe sets `on_unreadable: raise`.
            TrainingError: If the validation labels cannot measure the score that selects the epoch.
        """
        section = recipe.data
        check_selection(recipe, manifest)
        with show_packing() as progress:
            cache = PackedCache.build(
                manifest,
                preprocess,
                section.cache,
                on_unreadable=section.on_unreadable,
                workers=max(1, recipe.training.workers),
                progress=progress,
            )
        for image, reason in cache.unreadable:
            logger.warning("skipped %s: %s", image, reason)
        train_rows = select_training_rows(recipe, manifest)
        val_rows = manifest.split_rows(section.partition_name, section.val)
        usable = np.asarray(cache.valid)
        return cls(
            manifest, cache, manifest.labels, train_rows[usable[train_rows]], val_rows[usable[val_rows]]
        )

    def create_loaders(
        self, recipe: Recipe, *, model: AttributeModel, rank: int, world_size: int, device: torch.device
    ) -> tuple[BatchLoader, BatchLoader]:
        """The training and the validation loader of one process.

        Validation rows are divided between processes without padding, so that merged metrics are exact: no
        row counts twice.

        Args:
            device: Device of the process, on which images are kept with `training.device_cache`.

        Raises:
            DataError: If the device lacks the memory for the images.
            TrainingError: If the training rows do not fill one batch per process.
        """
        check_batches(recipe, len(self.train_rows), world_size)
        guidance = tuple(dict.fromkeys((*model.guidance, *model.supervision)))
        t = recipe.training
        create: Callable[..., BatchLoader] = (
            partial(DeviceCacheLoader, device=device)
            if t.device_cache
            else partial(BatchLoader, workers=t.workers)
        )
        training = create(
            self.cache,
            labels=self.labels,
            rows=self.train_rows,
            batch_size=t.batch_size,
            augmentation=Augmentation(**recipe.augmentation.model_dump()),
            shuffle=True,
            drop_last=True,
            seed=recipe.seed,
            shard=(rank, world_size),
            guidance=guidance,
            parsing_classes=self.manifest.parsing_classes,
        )
        validation = create(
            self.cache,
            labels=self.labels,
            rows=self.val_rows[rank::world_size],
            batch_size=t.batch_size * 2,
            augmentation=None,
            shuffle=False,
            drop_last=False,
            guidance=model.guidance,
        )
        return training, validation

    def describe_missing(self, model: AttributeModel) -> list[str]:
        """How many training rows lack the masks or parsing maps that a model uses, one line per kind."""
        return [
            f"{missing:,} of {len(self.train_rows):,} training images have no {kind}"
            for kind in dict.fromkeys((*model.guidance, *model.supervision))
            if kind != "keypoints" and (missing := _count_missing(self.manifest, self.train_rows, kind))
        ]


def check_guidance(recipe: Recipe, model: AttributeModel, manifest: Manifest) -> None:
    """Refuse data without the masks, parsing maps or keypoints that the model needs, or with other classes.

    Raises:
        TrainingError: If no row, or no training row, has an auxiliary input that the model needs, or the
            parsing maps have other classes than the model.
    """
    name, path = model.name, recipe.data.manifest
    kinds = tuple(dict.fromkeys((*model.guidance, *model.supervision)))
    if missing := [kind for kind in kinds if not _has_any(manifest, kind)]:
        raise TrainingError(
            f"training {name} needs {', '.join(missing)}, and no row of {path} has any; `passerby prepare` "
            "reads those stored next to the images, `passerby annotate` predicts them"
        )
    classes, expected = manifest.parsing_classes, model.parsing_classes
    if "parsing" in model.supervision and not are_within(classes, expected):
        found = f"have {', '.join(classes)}" if classes else "have no class names"
        source = "relabel" if classes else "files"
        raise TrainingError(
            f"model {name} predicts the parsing classes {', '.join(expected)}, and the maps of {path} "
            f"{found}; set the model's parsing_classes, or use `passerby annotate --parsing-from {source} "
            "--parsing-classes …`"
        )
    rows = select_training_rows(recipe, manifest)
    for kind in model.supervision:
        if _count_missing(manifest, rows, kind) == len(rows):
            raise TrainingError(
                f"model {name} is trained with {kind}, and none of the {len(rows)} training rows of {path} "
                f"has any; create them with `passerby annotate --{kind}`"
            )


def check_batches(recipe: Recipe, samples: int, world_size: int) -> None:
    """Refuse training samples that do not fill one batch on each process.

    Raises:
        TrainingError: If so.
    """
    size = recipe.training.batch_size
    if -(-samples // world_size) < size:
        raise TrainingError(
            f"{samples} training images do not fill a batch of {size} on {world_size} process(es); lower "
            "training.batch_size"
        )


def _has_any(manifest: Manifest, kind: str) -> bool:
    if kind == "keypoints":
        return manifest.keypoints() is not None
    return any(path is not None for path in manifest.paths("mask" if kind == "masks" else "parsing"))


def _count_missing(manifest: Manifest, rows: NDArray[np.int64], kind: str) -> int:
    """Number of rows without a map of a kind, `masks` or `parsing`."""
    paths = manifest.paths("mask" if kind == "masks" else "parsing")
    return sum(paths[row] is None for row in rows)
