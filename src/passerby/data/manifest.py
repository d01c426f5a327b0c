"""The manifest: a Parquet table with one row per person, the only data format inside the package.

Columns:

| column | type | meaning |
|---|---|---|
| `image` | string | path of the image relative to the root, POSIX separators |
| `box` | list of 4 float32, or null | crop in pixels, left top right bottom; null: the full image |
| `label:<name>` | int8 | 1 present, 0 absent, −1 unknown; one column per attribute, in schema order |
| `identity`, `camera` | string or null | |
| `split:<partition>` | string or null | `train`, `val`, `test`; null: not in this partition |
| `mask`, `parsing` | string or null | path relative to the root |
| `keypoints` | list of 51 float32, or null | COCO-17, (x px, y px, score) each, in pixels of the image |

The metadata of the file (key `passerby`) contains the schema, the name of the data set, the class names of
the parsing maps and the domain if known, and the root relative to the folder of the manifest, so that a
folder with data and manifest can be moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from passerby.data.columns import (
    COLUMNS,
    SPLITS,
    check_classes,
    check_length,
    check_lists,
    check_partition,
    check_relative_path,
    make_guidance_columns,
)
from passerby.data.manifest_file import (
    ManifestFile,
    compute_fingerprint,
    read_manifest_file,
    write_manifest_file,
)
from passerby.errors import ManifestError
from passerby.schema import AttributeSchema, list_names

__all__ = ["SPLITS", "Manifest", "check_relative_path"]

_NO_PARTITION = (
    "the manifest has no partition; assign its rows to splits with `passerby prepare … --partition random`"
)


@dataclass(frozen=True)
class Manifest:
    """A table of persons with labels, partitions and auxiliary inputs (masks, parsing maps, keypoints).

    `Manifest.create` creates one, `Manifest.load` reads one.

    Args:
        dataset: Name of the data set.
        schema: Its attributes.
        table: The columns above.
        root: Folder that the paths are relative to.
        parsing_classes: Names of the classes 0, 1, … in the parsing maps; empty if unknown.
        domain: What the images show in a few words, such as `synthetic people`; None if unknown.

    Example:
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> m = Manifest.create("toy", schema, root=Path("."), images=["a.jpg", "b.jpg"],
        ...                     labels=[[1], [-1]], partitions={"official": ["train", "test"]})
        >>> m.labels.tolist(), m.select_split("official", "test").images
        ([[1], [-1]], ['b.jpg'])
    """

    dataset: str
    schema: AttributeSchema
    table: pa.Table
    root: Path
    parsing_classes: tuple[str, ...] = ()
    domain: str | None = None

    @classmethod
    def create(
        cls,
        dataset: str,
        schema: AttributeSchema | Sequence[str],
        *,
        root: Path,
        images: Sequence[str],
        labels: NDArray[np.int8] | Sequence[Sequence[int]],
        partitions: Mapping[str, Sequence[str | None]],
        boxes: Sequence[Sequence[float] | None] | None = None,
        identities: Sequence[str | None] | None = None,
        cameras: Sequence[str | None] | None = None,
        masks: Sequence[str | None] | None = None,
        parsing: Sequence[str | None] | None = None,
        keypoints: Sequence[Sequence[float] | None] | None = None,
    ) -> Manifest:
        """Check all columns and combine them in a table.

        Args:
            schema: The attributes or their names.
            labels: (N, A) in {1, 0, −1}, columns in schema order.
            partitions: By name of the partition, `train`, `val`, `test` or None for each row.
            keypoints: 51 numbers per row: 17 × (x px, y px, score), COCO order.

        Raises:
            ManifestError: If a column has a wrong length or an invalid value.
        """
        schema = AttributeSchema.from_names(schema, name=dataset)
        values = np.asarray(labels)
        n = len(images)
        if values.shape != (n, len(schema)):
            raise ManifestError(f"expected labels of shape {(n, len(schema))}, got {values.shape}")
        if values.size and not np.isin(values, (-1, 0, 1)).all():
            bad = sorted(set(np.unique(values).tolist()) - {-1, 0, 1})
            raise ManifestError(
                f"expected labels 1 (present), 0 (absent) or -1 (unknown), got also {bad[:5]}"
            )
        columns: dict[str, pa.Array] = {
            "image": pa.array([check_relative_path(p) for p in images], pa.string()),
            "box": pa.array(check_lists("box", boxes, n, 4), COLUMNS["box"]),
            "identity": pa.array(check_length("identity", identities, n), pa.string()),
            "camera": pa.array(check_length("camera", cameras, n), pa.string()),
            **make_guidance_columns(n, masks=masks, parsing=parsing, keypoints=keypoints),
        }
        for name, splits in partitions.items():
            columns[f"split:{name}"] = check_partition(name, splits, n)
        columns |= {
            f"label:{name}": pa.array(values[:, i].astype(np.int8), pa.int8())
            for i, name in enumerate(schema.names)
        }
        return cls(dataset, schema, pa.table(columns), Path(root))

    # ------------------------------------------------------------------ columns

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def images(self) -> list[str]:
        """Paths relative to the root."""
        return self._column("image")

    @property
    def labels(self) -> NDArray[np.int8]:
        """Labels (N, A) in {1, 0, −1}."""
        columns = [self.table.column(f"label:{n}").to_numpy() for n in self.schema.names]
        return (
            np.stack(columns, axis=1).astype(np.int8)
            if len(self)
            else np.zeros((0, len(self.schema)), np.int8)
        )

    @property
    def identities(self) -> list[str | None]:
        """Identity of each row, None where unknown."""
        return self._column("identity")

    @property
    def partition_names(self) -> tuple[str, ...]:
        """Names of the partitions."""
        return tuple(c.removeprefix("split:") for c in self.table.column_names if c.startswith("split:"))

    def _column(self, name: str) -> list[Any]:
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def boxes(self) -> list[tuple[float, float, float, float] | None]:
        """Crop of each row in pixels (left, top, right, bottom), None for the full image."""
        return [None if b is None else tuple(b) for b in self._column("box")]

    def paths(self, column: Literal["mask", "parsing"]) -> list[str | None]:
        """Paths of the masks or parsing maps relative to the root; None for a row without one."""
        return self._column(column)

    def keypoints(self) -> NDArray[np.float32] | None:
        """(N, 17, 3) in COCO order, NaN for a row without keypoints; None if no row has any."""
        column = self._column("keypoints")
        if all(k is None for k in column):
            return None
        rows = [np.full(51, np.nan, np.float32) if k is None else np.asarray(k, np.float32) for k in column]
        return np.stack(rows).reshape(-1, 17, 3)

    # ------------------------------------------------------------------ rows and columns

    def take(self, rows: NDArray[np.integer[Any]] | Sequence[int]) -> Manifest:
        """A manifest of the given rows, in the given order."""
        return replace(self, table=self.table.take(pa.array(np.asarray(rows, dtype=np.int64))))

    def choose_partition(self, name: str | None, *, option: str = "--partition") -> str:
        """The name of a partition; for None, that of the only one.

        Args:
            option: How the user chooses a partition, for the message.

        Raises:
            ManifestError: If no name is given and the manifest has several partitions, or none.
        """
        if name is not None:
            return name
        names = self.partition_names
        if not names:
            raise ManifestError(_NO_PARTITION)
        if len(names) > 1:
            raise ManifestError(f"choose a partition with {option}; the manifest has {', '.join(names)}")
        return names[0]

    def split_rows(self, partition: str, split: str) -> NDArray[np.int64]:
        """Row numbers of one split.

        Raises:
            ManifestError: If the partition does not exist, or the split is empty.
        """
        if partition not in self.partition_names:
            names = ", ".join(self.partition_names)
            raise ManifestError(
                f"no partition {partition!r} in this manifest; it has {names}; choose one with --partition "
                "or data.partition=…, or add one with `passerby prepare … --partition random`"
                if names
                else f"no partition {partition!r}: {_NO_PARTITION}"
            )
        column = np.asarray(self._column(f"split:{partition}"), dtype=object)
        rows = np.flatnonzero(column == split)
        if not len(rows):
            counts = ", ".join(f"{name} {int((column == name).sum()):,}" for name in SPLITS)
            raise ManifestError(f"partition {partition!r} has no rows in the split {split} (rows: {counts})")
        return rows.astype(np.int64)

    def select_split(self, partition: str, split: str) -> Manifest:
        """The rows of one split (`train`, `val`, `test`) of a partition."""
        return self.take(self.split_rows(partition, split))

    def check_new_partition(self, name: str) -> None:
        """Check that a partition can be added under a name.

        Raises:
            ManifestError: If a partition of this name exists.
        """
        if name in self.partition_names:
            raise ManifestError(f"partition {name!r} exists already; use another name or seed")

    def with_partition(self, name: str, splits: Sequence[str | None]) -> Manifest:
        """A copy with an additional partition.

        Raises:
            ManifestError: If a partition of this name exists, or a split has another name.
        """
        self.check_new_partition(name)
        column = check_partition(name, splits, len(self))
        return replace(self, table=self.table.append_column(f"split:{name}", column))

    def select_attributes(self, names: str | Sequence[str]) -> Manifest:
        """A copy with only the given attributes, in the given order."""
        names = list_names(names)
        schema = self.schema.select(names)
        drop = [f"label:{n}" for n in self.schema.names]
        keep = {f"label:{n}": self.table.column(f"label:{n}") for n in names}
        table = self.table.drop_columns(drop)
        for name, column in keep.items():
            table = table.append_column(name, column)
        return replace(self, schema=schema, table=table)

    def with_guidance(
        self,
        *,
        masks: Sequence[str | None] | None = None,
        parsing: Sequence[str | None] | None = None,
        keypoints: Sequence[Sequence[float] | None] | None = None,
        parsing_classes: Sequence[str] = (),
    ) -> Manifest:
        """A copy with other masks, parsing maps or keypoints; None keeps a column unchanged.

        Args:
            parsing_classes: Class names of the new parsing maps; without `parsing`, new class names for the
                existing maps.

        Raises:
            ManifestError: As in `create`.
        """
        given = {"mask": masks, "parsing": parsing, "keypoints": keypoints}
        made = make_guidance_columns(len(self), masks=masks, parsing=parsing, keypoints=keypoints)
        table = self.table
        for name in (name for name, values in given.items() if values is not None):
            table = table.set_column(table.column_names.index(name), name, made[name])
        classes = check_classes(parsing_classes)
        if parsing is None and not classes:
            classes = self.parsing_classes
        return replace(self, table=table, parsing_classes=classes)

    # ------------------------------------------------------------------ files

    @property
    def fingerprint(self) -> str:
        """A hash of 16 hexadecimal digits over all cells, names and their order; independent of the root.

        The domain is left out, so that fingerprints of older manifests stay valid.
        """
        return compute_fingerprint(self.dataset, self.schema, self.table, self.parsing_classes)

    def write(self, path: Path) -> None:
        """Write a Parquet file atomically."""
        content = ManifestFile(
            self.dataset, self.schema, self.table, self.root, self.parsing_classes, self.domain
        )
        write_manifest_file(Path(path), content)

    @classmethod
    def load(cls, path: Path, *, root: Path | None = None) -> Manifest:
        """Read a manifest.

        Args:
            path: The Parquet file.
            root: Folder of the images; by default the root stored in the file, relative to the file itself
                even if `path` is a link to it.

        Raises:
            ManifestError: If the file is missing, not Parquet, or was not written by `passerby prepare`.
        """
        found = read_manifest_file(Path(path))
        folder = Path(root) if root else found.root
        return cls(found.dataset, found.schema, found.table, folder, found.parsing_classes, found.domain)
