"""The predictions behind a score: one row per sample, stored as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from passerby.errors import DataError
from passerby.io import count_of, replace_file

__all__ = ["Predictions"]

Crop = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """Probabilities and labels of the samples of a split.

    Args:
        names: The attributes, in the order of the columns.
        images: Path of each image below the root of the data set.
        identities: Identity of each sample, None if unknown.
        boxes: Crop of each row in pixels (left, top, right, bottom), None for the whole image.
        rows: Row of each sample in the manifest.
        probs: Probabilities.
        labels: Labels in {1, 0, −1}.

    Shape:
        rows: (N,) int64; probs: (N, A) float32 in [0, 1]; labels: (N, A) int8.
    """

    names: tuple[str, ...]
    images: Sequence[str]
    identities: Sequence[str | None]
    boxes: Sequence[Crop | None]
    rows: NDArray[np.int64]
    probs: NDArray[np.float32]
    labels: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Predictions({count_of(len(self), 'sample')}, {count_of(len(self.names), 'attribute')})"

    def select(self, names: Sequence[str]) -> Self:
        """Select attributes, in the given order.

        Raises:
            DataError: If one is missing.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            have = ", ".join(self.names[:5])
            raise DataError(f"predictions lack the attributes {', '.join(missing[:5])}; they have {have} …")
        columns = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), probs=self.probs[:, columns], labels=self.labels[:, columns])

    def sort(self) -> Self:
        """The same samples, sorted by image, then by row of the manifest."""
        order = sorted(range(len(self)), key=lambda i: (self.images[i], int(self.rows[i])))
        return type(self)(
            self.names,
            [self.images[i] for i in order],
            [self.identities[i] for i in order],
            [self.boxes[i] for i in order],
            self.rows[order],
            self.probs[order],
            self.labels[order],
        )

    # ------------------------------------------------------------------ files

    def write(self, path: Path) -> None:
        """Write columns `image`, `identity`, `box`, `row`; `prob:<name>`, `label:<name>` per attribute."""
        columns: dict[str, pa.Array] = {
            "image": pa.array(self.images, pa.string()),
            "identity": pa.array(self.identities, pa.string()),
            "box": pa.array(self.boxes, pa.list_(pa.float32(), 4)),
            "row": pa.array(self.rows, pa.int64()),
        }
        for i, name in enumerate(self.names):
            columns[f"prob:{name}"] = pa.array(self.probs[:, i], pa.float32())
            columns[f"label:{name}"] = pa.array(self.labels[:, i], pa.int8())
        with replace_file(path) as temporary:
            pq.write_table(pa.table(columns), temporary)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            DataError: If it is missing, damaged or of another kind.
        """
        try:
            table = pq.ParquetFile(path).read()
            names = tuple(c.removeprefix("prob:") for c in table.column_names if c.startswith("prob:"))
            probs, labels = (
                np.stack([table.column(f"{kind}:{name}").to_numpy() for name in names], axis=1)
                for kind in ("prob", "label")
            )
            return cls(
                names,
                table.column("image").to_pylist(),
                table.column("identity").to_pylist(),
                [None if b is None else tuple(b) for b in table.column("box").to_pylist()],
                table.column("row").to_numpy(),
                probs,
                labels,
            )
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path}: expected predictions written by `passerby evaluate`, got "
                f"{type(error).__name__}: {error}; run `passerby evaluate` again"
            ) from error
