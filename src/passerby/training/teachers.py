"""Soft labels from the predictions of teacher models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.predictions import Predictions
from passerby.training.checks import find_predictions

__all__ = ["load_soft_labels"]


def load_soft_labels(paths: Sequence[Path], manifest: Manifest, rows: NDArray[np.int64]) -> torch.Tensor:
    """Mean of the teachers' probabilities for each training row.

    Args:
        paths: `predictions.parquet` of `passerby evaluate TEACHER --split train --out …`, or folders that
            contain one. For training on several splits, one for each teacher and split.
        manifest: The training data. Its attributes are read in their order; teachers may predict more.
        rows: The training rows.

    Shape:
        returns: (S, A) float32 in [0, 1].

    Raises:
        DataError: If a file is missing or damaged, lacks an attribute, has other images than the manifest or
            no training row, or if the number of predictions differs between rows.
    """
    total = np.zeros((len(rows), len(manifest.schema)), np.float32)
    counts = np.zeros(len(rows), np.int64)
    for path in paths:
        positions, probs = _load_one(Path(path), manifest, rows)
        total[positions] += probs
        counts[positions] += 1
    if len(missing := rows[counts < max(1, counts.max())]):
        raise DataError(
            f"{', '.join(map(str, paths))}: a teacher has no predictions for {len(missing):,} of "
            f"{len(rows):,} training rows, such as row {missing[0]}; evaluate each teacher on every training "
            "split of the same manifest, with one file for each split"
        )
    return torch.from_numpy(total / counts[:, None].astype(np.float32))


def _load_one(
    path: Path, manifest: Manifest, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Positions among the rows, (K,), for which a file has predictions, and the probabilities, (K, A)."""
    file = find_predictions(path)
    predictions = Predictions.load(file).select(manifest.schema.names)
    _, positions, indices = np.intersect1d(rows, predictions.rows, return_indices=True)
    if not len(positions):
        raise DataError(
            f"{file}: the teacher has no predictions for {len(rows):,} of {len(rows):,} training rows, such "
            f"as row {rows[0]}; evaluate it on the training splits of the same manifest, with one file for "
            "each split"
        )
    images = manifest.images
    for row, i in zip(rows[positions], indices, strict=True):
        if predictions.images[i] != images[row]:
            raise DataError(
                f"{file}: row {row} is {predictions.images[i]}, but {images[row]} in the manifest; evaluate "
                "the teacher on this manifest"
            )
    return positions, predictions.probs[indices]
