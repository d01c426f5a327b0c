"""Many pictures through a bundle: decoded in threads, scored in batches, given back in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from passerby.bundle import Bundle, FiveCrops, Picture, source_of
from passerby.errors import DataError, ImageError
from passerby.images.placement import restore_map
from passerby.inference.auxiliary import AuxiliaryInputs, FoundInputs
from passerby.types import Guidance, Prediction

__all__ = ["PredictionResult", "Predictor", "Skipped"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture that could not be read, or whose ready mask or keypoints could not be used.

    Args:
        source: Its path, or `<image>`.
        reason: What was wrong with it.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class PredictionResult:
    """What came of a list of pictures.

    Args:
        predictions: One a readable picture, in the order of the pictures.
        skipped: The pictures that could not be read, in their order.
    """

    predictions: tuple[Prediction, ...]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)


class Predictor:
    """Predicts for many pictures; threads decode the next batches while the network scores one.

    Args:
        bundle: The model; stays on its device.
        batch_size: Pictures scored at a time.
        threads: Decoding threads; by default one a processor, eight at most.
        flip: Average the probabilities of each picture and its mirror image: twice the work, usually a little
            better; leave it out where left and right are themselves attributes.
        auxiliary: Finds what the model looks at beside the picture, such as a mask; None leaves it without, and
            each prediction notes what the model did instead.
        parse: Give each prediction its parsing map, the best that the model makes; of the picture itself,
            also with `flip` and `five_crops`.
        five_crops: Average the probabilities of the four corners and the centre of each picture, see
            `passerby.bundle.FiveCrops`: five times the work, and ten times together with `flip`.

    Raises:
        DataError: If `batch_size` or `threads` is below 1, or `flip` is asked for together with a auxiliary.
        ModelError: If `parse` is asked for of a model that does not parse.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_size: int = 32,
        threads: int | None = None,
        flip: bool = False,
        auxiliary: AuxiliaryInputs | None = None,
        parse: bool = False,
        five_crops: bool = False,
    ) -> None:
        self.bundle = FiveCrops.of(bundle) if five_crops else bundle
        self.parse = parse
        if parse:
            bundle.check_parses()
        self.auxiliary = auxiliary
        self.batch_size = batch_size
        self.threads = min(8, os.cpu_count() or 1) if threads is None else threads
        self.flip = flip
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise DataError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if flip and auxiliary is not None:
            raise DataError(
                "a mirrored picture would need mirrored guidance, which is not offered; leave flip out"
            )

    def __call__(
        self, pictures: Iterable[Picture], *, progress: Callable[[int], None] | None = None
    ) -> PredictionResult:
        """Predict for all pictures.

        Args:
            pictures: Paths or pictures in memory; see `Picture`.
            progress: Called with the number of pictures done so far.
        """
        predictions, skipped = [], []
        for done, item in enumerate(self.stream(pictures), start=1):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                predictions.append(item)
            if progress is not None:
                progress(done)
        return PredictionResult(tuple(predictions), tuple(skipped))

    def stream(self, pictures: Iterable[Picture]) -> Iterator[Prediction | Skipped]:
        """Predict one by one in the order given, for lists too long for memory.

        At most three batches are held at a time, and the pictures are asked for as they are needed. An
        unreadable picture comes out as `Skipped`; any other error ends the stream.
        """
        batch: list[tuple[str, _Decoded | Skipped]] = []
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="passerby-decode")
        try:
            for item in self._decode(pool, pictures):
                batch.append(item)
                if len(batch) == self.batch_size:
                    yield from self._score(batch)
                    batch = []
            if batch:
                yield from self._score(batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _decode(
        self, pool: ThreadPoolExecutor, pictures: Iterable[Picture]
    ) -> Iterator[tuple[str, _Decoded | Skipped]]:
        waiting: deque[tuple[str, Future[_Decoded]]] = deque()
        for picture in pictures:
            waiting.append((source_of(picture), pool.submit(self._read, picture)))
            if len(waiting) >= 2 * self.batch_size:
                yield _collect(*waiting.popleft())
        while waiting:
            yield _collect(*waiting.popleft())

    def _read(self, picture: Picture) -> _Decoded:
        if self.auxiliary is None and not self.parse:
            return _Decoded(self.bundle.prepare(picture), None)
        original = self.bundle.open(picture)
        return _Decoded(self.bundle.prepare(original), original)

    def _score(self, batch: list[tuple[str, _Decoded | Skipped]]) -> Iterator[Prediction | Skipped]:
        readable = [(source, item) for source, item in batch if isinstance(item, _Decoded)]
        predictions: Iterator[Prediction | Skipped] = iter(())
        if readable:
            images = torch.stack([item.pixels for _, item in readable])  # (N, 3, H, W)
            found = self._guide(readable)
            maps: dict[str, Tensor] = {}
            if self.parse:
                probs, maps = self.bundle.parse_batch(images, found.guidance, warn=False)
            else:
                probs = self.bundle.predict_batch(images, found.guidance, warn=False)
            if self.flip:
                probs = (probs + self.bundle.predict_batch(images.flip(-1), warn=False)) / 2
            sources = [source for source, _ in readable]
            scored = self.bundle.describe(probs, sources, missing=found.missing)
            if maps:
                best = list(maps.values())[-1].cpu().numpy()  # (N, H, W)
                originals = [item.original for _, item in readable if item.original is not None]
                scored = [
                    replace(prediction, parsing=restore_map(values, image.size, self.bundle.preprocess))
                    for prediction, values, image in zip(scored, best, originals, strict=True)
                ]
            skipped = {i: Skipped(sources[i], reason) for i, reason in found.problems.items()}
            predictions = iter([skipped.get(i, prediction) for i, prediction in enumerate(scored)])
        for _, item in batch:
            yield item if isinstance(item, Skipped) else next(predictions)

    def _guide(self, pictures: list[tuple[str, _Decoded]]) -> FoundInputs:
        """Guidance of a batch; missing is whatever the model looks at and was not found."""
        wanted = self.bundle.model.guidance
        if self.auxiliary is None:
            return FoundInputs(Guidance(), [wanted] * len(pictures), {})
        originals = [item.original for _, item in pictures if item.original is not None]
        sources = [source for source, _ in pictures]
        return self.auxiliary.find(originals, sources, self.bundle.preprocess, wanted=wanted)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A picture as the network gets it, (3, H, W) uint8, and as it was where that is needed."""

    pixels: Tensor
    original: Image.Image | None


def _collect(source: str, future: Future[_Decoded]) -> tuple[str, _Decoded | Skipped]:
    try:
        return source, future.result()
    except ImageError as error:
        return source, Skipped(source, str(error))
