"""What becomes of the rows without a good mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import is_good_mask
from passerby.annotators.crops import compute_crop, paste_map, shift_keypoints
from passerby.annotators.journal import Key
from passerby.annotators.quality import Quality
from passerby.annotators.runner import list_persons, name_maps, save_map, writing_below
from passerby.data.manifest import check_relative_path
from passerby.errors import ConfigError, DataError
from passerby.images.decode import read_size

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest

__all__ = ["POLICIES", "Policy", "apply_policy"]

Policy: TypeAlias = Literal["ones", "drop", "hull"]

POLICIES: tuple[Policy, ...] = ("ones", "drop", "hull")


def apply_policy(
    manifest: Manifest, policy: Policy, quality: Quality, *, into: str = "annotations"
) -> tuple[Manifest, dict[str, int]]:
    """Decide about rows whose mask is missing, unreadable, empty, almost empty or almost full.

    Args:
        policy: `ones` leaves them without a mask: to a model that looks at masks the whole picture is then
            the person, and one that learns from masks learns nothing there. `drop` leaves the rows out;
            `hull` writes the hull of the confident keypoints as the mask, and does as `ones` where the
            keypoints are too few.
        quality: Of this manifest, as it is.
        into: Folder below the root; hulls lie in `<into>/hulls`.

    Returns:
        The manifest, and the number of rows that were kept as they are, and of those that got `ones`, were
        `dropped`, or got a `hull`.

    Raises:
        ConfigError: If there is no such policy, or no row would be left.
        ManifestError: If the folder is not below the root.
        DataError: If the quality is another manifest's, or hulls cannot be written.
    """
    if policy not in POLICIES:
        raise ConfigError(f"expected one of {', '.join(POLICIES)} for missing masks, got {policy!r}")
    folder = check_relative_path(into)
    good = quality.good_masks
    if len(good) != len(manifest):
        raise DataError(f"expected the quality of {len(manifest)} rows, got {len(good)}; measure it anew")
    counts = {"kept": int(good.sum()), "ones": 0, "dropped": 0, "hull": 0}
    bad = np.flatnonzero(~good)
    if policy == "drop":
        if len(manifest) and not good.any():
            raise ConfigError("no row has a good mask, so none would be left; take --missing ones or hull")
        counts["dropped"] = len(bad)
        return manifest.take(np.flatnonzero(good)), counts
    masks = manifest.paths("mask")
    hulls = (
        _draw_hulls(manifest, bad, quality.min_score, into=folder) if policy == "hull" else [None] * len(bad)
    )
    for row, hull in zip(bad, hulls, strict=True):
        masks[row] = hull
        counts["ones" if hull is None else "hull"] += 1
    return manifest.with_guidance(masks=masks), counts


def _draw_hulls(
    manifest: Manifest, rows: NDArray[np.int64], min_score: float, *, into: str
) -> list[str | None]:
    """Write the hull of each row's keypoints; None for those that have none."""
    keypoints = manifest.keypoints()
    if keypoints is None:
        return [None] * len(rows)
    keys = list_persons(manifest)[1]
    files: list[str | None] = []
    for row in rows:
        hull = _draw_hull(manifest, keys[row], keypoints[row], min_score)
        # The name keeps the picture's ending, so that no other picture's hull can have it.
        file = None if hull is None else name_maps(f"{into}/hulls", keys[row])[1]
        if hull is not None and file is not None:
            with writing_below(manifest.root):
                save_map(manifest.root / file, hull)
        files.append(file)
    return files


def _draw_hull(
    manifest: Manifest, key: Key, keypoints: NDArray[np.float32], min_score: float
) -> NDArray[np.bool_] | None:
    """A mask of the whole picture; None without keypoints, a picture, or a hull of a person's size."""
    from passerby.annotators.hull import draw_keypoint_hull

    if not np.isfinite(keypoints).all():
        return None
    try:
        size = read_size(manifest.root / key.image)
        crop = compute_crop(size, key.box)
    except DataError:
        return None
    left, top, right, bottom = crop
    placed = shift_keypoints(keypoints, -left, -top)
    hull = draw_keypoint_hull(placed, (right - left, bottom - top), min_score=min_score)
    if hull is None or not is_good_mask(hull):
        return None
    return paste_map(hull, crop, size) > 0
