"""Batches from a packed cache in the memory of a device, gathered and augmented there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from passerby.data.augmentation import Draws
from passerby.data.loader import BatchLoader
from passerby.data.transfer import send
from passerby.data.transforms import COCO_MIRROR
from passerby.errors import DataError
from passerby.parsing import UNKNOWN_CLASS
from passerby.types import Batch, Guidance

if TYPE_CHECKING:
    from passerby.data.cache import PackedCache

__all__ = ["DeviceCacheLoader"]

_CHUNK_BYTES = 2**26


class DeviceCacheLoader(BatchLoader):
    """A `BatchLoader` that copies its rows to a device once and gathers the batches there.

    Order, random numbers and batches equal those of a `BatchLoader` with the same arguments. The host draws a
    few numbers per sample and launches the kernels; it copies no images and does not synchronise.

    Args:
        cache: The images, and masks, parsing maps and keypoints if the manifest has them.
        device: Device of the copy: 3 · H · W bytes per row, and H · W more for each of masks and parsing maps
            if `guidance` requests them. Each process holds all rows, because every epoch divides them again.
        options: As for `BatchLoader`, except for `workers`: nothing is prefetched.

    Shape:
        As `BatchLoader`, all tensors on the device.

    Raises:
        DataError: If the memory of the device is too small (the message states the required size), or as for
            `BatchLoader`.
    """

    def __init__(self, cache: PackedCache, *, device: torch.device | str, **options: Any) -> None:
        super().__init__(cache, workers=0, **options)
        self.device = torch.device(device)
        self._held_rows = np.unique(self.rows)
        arrays = {kind: getattr(cache, kind) for kind in ("images", *self.guidance)} | {"labels": self.labels}
        sources = {kind: array for kind, array in arrays.items() if array is not None}
        try:
            self._held = {kind: self._hold(source) for kind, source in sources.items()}
        except torch.cuda.OutOfMemoryError as error:
            needed = len(self._held_rows) * sum(source[0].nbytes for source in sources.values())
            raise DataError(
                f"{', '.join(sources)} of {len(self._held_rows):,} rows need {needed / 2**30:.2f} GiB on "
                f"{self.device}, which has less free memory; use a smaller input, or keep them on disk "
                "(training.device_cache: false)"
            ) from error
        self._mirrored_points = send(np.array(COCO_MIRROR), self.device)
        self._mirrored_classes = send(self._mirror.astype(np.int64), self.device)
        if "parsing" in self._held:
            self._has_no_map = self._held["parsing"].flatten(1).amin(1) == UNKNOWN_CLASS

    def _hold(self, source: NDArray[Any]) -> Tensor:
        """Copy the rows of an array to the device, in chunks."""
        first = torch.from_numpy(source[:1].copy())
        shape = len(self._held_rows), *source.shape[1:]
        held = torch.empty(shape, dtype=first.dtype, device=self.device)
        step = max(1, _CHUNK_BYTES // first.nbytes)
        for start in range(0, len(held), step):
            rows = self._held_rows[start : start + step]
            held[start : start + len(rows)] = torch.from_numpy(source[rows])
        return held

    def _gather_plain(self, rows: NDArray[np.int64], draws: Draws) -> Batch:
        slots = np.searchsorted(self._held_rows, rows)
        numbers = send(np.column_stack([rows, slots, draws.shift_px, draws.flip]), self.device)  # (N, 5)
        slot, shift_px, flip = numbers[:, 1], numbers[:, 2:4], numbers[:, 4].bool()
        guidance = Guidance()
        images = _gather_pixels(self._held["images"], slot, shift_px, flip).permute(0, 3, 1, 2).contiguous()
        if "masks" in self._held:
            guidance.masks = _gather_pixels(self._held["masks"], slot, shift_px, flip).unsqueeze(1).float()
        if "parsing" in self._held:
            classes = _gather_pixels(self._held["parsing"], slot, shift_px, flip).long()
            classes = torch.where(flip[:, None, None], self._mirrored_classes[classes], classes)
            guidance.parsing = classes.masked_fill_(self._has_no_map[slot, None, None], UNKNOWN_CLASS)
        if "keypoints" in self._held:
            guidance.keypoints = self._gather_keypoints(slot, shift_px, flip)
        return Batch(images, self._held["labels"][slot], numbers[:, 0].contiguous(), guidance)

    def _gather_keypoints(self, slot: Tensor, shift_px: Tensor, flip: Tensor) -> Tensor:
        points = self._held["keypoints"][slot]  # (N, 17, 3)
        points[..., :2] -= shift_px.flip(1)[:, None]
        mirrored = points[:, self._mirrored_points]
        mirrored[..., 0] = self._held["images"].shape[2] - 1 - mirrored[..., 0]
        return torch.where(flip[:, None, None], mirrored, points)


def _gather_pixels(source: Tensor, slot: Tensor, shift_px: Tensor, flip: Tensor) -> Tensor:
    """Like `passerby.data.transforms.gather_pixels`, for all samples at once.

    Shape:
        source: (M, H, W, ...); slot: (N,) in 0 … M − 1; shift_px: (N, 2), rows and columns; flip: (N,) bool;
        returns (N, H, W, ...).
    """
    height, width = source.shape[1:3]
    y = torch.arange(height, device=source.device) + shift_px[:, :1]  # (N, H)
    x = torch.arange(width, device=source.device)
    x = torch.where(flip[:, None], width - 1 - x, x) + shift_px[:, 1:]  # (N, W)
    outside = ((y < 0) | (y >= height))[:, :, None] | ((x < 0) | (x >= width))[:, None]  # (N, H, W)
    y, x = y.clamp_(0, height - 1)[:, :, None], x.clamp_(0, width - 1)[:, None]
    pixels = source[slot[:, None, None], y, x]
    return pixels.masked_fill_(outside.view(*outside.shape, *(1,) * (source.ndim - 3)), 0)
