"""Images of any kind, decoded in threads and stacked into batches; unreadable ones are reported."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.bundle.pictures import Picture, open_picture, source_of
from passerby.errors import DataError
from passerby.images import limits
from passerby.images.decode import count_pixels
from passerby.images.placement import resize_image
from passerby.types import Box, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BoxLike", "OnUnreadable", "PictureBatch", "Skipped", "load_batches", "load_picture"]

BoxLike: TypeAlias = Box | Sequence[float]
"""A box, or its left, top, right and bottom in pixels of the upright image."""
OnUnreadable = Literal["raise", "skip"]
Result = TypeVar("Result")

_BATCHES = 2
"""Batches held at a time: the current one, and the next one, which the threads decode meanwhile."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image without a result: it, its box, or the mask or keypoints given for it, could not be used.

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
        boxes: The box of each readable image, None for the full image.
        sizes: Width and height of each readable image, whatever its box.
        originals: The readable images as RGB in their original sizes, or what their boxes contain, in whole
            pixels; empty unless requested.
        skipped: The unreadable images by their position in the list of all images.

    Shape:
        inputs: (N, 3, H, W) uint8; N is 0 if no image of the batch is readable.
    """

    indices: tuple[int, ...]
    sources: tuple[str, ...]
    inputs: Tensor
    boxes: tuple[Box | None, ...]
    sizes: tuple[tuple[int, int], ...]
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
    boxes: Iterable[BoxLike | None] | None = None,
    batch_size: int,
    threads: int | None = None,
    keep_originals: bool = False,
    on_unreadable: OnUnreadable = "skip",
) -> Iterator[PictureBatch]:
    """Decode images in threads and stack them into batches, in the order given.

    Threads decode the next batch while the caller computes on the current one; no more are held. Images are
    taken from the iterable as they are needed. An image that follows itself, as with several boxes, is
    decoded once a batch.

    Args:
        preprocess: Size of the inputs.
        boxes: For each image the box to cut out, or None for all of it; by default all of every image.
            Boxes are clipped to the image.
        batch_size: Images per batch, unreadable ones included.
        threads: Number of decoding threads; by default one per processor, at most 8.
        keep_originals: Also keep the images, or what their boxes contain, in their original sizes. A batch
            then ends early, once its image files have `limits.MAX_PIXELS` pixels.
        on_unreadable: An unreadable image, or an impossible box, is reported in `PictureBatch.skipped`
            (`skip`), or its error ends the iteration (`raise`). Any other error always does.

    Raises:
        DataError: If `batch_size` or `threads` is below 1, or there are more images than boxes or fewer; if
            an image cannot be read, or its box is impossible or outside of it, and `on_unreadable` is
            `raise`.

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
    persons = _pair(pictures, boxes)
    waiting: deque[list[_Job]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="passerby-decode")
    try:
        while True:
            for _ in range(_BATCHES - len(waiting)):
                waiting.append(
                    [
                        _Job(
                            source_of(picture),
                            crops,
                            pool.submit(_decode, picture, crops, preprocess, keep_originals),
                        )
                        for picture, crops in _group(_take(persons, batch_size, originals=keep_originals))
                    ]
                )
            jobs = waiting.popleft()
            if not jobs:
                return
            yield _collect(jobs, preprocess, start=start, on_unreadable=on_unreadable)
            start += sum(len(job.boxes) for job in jobs)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(
    persons: Iterator[tuple[Picture, BoxLike | None]], batch_size: int, *, originals: bool
) -> Iterator[tuple[Picture, BoxLike | None]]:
    """The persons of the next batch; fewer of large images, if these are kept."""
    pixels, last = 0, None
    for picture, box in islice(persons, batch_size):
        yield picture, box
        if originals and isinstance(picture, str | Path) and picture != last:
            pixels, last = pixels + count_pixels(picture), picture
            if pixels >= limits.MAX_PIXELS:
                return


def load_picture(picture: Picture, preprocess: Preprocess, *, box: BoxLike | None = None) -> PictureBatch:
    """A batch of one image, or of a box in it, with the original.

    Raises:
        ImageError: If the image cannot be read.
        DataError: If the box is impossible, or outside of the image.
    """
    (batch,) = load_batches(
        [picture],
        preprocess,
        boxes=[box],
        batch_size=1,
        threads=1,
        keep_originals=True,
        on_unreadable="raise",
    )
    return batch


def count_threads() -> int:
    """Default number of decoding threads: one per processor, at most 8."""
    return min(8, os.cpu_count() or 1)


class _Decoded(NamedTuple):
    """An image, or what its box contains, that was decoded.

    Args:
        pixels: At the size of the input, (H, W, 3).
        size: Width and height of the image.
        original: In the original size, if requested.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    original: Image.Image | None


@dataclass(frozen=True, slots=True)
class _Job:
    """An image that is being decoded, and its boxes: one person each."""

    source: str
    boxes: tuple[BoxLike | None, ...]
    results: Future[list[_Decoded | DataError]]


def _pair(
    pictures: Iterable[Picture], boxes: Iterable[BoxLike | None] | None
) -> Iterator[tuple[Picture, BoxLike | None]]:
    """Each image with its box."""
    if boxes is None:
        yield from ((picture, None) for picture in pictures)
        return
    missing = object()
    for picture, box in zip_longest(pictures, boxes, fillvalue=missing):
        if picture is missing or box is missing:
            more, fewer = ("boxes", "images") if picture is missing else ("images", "boxes")
            raise DataError(f"expected one box (or None) for each image, got more {more} than {fewer}")
        yield picture, box  # type: ignore[misc]  # mypy does not exclude the sentinel


def _group(
    persons: Iterable[tuple[Picture, BoxLike | None]],
) -> list[tuple[Picture, tuple[BoxLike | None, ...]]]:
    """The images of a batch with their boxes; those of an image that follows itself are together."""
    groups = groupby(list(persons), key=lambda person: _identify(person[0]))
    rows = [list(members) for _, members in groups]
    return [(members[0][0], tuple(box for _, box in members)) for members in rows]


def _identify(picture: Picture) -> str | int:
    return str(picture) if isinstance(picture, str | Path) else id(picture)


@limits.limit_decoding()
def _decode(
    picture: Picture, boxes: Sequence[BoxLike | None], preprocess: Preprocess, keep_original: bool
) -> list[_Decoded | DataError]:
    """What each box contains, or the reason why there is nothing."""
    try:
        image = open_picture(picture)
    except DataError as error:
        return [error] * len(boxes)
    results: list[_Decoded | DataError] = []
    for box in boxes:
        try:
            results.append(_cut(image, box, preprocess, keep_original))
        except DataError as error:
            results.append(DataError(f"{source_of(picture)}: {error}"))
    return results


def _cut(image: Image.Image, box: BoxLike | None, preprocess: Preprocess, keep_original: bool) -> _Decoded:
    crop = None if box is None else Box.from_xyxy(box).as_xyxy()
    pixels = resize_image(image, preprocess, crop)
    if not keep_original:
        return _Decoded(pixels, image.size, None)
    if crop is None:
        return _Decoded(pixels, image.size, image)
    from passerby.annotators.crops import compute_crop

    return _Decoded(pixels, image.size, image.crop(compute_crop(image.size, crop)))


def _collect(
    jobs: Sequence[_Job], preprocess: Preprocess, *, start: int, on_unreadable: OnUnreadable
) -> PictureBatch:
    import torch

    persons = [
        (job.source, *each) for job in jobs for each in zip(job.boxes, job.results.result(), strict=True)
    ]
    decoded: dict[int, tuple[str, Box | None, _Decoded]] = {}
    skipped: dict[int, Skipped] = {}
    for index, (source, box, result) in enumerate(persons, start=start):
        if not isinstance(result, DataError):
            decoded[index] = (source, None if box is None else Box.from_xyxy(box), result)
        elif on_unreadable == "raise":
            raise result
        else:
            skipped[index] = Skipped(source, str(result))
    inputs = np.empty((len(decoded), 3, preprocess.height, preprocess.width), np.uint8)
    for target, (_, _, each) in zip(inputs, decoded.values(), strict=True):
        target[:] = each.pixels.transpose(2, 0, 1)
    return PictureBatch(
        tuple(decoded),
        tuple(source for source, _, _ in decoded.values()),
        torch.from_numpy(inputs),
        tuple(box for _, box, _ in decoded.values()),
        tuple(each.size for _, _, each in decoded.values()),
        tuple(each.original for _, _, each in decoded.values() if each.original is not None),
        skipped,
    )
