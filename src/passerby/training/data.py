"""The rows, labels and pictures that a recipe trains and validates on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.config import Recipe
from passerby.data.cache import PackedCache
from passerby.data.device_cache import DeviceCacheLoader
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.data.transforms import Augmentation
from passerby.errors import TrainingError
from passerby.losses import compute_positive_ratio
from passerby.models import AttributeModel
from passerby.parsing import are_within
from passerby.types import Preprocess

__all__ = ["TrainingData"]


@dataclass(frozen=True)
class TrainingData:
    """A manifest with its packed pictures, and which of its rows train and validate.

    Args:
        manifest: Cut down to the recipe's attributes.
        cache: Its pictures at the recipe's size.
        labels: (N, A) in {1, 0, −1}.
        train_rows: Rows with a readable picture, ascending.
        val_rows: Likewise.
    """

    manifest: Manifest
    cache: PackedCache
    labels: NDArray[np.int8]
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]

    @classmethod
    def load(cls, recipe: Recipe, preprocess: Preprocess, say: Callable[[str], None]) -> TrainingData:
        """Read the manifest and pack its pictures; `say` hears how far that is, and what is skipped.

        Raises:
            ManifestError: If the manifest or its partition does not fit the recipe.
            DataError: If a picture cannot be read and the recipe says `on_unreadable: raise`.
        """
        section = recipe.data
        manifest = Manifest.load(section.manifest, root=section.root)
        if section.attributes is not None:
            manifest = manifest.select_attributes(section.attributes)
        workers = max(1, recipe.training.workers)
        cache = PackedCache.build(
            manifest,
            preprocess,
            section.cache,
            on_unreadable=section.on_unreadable,
            workers=workers,
            progress=_say_tenths(say),
        )
        for image, reason in cache.unreadable:
            say(f"skipped {image}: {reason}")
        train_rows = np.sort(
            np.concatenate([manifest.split_rows(section.partition, p) for p in section.train])
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
        """Loaders of one process for training and validation.

        Validation rows are dealt out without padding, so that metrics merge exactly and no row counts twice.

        Args:
            device: Where the process trains, and where the pictures go with `training.device_cache`.

        Raises:
            DataError: If the device cannot hold the pictures.
            TrainingError: If the training rows do not fill one batch on each process, nobody has what the
                model needs beside the picture, or the parsing maps are of other classes.
        """
        guidance = tuple(dict.fromkeys((*model.guidance, *model.supervision)))
        if missing := [kind for kind in guidance if getattr(self.cache, kind) is None]:
            raise TrainingError(
                f"model {recipe.model.name} needs {', '.join(missing)} to train, and nobody in "
                f"{recipe.data.manifest} has any; `passerby prepare` takes those beside the pictures, "
                "`passerby annotate` finds others (docs/annotating.md)"
            )
        self._check_truth(recipe, model)
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
            rank=rank,
            world_size=world_size,
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
                f"{len(self.train_rows)} training pictures make no full batch of {t.batch_size} on "
                f"{world_size} process(es); lower training.batch_size"
            )
        return training, validation

    def _check_truth(self, recipe: Recipe, model: AttributeModel) -> None:
        """Refuse what a model cannot learn parsing from: maps of other classes, no map or mask at all."""
        names, wanted = self.manifest.parsing_classes, model.parsing_classes
        where = recipe.data.manifest
        if "parsing" in model.supervision and not are_within(names, wanted):
            have = f"have {', '.join(names)}" if names else "do not say theirs"
            cure = "relabel" if names else "given"
            raise TrainingError(
                f"model {model.name} learns the parsing classes {', '.join(wanted)}, and the maps of "
                f"{where} {have}; set the model's parsing_classes, or use `passerby annotate "
                f"--parsing-from {cure} --parsing-classes …`"
            )
        for kind in model.supervision:
            if self._count_missing(kind) == len(self.train_rows):
                raise TrainingError(
                    f"model {model.name} learns from {kind}, and none of the {len(self.train_rows)} training "
                    f"rows of {where} has any; `passerby annotate --{kind}` makes them"
                )

    def describe_missing(self, model: AttributeModel) -> list[str]:
        """How many training rows lack what a model looks at or learns from, a line a kind."""
        return [
            f"{missing:,} of {len(self.train_rows):,} training pictures have no {kind}"
            for kind in dict.fromkeys((*model.guidance, *model.supervision))
            if kind != "keypoints" and (missing := self._count_missing(kind))
        ]

    def _count_missing(self, kind: str) -> int:
        """How many training rows have no map of a kind, `masks` or `parsing`."""
        paths = self.manifest.paths("mask" if kind == "masks" else "parsing")
        return sum(paths[row] is None for row in self.train_rows)


def _say_tenths(say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Progress of packing, in a line each tenth of the way, with the time still to go."""
    start, said = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenths = 10 * done // max(1, total)
        if tenths > said:
            said = tenths
            left_s = (time.monotonic() - start) / done * (total - done)
            say(f"packing pictures: {done:,} of {total:,}, {left_s:.0f} s to go")

    return progress
