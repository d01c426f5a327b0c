"""Policies for rows without a good mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import is_good_mask
from passerby.annotators.crops import compute_crop, paste_map, shift_keypoints
from passerby.annotators.files import explain_write_errors, name_maps, save_map
from passerby.annotators.journal import Key
from passerby.annotators.quality import Quality
from passerby.annotators.runner import list_persons
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
    """Apply a policy to rows whose mask is missing, unreadable, empty, almost empty or almost full.

    Args:
        policy: `ones` removes the mask: a model that takes masks as input then uses the full image, and mask
            supervision ignores the row. `drop` removes the rows. `hull` writes the hull of the confident
            keypoints as the mask, and acts like `ones` if there are too few keypoints.
        quality: Quality of this manifest.
        into: Folder below the root; hulls are written to `<into>/hulls`.

    Returns:
        The manifest, and the number of rows that were `kept`, got `ones`, were `dropped`, or got a `hull`.

    Raises:
        ConfigError: If the policy does not exist, or no row would be left.
        ManifestError: If the folder is not below the root.
        DataError: If the quality belongs to another manifest, or hulls cannot be written.
    """
    if policy not in POLICIES:
        raise ConfigError(f"expected one of {', '.join(POLICIES)} for missing masks, got {policy!r}")
    folder = check_relative_path(into)
    good = quality.good_masks
    if len(good) != len(manifest):
        raise DataError(f"expected the quality of {len(manifest)} rows, got {len(good)}; measure it again")
    counts = {"kept": int(good.sum()), "ones": 0, "dropped": 0, "hull": 0}
    bad = np.flatnonzero(~good)
    if policy == "drop":
        if len(manifest) and not good.any():
            raise ConfigError("no row has a good mask, so none would be left; use --missing ones or hull")
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
    """Write the hull of the keypoints of each row; None for rows without a hull."""
    keypoints = manifest.keypoints()
    if keypoints is None:
        return [None] * len(rows)
    keys = list_persons(manifest)[1]
    files: list[str | None] = []
    for row in rows:
        hull = _draw_hull(manifest, keys[row], keypoints[row], min_score)
        # The name contains the extension of the image, so that no other image has the same one.
        file = None if hull is None else name_maps(f"{into}/hulls", keys[row])[1]
        if hull is not None and file is not None:
            with explain_write_errors(manifest.root):
                save_map(manifest.root / file, hull)
        files.append(file)
    return files


def _draw_hull(
    manifest: Manifest, key: Key, keypoints: NDArray[np.float32], min_score: float
) -> NDArray[np.bool_] | None:
    """A mask of the full image; None without keypoints, a readable image, or a plausible hull."""
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
