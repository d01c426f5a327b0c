"""The packed cache: images of a manifest, decoded and resized once, in one memory-mapped file.

A cache is a folder named `<fingerprint of the manifest>-<height>x<width>-<resize>`:

| file | shape and type | contents |
|---|---|---|
| `images.npy` | (N, H, W, 3) uint8 | images, cropped to the box |
| `masks.npy` | (N, H, W) uint8 | 1 on the person; all 0 in a row without mask; absent without any mask |
| `parsing.npy` | (N, H, W) uint8 | classes; all 255 (unknown) in a row without map; absent without any map |
| `keypoints.npy` | (N, 17, 3) float32 | x, y in pixels of the input, score; NaN in a row without any |
| `valid.npy` | (N,) bool | False if a file of the row was unreadable |
| `sizes.npy` | (N, 3) int64 | size of the image, mask and parsing map files in bytes |
| `cache.json` | | version, size of the input, names and reasons of unreadable files |

A cache is written under a temporary name and renamed when complete. If several processes build it at the same
time, the first one wins.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from passerby.data.packing import PackingJob, Progress, pack
from passerby.errors import DataError, ImageError
from passerby.images.missing_files import describe_missing

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest
    from passerby.types import Preprocess

__all__ = ["PackedCache"]

FORMAT_VERSION = 3


@dataclass(frozen=True)
class PackedCache:
    """Resized images, masks, parsing maps and keypoints of all rows of a manifest.

    `PackedCache.build` opens or builds a cache, `PackedCache.open` opens an existing folder.

    Args:
        path: The folder.
        images: (N, H, W, 3) uint8, memory-mapped.
        masks: (N, H, W) uint8 in {0, 1}, memory-mapped, all 0 in a row without mask; or None.
        parsing: (N, H, W) uint8, memory-mapped, all 255 in a row without map; or None.
        keypoints: (N, 17, 3) float32: x, y in pixels of the input, score; NaN in a row without any; or None.
        valid: (N,) bool, False if a file of the row could not be read; such a row must not be used.
        unreadable: Path relative to the root and reason of each unreadable file.
    """

    path: Path
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    parsing: NDArray[np.uint8] | None
    keypoints: NDArray[np.float32] | None
    valid: NDArray[np.bool_]
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.valid)

    def __reduce__(self) -> tuple[Callable[[Path], PackedCache], tuple[Path]]:
        # Another process maps the same files instead of receiving a copy of all images.
        return (PackedCache.open, (self.path,))

    @classmethod
    def open(cls, path: Path) -> PackedCache:
        """Open an existing cache.

        Raises:
            DataError: If the folder is missing, damaged, truncated or of another version.
        """
        path = Path(path)
        try:
            meta = json.loads((path / "cache.json").read_text(encoding="utf-8"))
            if meta["version"] != FORMAT_VERSION:
                raise ValueError(f"expected version {FORMAT_VERSION}, got {meta['version']}")
            arrays = {name: _open_array(path, name, tuple(shape)) for name, shape in meta["shapes"].items()}
            unreadable = [(str(image), str(reason)) for image, reason in meta["unreadable"]]
            get = arrays.get
            return cls(
                path,
                *(arrays["images"], get("masks"), get("parsing"), get("keypoints"), arrays["valid"]),
                unreadable,
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is not a complete image cache ({error}); delete this folder") from error

    @staticmethod
    def locate(manifest: Manifest, preprocess: Preprocess, folder: Path) -> Path:
        """The folder of the cache of a manifest and an input size, which need not exist."""
        name = f"{manifest.fingerprint}-{preprocess.height}x{preprocess.width}-{preprocess.resize}"
        return Path(folder) / name

    @classmethod
    def build(
        cls,
        manifest: Manifest,
        preprocess: Preprocess,
        folder: Path,
        *,
        on_unreadable: Literal["raise", "skip"] = "raise",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> PackedCache:
        """Open the cache of a manifest and an input size; build it if necessary.

        It is rebuilt if it is damaged, was written by another version, or if the size of a file of the
        manifest has changed.

        Args:
            manifest: All its rows are packed, in order.
            preprocess: Height, width and resize of the input; mean and standard deviation are not used.
            folder: Parent folder of caches.
            on_unreadable: `raise` raises an error that lists all unreadable files, after reading the others;
                `skip` marks their rows as not valid.
            workers: Threads that decode; by default one per core.
            progress: Called with the number of rows done and the total.

        Raises:
            ImageError: If files cannot be read and `on_unreadable` is `raise`. The readable rows stay in the
                cache, so a second call with `skip` returns immediately.
            DataError: If none of the images exist, or the disk space is too small.
        """
        path = cls.locate(manifest, preprocess, folder)
        sizes = _file_sizes(manifest)
        cache = _open_if_fresh(path, sizes)
        if cache is None:
            _check_any_exists(manifest, sizes)
            job = PackingJob(manifest, preprocess, workers or os.cpu_count() or 1, progress)
            _build(job, path, sizes)
            cache = cls.open(path)
        if cache.unreadable and on_unreadable == "raise":
            raise ImageError(_describe(cache.unreadable, manifest.root))
        return cache


def _open_array(path: Path, name: str, shape: tuple[int, ...]) -> Any:
    # NumPy raises ValueError for a file shorter than its header states, which detects truncation.
    mode: Literal["r"] | None = "r" if name in ("images", "masks", "parsing") else None
    array = np.load(path / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
    if array.shape != shape:
        raise ValueError(f"{name}.npy: expected shape {shape}, got {array.shape}")
    return array


def _file_sizes(manifest: Manifest) -> NDArray[np.int64]:
    """Bytes of image, mask and parsing map of each row (N, 3); −1 for a missing file, 0 for no file."""

    def size(relative: str | None) -> int:
        try:
            return 0 if relative is None else (manifest.root / relative).stat().st_size
        except OSError:
            return -1

    columns = (manifest.images, manifest.paths("mask"), manifest.paths("parsing"))
    return np.array([[size(p) for p in column] for column in columns], np.int64).T.reshape(-1, 3)


def _open_if_fresh(path: Path, sizes: NDArray[np.int64]) -> PackedCache | None:
    try:
        cache = PackedCache.open(path)
        before = np.load(path / "sizes.npy", allow_pickle=False)
    except (DataError, OSError, ValueError, EOFError):
        return None
    if before.shape != sizes.shape:
        return None
    # Files that were deleted since do not invalidate the cache.
    return cache if ((sizes == before) | (sizes < 0)).all() else None


def _describe(unreadable: list[tuple[str, str]], root: Path) -> str:
    advice = "repair them, or skip them (data.on_unreadable=skip, --on-unreadable skip)"
    lines = [f"{len(unreadable)} rows of {root} cannot be used; {advice}:"]
    lines += [f"  {reason}" for _, reason in unreadable[:20]]
    if len(unreadable) > 20:
        lines.append(f"  … and {len(unreadable) - 20} more")
    return "\n".join(lines)


def _check_any_exists(manifest: Manifest, sizes: NDArray[np.int64]) -> None:
    if len(sizes) and (sizes[:, 0] < 0).all():
        missing = describe_missing(manifest.root, manifest.images)
        raise DataError(
            f"none of the {len(sizes)} images exists under {manifest.root}; check the root folder:{missing}"
        )


def _build(job: PackingJob, path: Path, sizes: NDArray[np.int64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        meta = {"version": FORMAT_VERSION, **pack(job, temporary)}
        np.save(temporary / "sizes.npy", sizes, allow_pickle=False)
        (temporary / "cache.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        temporary.chmod(0o755)
        _publish(temporary, path, sizes)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, path: Path, sizes: NDArray[np.int64]) -> None:
    """Rename a finished cache to its final name, unless another process was faster."""
    for _ in range(10):
        try:
            temporary.rename(path)
            return
        except OSError:  # the folder exists: from another process, or stale or damaged
            if not path.exists():
                raise
        if _open_if_fresh(path, sizes) is not None:
            return
        stale = temporary.with_name(f"{temporary.name}.old")
        with suppress(FileNotFoundError):
            path.rename(stale)  # processes that have it open can still read it
        shutil.rmtree(stale, ignore_errors=True)
    raise DataError(f"other processes keep replacing {path}; build the cache in one process first")
