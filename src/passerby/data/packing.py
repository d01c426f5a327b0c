"""Write the files of a cache: decode and resize all images of a manifest in several threads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from passerby.errors import DataError, ImageError
from passerby.images.decode import load_map, read_image
from passerby.images.limits import limit_decoding
from passerby.images.placement import compute_placement, resize_image, resize_map
from passerby.parsing import UNKNOWN_CLASS

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest
    from passerby.types import Preprocess

__all__ = ["UNKNOWN_CLASS", "PackingJob", "Progress", "pack"]

Progress = Callable[[int, int], None]

_ROWS_PER_TASK = 32


@dataclass(frozen=True, slots=True)
class PackingJob:
    """The input of `pack`.

    Args:
        manifest: All its rows are packed, in order.
        preprocess: Size of the input and resize.
        workers: Number of threads.
        progress: Called with the number of rows done and the total.
    """

    manifest: Manifest
    preprocess: Preprocess
    workers: int
    progress: Progress | None = None


def pack(job: PackingJob, folder: Path) -> dict[str, Any]:
    """Write the arrays of a cache into an empty folder.

    Returns:
        Metadata: size of the input, shapes of the arrays, unreadable files with reasons.

    Raises:
        DataError: If the manifest is empty or the disk space is too small.
    """
    if not len(job.manifest):
        raise DataError("expected a manifest with at least one row, got an empty one")
    packer = _Packer(job, folder)
    unreadable = packer.run()
    valid = np.ones(len(job.manifest), np.bool_)
    valid[list(unreadable)] = False
    small: dict[str, NDArray[Any]] = {"valid": valid}
    if packer.keypoints is not None:
        packer.keypoints[~valid] = np.nan
        small["keypoints"] = packer.keypoints
    for name, values in small.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    return {
        "dataset": job.manifest.dataset,
        "height": job.preprocess.height,
        "width": job.preprocess.width,
        "resize": job.preprocess.resize,
        "shapes": packer.shapes | {name: values.shape for name, values in small.items()},
        "unreadable": [(packer.images[row], unreadable[row]) for row in sorted(unreadable)],
    }


class _Packer:
    """The columns of a manifest as lists, and the arrays to fill."""

    def __init__(self, job: PackingJob, folder: Path) -> None:
        self.job, self.root = job, job.manifest.root
        self.images, self.boxes = job.manifest.images, job.manifest.boxes()
        paths = {"masks": job.manifest.paths("mask"), "parsing": job.manifest.paths("parsing")}
        self.maps = {name: column for name, column in paths.items() if any(p is not None for p in column)}
        self.keypoints = job.manifest.keypoints()
        area = (len(self.images), job.preprocess.height, job.preprocess.width)
        self.shapes: dict[str, tuple[int, ...]] = {"images": (*area, 3), **dict.fromkeys(self.maps, area)}
        _check_space(folder, sum(int(np.prod(shape)) for shape in self.shapes.values()))
        self.arrays = {name: _reserve(folder / f"{name}.npy", shape) for name, shape in self.shapes.items()}

    def run(self) -> dict[int, str]:
        """Pack all rows; return the reason for each unreadable row."""
        n, done = len(self.images), 0
        unreadable: dict[int, str] = {}
        tasks = [range(start, min(start + _ROWS_PER_TASK, n)) for start in range(0, n, _ROWS_PER_TASK)]
        with ThreadPoolExecutor(self.job.workers, thread_name_prefix="passerby-pack") as pool:
            futures = {pool.submit(self._pack_rows, rows): rows for rows in tasks}
            try:
                for future in as_completed(futures):
                    unreadable |= future.result()
                    done += len(futures[future])
                    if self.job.progress is not None:
                        self.job.progress(done, n)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        for array in self.arrays.values():
            array.flush()
        return unreadable

    def _pack_rows(self, rows: range) -> dict[int, str]:
        unreadable = {}
        for row in rows:
            try:
                self._pack_row(row)
            except DataError as error:
                unreadable[row] = str(error)
                for array in self.arrays.values():
                    array[row] = 0
        return unreadable

    @limit_decoding()
    def _pack_row(self, row: int) -> None:
        path, box, preprocess = self.root / self.images[row], self.boxes[row], self.job.preprocess
        image = read_image(path)
        try:
            placement = compute_placement(image.size, preprocess, box)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        self.arrays["images"][row] = resize_image(image, preprocess, box)
        for name, paths in self.maps.items():
            relative = paths[row]
            if relative is None:
                self.arrays[name][row] = 0 if name == "masks" else UNKNOWN_CLASS
                continue
            values = load_map(self.root / relative)
            if values.shape[::-1] != image.size:
                expected, got = f"{image.width} × {image.height}", f"{values.shape[1]} × {values.shape[0]}"
                raise ImageError(
                    f"{self.root / relative}: expected {expected} pixels as in {path}, got {got}"
                )
            resized = resize_map(values, preprocess, box)
            self.arrays[name][row] = resized > 0 if name == "masks" else resized
        if self.keypoints is not None:
            self.keypoints[row] = placement.map_keypoints(self.keypoints[row])


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the cache needs {needed / 2**30:.2f} GiB, but {folder.parent} has {free / 2**30:.2f} GiB free; "
            "free disk space, choose another folder, or use a smaller input"
        )


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    array: np.memmap[Any, np.dtype[np.uint8]] = open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        # Allocate the space now: if the disk is full, writing to a memory map would kill the process.
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, path.stat().st_size)
        except OSError as error:
            raise DataError(f"cannot allocate the space for {path}: {error}; free disk space") from error
        finally:
            os.close(descriptor)
    return array
