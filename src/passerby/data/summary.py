"""Summary of a manifest: counts, labels by split, identities and images in several splits, image faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from passerby.data.copies import Contradiction, Overlap, find_contradictions, find_overlaps
from passerby.data.crop_check import CropCheck, check_crops
from passerby.data.image_check import ImageCheck
from passerby.data.manifest import SPLITS, Manifest
from passerby.data.near_duplicates import NearDuplicates, SimilarImages
from passerby.images.missing_files import find_all_similar

__all__ = [
    "AttributeCount",
    "ImageFaults",
    "SharedIdentities",
    "Summary",
    "UnmeasuredAttributes",
    "summarise",
]


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
class UnmeasuredAttributes:
    """Attributes whose accuracy cannot be measured on a split.

    Args:
        never_present: Attributes without a positive, but with negatives.
        never_absent: Attributes without a negative, but with positives.
        unknown: Attributes without any known label.
    """

    never_present: tuple[str, ...]
    never_absent: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class ImageFaults:
    """What is wrong with the images of a manifest, from reading all.

    Args:
        unreadable: Image and reason.
        duplicates: Groups of images whose files are identical, largest group first.
        crops: Questionable crops.
    """

    unreadable: list[tuple[str, str]]
    duplicates: list[list[str]]
    crops: CropCheck


@dataclass(frozen=True)
class Summary:
    """Counts of a manifest, from `summarise`.

    Args:
        rows: Number of persons.
        images: Number of different images.
        attributes: In schema order.
        splits: Rows by split, by partition.
        shared: By partition; empty if no identity is known.
        unmeasured: By partition, then by split; only splits with such an attribute.
        overlaps: By partition, images in several splits; copies only if the images were read.
        near_duplicates: By partition, images that look like one in another split; empty if the images were
            not read.
        contradictions: Rows of the same image and box with different labels; with copies if the images were
            read.
        repeated_rows: Number of rows with the image and box of an earlier row.
        identities: Number of different identities.
        without_identity: Number of rows whose identity is unknown.
        cameras: Number of different cameras.
        guidance: Number of rows with a box, mask, parsing map, keypoints.
        missing: Images that do not exist.
        similar: For each of these, the file of a similar name that exists instead, if any.
        check: None if the images were not read.
    """

    dataset: str
    rows: int
    images: int
    attributes: list[AttributeCount]
    splits: dict[str, dict[str, int]]
    shared: dict[str, SharedIdentities]
    unmeasured: dict[str, dict[str, UnmeasuredAttributes]]
    overlaps: dict[str, list[Overlap]]
    near_duplicates: dict[str, NearDuplicates]
    contradictions: list[Contradiction]
    repeated_rows: int
    identities: int
    without_identity: int
    cameras: int
    guidance: dict[str, int]
    missing: list[str]
    similar: dict[str, str]
    check: ImageFaults | None


def summarise(manifest: Manifest, *, check: ImageCheck | None = None) -> Summary:
    """Count rows, labels, identities and auxiliary inputs of a manifest, and compare its splits and images.

    Args:
        manifest: Any manifest.
        check: Result of `check_images`; without it, copies, near-duplicates and crops are not checked.

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
    images, identities = manifest.images, manifest.identities
    unique = list(dict.fromkeys(images))
    digests = check.digests if check else {}
    partitions = {
        name: manifest.table.column(f"split:{name}").to_pylist() for name in manifest.partition_names
    }
    cameras = manifest.table.column("camera").to_pylist()
    missing = [image for image in unique if not (manifest.root / image).is_file()]
    return Summary(
        dataset=manifest.dataset,
        rows=len(manifest),
        images=len(unique),
        attributes=[
            AttributeCount(n, *(int((labels[:, i] == v).sum()) for v in (1, 0, -1)))
            for i, n in enumerate(manifest.schema.names)
        ],
        splits={name: _count_splits(splits) for name, splits in partitions.items()},
        shared={
            name: _count_shared(splits, identities) for name, splits in partitions.items() if any(identities)
        },
        unmeasured={n: _find_unmeasured(manifest, splits) for n, splits in partitions.items()},
        overlaps={n: find_overlaps(images, splits, digests) for n, splits in partitions.items()},
        near_duplicates=_find_near_duplicates(images, partitions, check) if check else {},
        contradictions=find_contradictions(manifest, digests),
        repeated_rows=len(manifest) - len(set(zip(images, manifest.boxes(), strict=True))),
        identities=len({i for i in identities if i is not None}),
        without_identity=sum(i is None for i in identities),
        cameras=len({c for c in cameras if c is not None}),
        guidance={
            name: len(manifest) - manifest.table.column(name).null_count
            for name in ("box", "mask", "parsing", "keypoints")
        },
        missing=missing,
        similar={p: str(file) for p, (file, _) in find_all_similar(manifest.root, missing).items()},
        check=ImageFaults(check.unreadable, check.duplicates, check_crops(manifest, check.sizes))
        if check
        else None,
    )


def _find_near_duplicates(
    images: Sequence[str], partitions: Mapping[str, Sequence[str | None]], check: ImageCheck
) -> dict[str, NearDuplicates]:
    similar = SimilarImages(check.hashes, check.digests)
    return {name: similar.find(images, splits) for name, splits in partitions.items()}


def _find_unmeasured(manifest: Manifest, splits: Sequence[str | None]) -> dict[str, UnmeasuredAttributes]:
    names, labels = np.array(manifest.schema.names), manifest.labels
    found = {}
    for split in SPLITS:
        rows = np.array([s == split for s in splits], np.bool_)
        positives, negatives = ((labels[rows] == value).any(axis=0) for value in (1, 0))
        if rows.any() and not (positives & negatives).all():
            cases = (~positives & negatives, positives & ~negatives, ~positives & ~negatives)
            found[split] = UnmeasuredAttributes(*(tuple(names[case].tolist()) for case in cases))
    return found


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
