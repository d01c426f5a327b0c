"""Functions shared by the readers of RAP v1 and RAP v2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.data.formats.dataset_files import add_guidance_files, find_file, find_images, keep_present
from passerby.data.formats.matlab import load_mat, unpack_integers, unpack_struct
from passerby.data.manifest import Manifest
from passerby.errors import FormatError
from passerby.schema import AttributeSchema

__all__ = [
    "Annotations",
    "check_names",
    "create_manifest",
    "find_camera",
    "load_rap",
    "read_identities",
]

ROWS = {"RAP v1": 41_585, "RAP v2": 84_928}
FOLDERS = ("RAP_dataset", "images", ".")


def load_rap(root: Path, *, version: str, required: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """Read `RAP_annotation.mat`, and check its version by the number of its rows.

    Raises:
        FormatError: If the file is missing, damaged, or of the other version.
    """
    path = find_file(root, "RAP_annotation.mat", "RAP_annotation/RAP_annotation.mat")
    value = load_mat(path, required=["RAP_annotation"])["RAP_annotation"]
    record = unpack_struct(value, required=[], what=f"{path.name}: RAP_annotation")
    lengths = {np.shape(v)[0] for v in record.values() if np.ndim(v) == 2}
    for other, rows in ROWS.items():
        if other != version and rows in lengths:
            name = "rap1" if other == "RAP v1" else "rap2"
            raise FormatError(
                f"{path} has {rows:,} rows, so it is {other}; expected {version} with {ROWS[version]:,} "
                f"rows. Read it with `passerby prepare {name}`"
            )
    return path, unpack_struct(value, required=required, what=f"{path.name}: RAP_annotation")


@dataclass(frozen=True)
class Annotations:
    """The annotations of all rows of a version.

    Shape:
        values: (N, A) in {0, 1, 2}: absent, present, unknown.
    """

    values: NDArray[np.int64]
    names: list[str]
    identities: list[str | None]
    partitions: dict[str, list[str | None]]
    boxes: list[tuple[float, float, float, float]] | None = None


def create_manifest(
    version: str, schema: AttributeSchema, root: Path, found: Annotations, *, allow_missing: bool
) -> Manifest:
    """Create the manifest of the rows whose image exists, with their masks, parsing maps and keypoints.

    Raises:
        FormatError: If images are missing and `allow_missing` is false, or if all are missing.
    """
    paths = find_images(root, *FOLDERS)
    stems = [PurePosixPath(name).stem for name in found.names]
    images = [paths.get(stem) for stem in stems]
    folder = next((name for name in FOLDERS if (root / name).is_dir()), FOLDERS[0])
    rows = keep_present(
        images, expected=found.names, dataset=version, where=root / folder, allow_missing=allow_missing
    )
    manifest = Manifest.create(
        schema.name,
        schema,
        root=root,
        images=[image for image in images if image is not None],
        labels=np.where(found.values == 2, -1, found.values).astype(np.int8)[rows],
        partitions={name: [splits[r] for r in rows] for name, splits in found.partitions.items()},
        boxes=[found.boxes[r] for r in rows] if found.boxes else None,
        identities=[found.identities[r] for r in rows],
        cameras=[find_camera(found.names[r]) for r in rows],
    )
    return add_guidance_files(manifest, (stems[r] for r in rows))


def read_identities(record: Mapping[str, Any], fields: Sequence[str], *, rows: int) -> list[str | None]:
    """Identities as strings; None for negative numbers, which mean unknown."""
    for field in fields:
        if field in record:
            numbers = unpack_integers(record[field], what=field, low=-10, high=10**7, shape=(None,))
            if len(numbers) != rows:
                raise FormatError(
                    f"{field}: expected {rows:,} identities, got {len(numbers):,}; another version?"
                )
            return [str(n) if n >= 0 else None for n in numbers]
    return [None] * rows


def find_camera(stem: str) -> str | None:
    """The camera in the prefix of a file name.

    Example:
        >>> find_camera("CAM01_2014-02-15_20140215161032-20140215162620_tarid0_frame218_line1")
        'CAM01'
    """
    match = re.match(r"cam\d+", stem, flags=re.IGNORECASE)
    return match.group().upper() if match else None


def check_names(have: Sequence[str], want: Sequence[str], *, what: str, share: float = 1.0) -> None:
    """Check that two lists name the same attributes in the same order, regardless of spelling.

    Names agree if all words of one are among those of the other: `shoes-Sport` and `SportShoes`, `hs-Hat` and
    `Hat`; but not `hs-Hat` and `hs-Glasses`.

    Args:
        have: Names in the file.
        want: Names in the schema.
        what: Name of the list in errors.
        share: Fraction of the names, in [0, 1], that must agree.

    Raises:
        FormatError: If fewer agree.
    """
    words = [(_words(a), _words(b)) for a, b in zip(have, want, strict=True)]
    differ = [i for i, (a, b) in enumerate(words) if not a or not (a <= b or b <= a)]
    if len(differ) > (1 - share) * len(want):
        first = differ[0]
        raise FormatError(
            f"{what}: attribute {first + 1} is {have[first]!r}, expected {want[first]!r} or a similar name; "
            f"another version?"
        )


def _words(name: str) -> set[str]:
    """Lower-case prefixes of the words of a name, which tolerates spellings such as `Pusing` and `Femal`."""
    return {w.lower()[:3] for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}
