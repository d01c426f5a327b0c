"""What is measured of one attribute in one picture, and of those of a batch that count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from passerby.data.normalise import normalise
from passerby.evaluation.localization.cases import CaseKeeper
from passerby.evaluation.localization.ground_truth import TrueRegion, Truth
from passerby.evaluation.localization.samples import MEASURES, Measurement
from passerby.explain.boxes import Binarization, BoxMode, find_boxes
from passerby.explain.heat import Method, compute_heat_maps
from passerby.explain.scores import (
    compute_box_iou,
    compute_energy_pointing,
    compute_insertion_deletion,
    compute_mask_iou,
    hits_peak,
)
from passerby.types import Batch, Box, Guidance, Output

if TYPE_CHECKING:
    from passerby.bundle import Bundle

__all__ = ["Measurer", "measure_heat"]


def measure_heat(
    heat: NDArray[np.float32], truth: TrueRegion, binarization: Binarization, *, boxes: BoxMode = "outer"
) -> dict[str, float]:
    """All of `MEASURES`; those of a mask are NaN where only boxes are known, and `insertion` and `deletion` always are.

    Shape:
        heat: (H, W) ≥ 0, of the size of the truth.

    Example:
        >>> truth = TrueRegion.of_mask(np.array([[0, 1], [0, 1]], bool), "outer")
        >>> found = measure_heat(np.float32([[1, 3], [0, 0]]), truth, Binarization())
        >>> found["box_iou"], found["pointing"], found["box_energy"], found["box_share"]
        (0.5, 1.0, 0.75, 0.5)
    """
    height, width = heat.shape
    pointed = truth.inside if truth.mask is None else truth.mask
    measures = dict.fromkeys(MEASURES, math.nan) | {
        "box_iou": compute_box_iou(find_boxes(heat, binarization, mode=boxes), truth.boxes),
        "pointing": float(hits_peak(heat, pointed)),
        "box_energy": compute_energy_pointing(heat, truth.inside),
        "empty": float(heat.max() <= 0),
        "box_share": compute_box_iou([Box(0, 0, width, height)], truth.boxes),
    }
    if truth.mask is not None:
        measures |= {
            "mask_iou": compute_mask_iou(binarization(heat), truth.mask),
            "mask_energy": compute_energy_pointing(heat, truth.mask),
            "mask_share": float(truth.mask.mean()),
        }
    return measures


@dataclass(frozen=True, slots=True)
class Measurer:
    """A bundle, the truth and the rules of measuring.

    Args:
        counting: The attributes of each row that count, as numbers in the truth's names.
        insertion_deletion: Row and attribute of those samples that insertion and deletion are computed of; NaN of a
            map without any heat.
        keeper: Keeps the best and the worst.
        Others: See `evaluate_localization`.
    """

    bundle: Bundle
    truth: Truth
    counting: Mapping[int, Sequence[int]]
    method: Method
    binarization: Binarization
    boxes: BoxMode
    only_predicted: bool
    insertion_deletion: AbstractSet[tuple[int, int]]
    keeper: CaseKeeper = field(default_factory=CaseKeeper)

    def measure(self, batch: Batch) -> Iterator[Measurement]:
        """Measure the samples of a batch."""
        names = tuple(self.truth.names)
        rows = batch.rows.tolist()
        wanted = sorted({attribute for row in rows for attribute in self.counting[row]})
        images = normalise(batch.images.to(self.bundle.device), self.bundle.preprocess)
        guidance = batch.guidance.to(self.bundle.device)
        heat = compute_heat_maps(
            self.bundle.model,
            images,
            guidance,
            attributes=[names[attribute] for attribute in wanted],
            method=self.method,
        )
        maps = heat.resize((images.shape[2], images.shape[3])).cpu()  # (N, A', H, W)
        probs = heat.logits.float().sigmoid().cpu().numpy()
        says_yes = probs > np.asarray(self.bundle.thresholds, np.float32)
        for i, row in enumerate(rows):
            for attribute in self.counting[row]:
                place = wanted.index(attribute)
                column = heat.attributes[place]
                if self.only_predicted and not says_yes[i, column]:
                    continue
                each, truth = maps[i, place].numpy(), self.truth.find(row, attribute)
                found = measure_heat(each, truth, self.binarization, boxes=self.boxes)
                if (row, attribute) in self.insertion_deletion:
                    alone = _take_one(guidance, i)
                    found |= self._fade(images[i], alone, heat=maps[i, place], column=column)
                measured = Measurement(row, attribute, float(probs[i, column]), found)
                if self.keeper.wants(measured):
                    boxes = find_boxes(each, self.binarization, mode=self.boxes)
                    self.keeper.keep(measured, each, found=boxes, truth=truth.boxes)
                yield measured

    def _fade(self, image: Tensor, guidance: Guidance, *, heat: Tensor, column: int) -> dict[str, float]:
        def score(images: Tensor) -> Tensor:
            with torch.inference_mode():
                output: Output = self.bundle.model(images, _repeat(guidance, len(images)))
            return output.logits[:, column].float().sigmoid()

        inserted, deleted = compute_insertion_deletion(score, image, heat.to(image.device))
        return {"insertion": inserted, "deletion": deleted}


def _take_one(guidance: Guidance, i: int) -> Guidance:
    kinds = (guidance.masks, guidance.parsing, guidance.keypoints)
    return Guidance(*(None if each is None else each[i : i + 1] for each in kinds))


def _repeat(guidance: Guidance, times: int) -> Guidance:
    kinds = (guidance.masks, guidance.parsing, guidance.keypoints)
    return Guidance(*(None if each is None else each.expand(times, *each.shape[1:]) for each in kinds))
