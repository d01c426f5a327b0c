"""Masks, parsing maps and keypoints that lie ready in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.data.formats.dataset_files import find_images, load_keypoints
from passerby.errors import ConfigError, DataError
from passerby.images.decode import load_map

__all__ = ["FromFiles"]


class FromFiles:
    """Takes what lies ready for a picture, found by the picture's name without folder and ending.

    Args:
        kind: What it takes.
        folder: Has `<name>.png` (masks: above 0 is the person; parsing: one class a pixel), or
            `keypoints_coco17.json`.
        classes: Names of the numbers in the parsing maps.

    Raises:
        ConfigError: If there is nothing of the kind in the folder.
        DataError: From `annotate`, if a map has another size than its picture, or two pictures would share
            what lies ready for one.
        ImageError: From `annotate`, if a map is damaged.
    """

    name = "files"
    needs: tuple[Kind, ...] = ()

    def __init__(self, kind: Kind, folder: str | Path, *, classes: Sequence[str] = ()) -> None:
        self.kind: Kind = kind
        self.folder = Path(folder)
        self.classes = tuple(classes)
        self._ready: dict[str, list[Any]] = {}
        """What lies ready by name: paths of maps, or keypoints."""
        self._taken: dict[str, str] = {}
        """Which picture took it."""
        found = load_keypoints(self.folder) if kind == "keypoints" else find_images(self.folder, ".")
        for name, value in found.items():
            self._ready.setdefault(PurePath(name).stem, []).append(value)
        if not self._ready:
            what = "keypoints_coco17.json" if kind == "keypoints" else f"{kind} as pictures"
            raise ConfigError(f"expected {what} in {self.folder}, found none; give the folder that has them")

    def describe(self) -> Mapping[str, Any]:
        """The method and its folder."""
        return {"method": self.name, "kind": self.kind, "folder": str(self.folder)}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """What lies ready for each sample, None where there is nothing."""
        return [self._take(sample) for sample in samples]

    def _take(self, sample: Sample) -> NDArray[Any] | None:
        name = PurePath(sample.source).stem
        ready = self._ready.get(name)
        if ready is None:
            return None
        first = self._taken.setdefault(name, sample.source)
        if len(ready) > 1 or first != sample.source:
            rival = f"{first} and {sample.source}" if first != sample.source else f"{len(ready)} entries"
            raise DataError(
                f"expected one picture and one entry of {self.kind} named {name!r} in {self.folder}, got "
                f"{rival}; rename them, or go folder by folder"
            )
        if self.kind == "keypoints":
            return np.asarray(ready[0], np.float32).reshape(17, 3)
        return self._load(self.folder / ready[0], sample)

    def _load(self, path: Path, sample: Sample) -> NDArray[np.uint8]:
        values = load_map(path)  # (h, w)
        width, height = sample.image.size
        if values.shape != (height, width):
            raise DataError(
                f"{path}: expected {height} × {width} (height × width), the size of {sample.source}, "
                f"got {values.shape[0]} × {values.shape[1]}"
            )
        return (values > 0).astype(np.uint8) if self.kind == "masks" else values
