"""Masks, parsing maps and keypoints for pictures that come without, found while predicting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image
from torch import Tensor

from passerby.annotators.base import Annotator, Kind, Sample
from passerby.data.images import compute_placement, resize_map
from passerby.data.packing import UNKNOWN_CLASS
from passerby.errors import ConfigError
from passerby.types import Guidance, Preprocess

__all__ = ["Guide"]

_FIELDS = {"masks": "mask", "parsing": "parsing", "keypoints": "keypoints"}


@dataclass(frozen=True)
class Guide:
    """Runs annotators on pictures and brings what they find to the size of a network's input.

    Args:
        annotators: In the order in which they run; one that needs what another finds comes after it.

    Raises:
        ConfigError: If one needs what none before it finds, or two find the same.

    Example:
        >>> Guide(()).kinds
        ()
    """

    annotators: Sequence[Annotator]

    def __post_init__(self) -> None:
        found: list[Kind] = []
        for annotator in self.annotators:
            missing = [kind for kind in annotator.needs if kind not in found]
            if missing:
                raise ConfigError(
                    f"annotator {annotator.name!r} needs {missing[0]}; give one that finds them before it"
                )
            if annotator.kind in found:
                raise ConfigError(f"expected one annotator for {annotator.kind}, got two; leave one out")
            found.append(annotator.kind)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it finds."""
        return tuple(annotator.kind for annotator in self.annotators)

    def find(
        self, images: Sequence[Image.Image], sources: Sequence[str], preprocess: Preprocess
    ) -> tuple[Guidance, list[tuple[Kind, ...]]]:
        """Guidance of a batch, and for each picture the kinds that were not found in it.

        What was not found is an empty mask, a parsing map that says nothing, keypoints that are not numbers:
        a model takes them as missing.

        Args:
            sources: Where the pictures came from; ready files are found by it.

        Shape:
            images: RGB, of any sizes. The guidance is as a loader gives it, (N, …) at the size of the input.
        """
        samples = [Sample(image, source=source) for image, source in zip(images, sources, strict=True)]
        for annotator in self.annotators:
            answers = annotator.annotate(samples)
            field = _FIELDS[annotator.kind]
            samples = [replace(s, **{field: a}) for s, a in zip(samples, answers, strict=True)]  # type: ignore[arg-type]
        missing = [
            tuple(kind for kind in self.kinds if getattr(sample, _FIELDS[kind]) is None) for sample in samples
        ]
        guidance = Guidance()
        for kind in self.kinds:
            place = {"masks": _place_mask, "parsing": _place_parsing, "keypoints": _place_keypoints}[kind]
            setattr(guidance, kind, torch.stack([place(sample, preprocess) for sample in samples]))
        return guidance, missing


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
