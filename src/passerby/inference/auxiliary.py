"""Masks, parsing maps and keypoints for pictures that come without, found while predicting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from passerby.annotators.annotate import order_annotators
from passerby.annotators.base import FIELDS, Annotator, Kind, Sample, is_good_mask
from passerby.errors import DataError
from passerby.images.placement import compute_placement, resize_map
from passerby.parsing import UNKNOWN_CLASS
from passerby.types import Guidance, Preprocess

__all__ = ["AuxiliaryInputs", "FoundInputs"]


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """What was found for a batch of pictures.

    What was not found is an empty mask, a parsing map that says nothing, keypoints that are not numbers: a
    model takes them as missing.

    Args:
        guidance: As a loader gives it, (N, …) at the size of the input.
        missing: For each picture the kinds that were not found, or are of no use (`is_good_mask`).
        problems: What was wrong with the data of a picture, by its number.
    """

    guidance: Guidance
    missing: Sequence[tuple[str, ...]]
    problems: Mapping[int, str]


@dataclass(frozen=True)
class AuxiliaryInputs:
    """Runs annotators on pictures and brings what they find to the size of a network's input.

    Args:
        annotators: One a kind, in any order: those that need what another finds run after it.

    Raises:
        ConfigError: If one needs what none finds, or two find the same.

    Example:
        >>> AuxiliaryInputs(()).kinds
        ()
    """

    annotators: Sequence[Annotator]

    def __post_init__(self) -> None:
        object.__setattr__(self, "annotators", tuple(order_annotators(self.annotators, ready=())))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it finds."""
        return tuple(annotator.kind for annotator in self.annotators)

    def find(
        self,
        images: Sequence[Image.Image],
        sources: Sequence[str],
        preprocess: Preprocess,
        *,
        wanted: Sequence[str] = (),
    ) -> FoundInputs:
        """What a batch of pictures is to be given beside them.

        Args:
            images: RGB, of any sizes.
            sources: Where they came from; ready files are found by it.
            preprocess: Size of the network's input.
            wanted: What the model looks at; of this, what no annotator finds is missing for all.
        """
        samples = [Sample(image, source=source) for image, source in zip(images, sources, strict=True)]
        problems: dict[int, str] = {}
        for annotator in self.annotators:
            answers = _ask(annotator, samples, problems)
            name = FIELDS[annotator.kind]
            samples = [replace(s, **{name: a}) for s, a in zip(samples, answers, strict=True)]  # type: ignore[arg-type]
        kinds = dict.fromkeys((*wanted, *self.kinds))
        missing = [tuple(k for k in kinds if getattr(sample, FIELDS[k]) is None) for sample in samples]
        guidance = Guidance()
        for kind in self.kinds:
            place = {"masks": _place_mask, "parsing": _place_parsing, "keypoints": _place_keypoints}[kind]
            setattr(guidance, kind, torch.stack([place(sample, preprocess) for sample in samples]))
        return FoundInputs(guidance, missing, problems)


def _ask(
    annotator: Annotator, samples: Sequence[Sample], problems: dict[int, str]
) -> list[NDArray[Any] | None]:
    """Answers to a batch; if it fails on a picture's data, to each picture alone, and what was wrong."""
    try:
        answers = annotator.annotate(samples)
    except DataError:
        answers = []
        for i, sample in enumerate(samples):
            try:
                answers += annotator.annotate([sample])
            except DataError as error:
                problems.setdefault(i, str(error))
                answers.append(None)
    if annotator.kind == "masks":
        return [None if mask is None or not is_good_mask(mask) else mask for mask in answers]
    return answers


def _place_mask(sample: Sample, preprocess: Preprocess) -> Tensor:
    if sample.mask is None:
        return torch.zeros(1, preprocess.height, preprocess.width)
    return torch.tensor(resize_map(sample.mask, preprocess))[None].float()  # (1, H, W)


def _place_parsing(sample: Sample, preprocess: Preprocess) -> Tensor:
    if sample.parsing is None:
        return torch.full((preprocess.height, preprocess.width), UNKNOWN_CLASS)
    return torch.tensor(resize_map(sample.parsing, preprocess)).long()


def _place_keypoints(sample: Sample, preprocess: Preprocess) -> Tensor:
    if sample.keypoints is None:
        return torch.full((17, 3), torch.nan)
    placement = compute_placement(sample.image.size, preprocess)
    return torch.from_numpy(placement.map_keypoints(sample.keypoints))
