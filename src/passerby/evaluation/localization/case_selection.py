"""Selection of the best and worst samples while they are measured, with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.manifest import Manifest
from passerby.evaluation.localization.cases import KINDS, Case, Kind, LocalizationCases
from passerby.evaluation.localization.samples import Measurement
from passerby.types import Box

__all__ = ["COUNT", "PER_ATTRIBUTE", "CaseSelector"]

COUNT = 12
"""Number of cases of each kind."""
PER_ATTRIBUTE = 2
"""Most cases of one attribute among them, so that no attribute fills the page."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    measurement: Measurement
    heat: NDArray[np.uint8]
    found: tuple[Box, ...]
    truth: tuple[Box, ...]

    def rank(self, kind: Kind) -> tuple[float, float, int]:
        return _rank(self.measurement, kind)


class CaseSelector:
    """Keeps the heat maps of the best and the worst samples of each attribute.

    Samples of equal IoU are ordered by decreasing probability, then by row, so that the selection does not
    depend on the batches.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Kind, int], list[_Candidate]] = {}

    def accepts(self, measurement: Measurement) -> bool:
        """Whether a sample is, so far, among the best or the worst of its attribute."""
        for kind in KINDS:
            kept = self._kept.get((kind, measurement.attribute), [])
            if len(kept) < PER_ATTRIBUTE or _rank(measurement, kind) < kept[-1].rank(kind):
                return True
        return False

    def add(
        self,
        measurement: Measurement,
        heat: NDArray[np.float32],
        *,
        found: Sequence[Box],
        truth: Sequence[Box],
    ) -> None:
        """Add a sample that is accepted.

        Shape:
            heat: (H, W) ≥ 0.
        """
        candidate = _Candidate(measurement, _to_bytes(heat), tuple(found), tuple(truth))
        for kind in KINDS:
            kept = [*self._kept.get((kind, measurement.attribute), []), candidate]
            kept.sort(key=lambda each: each.rank(kind))
            self._kept[kind, measurement.attribute] = kept[:PER_ATTRIBUTE]

    def choose(
        self,
        manifest: Manifest,
        *,
        names: Sequence[str],
        members: Sequence[int],
        rows: NDArray[np.int64],
        resize: Literal["stretch", "pad"],
    ) -> LocalizationCases:
        """Choose the cases of some attributes.

        Args:
            manifest: Manifest of the measured rows.
            names: Names of all attributes.
            members: Indices of the attributes to choose from.
            rows: For each row of `manifest` its row in the manifest that the user gave.
            resize: How images were resized.
        """
        images, boxes = manifest.images, manifest.boxes()

        def create(candidate: _Candidate) -> Case:
            measurement = candidate.measurement
            return Case(
                image=images[measurement.row],
                row=int(rows[measurement.row]),
                crop=boxes[measurement.row],
                attribute=names[measurement.attribute],
                prob=measurement.prob,
                box_iou=measurement.measures["box_iou"],
                found=candidate.found,
                truth=candidate.truth,
                heat=candidate.heat,
            )

        best = self._sort("best", members)[:COUNT]
        worst = [candidate for candidate in self._sort("worst", members) if candidate not in best][:COUNT]
        return LocalizationCases(tuple(map(create, best)), tuple(map(create, worst)), manifest.root, resize)

    def _sort(self, kind: Kind, members: Sequence[int]) -> list[_Candidate]:
        candidates = [each for number in members for each in self._kept.get((kind, number), [])]
        return sorted(candidates, key=lambda each: (*each.rank(kind), each.measurement.attribute))


def _rank(measurement: Measurement, kind: Kind) -> tuple[float, float, int]:
    iou = measurement.measures["box_iou"]
    return (-iou if kind == "best" else iou), -measurement.prob, measurement.row


def _to_bytes(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    peak = float(heat.max())
    shares = heat / peak if peak > 0 else np.zeros_like(heat)
    return np.rint(255 * shares).astype(np.uint8)
