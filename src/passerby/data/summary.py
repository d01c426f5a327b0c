"""Summary of a manifest: counts, shared identities, missing and unreadable images, duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from passerby.data.manifest import SPLITS, Manifest
from passerby.errors import DataError, ImageError
from passerby.images.decode import read_image
from passerby.images.limits import limit_decoding, read_bytes
from passerby.images.placement import compute_placement
from passerby.types import Preprocess

__all__ = ["AttributeCount", "ImageCheck", "SharedIdentities", "Summary", "check_images", "summarise"]


@dataclass(frozen=True)
class AttributeCount:
    """Number of rows where an attribute is present, absent and unknown."""

    name: str
    positives: int
    negatives: int
    unknown: int

    @property
    def positive_ratio(self) -> float:
        """Share of positives among the known labels, in [0, 1]; 0 if none is known."""
        known = self.positives + self.negatives
        return self.positives / known if known else 0.0


@dataclass(frozen=True)
class SharedIdentities:
    """Identities that occur in several splits of a partition.

    Args:
        identities: Their number.
        train_rows: Number of training rows whose identity also occurs in val or test.
        train_share: `train_rows` as a fraction of all training rows, in [0, 1].
    """

    identities: int
    train_rows: int
    train_share: float


@dataclass(frozen=True)
class ImageCheck:
    """Result of reading every image.

    Args:
        unreadable: Image and reason.
        duplicates: Groups of images whose files are identical, largest group first.
    """

    unreadable: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """Counts of a manifest, from `summarise`.

    Args:
        rows: Number of persons.
        images: Number of different images.
        attributes: In schema order.
        splits: Rows by split, by partition.
        shared: By partition; empty if no identity is known.
        identities: Number of different identities.
        without_identity: Number of rows whose identity is unknown.
        cameras: Number of different cameras.
        guidance: Number of rows with a box, mask, parsing map, keypoints.
        missing: Images that do not exist.
        check: None if the images were not read.
    """

    dataset: str
    rows: int
    images: int
    attributes: list[AttributeCount]
    splits: dict[str, dict[str, int]]
    shared: dict[str, SharedIdentities]
    identities: int
    without_identity: int
    cameras: int
    guidance: dict[str, int]
    missing: list[str]
    check: ImageCheck | None


def summarise(manifest: Manifest, *, check: ImageCheck | None = None) -> Summary:
    """Count rows, labels, identities and auxiliary inputs of a manifest, and check which images exist.

    Args:
        manifest: Any manifest.
        check: Result of `check_images`, to include in the summary.

    Example:
        >>> from pathlib import Path
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> m = Manifest.create("toy", schema, root=Path("."), images=["a.jpg", "b.jpg"],
        ...                     labels=[[1], [-1]], partitions={})
        >>> summary = summarise(m)
        >>> summary.attributes[0], summary.missing
        (AttributeCount(name='Hat', positives=1, negatives=0, unknown=1), ['a.jpg', 'b.jpg'])
    """
    labels = manifest.labels
    identities = manifest.identities
    pictures = list(dict.fromkeys(manifest.images))
    partitions = {
        name: manifest.table.column(f"split:{name}").to_pylist() for name in manifest.partition_names
    }
    cameras = manifest.table.column("camera").to_pylist()
    return Summary(
        dataset=manifest.dataset,
        rows=len(manifest),
        images=len(pictures),
        attributes=[
            AttributeCount(n, *(int((labels[:, i] == v).sum()) for v in (1, 0, -1)))
            for i, n in enumerate(manifest.schema.names)
        ],
        splits={name: _count_splits(splits) for name, splits in partitions.items()},
        shared={
            name: _count_shared(splits, identities) for name, splits in partitions.items() if any(identities)
        },
        identities=len({i for i in identities if i is not None}),
        without_identity=sum(i is None for i in identities),
        cameras=len({c for c in cameras if c is not None}),
        guidance={
            name: len(manifest) - manifest.table.column(name).null_count
            for name in ("box", "mask", "parsing", "keypoints")
        },
        missing=[p for p in pictures if not (manifest.root / p).is_file()],
        check=check,
    )


def check_images(
    manifest: Manifest, *, workers: int | None = None, progress: Callable[[int, int], None] | None = None
) -> ImageCheck:
    """Decode every existing image to find unreadable ones and exact duplicates.

    An image counts as unreadable, too, if one of its boxes lies outside of it.

    Args:
        manifest: Any manifest; an image of several persons is read once.
        workers: Number of threads; by default one per core.
        progress: Called with the number of images done and the total.
    """
    pictures = [p for p in dict.fromkeys(manifest.images) if (manifest.root / p).is_file()]
    unreadable: list[tuple[str, str]] = []
    by_hash: defaultdict[bytes, list[str]] = defaultdict(list)
    boxes: defaultdict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for picture, box in zip(manifest.images, manifest.boxes(), strict=True):
        if box is not None:
            boxes[picture].append(box)

    def read(picture: str) -> tuple[bytes, str | None]:
        return _read(manifest.root / picture, boxes.get(picture, ()))

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for done, (picture, (digest, reason)) in enumerate(
            zip(pictures, pool.map(read, pictures), strict=True), 1
        ):
            if reason is not None:
                unreadable.append((picture, reason))
            else:
                by_hash[digest].append(picture)
            if progress is not None:
                progress(done, len(pictures))
    duplicates = sorted((g for g in by_hash.values() if len(g) > 1), key=len, reverse=True)
    return ImageCheck(unreadable, duplicates)


@limit_decoding()
def _read(path: Path, boxes: Sequence[tuple[float, float, float, float]]) -> tuple[bytes, str | None]:
    """Digest of a file, and the reason if it or one of its boxes cannot be used."""
    try:
        content = read_bytes(path)
        image = read_image(content)
        for box in boxes:
            compute_placement(image.size, Preprocess(), box)
    except ImageError as error:
        return b"", str(error).partition(": ")[2]
    except (OSError, DataError) as error:
        return b"", str(error)
    return hashlib.blake2b(content, digest_size=16).digest(), None


def _count_splits(splits: Sequence[str | None]) -> dict[str, int]:
    counts = Counter(splits)
    return {p: counts[p] for p in SPLITS if counts[p]}


def _count_shared(splits: Sequence[str | None], identities: Sequence[str | None]) -> SharedIdentities:
    seen: Mapping[str, set[str]] = {
        p: {i for i, q in zip(identities, splits, strict=True) if q == p and i is not None} for p in SPLITS
    }
    train, val, test = (seen[p] for p in SPLITS)
    shared = (train & val) | (train & test) | (val & test)
    elsewhere = val | test
    of_train = [i for i, p in zip(identities, splits, strict=True) if p == "train"]
    rows = sum(i in elsewhere for i in of_train)
    return SharedIdentities(len(shared), rows, rows / len(of_train) if of_train else 0.0)
