"""Results for one or many images, from a function that computes those of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

from torch import Tensor

from passerby.bundle import Bundle, Picture
from passerby.data.normalise import normalise
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs, find_inputs
from passerby.inference.batches import BoxLike, PictureBatch, Skipped, load_batches, load_picture

__all__ = ["compute_one", "list_notes", "normalise_inputs", "stream_results"]

Result = TypeVar("Result")
Compute: TypeAlias = Callable[[PictureBatch, FoundInputs], Iterable[Result]]
"""From a batch of at least one readable image, with its auxiliary inputs, to one result per image."""


def compute_one(
    bundle: Bundle,
    picture: Picture,
    compute: Compute[Result],
    *,
    crop: BoxLike | None,
    auxiliary: AuxiliaryInputs | None,
) -> Result:
    """The result for one image, or for the person in a box of it.

    Raises:
        ImageError: If the image cannot be read.
        DataError: If the box is impossible, or outside of the image.
        ConfigError: If there is a box, and an auxiliary input comes from files.
    """
    if crop is not None and auxiliary is not None:
        auxiliary.check_boxes()
    batch = load_picture(picture, bundle.preprocess, box=crop)
    return next(iter(compute(batch, find_inputs(auxiliary, batch, bundle))))


def stream_results(
    bundle: Bundle,
    pictures: Iterable[Picture],
    compute: Compute[Result],
    *,
    crops: Iterable[BoxLike | None] | None,
    batch_size: int,
    auxiliary: AuxiliaryInputs | None,
) -> Iterator[Result | Skipped]:
    """The results for many images, one by one in the order given.

    An unreadable image or an impossible box yields `Skipped`; any other error ends the stream.

    Args:
        pictures: Taken as they are needed; at most two batches are held.
        compute: Its results are taken one by one.
        crops: For each image the person's box in it, None for the full image.

    Raises:
        DataError: If `batch_size` is below 1, or there are more images than boxes, or fewer.
        ConfigError: Immediately, if there are boxes, and an auxiliary input comes from files.
    """
    if crops is not None and auxiliary is not None:
        auxiliary.check_boxes()
    batches = load_batches(
        pictures, bundle.preprocess, boxes=crops, batch_size=batch_size, keep_originals=True
    )
    return _stream(bundle, batches, compute, auxiliary)


def _stream(
    bundle: Bundle,
    batches: Iterable[PictureBatch],
    compute: Compute[Result],
    auxiliary: AuxiliaryInputs | None,
) -> Iterator[Result | Skipped]:
    for batch in batches:
        results = compute(batch, find_inputs(auxiliary, batch, bundle)) if len(batch) else ()
        yield from batch.merge(results)


def normalise_inputs(batch: PictureBatch, bundle: Bundle) -> Tensor:
    """The inputs of a batch, (N, 3, H, W) float32 on the bundle's device."""
    return normalise(batch.inputs.to(bundle.device), bundle.preprocess)


def list_notes(bundle: Bundle, found: FoundInputs, index: int) -> tuple[str, ...]:
    """Notes on an image: the fallback for missing auxiliary inputs, and errors in its files."""
    return (*bundle.explain_missing(found.missing[index]), *filter(None, [found.problems.get(index)]))
