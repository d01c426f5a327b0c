"""Pictures of a manifest, resized once and kept in one memory-mapped file, so that epochs decode nothing.

A cache is a folder named `<fingerprint of the manifest>-<height>x<width>-<resize>`:

| file | shape and type | meaning |
|---|---|---|
| `images.npy` | (N, H, W, 3) uint8 | pictures, box cut out |
| `masks.npy` | (N, H, W) uint8 | 1 on the person; all 0 in a row without mask; absent without any mask |
| `parsing.npy` | (N, H, W) uint8 | classes; all 255 (unknown) in a row without map; absent without any map |
| `keypoints.npy` | (N, 17, 3) float32 | x, y in pixels of the input, score; NaN in a row without any |
| `valid.npy`, `sizes.npy` | (N,) | False where a file was unreadable; bytes of each picture's file |
| `cache.json` | | version, size of the input, names and reasons of unreadable files |

It is made under a temporary name and renamed at the end, so what has its name is complete, and of several
builders the first wins.
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

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest
    from passerby.types import Preprocess

__all__ = ["PackedCache"]

FORMAT_VERSION = 2


@dataclass(frozen=True)
class PackedCache:
    """Resized pictures, masks, parsing maps and keypoints of all rows of a manifest.

    Make or open one with `PackedCache.build`, open a folder with `PackedCache.open`.

    Args:
        path: The folder.
        images: (N, H, W, 3) uint8, memory-mapped.
        masks: (N, H, W) uint8 in {0, 1}, memory-mapped, 0 everywhere where a row has none; or None.
        parsing: (N, H, W) uint8, memory-mapped, 255 where a row has none; or None.
        keypoints: (N, 17, 3) float32: x, y in pixels of the input, score; NaN where a row has none; or None.
        valid: (N,) bool, False where a file could not be read; such a row must not be served.
        unreadable: Path (relative to the root) and reason of each file that could not be read.
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
        # Another process maps the same files instead of receiving a copy of all pictures.
        return (PackedCache.open, (self.path,))

    @classmethod
    def open(cls, path: Path) -> PackedCache:
        """Open a cache that is already there.

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
            raise DataError(f"{path} is no whole cache of pictures ({error}); delete that folder") from error

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
        """Open the cache of this manifest and input size, or make it first.

        It is made anew if it is damaged, or if files of the manifest have changed in size since.

        Args:
            manifest: All its rows are packed, in order.
            preprocess: Height, width and resize of the input; mean and standard deviation don't matter here.
            folder: Where caches lie.
            on_unreadable: What to do about files that cannot be read: `raise` raises an error after all have been tried and
                names them, `skip` marks their rows as not valid.
            workers: Threads that decode; by default one a core.
            progress: Called with rows done and rows in all.

        Raises:
            ImageError: If files cannot be read and `on_unreadable` is `raise`. What could be read stays in the
                cache, so a second call with `skip` is immediate.
            DataError: If no picture is found at all, or the disk lacks space.
        """
        name = f"{manifest.fingerprint}-{preprocess.height}x{preprocess.width}-{preprocess.resize}"
        path = Path(folder) / name
        sizes = _file_sizes(manifest)
        cache = _open_if_fresh(path, sizes)
        if cache is None:
            _check_any_there(manifest, sizes)
            job = PackingJob(manifest, preprocess, workers or os.cpu_count() or 1, progress)
            _make(job, path, sizes)
            cache = cls.open(path)
        if cache.unreadable and on_unreadable == "raise":
            raise ImageError(_describe(cache.unreadable, manifest.root))
        return cache


def _open_array(path: Path, name: str, shape: tuple[int, ...]) -> Any:
    # A file shorter than its header says makes NumPy raise ValueError, so truncation is found here.
    mode: Literal["r"] | None = "r" if name in ("images", "masks", "parsing") else None
    array = np.load(path / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
    if array.shape != shape:
        raise ValueError(f"{name}.npy: expected shape {shape}, got {array.shape}")
    return array


def _file_sizes(manifest: Manifest) -> NDArray[np.int64]:
    """Bytes of picture, mask and parsing map of each row (N, 3); −1 where missing, 0 where there is none."""

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
    # Files that have gone since then are no reason to make the cache anew: that is what a cache is for.
    return cache if ((sizes == before) | (sizes < 0)).all() else None


def _describe(unreadable: list[tuple[str, str]], root: Path) -> str:
    advice = "mend them, or skip them (data.on_unreadable=skip, --on-unreadable skip)"
    lines = [f"{len(unreadable)} files of {root} cannot be read; {advice}:"]
    lines += [f"  {reason}" for _, reason in unreadable[:20]]
    if len(unreadable) > 20:
        lines.append(f"  … and {len(unreadable) - 20} more")
    return "\n".join(lines)


def _check_any_there(manifest: Manifest, sizes: NDArray[np.int64]) -> None:
    if len(sizes) and (sizes[:, 0] < 0).all():
        first = manifest.root / manifest.images[0]
        raise DataError(f"none of the {len(sizes)} pictures is there, not even {first}; is the root right?")


def _make(job: PackingJob, path: Path, sizes: NDArray[np.int64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        meta = {"version": FORMAT_VERSION, **pack(job, temporary)}
        np.save(temporary / "sizes.npy", sizes, allow_pickle=False)
        (temporary / "cache.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        temporary.chmod(0o755)
        _put_in_place(temporary, path, sizes)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, path: Path, sizes: NDArray[np.int64]) -> None:
    for _ in range(10):
        try:
            temporary.rename(path)
            return
        except OSError:  # there is a folder of that name: of another builder, or a stale or damaged one
            if not path.exists():
                raise
        if _open_if_fresh(path, sizes) is not None:
            return
        aside = temporary.with_name(f"{temporary.name}.old")
        with suppress(FileNotFoundError):
            path.rename(aside)  # whoever still reads it goes on reading
        shutil.rmtree(aside, ignore_errors=True)
    raise DataError(f"other processes keep replacing {path}; let one of them build the cache first")
