"""What other models said of the people that train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.predictions import Predictions

__all__ = ["find_predictions", "load_soft_labels"]


def find_predictions(path: Path) -> Path:
    """The file of predictions: the path itself, or the one that `passerby evaluate` wrote into a folder.

    Example:
        >>> find_predictions(Path("said/man.parquet")).name, find_predictions(Path("said/man")).name
        ('man.parquet', 'predictions.parquet')
    """
    return path if path.suffix == ".parquet" else path / "predictions.parquet"


def load_soft_labels(paths: Sequence[Path], manifest: Manifest, rows: NDArray[np.int64]) -> torch.Tensor:
    """The mean of the teachers' probabilities of each row.

    Args:
        paths: `predictions.parquet` of `passerby evaluate TEACHER --split train --out …`, or folders with one;
            where several splits train, one of each split a teacher.
        manifest: Whose attributes are wanted, in their order; a teacher may know more.
        rows: That train.

    Shape:
        returns: (S, A) float32 in [0, 1].

    Raises:
        DataError: If a file is missing or damaged, lacks an attribute, is of other pictures or of none that
            trains, or not each row was told of by equally many files.
    """
    total = np.zeros((len(rows), len(manifest.schema)), np.float32)
    teachers = np.zeros(len(rows), np.int64)
    for path in paths:
        places, probs = _load_one(Path(path), manifest, rows)
        total[places] += probs
        teachers[places] += 1
    if len(missing := rows[teachers < max(1, teachers.max())]):
        raise DataError(
            f"{', '.join(map(str, paths))}: a teacher said nothing of {len(missing):,} of {len(rows):,} rows "
            f"that train, such as row {missing[0]}; evaluate each on every split that trains, one file each, "
            "from the same manifest"
        )
    return torch.from_numpy(total / teachers[:, None].astype(np.float32))


def _load_one(
    path: Path, manifest: Manifest, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places among the rows, (K,), of those that a file knows, and what it says of them, (K, A)."""
    file = find_predictions(path)
    said = Predictions.load(file).select(manifest.schema.names)
    _, places, theirs = np.intersect1d(rows, said.rows, return_indices=True)
    if not len(places):
        raise DataError(
            f"{file}: the teacher said nothing of {len(rows):,} of {len(rows):,} rows that train, such as "
            f"row {rows[0]}; evaluate it on the splits that train, one file each, from the same manifest"
        )
    images = manifest.images
    for row, i in zip(rows[places], theirs, strict=True):
        if said.images[i] != images[row]:
            raise DataError(
                f"{file}: row {row} is {said.images[i]} there and {images[row]} in the manifest; evaluate "
                "the teacher on this manifest"
            )
    return places, said.probs[theirs]
