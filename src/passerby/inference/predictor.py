"""`Predictor`: a bundle for many images, decoded in threads and scored in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from passerby.bundle.batches import check_parsing
from passerby.bundle.bundle import Bundle
from passerby.bundle.pictures import Picture
from passerby.errors import DataError
from passerby.images.placement import restore_map
from passerby.inference.auxiliary import AuxiliaryInputs, find_inputs
from passerby.inference.batches import BoxLike, PictureBatch, Skipped, count_threads, load_batches
from passerby.inference.tta import average_views, check_tta
from passerby.types import Guidance, Prediction

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PredictionResult", "Predictor"]


@dataclass(frozen=True, slots=True)
class PredictionResult:
    """The predictions for a list of images.

    Args:
        predictions: One per readable image, in the order of the images.
        skipped: The images that could not be read, in their order.
    """

    predictions: tuple[Prediction, ...]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)


class Predictor:
    """Predicts for many images; threads decode the next batch while the model scores the current one.

    Args:
        bundle: The model; stays on its device.
        batch_size: Images per batch.
        threads: Number of decoding threads; by default one per processor, at most 8.
        tta: Test-time augmentation: average the probabilities over `flip`, the image and its mirror image,
            and `five-crops`, the four corners and the centre (see `passerby.inference.tta`). The work doubles
            with `flip` and is fivefold with `five-crops`, tenfold with both. Leave `flip` out if left and
            right are attributes.
        auxiliary: Finds the auxiliary inputs of the model, such as masks. With None the model gets none, and
            each prediction notes the fallback.
        parse: Give each prediction its parsing map: the best one that the model makes, of the image
            without augmentation.

    Raises:
        ConfigError: If a name in `tta` is unknown or repeated.
        DataError: If `batch_size` or `threads` is below 1, or `flip` is combined with `auxiliary`.
        ModelError: If `parse` is set and the model makes no parsing maps.

    Example:
        >>> from PIL import Image
        >>> from passerby import Attribute, AttributeSchema, Preprocess, create_model
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> predictor = Predictor(Bundle(model, Preprocess(64, 48)), tta=["flip"])
        >>> result = predictor([Image.new("RGB", (40, 90)), "missing.jpg"])
        >>> len(result.predictions), result.skipped[0].source
        (1, 'missing.jpg')
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch_size: int = 32,
        threads: int | None = None,
        tta: Sequence[str] | None = None,
        auxiliary: AuxiliaryInputs | None = None,
        parse: bool = False,
    ) -> None:
        self.bundle = bundle
        self.tta = check_tta(tta, has_guidance=auxiliary is not None)
        self.auxiliary = auxiliary
        self.batch_size = batch_size
        self.threads = count_threads() if threads is None else threads
        self.parse = parse
        if parse:
            check_parsing(bundle.model)
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise DataError(f"expected {name} of at least 1, got {getattr(self, name)}")

    def __call__(
        self,
        pictures: Iterable[Picture],
        *,
        boxes: Iterable[BoxLike | None] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> PredictionResult:
        """Predict for all images.

        Args:
            pictures: Paths or images in memory; see `Picture`.
            boxes: As for `stream`.
            progress: Called with the number of images done so far.

        Raises:
            ConfigError, DataError: As `stream`.
        """
        predictions, skipped = [], []
        for done, item in enumerate(self.stream(pictures, boxes=boxes), start=1):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                predictions.append(item)
            if progress is not None:
                progress(done)
        return PredictionResult(tuple(predictions), tuple(skipped))

    def stream(
        self, pictures: Iterable[Picture], *, boxes: Iterable[BoxLike | None] | None = None
    ) -> Iterator[Prediction | Skipped]:
        """Predict one by one in the order given, for lists too long for memory.

        At most two batches are held at a time, and images are taken from the iterable as they are needed.
        An unreadable image or an impossible box yields `Skipped`; any other error ends the stream.

        Args:
            pictures: Paths or images in memory; an image with several persons is repeated.
            boxes: The person's box in each image: left, top, right, bottom in pixels of the upright image;
                None for the full image. Boxes are clipped to the image.

        Raises:
            ConfigError: If boxes come with auxiliary inputs from files, which exist once for each image.
            DataError: If there are more images than boxes, or fewer.
        """
        if boxes is not None and self.auxiliary is not None:
            self.auxiliary.check_boxes()
        batches = load_batches(
            pictures,
            self.bundle.preprocess,
            boxes=boxes,
            batch_size=self.batch_size,
            threads=self.threads,
            keep_originals=self.auxiliary is not None or self.parse,
        )
        return self._stream(batches)

    def _stream(self, batches: Iterable[PictureBatch]) -> Iterator[Prediction | Skipped]:
        for batch in batches:
            yield from batch.merge(self._predict(batch) if len(batch) else ())

    def predict_batch(self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True) -> Tensor:
        """Probabilities of a batch of prepared images, averaged over the views of `tta`.

        Args:
            guidance, warn: As for `Bundle.predict_batch`.

        Shape:
            images: (N, 3, H, W) uint8, of the size in `preprocess`, on any device.
            returns: (N, A) float32 in [0, 1], on the model's device.

        Raises:
            DataError: If `flip` is combined with auxiliary inputs.
            ModelError: If the images have another shape or type, or the backbone does not accept crops.
        """
        return average_views(self.bundle, images, guidance, tta=self.tta, warn=warn)

    def parse_batch(
        self, images: Tensor, guidance: Guidance | None = None, *, warn: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Probabilities as `predict_batch`, and the parsing maps of the images without augmentation.

        Arguments and shapes are those of `Bundle.parse_batch`.

        Raises:
            DataError, ModelError: As `predict_batch`; also if the model makes no parsing maps.
        """
        probs, maps = self.bundle.parse_batch(images, guidance, warn=warn)
        probs = average_views(self.bundle, images, guidance, tta=self.tta, probs=probs, warn=False)
        return probs, maps

    def _predict(self, batch: PictureBatch) -> list[Prediction | Skipped]:
        """One item per readable image."""
        found = find_inputs(self.auxiliary, batch, self.bundle)
        maps: dict[str, Tensor] = {}
        if self.parse:
            probs, maps = self.parse_batch(batch.inputs, found.guidance, warn=False)
        else:
            probs = self.predict_batch(batch.inputs, found.guidance, warn=False)
        predictions = self.bundle.describe(probs, batch.sources, missing=found.missing, boxes=batch.boxes)
        if maps:
            best = list(maps.values())[-1].cpu().numpy()  # (N, H, W)
            predictions = [
                replace(prediction, parsing=restore_map(values, image.size, self.bundle.preprocess))
                for prediction, values, image in zip(predictions, best, batch.originals, strict=True)
            ]
        return [
            Skipped(prediction.source, found.problems[i]) if i in found.problems else prediction
            for i, prediction in enumerate(predictions)
        ]
