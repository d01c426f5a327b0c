"""Masks, parsing maps and keypoints for images that come without them, found during prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import ConfigError, DataError
from passerby.images.placement import compute_placement, resize_map
from passerby.parsing import UNKNOWN_CLASS
from passerby.types import Guidance, Preprocess

if TYPE_CHECKING:
    from passerby.annotators.base import Annotator, Kind, Sample
    from passerby.bundle.bundle import Bundle
    from passerby.inference.batches import PictureBatch

__all__ = ["AuxiliaryInputs", "FoundInputs", "find_inputs"]


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """The auxiliary inputs that were found for a batch of images.

    An image without one has an empty mask, a parsing map of unknown classes or keypoints of NaN: models
    treat these as missing.

    Args:
        guidance: As from a loader, (N, …) at the size of the model's input.
        missing: For each image the kinds that were not found or cannot be used (`is_good_mask`).
        problems: Errors in the files of an image, by its index in the batch.
    """

    guidance: Guidance
    missing: Sequence[tuple[str, ...]]
    problems: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AuxiliaryInputs:
    """Runs annotators on images and resizes their results to the model's input.

    Args:
        annotators: One per kind, in any order: annotators that need the result of another run after it.

    Raises:
        ConfigError: If the needs of an annotator are not met, or two annotators find the same kind.

    Example:
        >>> AuxiliaryInputs(()).kinds
        ()
    """

    annotators: Sequence[Annotator]

    def __post_init__(self) -> None:
        from passerby.annotators.annotate import order_annotators

        object.__setattr__(self, "annotators", tuple(order_annotators(self.annotators, available=())))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that the annotators find."""
        return tuple(annotator.kind for annotator in self.annotators)

    def check_boxes(self) -> None:
        """Refuse to work on boxes in images if an annotator reads files, which exist once for each image.

        Raises:
            ConfigError: If there is such an annotator.
        """
        for annotator in self.annotators:
            if annotator.name == "files":
                raise ConfigError(
                    f"expected {annotator.kind} from a network for boxes in images, got a folder with one "
                    "file for each image; choose a method such as mask-rcnn or vitpose, or leave them out"
                )

    def find(
        self,
        images: Sequence[Image.Image],
        sources: Sequence[str],
        preprocess: Preprocess,
        *,
        wanted: Sequence[str] = (),
    ) -> FoundInputs:
        """Find the auxiliary inputs of a batch of images.

        Args:
            images: RGB, of any sizes.
            sources: Where the images came from; annotators that read files find them by it.
            preprocess: Size of the model's input.
            wanted: The kinds that the model takes; those without an annotator are missing for all images.
        """
        from passerby.annotators.base import FIELDS, Sample

        samples = [Sample(image, source=source) for image, source in zip(images, sources, strict=True)]
        problems: dict[int, str] = {}
        for annotator in self.annotators:
            results = _annotate(annotator, samples, problems)
            name = FIELDS[annotator.kind]
            samples = [replace(s, **{name: r}) for s, r in zip(samples, results, strict=True)]  # type: ignore[arg-type]
        kinds = dict.fromkeys((*wanted, *self.kinds))
        missing = [tuple(k for k in kinds if getattr(sample, FIELDS[k]) is None) for sample in samples]
        return FoundInputs(_stack(self.kinds, samples, preprocess), missing, problems)


def find_inputs(auxiliary: AuxiliaryInputs | None, batch: PictureBatch, bundle: Bundle) -> FoundInputs:
    """Find the auxiliary inputs of the readable images of a batch.

    Args:
        auxiliary: None finds none: every kind that the model takes is missing.
        batch: With the original images, unless `auxiliary` is None.
    """
    wanted = bundle.model.guidance
    if auxiliary is None:
        return FoundInputs(Guidance(), [wanted] * len(batch))
    return auxiliary.find(batch.originals, batch.sources, bundle.preprocess, wanted=wanted)


def _annotate(
    annotator: Annotator, samples: Sequence[Sample], problems: dict[int, str]
) -> list[NDArray[Any] | None]:
    """Annotate a batch; if that fails on the data of an image, each image alone, and note the problems."""
    from passerby.annotators.base import is_good_mask

    try:
        results = annotator.annotate(samples)
    except DataError:
        results = []
        for i, sample in enumerate(samples):
            try:
                results += annotator.annotate([sample])
            except DataError as error:
                problems.setdefault(i, str(error))
                results.append(None)
    if annotator.kind == "masks":
        return [None if mask is None or not is_good_mask(mask) else mask for mask in results]
    return results


def _stack(kinds: Sequence[Kind], samples: Sequence[Sample], preprocess: Preprocess) -> Guidance:
    """The annotations of all samples at the size of the model's input."""
    import torch

    arrays = {kind: np.stack([_RESIZE[kind](sample, preprocess) for sample in samples]) for kind in kinds}
    return Guidance(**{kind: torch.from_numpy(values) for kind, values in arrays.items()})


def _resize_mask(sample: Sample, preprocess: Preprocess) -> NDArray[np.float32]:
    if sample.mask is None:
        return np.zeros((1, preprocess.height, preprocess.width), np.float32)
    return resize_map(sample.mask, preprocess)[None].astype(np.float32)


def _resize_parsing(sample: Sample, preprocess: Preprocess) -> NDArray[np.int64]:
    if sample.parsing is None:
        return np.full((preprocess.height, preprocess.width), UNKNOWN_CLASS, np.int64)
    return resize_map(sample.parsing, preprocess).astype(np.int64)


def _resize_keypoints(sample: Sample, preprocess: Preprocess) -> NDArray[np.float32]:
    if sample.keypoints is None:
        return np.full((17, 3), np.nan, np.float32)
    return compute_placement(sample.image.size, preprocess).map_keypoints(sample.keypoints)


_RESIZE: Mapping[Kind, Callable[[Sample, Preprocess], NDArray[Any]]] = MappingProxyType(
    {"masks": _resize_mask, "parsing": _resize_parsing, "keypoints": _resize_keypoints}
)
"""Bring the annotation of a sample to the size of the model's input, by kind."""
