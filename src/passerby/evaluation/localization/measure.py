"""Measurements of heat maps against the true regions of attributes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from passerby.data.normalise import normalise
from passerby.evaluation.localization.case_selection import CaseSelector
from passerby.evaluation.localization.ground_truth import Truth
from passerby.evaluation.localization.sample_selection import SampleSelection
from passerby.evaluation.localization.samples import MEASURES, Measurement
from passerby.evaluation.localization.settings import HeatMapSettings
from passerby.evaluation.localization.true_region import TrueRegion
from passerby.explain.boxes import Binarization, BoxMode, find_boxes
from passerby.explain.heat import HeatMaps, compute_heat_maps
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
    """Compute all of `MEASURES` of one heat map.

    Measures of masks are NaN where only boxes are known; `insertion` and `deletion` are always NaN.

    Shape:
        heat: (H, W) ≥ 0, of the size of the true region.

    Example:
        >>> truth = TrueRegion.of_mask(np.array([[0, 1], [0, 1]], bool), "outer")
        >>> measured = measure_heat(np.float32([[1, 3], [0, 0]]), truth, Binarization())
        >>> measured["box_iou"], measured["pointing"], measured["box_energy"], measured["box_share"]
        (0.5, 1.0, 0.75, 0.5)
    """
    height, width = heat.shape
    target = truth.inside if truth.mask is None else truth.mask
    measures = dict.fromkeys(MEASURES, math.nan) | {
        "box_iou": compute_box_iou(find_boxes(heat, binarization, mode=boxes), truth.boxes),
        "pointing": float(hits_peak(heat, target)),
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
    """Measures the samples of batches and keeps the best and worst cases.

    Args:
        bundle: The model.
        truth: The ground truth.
        selection: The samples. Insertion and deletion of a heat map of zeros are NaN.
        heat_maps: How heat maps are computed.
        only_predicted: Measure only samples that the model predicts.
        cases: Selects the best and worst cases.
    """

    bundle: Bundle
    truth: Truth
    selection: SampleSelection
    heat_maps: HeatMapSettings
    only_predicted: bool
    cases: CaseSelector = field(default_factory=CaseSelector)

    def measure(self, batch: Batch) -> Iterator[Measurement]:
        """Measure the samples of a batch."""
        rows = batch.rows.tolist()
        wanted = sorted({attribute for row in rows for attribute in self.selection.attributes[row]})
        images = normalise(batch.images.to(self.bundle.device), self.bundle.preprocess)
        guidance = batch.guidance.to(self.bundle.device)
        heat = self._compute_heat(images, guidance, wanted)
        maps = heat.resize((images.shape[2], images.shape[3])).cpu()  # (N, A', H, W)
        probs = heat.logits.float().sigmoid().cpu().numpy()
        predicted = probs > np.asarray(self.bundle.thresholds, np.float32)
        for i, row in enumerate(rows):
            for attribute in self.selection.attributes[row]:
                index = wanted.index(attribute)
                column = heat.attributes[index]
                if self.only_predicted and not predicted[i, column]:
                    continue
                measures = self._measure_map(row, attribute, maps[i, index])
                if (row, attribute) in self.selection.insertion_deletion:
                    measures |= self._insert_and_delete(
                        images[i], _take_one(guidance, i), heat=maps[i, index], column=column
                    )
                measurement = Measurement(row, attribute, float(probs[i, column]), measures)
                self._keep_case(measurement, maps[i, index].numpy())
                yield measurement

    def _compute_heat(self, images: Tensor, guidance: Guidance, wanted: list[int]) -> HeatMaps:
        names = tuple(self.truth.names)
        return compute_heat_maps(
            self.bundle.model,
            images,
            guidance,
            attributes=[names[attribute] for attribute in wanted],
            method=self.heat_maps.method,
        )

    def _measure_map(self, row: int, attribute: int, heat: Tensor) -> dict[str, float]:
        region = self.truth.find(row, attribute)
        settings = self.heat_maps
        return measure_heat(heat.numpy(), region, settings.binarization, boxes=settings.boxes)

    def _keep_case(self, measurement: Measurement, heat: NDArray[np.float32]) -> None:
        if self.cases.accepts(measurement):
            settings = self.heat_maps
            predicted = find_boxes(heat, settings.binarization, mode=settings.boxes)
            truth = self.truth.find(measurement.row, measurement.attribute).boxes
            self.cases.add(measurement, heat, found=predicted, truth=truth)

    def _insert_and_delete(
        self, image: Tensor, guidance: Guidance, *, heat: Tensor, column: int
    ) -> dict[str, float]:
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
