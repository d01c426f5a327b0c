"""Batches from a packed cache, gathered by threads, in an order that only seed and epoch decide."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.data.transforms import (
    Augmentation,
    Draws,
    draw_parameters,
    gather_keypoints,
    gather_pixels,
    hide_outside,
    transform_batch,
)
from passerby.errors import DataError
from passerby.parsing import UNKNOWN_CLASS, mirror_classes
from passerby.types import Batch, Guidance

if TYPE_CHECKING:
    from passerby.data.cache import PackedCache

__all__ = ["BatchLoader"]

KINDS = ("masks", "parsing", "keypoints")


class BatchLoader:
    """An iterable of `Batch` over some rows of a cache.

    The order of an epoch depends on (seed, epoch), the augmentation of a sample on (seed, epoch, row), and
    neither on the number of threads. Rows that the cache marks as unreadable are left out. Each rank takes every
    `world_size`-th row of the shuffled order; all ranks get the same number: with `drop_last` the surplus is
    left out, else the first rows are repeated.

    Iterating starts at the first batch of the current epoch, once after `load_state_dict` at the batch after
    the last one that was taken. Leaving the loop early ends the threads.

    Args:
        cache: The pictures, and masks, parsing maps and keypoints where the manifest has them.
        labels: Of all rows of the cache.
        rows: Which rows to serve.
        batch_size: Samples a batch (and rank).
        augmentation: None for pictures as they are.
        shuffle: Draw a new order each epoch; else the order of `rows`.
        drop_last: Leave out a last batch that is not full; with fewer rows than that the length is 0.
        seed: Seed of the run.
        rank: Number of this process.
        world_size: Number of processes.
        workers: Threads that gather batches ahead; 0 gathers in the caller's thread.
        guidance: Which of `masks`, `parsing`, `keypoints` to gather if the cache has them.
        parsing_classes: Names of the numbers in the parsing maps: in a mirror, a left arm becomes a
            right one.

    Shape:
        labels: (M, A) int8. rows: (N,) int64 in 0 … M − 1. Images of a batch: (B, 3, H, W) uint8,
        contiguous (not channels-last), of the cache's size if the augmentation's `crop_to` is 1.

    Raises:
        DataError: If labels, rows, sizes or rank don't fit, or no valid row is left.
    """

    def __init__(
        self,
        cache: PackedCache,
        *,
        labels: NDArray[np.int8],
        rows: NDArray[np.int64],
        batch_size: int,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 2,
        guidance: Sequence[str] = KINDS,
        parsing_classes: Sequence[str] = (),
    ) -> None:
        self.cache, self.labels = cache, np.ascontiguousarray(labels, np.int8)
        self.rows = _checked_rows(cache, self.labels, np.asarray(rows, np.int64))
        self.batch_size, self.augmentation = batch_size, augmentation
        self.shuffle, self.drop_last, self.seed = shuffle, drop_last, seed
        self.rank, self.world_size, self.workers = rank, world_size, workers
        self.guidance = tuple(guidance)
        self._mirror = np.arange(256, dtype=np.uint8)
        self._mirror[: len(parsing_classes)] = mirror_classes(parsing_classes)
        self._check_options()
        self.epoch = 0
        self._batches_done = 0
        self._start = 0

    def _check_options(self) -> None:
        at_least = {"batch_size": 1, "seed": 0, "rank": 0, "world_size": 1, "workers": 0}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise DataError(f"loader {name}: expected {least} or more, got {getattr(self, name)}")
        if self.rank >= self.world_size:
            raise DataError(f"expected a rank below the world size {self.world_size}, got {self.rank}")
        if unknown := set(self.guidance) - set(KINDS):
            raise DataError(f"loader guidance: expected some of {KINDS}, got {sorted(unknown)}")

    # ------------------------------------------------------------------ order

    def _rows_a_rank(self) -> int:
        if self.drop_last:
            return len(self.rows) // self.world_size
        return -(-len(self.rows) // self.world_size)

    def __len__(self) -> int:
        n = self._rows_a_rank()
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def epoch_rows(self) -> NDArray[np.int64]:
        """Rows of this rank in the order of the current epoch."""
        order = self.rows
        if self.shuffle:
            # Third word of the counter 1: a stream that no row draws its augmentation from.
            key = np.array([self.seed, self.epoch], np.uint64)
            order = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 1, 0])).permutation(order)
        total = self._rows_a_rank() * self.world_size
        return np.resize(order, total)[self.rank :: self.world_size]  # resize repeats from the start

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; a position restored for another epoch is forgotten."""
        if epoch != self.epoch:
            self.epoch, self._batches_done, self._start = epoch, 0, 0

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of batches taken from it."""
        return {"epoch": self.epoch, "batches_done": self._batches_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after `batches_done` batches of `epoch` at the next iteration.

        After the state of a finished epoch nothing is left of it; `set_epoch` begins the next.

        Raises:
            DataError: If the state has more batches than an epoch; batch size or data differ then.
        """
        epoch, done = int(state["epoch"]), int(state["batches_done"])
        if not 0 <= done <= len(self):
            raise DataError(
                f"expected 0 … {len(self)} batches done, got {done}; "
                "resume with the same data, batch size and number of processes"
            )
        self.epoch, self._batches_done, self._start = epoch, done, done

    # ------------------------------------------------------------------ batches

    def __iter__(self) -> Iterator[Batch]:
        start, self._start = self._start, 0
        self._batches_done = start
        rows, epoch = self.epoch_rows(), self.epoch
        pieces = [rows[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, len(self))]
        for done, batch in enumerate(self._gather_all(pieces, epoch), start + 1):
            self._batches_done = done
            yield batch

    def _gather_all(self, pieces: list[NDArray[np.int64]], epoch: int) -> Iterator[Batch]:
        if self.workers == 0:
            for piece in pieces:
                yield self.gather(piece, epoch)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="passerby-load")
        waiting: deque[Future[Batch]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(self.gather, piece, epoch))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def gather(self, rows: NDArray[np.int64], epoch: int) -> Batch:
        """The batch of the given rows as an epoch shows them."""
        draws = draw_parameters(self.augmentation, rows, seed=self.seed, epoch=epoch)
        batch = self._gather_plain(rows, draws)
        images, guidance = batch.images, batch.guidance
        if self.augmentation is not None and not self.augmentation.is_plain:
            images, guidance = transform_batch(self.augmentation, draws, images, guidance)
        if guidance.keypoints is not None:
            hide_outside(guidance.keypoints, images.shape[-2:])
        return Batch(images, batch.labels, batch.rows, guidance)

    def _gather_plain(self, rows: NDArray[np.int64], draws: Draws) -> Batch:
        """Rows of the cache, cropped and flipped."""
        images = torch.from_numpy(gather_pixels(self.cache.images, rows, draws))
        labels, numbers = torch.from_numpy(self.labels[rows]), torch.from_numpy(rows.copy())
        return Batch(images, labels, numbers, self._gather_guidance(rows, draws))

    def _gather_guidance(self, rows: NDArray[np.int64], draws: Draws) -> Guidance:
        guidance, cache = Guidance(), self.cache
        if cache.masks is not None and "masks" in self.guidance:
            guidance.masks = torch.from_numpy(gather_pixels(cache.masks, rows, draws)).unsqueeze(1).float()
        if cache.parsing is not None and "parsing" in self.guidance:
            classes = gather_pixels(cache.parsing, rows, draws)
            classes[draws.flip] = self._mirror[classes[draws.flip]]
            unknown = (cache.parsing[rows] == UNKNOWN_CLASS).all(axis=(1, 2))
            classes[unknown] = UNKNOWN_CLASS  # what lies beyond a picture without a map is not known either
            guidance.parsing = torch.from_numpy(classes).long()
        if cache.keypoints is not None and "keypoints" in self.guidance:
            width_px = cache.images.shape[2]
            points = gather_keypoints(cache.keypoints, rows, draws, width_px=width_px)
            guidance.keypoints = torch.from_numpy(points)
        return guidance


def _checked_rows(cache: PackedCache, labels: NDArray[np.int8], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    if labels.ndim != 2 or len(labels) != len(cache):
        raise DataError(f"expected labels ({len(cache)}, A), a row for each of the cache, got {labels.shape}")
    if rows.ndim != 1 or (len(rows) and not (rows.min() >= 0 and rows.max() < len(cache))):
        raise DataError(f"expected a list of rows 0 … {len(cache) - 1}, got shape {rows.shape}, {rows[:5]} …")
    valid = rows[cache.valid[rows]]
    if not len(valid):
        raise DataError(f"expected at least one readable picture among the {len(rows)} rows, got none")
    return valid
