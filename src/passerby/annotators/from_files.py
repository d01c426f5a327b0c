"""Masks, parsing maps and keypoints from existing files."""

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
    """Reads the file of an image, found by the name of the image without folder and extension.

    Args:
        kind: The kind of annotation.
        folder: Contains `<name>.png` (masks: above 0 is the person; parsing: one class per pixel), or
            `keypoints_coco17.json`.
        classes: Class names of the parsing maps.

    Raises:
        ConfigError: If the folder contains no such files.
        DataError: From `annotate`, if the size of a map differs from that of its image, or two images would
            share a file.
        ImageError: From `annotate`, if a map is damaged.
    """

    name = "files"
    needs: tuple[Kind, ...] = ()

    def __init__(self, kind: Kind, folder: str | Path, *, classes: Sequence[str] = ()) -> None:
        self.kind: Kind = kind
        self.folder = Path(folder)
        self.classes = tuple(classes)
        self._entries: dict[str, list[Any]] = {}
        """Paths of maps, or keypoints, by name."""
        self._users: dict[str, str] = {}
        """The image that uses each name."""
        found = load_keypoints(self.folder) if kind == "keypoints" else find_images(self.folder, ".")
        for name, value in found.items():
            self._entries.setdefault(PurePath(name).stem, []).append(value)
        if not self._entries:
            files = "keypoints_coco17.json" if kind == "keypoints" else f"{kind} as image files"
            raise ConfigError(f"expected {files} in {self.folder}, found none; give another folder")

    def describe(self) -> Mapping[str, Any]:
        """The method and its folder."""
        return {"method": self.name, "kind": self.kind, "folder": str(self.folder)}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """Read the file of each sample; None if it does not exist."""
        return [self._read(sample) for sample in samples]

    def _read(self, sample: Sample) -> NDArray[Any] | None:
        name = PurePath(sample.source).stem
        entries = self._entries.get(name)
        if entries is None:
            return None
        first = self._users.setdefault(name, sample.source)
        if len(entries) > 1 or first != sample.source:
            got = f"{first} and {sample.source}" if first != sample.source else f"{len(entries)} entries"
            raise DataError(
                f"expected one image and one entry of {self.kind} named {name!r} in {self.folder}, got "
                f"{got}; rename them, or process one folder at a time"
            )
        if self.kind == "keypoints":
            return np.asarray(entries[0], np.float32).reshape(17, 3)
        return self._load(self.folder / entries[0], sample)

    def _load(self, path: Path, sample: Sample) -> NDArray[np.uint8]:
        values = load_map(path)  # (h, w)
        width, height = sample.image.size
        if values.shape != (height, width):
            raise DataError(
                f"{path}: expected {height} × {width} (height × width), the size of {sample.source}, "
                f"got {values.shape[0]} × {values.shape[1]}"
            )
        return (values > 0).astype(np.uint8) if self.kind == "masks" else values
