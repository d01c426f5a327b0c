"""Quality figures of masks, parsing maps and keypoints."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import ALMOST_EMPTY, ALMOST_FULL
from passerby.annotators.crops import compute_crop, load_cut_map, shift_keypoints
from passerby.errors import DataError
from passerby.images.decode import read_size
from passerby.io import list_some
from passerby.parsing import UNKNOWN_CLASS

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = [
    "KeypointQuality",
    "MaskQuality",
    "ParsingQuality",
    "Quality",
    "measure_quality",
]

WIDENING = 0.02
"""Dilation of masks, as a fraction of the crop height, before keypoints count as outside."""

MOSTLY_OUTSIDE = 1 / 3
"""Share of confident keypoints outside the mask above which mask and keypoints disagree."""

_THREADS, _ROWS_PER_TASK = 4, 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskQuality:
    """Counts of masks. Shares are of the crop; `off_centre` masks do not cover its central pixel."""

    present: int
    missing: int
    unreadable: int
    empty: int
    almost_empty: int
    almost_full: int
    off_centre: int
    median_share: float | None


@dataclass(frozen=True)
class KeypointQuality:
    """Counts of keypoints.

    Args:
        mean_confident: Mean number, out of 17, that reach the minimum score.
        compared: Rows that also have a mask.
        share_outside: Share of their confident keypoints outside the dilated mask.
        rows_outside: Rows with more than a third of their confident keypoints outside.
    """

    present: int
    missing: int
    mean_confident: float | None
    compared: int
    share_outside: float | None
    rows_outside: int


@dataclass(frozen=True)
class ParsingQuality:
    """Counts of parsing maps: those with a single class, and the mean share of each class in a crop."""

    present: int
    missing: int
    unreadable: int
    one_class: int
    class_shares: dict[str, float]


@dataclass(frozen=True)
class Quality:
    """Quality of the masks, parsing maps and keypoints of a manifest.

    Args:
        rows: Number of rows of the manifest.
        min_score: Minimum score of a confident keypoint.
        good_masks: (N,) bool: masks neither missing, unreadable, empty, almost empty nor almost full.
    """

    rows: int
    min_score: float
    masks: MaskQuality
    parsing: ParsingQuality
    keypoints: KeypointQuality
    good_masks: NDArray[np.bool_] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain JSON, with the bounds that define them."""
        content = asdict(self)
        good = content.pop("good_masks")
        content["masks"]["good"] = int(good.sum())
        content["bounds"] = {
            "almost_empty": ALMOST_EMPTY,
            "almost_full": ALMOST_FULL,
            "mask_widened_by_share_of_height": WIDENING,
            "rows_outside_above": round(MOSTLY_OUTSIDE, 4),
        }
        return content


def measure_quality(
    manifest: Manifest, *, min_score: float = 0.3, progress: Callable[[int, int], None] | None = None
) -> Quality:
    """Read all masks and parsing maps of a manifest, and compare the keypoints with the masks.

    Everything is cropped to the boxes. A mask is dilated by 2 % of the crop height before a keypoint counts
    as outside, because keypoints of wrists and ankles are at its edge. Maps that cannot be read, or whose
    size differs from that of their image, count as unreadable and are listed in the log.

    Args:
        min_score: Minimum score of a confident keypoint.
        progress: Called with the number of rows done and the total.

    Raises:
        DataError: If `min_score` is negative.
    """
    if min_score < 0:
        raise DataError(f"expected min_score ≥ 0, got {min_score}")
    reader = _Reader(manifest, min_score)
    n = len(manifest)
    tasks = [range(start, min(start + _ROWS_PER_TASK, n)) for start in range(0, n, _ROWS_PER_TASK)]
    rows: list[_Row] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="passerby-quality") as pool:
        for chunk in pool.map(lambda task: [reader.read(row) for row in task], tasks):
            rows += chunk
            if progress is not None:
                progress(len(rows), n)
    problems = [row.problem for row in rows if row.problem]
    if problems:
        logger.warning(
            "%s maps could not be read: %s", f"{len(problems):,}", list_some(problems, separator="; ")
        )
    shares = np.array([np.nan if row.share is None else row.share for row in rows], np.float64)
    with np.errstate(invalid="ignore"):
        good = (shares >= ALMOST_EMPTY) & (shares <= ALMOST_FULL)
    return Quality(
        n, min_score, _sum_masks(rows), _sum_parsing(rows, manifest), _sum_keypoints(rows), good_masks=good
    )


# ---------------------------------------------------------------------- one row


@dataclass(slots=True)
class _Row:
    """Figures of a row; None if it has no such annotation, or an unreadable one."""

    has_mask: bool = False
    has_parsing: bool = False
    share: float | None = None
    centred: bool = False
    classes: NDArray[np.int64] | None = None
    confident: int | None = None
    outside: int = 0
    problem: str = ""


class _Reader:
    def __init__(self, manifest: Manifest, min_score: float) -> None:
        self.root, self.min_score, self.boxes = Path(manifest.root), min_score, manifest.boxes()
        self.images = manifest.images
        self.masks, self.parsing = manifest.paths("mask"), manifest.paths("parsing")
        self.keypoints = manifest.keypoints()

    def read(self, row: int) -> _Row:
        mask, parsing = self.masks[row], self.parsing[row]
        found = _Row(has_mask=mask is not None, has_parsing=parsing is not None)
        person = None if mask is None else self._load(mask, row, found)
        if person is not None:
            person = person > 0
            found.share = float(person.mean())
            found.centred = bool(person[person.shape[0] // 2, person.shape[1] // 2])
        classes = None if parsing is None else self._load(parsing, row, found)
        if classes is not None:
            found.classes = np.bincount(classes.reshape(-1), minlength=256)
        if self.keypoints is not None and np.isfinite(self.keypoints[row]).all():
            points = self.keypoints[row]
            confident = points[points[:, 2] >= self.min_score]
            found.confident = len(confident)
            if person is not None and mask is not None:
                found.outside = self._count_outside(confident, person, row)
        return found

    def _load(self, relative: str, row: int, found: _Row) -> NDArray[Any] | None:
        try:
            size = read_size(self.root / self.images[row])
            return load_cut_map(self.root / relative, size, compute_crop(size, self.boxes[row]))
        except DataError as error:
            found.problem = str(error)
            return None

    def _count_outside(self, points: NDArray[np.float32], person: NDArray[np.bool_], row: int) -> int:
        box = self.boxes[row]
        left, top = (0, 0) if box is None else (int(max(box[0], 0)), int(max(box[1], 0)))
        placed = shift_keypoints(points, -left, -top)
        radius = WIDENING * person.shape[0]
        return sum(not _is_near(person, float(x), float(y), radius=radius) for x, y, _ in placed)


def _is_near(person: NDArray[np.bool_], x: float, y: float, *, radius: float) -> bool:
    """Whether a pixel of the mask is within a radius of a point, or is the pixel of the point."""
    reach = max(radius, 0.5**0.5)
    x0, y0 = max(int(np.ceil(x - reach)), 0), max(int(np.ceil(y - reach)), 0)
    window = person[y0 : max(int(y + reach) + 1, 0), x0 : max(int(x + reach) + 1, 0)]
    ys, xs = np.nonzero(window)
    return bool(((xs + x0 - x) ** 2 + (ys + y0 - y) ** 2 <= reach**2).any())


# ---------------------------------------------------------------------- all rows


def _sum_masks(rows: list[_Row]) -> MaskQuality:
    shares = np.array([row.share for row in rows if row.share is not None])
    present = sum(row.has_mask for row in rows)
    return MaskQuality(
        present=present,
        missing=len(rows) - present,
        unreadable=present - len(shares),
        empty=int((shares == 0).sum()),
        almost_empty=int(((shares > 0) & (shares < ALMOST_EMPTY)).sum()),
        almost_full=int((shares > ALMOST_FULL).sum()),
        off_centre=sum(row.share is not None and not row.centred for row in rows),
        median_share=float(np.median(shares)) if len(shares) else None,
    )


def _sum_keypoints(rows: list[_Row]) -> KeypointQuality:
    there = [row for row in rows if row.confident is not None]
    compared = [row for row in there if row.share is not None]
    confident = sum(row.confident or 0 for row in compared)
    outside = sum(row.outside for row in compared)
    return KeypointQuality(
        present=len(there),
        missing=len(rows) - len(there),
        mean_confident=sum(row.confident or 0 for row in there) / len(there) if there else None,
        compared=len(compared),
        share_outside=outside / confident if confident else None,
        rows_outside=sum(row.outside > MOSTLY_OUTSIDE * (row.confident or 0) for row in compared),
    )


def _sum_parsing(rows: list[_Row], manifest: Manifest) -> ParsingQuality:
    counts = [row.classes for row in rows if row.classes is not None]
    present = sum(row.has_parsing for row in rows)
    names = dict(enumerate(manifest.parsing_classes)) | {UNKNOWN_CLASS: "unknown"}
    mean = sum((c / c.sum() for c in counts), np.zeros(256)) / max(len(counts), 1)
    numbers = [i for i in range(256) if mean[i] > 0 or (counts and i < len(manifest.parsing_classes))]
    return ParsingQuality(
        present=present,
        missing=len(rows) - present,
        unreadable=present - len(counts),
        one_class=sum(int((c > 0).sum()) == 1 for c in counts),
        class_shares={names.get(i, str(i)): float(mean[i]) for i in numbers},
    )
