"""Selection of the samples of localisation: attributes of images that are present and large enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from passerby.data.manifest import Manifest
from passerby.errors import DataError, SchemaError
from passerby.evaluation.localization.ground_truth import Truth, create_truth
from passerby.evaluation.localization.settings import SamplingSettings

if TYPE_CHECKING:
    from passerby.data.label_map import LabelMap
    from passerby.evaluation.localization.true_region import TruthKind
    from passerby.explain.boxes import BoxMode
    from passerby.types import Preprocess

__all__ = ["SampleSelection", "check_truth", "choose_excluded", "select_samples"]


@dataclass(frozen=True, slots=True, eq=False)
class SampleSelection:
    """The samples of an evaluation.

    Args:
        attributes: For each row with a sample the attributes that count, as indices into `Truth.names`.
        too_small: For each attribute the number of samples that do not count because their true area is
            below `min_area_px`.
        insertion_deletion: Row and attribute of the samples with insertion and deletion.
    """

    attributes: Mapping[int, tuple[int, ...]]
    too_small: Mapping[str, int]
    insertion_deletion: AbstractSet[tuple[int, int]]


def select_samples(
    manifest: Manifest, truth: Truth, rows: NDArray[np.int64], settings: SamplingSettings
) -> SampleSelection:
    """Select the samples among some rows.

    Raises:
        DataError: If there is no row or no sample.
    """
    if not len(rows):
        raise DataError(
            "none of the images can be read; check that they lie below the manifest's root (--root), or "
            "set on_unreadable=raise (--on-unreadable raise) to see the error of the first"
        )
    labels, minimum = manifest.labels, settings.min_area_px
    labelled = np.ones((len(rows), len(truth.names)), np.bool_)
    for column, name in enumerate(truth.names):
        if name in manifest.schema:
            labelled[:, column] = labels[rows, manifest.schema.index(name)] == 1
    areas = np.stack([truth.count(int(row)) for row in rows])  # (N, A')
    counts = labelled & (areas >= minimum)
    too_small = (labelled & (areas > 0) & (areas < minimum)).sum(axis=0)
    if not counts.any():
        raise DataError(
            f"no image can be scored: none has a positive label and at least {minimum} ground-truth pixels "
            f"for {', '.join(truth.names)}; choose another split, another label map, or a smaller "
            "min_area_px (--min-area-px)"
        )
    attributes = {
        int(row): tuple(np.flatnonzero(each).tolist())
        for row, each in zip(rows, counts, strict=True)
        if each.any()
    }
    return SampleSelection(
        attributes,
        dict(zip(truth.names, too_small.tolist(), strict=True)),
        _draw_insertion_deletion(attributes, settings.insertion_deletion, settings.seed),
    )


def _draw_insertion_deletion(
    attributes: Mapping[int, Sequence[int]], limit: int, seed: int
) -> frozenset[tuple[int, int]]:
    """Draw some samples of each attribute; the seed makes them the same for all models."""
    rows_of: dict[int, list[int]] = {}
    for row, each in attributes.items():
        for attribute in each:
            rows_of.setdefault(attribute, []).append(row)
    return frozenset(
        (int(row), attribute)
        for attribute, rows in rows_of.items()
        for row in np.random.default_rng([seed, attribute]).permutation(rows)[:limit]
    )


def check_truth(
    manifest: Manifest,
    preprocess: Preprocess,
    *,
    attributes: Sequence[str],
    label_map: LabelMap | None,
    kind: TruthKind | None,
    boxes: BoxMode,
    exclude_from_mean: Sequence[str] | None,
) -> None:
    """Check, without reading an image, that rows have a ground truth that all options fit.

    Args:
        manifest: Manifest of the rows.
        attributes: Attributes of the model.
        label_map, kind, boxes: As for `create_truth`.
        exclude_from_mean: As for `choose_excluded`.

    Raises:
        ManifestError, ConfigError, SchemaError: As `create_truth` and `choose_excluded`.
    """
    has_maps = any(manifest.paths("parsing"))
    truth = create_truth(
        manifest,
        preprocess,
        parsing=np.zeros((0, preprocess.height, preprocess.width), np.uint8) if has_maps else None,
        attributes=attributes,
        label_map=label_map,
        boxes=boxes,
        kind=kind,
    )
    choose_excluded(truth, exclude_from_mean)


def choose_excluded(truth: Truth, exclude_from_mean: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes to leave out of the means: those given, by default those of the ground truth.

    Raises:
        SchemaError: If one has no ground truth.
    """
    if exclude_from_mean is None:
        return truth.exclude_from_mean
    if missing := [name for name in exclude_from_mean if name not in truth.names]:
        raise SchemaError(
            f"exclude_from_mean: {missing[0]!r} has no ground truth; choose from {', '.join(truth.names)}"
        )
    return tuple(exclude_from_mean)
