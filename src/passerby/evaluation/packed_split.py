"""The images of a split in a packed cache."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from passerby.data.cache import PackedCache
from passerby.data.manifest import Manifest
from passerby.evaluation.loading import Loading
from passerby.types import Preprocess

__all__ = ["PackedSplit", "pack_split"]


@dataclass(frozen=True, slots=True, eq=False)
class PackedSplit:
    """The images of a split in a packed cache.

    Args:
        cache: The cache.
        manifest: Manifest of the rows of the cache.
        rows: Rows of the split in the cache.
        given_rows: For each row of the cache its row in the manifest that the user gave.
        unreadable: Unreadable images of the split, each with the reason.
    """

    cache: PackedCache
    manifest: Manifest
    rows: NDArray[np.int64]
    given_rows: NDArray[np.int64]
    unreadable: list[tuple[str, str]]

    def find_readable(self) -> NDArray[np.int64]:
        """The rows of the split whose images could be read."""
        return self.rows[self.cache.valid[self.rows]]


def pack_split(
    manifest: Manifest, rows: NDArray[np.int64], preprocess: Preprocess, loading: Loading, stack: ExitStack
) -> PackedSplit:
    """Pack the whole manifest in the folder of caches, or without one the split in a temporary folder.

    Args:
        manifest: The data.
        rows: Rows of the split.
        preprocess: Preprocessing of the images.
        loading: Folder of the caches, workers and handling of unreadable images.
        stack: Removes the temporary folder when it closes.
    """
    source, numbers, given, folder = manifest, rows, np.arange(len(manifest)), loading.cache
    if folder is None:
        source, numbers, given = manifest.take(rows), np.arange(len(rows)), rows
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="passerby-")))
    cache = PackedCache.build(
        source, preprocess, folder, on_unreadable=loading.on_unreadable, workers=loading.workers
    )
    wanted = {manifest.images[row] for row in rows}
    unreadable = [pair for pair in cache.unreadable if pair[0] in wanted]
    return PackedSplit(cache, source, numbers, given, unreadable)
