"""Images of any kind, decoded in threads and stacked into batches; unreadable ones are reported."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.bundle.pictures import Picture, open_picture, source_of
from passerby.errors import DataError
from passerby.images import limits
from passerby.images.decode import count_pixels
from passerby.images.placement import resize_image
from passerby.types import Preprocess

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OnUnreadable", "PictureBatch", "Skipped", "load_batches", "load_picture"]

BoxTuple: TypeAlias = tuple[float, float, float, float]
OnUnreadable = Literal["raise", "skip"]
Result = TypeVar("Result")

_BATCHES = 2
"""Batches held at a time: the current one, and the next one, which the threads decode meanwhile."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image without a result: it, or the mask or keypoints given for it, could not be read.

    Args:
        source: Its path, or `<image>`.
        reason: The error message.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class PictureBatch:
    """The readable images of a batch, prepared for a model, and the unreadable ones.

    Args:
        indices: Position of each readable image in the list of all images.
        sources: Where each readable image came from.
        inputs: The readable images at the size of the model's input, before normalisation.
        originals: The readable images as RGB in their original sizes; empty unless requested.
        skipped: The unreadable images by their position in the list of all images.

    Shape:
        inputs: (N, 3, H, W) uint8; N is 0 if no image of the batch is readable.
    """

    indices: tuple[int, ...]
    sources: tuple[str, ...]
    inputs: Tensor
    originals: tuple[Image.Image, ...]
    skipped: Mapping[int, Skipped]

    def __len__(self) -> int:
        return len(self.indices)

    def merge(self, results: Iterable[Result]) -> Iterator[Result | Skipped]:
        """Yield the results and the unreadable images in the order of the images.

        Args:
            results: One per readable image, in their order; taken one by one.
        """
        remaining = iter(results)
        for index in sorted((*self.indices, *self.skipped)):
            yield self.skipped[index] if index in self.skipped else next(remaining)


def load_batches(
    pictures: Iterable[Picture],
    preprocess: Preprocess,
    *,
    boxes: Iterable[BoxTuple | None] | None = None,
    batch_size: int,
    threads: int | None = None,
    keep_originals: bool = False,
    on_unreadable: OnUnreadable = "skip",
) -> Iterator[PictureBatch]:
    """Decode images in threads and stack them into batches, in the order given.

    Threads decode the next batch while the caller computes on the current one; no more are held. Images are
    taken from the iterable as they are needed.

    Args:
        preprocess: Size of the inputs.
        boxes: For each image the box to cut out (left, top, right, bottom in pixels), or None for all of
            it; by default all of every image.
        batch_size: Images per batch, unreadable ones included.
        threads: Number of decoding threads; by default one per processor, at most 8.
        keep_originals: Also keep the images in their original sizes (without regard to `boxes`). A batch
            then ends early, once its image files have `limits.MAX_PIXELS` pixels.
        on_unreadable: An unreadable image is reported in `PictureBatch.skipped` (`skip`), or its error ends
            the iteration (`raise`). Any other error always does.

    Raises:
        DataError: If `batch_size` or `threads` is below 1; if an image cannot be read, or its box lies
            outside of it, and `on_unreadable` is `raise`.

    Example:
        >>> pictures = [np.zeros((9, 6, 3), np.uint8)] * 3
        >>> [batch.inputs.shape for batch in load_batches(pictures, Preprocess(8, 4), batch_size=2)]
        [torch.Size([2, 3, 8, 4]), torch.Size([1, 3, 8, 4])]
    """
    threads = count_threads() if threads is None else threads
    for name, value in {"batch_size": batch_size, "threads": threads}.items():
        if value < 1:
            raise DataError(f"expected {name} of at least 1, got {value}")
    start = 0
    jobs = zip(pictures, repeat(None) if boxes is None else boxes, strict=False)
    waiting: deque[list[tuple[str, Future[_Decoded]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="passerby-decode")
    try:
        while True:
            for _ in range(_BATCHES - len(waiting)):
                waiting.append(
                    [
                        (source_of(picture), pool.submit(_decode, picture, preprocess, box, keep_originals))
                        for picture, box in _take(jobs, batch_size, originals=keep_originals)
                    ]
                )
            futures = waiting.popleft()
            if not futures:
                return
            yield _collect(futures, preprocess, start=start, on_unreadable=on_unreadable)
            start += len(futures)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(
    jobs: Iterator[tuple[Picture, BoxTuple | None]], batch_size: int, *, originals: bool
) -> Iterator[tuple[Picture, BoxTuple | None]]:
    """The images of the next batch; if they are kept, fewer large ones."""
    pixels = 0
    for picture, box in islice(jobs, batch_size):
        yield picture, box
        if originals and isinstance(picture, str | Path):
            pixels += count_pixels(picture)
            if pixels >= limits.MAX_PIXELS:
                return


def load_picture(picture: Picture, preprocess: Preprocess) -> PictureBatch:
    """A batch of one image, with the original.

    Raises:
        ImageError: If the image cannot be read.
    """
    (batch,) = load_batches(
        [picture], preprocess, batch_size=1, threads=1, keep_originals=True, on_unreadable="raise"
    )
    return batch


def count_threads() -> int:
    """Default number of decoding threads: one per processor, at most 8."""
    return min(8, os.cpu_count() or 1)


_Decoded: TypeAlias = tuple[NDArray[np.uint8], Image.Image | None]
"""An image at the size of the input, (H, W, 3), and in its original size if requested."""


@limits.limit_decoding()
def _decode(picture: Picture, preprocess: Preprocess, box: BoxTuple | None, keep_original: bool) -> _Decoded:
    image = open_picture(picture)
    return resize_image(image, preprocess, box), image if keep_original else None


def _collect(
    futures: list[tuple[str, Future[_Decoded]]],
    preprocess: Preprocess,
    *,
    start: int,
    on_unreadable: OnUnreadable,
) -> PictureBatch:
    import torch

    decoded: dict[int, tuple[str, _Decoded]] = {}
    skipped: dict[int, Skipped] = {}
    for index, (source, future) in enumerate(futures, start=start):
        try:
            decoded[index] = (source, future.result())
        except DataError as error:
            if on_unreadable == "raise":
                raise
            skipped[index] = Skipped(source, str(error))
    inputs = np.empty((len(decoded), 3, preprocess.height, preprocess.width), np.uint8)
    for target, (_, (pixels, _)) in zip(inputs, decoded.values(), strict=True):
        target[:] = pixels.transpose(2, 0, 1)
    return PictureBatch(
        tuple(decoded),
        tuple(source for source, _ in decoded.values()),
        torch.from_numpy(inputs),
        tuple(image for _, (_, image) in decoded.values() if image is not None),
        skipped,
    )
