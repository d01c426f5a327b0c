"""Pictures of any kind, opened and brought to a network in batches; those that cannot be read are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from passerby.bundle import Bundle, Picture, source_of
from passerby.data.normalise import normalise
from passerby.errors import DataError, ImageError
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs
from passerby.inference.predictor import Skipped

__all__ = ["OpenedBatch", "open_batch", "stream_batches"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """Pictures, and what a network is to be given of them.

    Args:
        sources: Where each came from.
        images: As they were opened, RGB, of any sizes.
        inputs: As the network gets them, before normalisation.
        found: The guidance that was found for them.

    Shape:
        inputs: (N, 3, H, W) uint8.
    """

    sources: Sequence[str]
    images: Sequence[Image.Image]
    inputs: Tensor
    found: FoundInputs

    def normalise(self, bundle: Bundle) -> Tensor:
        """The inputs (N, 3, H, W) as float, on the bundle's device."""
        return normalise(self.inputs.to(bundle.device), bundle.preprocess)


def open_batch(
    bundle: Bundle,
    images: Sequence[Image.Image],
    sources: Sequence[str],
    *,
    auxiliary: AuxiliaryInputs | None,
) -> OpenedBatch:
    """Prepare opened pictures for a bundle's network, and find what it looks at beside them.

    Args:
        images: At least one.
    """
    inputs = torch.stack([bundle.prepare(image) for image in images])  # (N, 3, H, W)
    found = (auxiliary or AuxiliaryInputs(())).find(
        images, sources, bundle.preprocess, wanted=bundle.model.guidance
    )
    return OpenedBatch(sources, images, inputs, found)


def stream_batches(
    bundle: Bundle,
    pictures: Iterable[Picture],
    compute: Callable[[OpenedBatch], Iterable[Result]],
    *,
    batch_size: int,
    auxiliary: AuxiliaryInputs | None,
) -> Iterator[Result | Skipped]:
    """Compute something of many pictures, one after the other in the order given.

    A picture that cannot be read comes out as `Skipped`; any other error ends the stream.

    Args:
        pictures: Asked for as they are needed.
        compute: Gives a result a picture; asked for each of them as it is needed.
        batch_size: Pictures that go through the network at a time; no more are held.

    Raises:
        DataError: If `batch_size` is below 1.
    """
    if batch_size < 1:
        raise DataError(f"expected batch_size of at least 1, got {batch_size}")
    batch: list[tuple[str, Image.Image | Skipped]] = []
    for picture in pictures:
        source = source_of(picture)
        try:
            batch.append((source, bundle.open(picture)))
        except ImageError as error:
            batch.append((source, Skipped(source, str(error))))
        if len(batch) == batch_size:
            yield from _compute_readable(bundle, batch, compute, auxiliary=auxiliary)
            batch = []
    yield from _compute_readable(bundle, batch, compute, auxiliary=auxiliary)


def _compute_readable(
    bundle: Bundle,
    batch: Sequence[tuple[str, Image.Image | Skipped]],
    compute: Callable[[OpenedBatch], Iterable[Result]],
    *,
    auxiliary: AuxiliaryInputs | None,
) -> Iterator[Result | Skipped]:
    readable = [(source, item) for source, item in batch if not isinstance(item, Skipped)]
    computed: Iterator[Result] = iter(())
    if readable:
        sources, images = [source for source, _ in readable], [item for _, item in readable]
        computed = iter(compute(open_batch(bundle, images, sources, auxiliary=auxiliary)))
    for _, item in batch:
        yield item if isinstance(item, Skipped) else next(computed)
