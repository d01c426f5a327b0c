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

__all__ = ["load_soft_labels"]


def load_soft_labels(paths: Sequence[Path], manifest: Manifest, rows: NDArray[np.int64]) -> torch.Tensor:
    """The mean of the teachers' probabilities of each row.

    Args:
        paths: `predictions.parquet` of `passerby evaluate TEACHER --part train --out …`, or folders with one.
        manifest: Whose attributes are wanted, in their order; a teacher may know more.
        rows: That train.

    Shape:
        returns: (S, A) float32 in [0, 1].

    Raises:
        DataError: If a file is missing or damaged, a teacher lacks an attribute or a row, or said it of
            another picture.
    """
    return torch.from_numpy(np.mean([_load_one(Path(path), manifest, rows) for path in paths], axis=0))


def _load_one(path: Path, manifest: Manifest, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    file = path / "predictions.parquet" if path.is_dir() else path
    said = Predictions.load(file).select(manifest.schema.names)
    place = {int(row): i for i, row in enumerate(said.rows)}
    missing = [int(row) for row in rows if int(row) not in place]
    if missing:
        raise DataError(
            f"{file}: the teacher said nothing of {len(missing):,} of {len(rows):,} rows that train, such as "
            f"row {missing[0]}; evaluate it on the parts that train, one file each, from the same manifest"
        )
    chosen = [place[int(row)] for row in rows]
    images = manifest.images
    for row, i in zip(rows, chosen, strict=True):
        if said.images[i] != images[row]:
            raise DataError(
                f"{file}: row {row} is {said.images[i]} there and {images[row]} in the manifest; evaluate "
                "the teacher on this manifest"
            )
    return said.probs[chosen]
