"""Measurements of each attribute in each image, and the scores computed from them under any weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from passerby.errors import DataError
from passerby.io import count_of, replace_file
from passerby.metrics.bootstrap import draw_multiplicities, number_clusters

__all__ = ["MEASURES", "SCORES", "LocalizationSamples", "Measurement", "average_known"]

Floats = NDArray[np.float64]

MEASURES = (
    *("box_iou", "mask_iou", "pointing", "box_energy", "mask_energy", "insertion", "deletion"),
    *("empty", "box_share", "mask_share"),
)
"""Measures of a sample, each in [0, 1], NaN if not measured. `empty` is 1 for a heat map of zeros. The last
two are the shares of the input that the ground truth covers: the scores of a uniform heat map in box IoU and
energy, and in mask IoU, energy and (by chance) pointing."""

SCORES = ("box_iou", "mask_iou", "pcc", *MEASURES[2:])
"""Scores of an attribute: means of the measures, and the correlation of box IoU and probability."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measures of a sample.

    Args:
        row: Row in the cache.
        attribute: Index of the attribute in `Truth.names`.
        prob: Probability of the attribute.
        measures: Value by name, see `MEASURES`.
    """

    row: int
    attribute: int
    prob: float
    measures: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class LocalizationSamples:
    """The samples of an evaluation: one per image and attribute that counts.

    Args:
        attributes: Names of the attributes.
        attribute: For each sample the index of its attribute in `attributes`.
        images: Path of its image below the root.
        identities: Identity of its person, None if unknown.
        rows: Row in the manifest.
        probs: Probability that the model predicts for the attribute.
        measures: Values by name, see `MEASURES`.

    Shape:
        attribute, rows: (S,) int64; probs: (S,) float64 in [0, 1]; measures: (S,) float64 each.
    """

    attributes: tuple[str, ...]
    attribute: NDArray[np.int64]
    images: Sequence[str]
    identities: Sequence[str | None]
    rows: NDArray[np.int64]
    probs: Floats
    measures: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.attribute)

    def __repr__(self) -> str:
        counts = f"{count_of(len(self), 'sample')}, {count_of(len(self.attributes), 'attribute')}"
        return f"LocalizationSamples({counts})"

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of samples of each attribute, (A,)."""
        return np.bincount(self.attribute, minlength=len(self.attributes))

    def count_known(self, score: str) -> NDArray[np.int64]:
        """Number of samples of each attribute with a score, (A,): only some have insertion and deletion."""
        known = np.isfinite(self.measures["box_iou" if score == "pcc" else score])
        return np.bincount(self.attribute[known], minlength=len(self.attributes))

    def find_members(self, min_samples: int, exclude_from_mean: Sequence[str]) -> list[int]:
        """Indices of the attributes in a mean: those with enough samples that are not excluded."""
        pairs = zip(self.attributes, self.counts.tolist(), strict=True)
        return [
            i
            for i, (name, count) in enumerate(pairs)
            if count >= min_samples and name not in exclude_from_mean
        ]

    @property
    def clusters(self) -> NDArray[np.int64]:
        """The cluster of each sample for the bootstrap: its identity, or its row if that is unknown.

        Shape:
            returns: (S,) numbers 0 … G − 1.
        """
        keys = [
            (int(row), "") if identity is None else (-1, identity)
            for row, identity in zip(self.rows, self.identities, strict=True)
        ]
        return number_clusters(keys)

    def score(self, weights: Floats) -> dict[str, Floats]:
        """Compute the scores of each attribute from weighted samples.

        Shape:
            weights: (S, B) ≥ 0; returns (A, B) by name, see `SCORES`; NaN if not measured.
        """
        empty = (len(self.attributes), weights.shape[1])
        scores = {name: np.full(empty, np.nan) for name in SCORES}
        for number in range(len(self.attributes)):
            chosen = self.attribute == number
            weight = weights[chosen]  # (n, B)
            for name in MEASURES:
                scores[name][number] = _average(self.measures[name][chosen], weight)
            scores["pcc"][number] = _correlate(self.measures["box_iou"][chosen], self.probs[chosen], weight)
        return scores

    def resample(self, *, resamples: int, seed: int) -> dict[str, Floats]:
        """Compute the scores of each attribute in each resample of the clusters; (A, B) each."""
        draws = draw_multiplicities(self.clusters, resamples=resamples, seed=seed)
        chunks = [self.score(multiplicities) for multiplicities in draws]
        return {name: np.concatenate([chunk[name] for chunk in chunks], axis=1) for name in SCORES}

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> None:
        """Write columns `image`, `identity`, `row`, `attribute`, `prob` and the measures as Parquet."""
        names = [self.attributes[number] for number in self.attribute]
        columns: dict[str, pa.Array] = {
            "image": pa.array(self.images, pa.string()),
            "identity": pa.array(self.identities, pa.string()),
            "row": pa.array(self.rows, pa.int64()),
            "attribute": pa.array(names, pa.string()).dictionary_encode(),
            "prob": pa.array(self.probs, pa.float64()),
            **{name: pa.array(self.measures[name], pa.float64()) for name in MEASURES},
        }
        with replace_file(path) as temporary:
            pq.write_table(pa.table(columns), temporary)

    @classmethod
    def load(cls, path: Path, attributes: Sequence[str]) -> Self:
        """Read a file that `write` wrote.

        Raises:
            DataError: If it is missing, damaged or contains other attributes.
        """
        try:
            table = pq.ParquetFile(path).read()
            numbers = {name: number for number, name in enumerate(attributes)}
            return cls(
                tuple(attributes),
                np.array([numbers[name] for name in table.column("attribute").to_pylist()], np.int64),
                table.column("image").to_pylist(),
                table.column("identity").to_pylist(),
                table.column("row").to_numpy(),
                table.column("prob").to_numpy(),
                {name: table.column(name).to_numpy() for name in MEASURES},
            )
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path}: expected samples written by `passerby evaluate-localization`, got "
                f"{type(error).__name__}: {error}; run it again"
            ) from error


def average_known(values: Floats) -> Floats:
    """Mean over the first axis without NaN; NaN if there is no other value.

    Example:
        >>> average_known(np.array([[1.0, np.nan], [3.0, np.nan]])).tolist()
        [2.0, nan]
    """
    known = np.isfinite(values)
    count = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def _average(values: Floats, weights: Floats) -> Floats:
    """Weighted mean of the values (n,) without NaN, for each column of the weights (n, B)."""
    known = np.isfinite(values)
    total = weights[known].sum(axis=0)
    return np.where(total > 0, values[known] @ weights[known] / np.maximum(total, 1e-300), np.nan)


def _correlate(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Weighted Pearson correlation; NaN for a constant. Equals `compute_correlation` if all weights are 1."""
    if len(x) < 2:
        return np.full(weights.shape[1], np.nan)
    x, y = x - x.mean(), y - y.mean()  # for the precision of the differences below
    total = np.maximum(weights.sum(axis=0), 1e-300)
    sums = {"x": x @ weights, "y": y @ weights}
    xx = np.maximum((x * x) @ weights - sums["x"] ** 2 / total, 0)
    yy = np.maximum((y * y) @ weights - sums["y"] ** 2 / total, 0)
    xy = (x * y) @ weights - sums["x"] * sums["y"] / total
    spread = np.sqrt(xx * yy)
    return np.where(spread > 1e-12, np.clip(xy / np.maximum(spread, 1e-12), -1, 1), np.nan)
