"""Evaluation of how well the heat maps of a bundle localise attributes.

A **sample** is an attribute of an image that is labelled yes and whose true region has at least
`min_area_px` pixels at the size of the input. If the manifest has no attribute of that name (the model was
trained on another data set), the true pixels serve as the label. Samples count whatever the model predicts,
so that models are compared on the same samples. A heat map of zeros has no box: its IoU is 0, and it counts.

Measures of a sample: IoU of the box around the foreground of the heat map and the box around the true region,
IoU of foreground and true pixels, whether the maximum lies on the true region (its pixels if they are known,
else its box), share of the heat inside the box and on the pixels. Scores of an attribute: their means, and
the Pearson correlation of box IoU and probability. Intervals resample clusters: identities with all their
images, or images with all their samples, among those that have a sample.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from passerby.data.label_map import LabelMap
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.loading import Loading, Progress
from passerby.evaluation.localization.ground_truth import Truth, TruthKind, create_truth
from passerby.evaluation.localization.measure import Measurer
from passerby.evaluation.localization.protocol import LocalizationProtocol
from passerby.evaluation.localization.sample_selection import (
    SampleSelection,
    check_truth,
    choose_excluded,
    select_samples,
)
from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples, Measurement
from passerby.evaluation.localization.scores import LocalizationScores
from passerby.evaluation.localization.settings import HeatMapSettings, SamplingSettings
from passerby.evaluation.packed_split import PackedSplit, pack_split

if TYPE_CHECKING:
    from passerby.bundle import Bundle

__all__ = ["evaluate_localization"]

BATCH_SIZE = 16


def evaluate_localization(
    bundle: Bundle,
    manifest: Manifest,
    *,
    partition: str,
    split: str = "test",
    label_map: LabelMap | None = None,
    truth: TruthKind | None = None,
    heat_maps: HeatMapSettings | None = None,
    sampling: SamplingSettings | None = None,
    loading: Loading | None = None,
) -> LocalizationScores:
    """Compare the heat maps of a bundle with the true regions of attributes, at the size of its input.

    The module's documentation defines samples, measures and scores. The heat maps of the best and worst
    samples in the mean are kept as `cases`.

    Paper:
        SSPNet (Shen et al., 2023), section 4.5 and Table 10: box IoU and correlation on the parsing maps of
        CCP ("PCS"), on which it is not trained. The paper does not state which images count, whether only
        correct predictions do, how maps are binarised, or at which size; passerby defines these rules.

    Args:
        bundle: The model.
        manifest: The data, with parsing maps whose classes are attributes, or with `boxes.json`.
        partition: Name of the partition.
        split: `train`, `val` or `test`.
        label_map: Class or classes in the ground truth of each attribute, such as
            `LabelMap.load_truth("peta-to-ccp")`; of several classes the union counts. By default the classes
            of the same name.
        truth: `parsing` or `boxes`; by default `boxes` if the manifest's root has a `boxes.json`.
        heat_maps: How heat maps are computed, see `HeatMapSettings`.
        sampling: Which samples count, see `SamplingSettings`.
        loading: How images are loaded; by default 16 per batch, as the heat maps of all their attributes at
            the size of the input are in memory.

    Raises:
        ManifestError: If there is no such partition, its split is empty, or there is no ground truth.
        SchemaError: If the label map fits neither the model nor the ground truth.
        DataError: If there is no sample, or no image can be read.
        ImageError: If an image cannot be read and `on_unreadable` is `raise`.
        ModelError: If native heat maps are requested and the model has none.
    """
    loading = loading or Loading(batch_size=BATCH_SIZE)
    if loading.device is not None:
        bundle.to(loading.device)
    bundle.model.eval()
    heat_maps = heat_maps or HeatMapSettings()
    heat_maps = replace(heat_maps, method=heat_maps.method or bundle.model.heat_method)
    run = _Evaluation(bundle, heat_maps, sampling or SamplingSettings(), loading)
    return run.evaluate(manifest, partition, split, label_map=label_map, kind=truth)


@dataclass(frozen=True, slots=True, eq=False)
class _Evaluation:
    bundle: Bundle
    heat_maps: HeatMapSettings
    sampling: SamplingSettings
    loading: Loading

    def evaluate(
        self,
        manifest: Manifest,
        partition: str,
        split: str,
        *,
        label_map: LabelMap | None,
        kind: TruthKind | None,
    ) -> LocalizationScores:
        start = time.monotonic()
        rows = manifest.split_rows(partition, split)
        check_truth(
            manifest.take(rows),
            self.bundle.preprocess,
            attributes=self.bundle.schema.names,
            label_map=label_map,
            kind=kind,
            boxes=self.heat_maps.boxes,
            exclude_from_mean=self.sampling.exclude_from_mean,
        )
        with ExitStack() as stack:
            data = pack_split(manifest, rows, self.bundle.preprocess, self.loading, stack)
            truth = self._create_truth(data, label_map, kind)
            excluded = choose_excluded(truth, self.sampling.exclude_from_mean)
            selection = select_samples(data.manifest, truth, data.find_readable(), self.sampling)
            measurer = Measurer(self.bundle, truth, selection, self.heat_maps, self.sampling.only_predicted)
            loader = _load(data, selection, self.bundle, self.loading)
            samples = _collect(_measure_all(measurer, loader, self.loading.progress), truth, data)
        preprocess = self.bundle.preprocess
        return LocalizationScores(
            dataset=manifest.dataset,
            partition=partition,
            split=split,
            protocol=self._create_protocol(truth),
            names=truth.names,
            exclude_from_mean=excluded,
            of_paper=truth.of_paper,
            samples=samples,
            too_small=selection.too_small,
            input_size=(preprocess.height, preprocess.width),
            resamples=self.sampling.resamples,
            seed=self.sampling.seed,
            device=str(self.bundle.device),
            seconds=round(time.monotonic() - start, 3),
            skipped=data.unreadable,
            metadata={**self.bundle.metadata, "model": self.bundle.model.name},
            cases=measurer.cases.choose(
                data.manifest,
                names=samples.attributes,
                members=samples.find_members(self.sampling.min_samples, excluded),
                rows=data.given_rows,
                resize=preprocess.resize,
            ),
        )

    def _create_truth(self, data: PackedSplit, label_map: LabelMap | None, kind: TruthKind | None) -> Truth:
        return create_truth(
            data.manifest,
            self.bundle.preprocess,
            parsing=data.cache.parsing,
            attributes=self.bundle.schema.names,
            label_map=label_map,
            boxes=self.heat_maps.boxes,
            kind=kind,
        )

    def _create_protocol(self, truth: Truth) -> LocalizationProtocol:
        sampling = self.sampling
        return LocalizationProtocol(
            truth=truth.kind,
            method=str(self.heat_maps.method),
            binarization=str(self.heat_maps.binarization),
            boxes=self.heat_maps.boxes,
            min_area_px=sampling.min_area_px,
            min_samples=sampling.min_samples,
            only_predicted=sampling.only_predicted,
            insertion_deletion=sampling.insertion_deletion,
        )


def _load(data: PackedSplit, selection: SampleSelection, bundle: Bundle, loading: Loading) -> BatchLoader:
    """Batches of the rows with samples; warns if an auxiliary input of the model is missing."""
    model = bundle.model
    for kind in model.guidance:
        if getattr(data.cache, kind) is None:
            text = f"{model.name} takes {kind} as input and got none: {model.without_guidance}"
            warnings.warn(text, stacklevel=3)
    return BatchLoader(
        data.cache,
        labels=data.manifest.labels,
        rows=np.array(list(selection.attributes), np.int64),
        batch_size=loading.batch_size,
        workers=loading.workers,
        guidance=model.guidance,
    )


def _measure_all(measurer: Measurer, loader: BatchLoader, progress: Progress | None) -> list[Measurement]:
    measurements: list[Measurement] = []
    done = 0
    for batch in loader:
        measurements += measurer.measure(batch)
        done += len(batch.rows)
        if progress is not None:
            progress(done, len(measurer.selection.attributes))
    if not measurements:
        raise DataError("the model predicts none of the samples; omit only_predicted (--only-predicted)")
    return measurements


def _collect(measurements: Sequence[Measurement], truth: Truth, data: PackedSplit) -> LocalizationSamples:
    """The measurements as columns."""
    images, identities = data.manifest.images, data.manifest.identities
    return LocalizationSamples(
        attributes=tuple(truth.names),
        attribute=np.array([each.attribute for each in measurements], np.int64),
        images=[images[each.row] for each in measurements],
        identities=[identities[each.row] for each in measurements],
        rows=data.given_rows[[each.row for each in measurements]],
        probs=np.array([each.prob for each in measurements], np.float64),
        measures={
            name: np.array([each.measures[name] for each in measurements], np.float64) for name in MEASURES
        },
    )
