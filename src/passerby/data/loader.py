"""Batches from a packed cache, gathered by threads, in an order that depends on seed and epoch only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.data.augmentation import Augmentation, Draws, draw_parameters
from passerby.data.transforms import gather_keypoints, gather_pixels, hide_outside, transform_batch
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
    neither on the number of threads. Rows that the cache marks as unreadable are skipped. With several
    processes, each takes every n-th row of the shuffled order, all the same number: with `drop_last` the
    surplus is dropped, otherwise the first rows are repeated.

    Iteration starts at the first batch of the current epoch; directly after `load_state_dict`, it starts
    after the last batch of the stored state. Leaving the loop early stops the threads.

    Args:
        cache: The images, and masks, parsing maps and keypoints if the manifest has them.
        labels: Labels of all rows of the cache.
        rows: Rows to load.
        batch_size: Samples per batch and process.
        augmentation: None for unchanged images.
        shuffle: Draw a new order each epoch; otherwise keep the order of `rows`.
        drop_last: Drop an incomplete last batch; with fewer rows than a batch the length is 0.
        seed: Seed of the run.
        shard: Rank of this process and number of processes.
        workers: Threads that prefetch batches; 0 gathers in the calling thread.
        guidance: Which of `masks`, `parsing`, `keypoints` to load if the cache has them.
        parsing_classes: Class names of the parsing maps; flipping swaps classes of the left and right side.

    Shape:
        labels: (M, A) int8. rows: (N,) int64 in 0 … M − 1. Images of a batch: (B, 3, H, W) uint8,
        contiguous (not channels-last), of the cache's size if `crop_to` of the augmentation is 1.

    Raises:
        DataError: If labels, rows, sizes or shard do not fit, or no readable row is left.
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
        shard: tuple[int, int] = (0, 1),
        workers: int = 2,
        guidance: Sequence[str] = KINDS,
        parsing_classes: Sequence[str] = (),
    ) -> None:
        self.cache, self.labels = cache, np.ascontiguousarray(labels, np.int8)
        self.rows = _select_readable(cache, self.labels, np.asarray(rows, np.int64))
        self.batch_size, self.augmentation = batch_size, augmentation
        self.shuffle, self.drop_last, self.seed = shuffle, drop_last, seed
        (self.rank, self.world_size), self.workers = shard, workers
        self.guidance = tuple(guidance)
        self._mirror = np.arange(256, dtype=np.uint8)
        self._mirror[: len(parsing_classes)] = mirror_classes(parsing_classes)
        self._check_options()
        self.epoch = 0
        self._batches_done = 0
        self._start = 0

    def _check_options(self) -> None:
        minima = {"batch_size": 1, "seed": 0, "workers": 0}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                raise DataError(f"loader {name}: expected {minimum} or more, got {getattr(self, name)}")
        if not 0 <= self.rank < self.world_size:
            raise DataError(
                f"loader shard: expected a rank below the number of processes, got rank {self.rank} of "
                f"{self.world_size}"
            )
        if unknown := set(self.guidance) - set(KINDS):
            raise DataError(f"loader guidance: expected some of {KINDS}, got {sorted(unknown)}")

    # ------------------------------------------------------------------ order

    def _rows_per_rank(self) -> int:
        if self.drop_last:
            return len(self.rows) // self.world_size
        return -(-len(self.rows) // self.world_size)

    def __len__(self) -> int:
        n = self._rows_per_rank()
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def epoch_rows(self) -> NDArray[np.int64]:
        """Rows of this process in the order of the current epoch."""
        order = self.rows
        if self.shuffle:
            # The third word of the counter is 1: no augmentation uses this stream.
            key = np.array([self.seed, self.epoch], np.uint64)
            order = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 1, 0])).permutation(order)
        total = self._rows_per_rank() * self.world_size
        return np.resize(order, total)[self.rank :: self.world_size]  # resize repeats from the start

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; a position restored for another epoch is discarded."""
        if epoch != self.epoch:
            self.epoch, self._batches_done, self._start = epoch, 0, 0

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of its batches that were loaded."""
        return {"epoch": self.epoch, "batches_done": self._batches_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume after `batches_done` batches of `epoch` at the next iteration.

        After the state of a completed epoch, the next iteration is empty; `set_epoch` starts the next epoch.

        Raises:
            DataError: If the state has more batches than an epoch: batch size or data differ.
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
        batches = [rows[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, len(self))]
        for done, batch in enumerate(self._gather_all(batches, epoch), start + 1):
            self._batches_done = done
            yield batch

    def _gather_all(self, batches: list[NDArray[np.int64]], epoch: int) -> Iterator[Batch]:
        if self.workers == 0:
            for rows in batches:
                yield self.gather(rows, epoch)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="passerby-load")
        pending: deque[Future[Batch]] = deque()
        try:
            for rows in batches:
                pending.append(pool.submit(self.gather, rows, epoch))
                if len(pending) > 2 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def gather(self, rows: NDArray[np.int64], epoch: int) -> Batch:
        """The batch of the given rows, augmented as in an epoch."""
        draws = draw_parameters(self.augmentation, rows, seed=self.seed, epoch=epoch)
        batch = self._gather_plain(rows, draws)
        images, guidance = batch.images, batch.guidance
        if self.augmentation is not None and not self.augmentation.is_plain:
            images, guidance = transform_batch(self.augmentation, draws, images, guidance)
        if guidance.keypoints is not None:
            hide_outside(guidance.keypoints, images.shape[-2:])
        return Batch(images, batch.labels, batch.rows, guidance)

    def _gather_plain(self, rows: NDArray[np.int64], draws: Draws) -> Batch:
        """Load rows of the cache, cropped and flipped."""
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
            classes[unknown] = UNKNOWN_CLASS  # also the padding of images without a map
            guidance.parsing = torch.from_numpy(classes).long()
        if cache.keypoints is not None and "keypoints" in self.guidance:
            width_px = cache.images.shape[2]
            points = gather_keypoints(cache.keypoints, rows, draws, width_px=width_px)
            guidance.keypoints = torch.from_numpy(points)
        return guidance


def _select_readable(
    cache: PackedCache, labels: NDArray[np.int8], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    if labels.ndim != 2 or len(labels) != len(cache):
        raise DataError(
            f"expected labels ({len(cache)}, A), one row per row of the cache, got {labels.shape}"
        )
    if rows.ndim != 1 or (len(rows) and not (rows.min() >= 0 and rows.max() < len(cache))):
        raise DataError(f"expected a list of rows 0 … {len(cache) - 1}, got shape {rows.shape}, {rows[:5]} …")
    valid = rows[cache.valid[rows]]
    if not len(valid):
        raise DataError(f"expected at least one readable image among the {len(rows)} rows, got none")
    return valid
