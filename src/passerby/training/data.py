"""The training and validation data of a recipe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

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
from passerby.losses import compute_positive_ratio
from passerby.models import AttributeModel
from passerby.parsing import are_within
from passerby.training.selection import check_selection
from passerby.types import Preprocess

__all__ = ["TrainingData"]

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
    def load(cls, recipe: Recipe, preprocess: Preprocess) -> TrainingData:
        """Read the manifest and pack its images; logs the progress and the skipped images.

        Raises:
            ManifestError: If the manifest or its partition does not fit the recipe.
            DataError: If an image cannot be read and the recipe sets `on_unreadable: raise`.
            TrainingError: If the validation labels cannot measure the score that selects the epoch.
        """
        section = recipe.data
        manifest = Manifest.load(section.manifest, root=section.root)
        if section.attributes is not None:
            manifest = manifest.select_attributes(section.attributes)
        check_selection(recipe, manifest)
        workers = max(1, recipe.training.workers)
        cache = PackedCache.build(
            manifest,
            preprocess,
            section.cache,
            on_unreadable=section.on_unreadable,
            workers=workers,
            progress=_log_tenths(),
        )
        for image, reason in cache.unreadable:
            logger.warning("skipped %s: %s", image, reason)
        train_rows = np.sort(
            np.concatenate([manifest.split_rows(section.partition, split) for split in section.train])
        )
        val_rows = manifest.split_rows(section.partition, section.val)
        usable = np.asarray(cache.valid)
        return cls(
            manifest, cache, manifest.labels, train_rows[usable[train_rows]], val_rows[usable[val_rows]]
        )

    def compute_positive_ratio(self, *, unknown: Literal["ignore", "negative"]) -> torch.Tensor:
        """Share of positives among the training labels, (A,) in [0, 1]."""
        return compute_positive_ratio(torch.from_numpy(self.labels[self.train_rows]), unknown=unknown)

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
            TrainingError: If the training rows do not fill one batch per process, no row has an auxiliary
                input that the model needs, or the parsing maps have other classes than the model.
        """
        guidance = tuple(dict.fromkeys((*model.guidance, *model.supervision)))
        if missing := [kind for kind in guidance if getattr(self.cache, kind) is None]:
            raise TrainingError(
                f"training {recipe.model.name} needs {', '.join(missing)}, and no row of "
                f"{recipe.data.manifest} has any; `passerby prepare` reads those stored next to the images, "
                "`passerby annotate` predicts them"
            )
        self._check_supervision(recipe, model)
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
        if not len(training):
            raise TrainingError(
                f"{len(self.train_rows)} training images do not fill a batch of {t.batch_size} on "
                f"{world_size} process(es); lower training.batch_size"
            )
        return training, validation

    def _check_supervision(self, recipe: Recipe, model: AttributeModel) -> None:
        """Refuse data without the masks or parsing maps that the loss needs, or with other classes."""
        classes, expected = self.manifest.parsing_classes, model.parsing_classes
        manifest = recipe.data.manifest
        if "parsing" in model.supervision and not are_within(classes, expected):
            found = f"have {', '.join(classes)}" if classes else "have no class names"
            source = "relabel" if classes else "files"
            raise TrainingError(
                f"model {model.name} predicts the parsing classes {', '.join(expected)}, and the maps of "
                f"{manifest} {found}; set the model's parsing_classes, or use `passerby annotate "
                f"--parsing-from {source} --parsing-classes …`"
            )
        for kind in model.supervision:
            if self._count_missing(kind) == len(self.train_rows):
                raise TrainingError(
                    f"model {model.name} is trained with {kind}, and none of the {len(self.train_rows)} "
                    f"training rows of {manifest} has any; create them with `passerby annotate --{kind}`"
                )

    def describe_missing(self, model: AttributeModel) -> list[str]:
        """How many training rows lack the masks or parsing maps that a model uses, one line per kind."""
        return [
            f"{missing:,} of {len(self.train_rows):,} training images have no {kind}"
            for kind in dict.fromkeys((*model.guidance, *model.supervision))
            if kind != "keypoints" and (missing := self._count_missing(kind))
        ]

    def _count_missing(self, kind: str) -> int:
        """Number of training rows without a map of a kind, `masks` or `parsing`."""
        paths = self.manifest.paths("mask" if kind == "masks" else "parsing")
        return sum(paths[row] is None for row in self.train_rows)


def _log_tenths() -> Callable[[int, int], None]:
    """A progress callback for packing that logs every tenth, with the estimated remaining time."""
    start, logged = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal logged
        tenths = 10 * done // max(1, total)
        if tenths > logged:
            logged = tenths
            left_s = (time.monotonic() - start) / done * (total - done)
            logger.info(f"packing images: {done:,} of {total:,}, {left_s:.0f} s to go")

    return progress
