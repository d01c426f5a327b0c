"""Masks, parsing maps and keypoints that lie ready in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passerby.annotators.base import Kind, Sample
from passerby.data.formats.files import find_images, load_keypoints
from passerby.data.images import load_map
from passerby.errors import ConfigError, DataError

__all__ = ["Given"]


class Given:
    """Takes what lies ready for a picture, found by the stem of its name.

    Args:
        kind: What it takes.
        folder: Has `<stem>.png` (masks: above 0 is the person; parsing: one class a pixel), or
            `keypoints_coco17.json`.
        classes: Names of the numbers in the parsing maps.

    Raises:
        ConfigError: If there is nothing of the kind in the folder.
        DataError: From `annotate`, if a map has another size than its picture.
        ImageError: From `annotate`, if a map is damaged.
    """

    name = "given"
    needs: tuple[Kind, ...] = ()

    def __init__(self, kind: Kind, folder: str | Path, *, classes: Sequence[str] = ()) -> None:
        self.kind: Kind = kind
        self.folder = Path(folder)
        self.classes = tuple(classes)
        self._maps: dict[str, str] = {}
        self._keypoints: dict[str, list[float]] = {}
        if kind == "keypoints":
            found = load_keypoints(self.folder)
            self._keypoints = {PurePath(name).stem: values for name, values in found.items()}
        else:
            self._maps = find_images(self.folder, ".")
        if not (self._maps or self._keypoints):
            what = "keypoints_coco17.json" if kind == "keypoints" else f"{kind} as pictures"
            raise ConfigError(f"expected {what} in {self.folder}, found none; give the folder that has them")

    def describe(self) -> Mapping[str, Any]:
        """The method and its folder."""
        return {"method": self.name, "kind": self.kind, "folder": str(self.folder)}

    def annotate(self, samples: Sequence[Sample]) -> list[NDArray[Any] | None]:
        """What lies ready for each sample, None where there is nothing."""
        return [self._take(sample) for sample in samples]

    def _take(self, sample: Sample) -> NDArray[Any] | None:
        stem = PurePath(sample.source).stem
        if self.kind == "keypoints":
            points = self._keypoints.get(stem)
            return None if points is None else np.asarray(points, np.float32).reshape(17, 3)
        if stem not in self._maps:
            return None
        path = self.folder / self._maps[stem]
        values = load_map(path)  # (h, w)
        width, height = sample.image.size
        if values.shape != (height, width):
            raise DataError(
                f"{path}: expected {height} × {width} (height × width), the size of {sample.source}, "
                f"got {values.shape[0]} × {values.shape[1]}"
            )
        return (values > 0).astype(np.uint8) if self.kind == "masks" else values
