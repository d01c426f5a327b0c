"""Batches of the images of some rows of a manifest, decoded on the fly or read from a packed cache."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.evaluation.loading import Loading
from passerby.evaluation.packed_split import pack_split
from passerby.inference.batches import load_batches
from passerby.types import Batch, Preprocess

__all__ = ["load_rows"]


def load_rows(
    manifest: Manifest,
    rows: NDArray[np.int64],
    preprocess: Preprocess,
    *,
    guidance: tuple[str, ...],
    loading: Loading,
    skipped: list[tuple[str, str]],
) -> Generator[Batch, None, None]:
    """Load the images of some rows in batches, in their order.

    They come from the packed cache if there is one, or auxiliary inputs are needed; otherwise they are
    decoded on the fly.

    Args:
        guidance: Kinds of auxiliary inputs to load.
        skipped: Receives the path and the reason of each unreadable image.

    Raises:
        ImageError: If an image cannot be read and `loading.on_unreadable` is `raise`.
    """
    if loading.cache is None and not guidance:
        yield from _decode(manifest, rows, preprocess, loading, skipped)
        return
    with ExitStack() as stack:  # a cache of the entire manifest, or of these rows in a temporary folder
        data = pack_split(manifest, rows, preprocess, loading, stack)
        skipped += data.unreadable
        loader = BatchLoader(
            data.cache,
            labels=data.manifest.labels,
            rows=data.rows,
            batch_size=loading.batch_size,
            workers=loading.workers,
            guidance=guidance,
        )
        for batch in loader:
            batch.rows = torch.from_numpy(data.given_rows[batch.rows.numpy()])
            yield batch


def _decode(
    manifest: Manifest,
    rows: NDArray[np.int64],
    preprocess: Preprocess,
    loading: Loading,
    skipped: list[tuple[str, str]],
) -> Iterator[Batch]:
    """Decode the images of some rows on the fly, without auxiliary inputs."""
    images, boxes, labels = manifest.images, manifest.boxes(), manifest.labels
    batches = load_batches(
        (manifest.root / images[row] for row in rows),
        preprocess,
        boxes=[boxes[row] for row in rows],
        batch_size=loading.batch_size,
        threads=max(1, loading.workers),
        on_unreadable=loading.on_unreadable,
    )
    for batch in batches:
        skipped += [(images[rows[index]], each.reason) for index, each in batch.skipped.items()]
        if len(batch):
            numbers = rows[list(batch.indices)]
            yield Batch(batch.inputs, torch.from_numpy(labels[numbers]), torch.from_numpy(numbers))
