"""The best and the worst samples of an evaluation, stored for display.

```
cases/
  cases.json                     image, attribute, probability, IoU and boxes of each
  best-01.png … worst-01.png …   its heat map at the size of the input, 8 bits, the maximum is 255
```

The files contain no image of a person: a report reads the images from the data set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.errors import DataError
from passerby.evaluation.localization.samples import LocalizationSamples
from passerby.evaluation.score_files import CASES_FILE
from passerby.images.decode import load_map
from passerby.io import read_json, replace_file, write_json
from passerby.types import Box, Preprocess

__all__ = ["KINDS", "Case", "Kind", "LocalizationCases", "remove_cases"]

Kind = Literal["best", "worst"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A sample with its heat map.

    Args:
        image: Path of the image below the root.
        row: Row of the image in the manifest.
        crop: Box of the person in pixels of the image, None for the whole image.
        attribute: Name of the attribute.
        prob: Probability that the model predicts for it.
        box_iou: IoU of the boxes.
        found: Boxes around the foreground of the heat map, in pixels of the input; empty for a map of zeros.
        truth: Boxes around the true region.
        heat: The heat map; its maximum is 255.

    Shape:
        heat: (H, W) uint8.
    """

    image: str
    row: int
    crop: tuple[float, float, float, float] | None
    attribute: str
    prob: float
    box_iou: float
    found: tuple[Box, ...]
    truth: tuple[Box, ...]
    heat: NDArray[np.uint8]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the heat map."""
        return {
            "image": self.image,
            "row": self.row,
            "crop": None if self.crop is None else list(self.crop),
            "attribute": self.attribute,
            "prob": self.prob,
            "box_iou": self.box_iou,
            "found": [list(box.as_xyxy()) for box in self.found],
            "truth": [list(box.as_xyxy()) for box in self.truth],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], heat: NDArray[np.uint8]) -> Self:
        """Create a case from the output of `to_dict`."""
        crop = values["crop"]
        return cls(
            image=str(values["image"]),
            row=int(values["row"]),
            crop=None if crop is None else Box(*map(float, crop)).as_xyxy(),
            attribute=str(values["attribute"]),
            prob=float(values["prob"]),
            box_iou=float(values["box_iou"]),
            found=tuple(Box(*map(float, box)) for box in values["found"]),
            truth=tuple(Box(*map(float, box)) for box in values["truth"]),
            heat=heat,
        )


@dataclass(frozen=True, slots=True, eq=False)
class LocalizationCases:
    """The samples with the highest and the lowest IoU, among the attributes in the mean.

    Args:
        best: At most 12, at most 2 per attribute, the best first.
        worst: Likewise, the worst first; none of them is among the best.
        root: Folder of the images.
        resize: How images were resized, see `Preprocess`.
    """

    best: tuple[Case, ...]
    worst: tuple[Case, ...]
    root: Path
    resize: Literal["stretch", "pad"]

    def write(self, folder: Path) -> None:
        """Write the heat maps, then `cases.json`, so that a folder with it is complete."""
        folder = Path(folder)
        remove_cases(folder)
        for kind, cases in self._by_kind().items():
            for number, case in enumerate(cases, 1):
                with replace_file(_locate_heat(folder, kind, number)) as temporary:
                    Image.fromarray(case.heat).save(temporary, format="PNG", optimize=True)
        values: dict[str, Any] = {
            "version": VERSION,
            "root": Path(os.path.relpath(self.root.resolve(), folder.resolve())).as_posix(),
            "resize": self.resize,
        }
        for kind, cases in self._by_kind().items():
            values[kind] = [case.to_dict() for case in cases]
        write_json(folder / CASES_FILE, values)

    @classmethod
    def load(cls, folder: Path, *, root: Path | None = None) -> Self:
        """Read a folder that `write` wrote.

        Args:
            folder: The folder.
            root: Folder of the images; by default the one stored in the file, relative to the folder.

        Raises:
            DataError: If a file is missing or damaged.
        """
        folder = Path(folder)
        try:
            values = read_json(folder / CASES_FILE)
            if values["version"] != VERSION:
                raise ValueError(f"expected version {VERSION}, got {values['version']}")
            best, worst = (
                tuple(
                    Case.from_dict(each, load_map(_locate_heat(folder, kind, number)))
                    for number, each in enumerate(values[kind], 1)
                )
                for kind in KINDS
            )
            resize = Preprocess(resize=values["resize"]).resize
            return cls(best, worst, Path(root) if root else folder / values["root"], resize)
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{folder} has no complete cases ({error}); create them again with "
                "`passerby evaluate-localization … --out`, or delete the folder to go without"
            ) from error

    def check(self, samples: LocalizationSamples, size: tuple[int, int]) -> None:
        """Check that the cases belong to some samples.

        Args:
            samples: The samples.
            size: Height and width of the network's input.

        Raises:
            DataError: If a case is not among them, or its IoU, its probability or the size of its heat map
                differs.
        """
        names = (samples.attributes[number] for number in samples.attribute)
        known = {key: i for i, key in enumerate(zip(samples.rows.tolist(), names, strict=True))}
        for case in (*self.best, *self.worst):
            i = known.get((case.row, case.attribute))
            if (
                i is None
                or samples.images[i] != case.image
                or abs(samples.probs[i] - case.prob) > 1e-9
                or abs(samples.measures["box_iou"][i] - case.box_iou) > 1e-9
                or case.heat.shape != size
            ):
                raise DataError(
                    f"the case {case.attribute} of {case.image} is not among the samples; the files do not "
                    "belong together, run `passerby evaluate-localization` again"
                )

    def _by_kind(self) -> Mapping[Kind, tuple[Case, ...]]:
        return {"best": self.best, "worst": self.worst}


def remove_cases(folder: Path) -> None:
    """Remove the files of `LocalizationCases.write`, and the folder if it is empty then."""
    (folder / CASES_FILE).unlink(missing_ok=True)
    for kind in KINDS:
        for old in folder.glob(f"{kind}-[0-9][0-9].png"):
            old.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _locate_heat(folder: Path, kind: Kind, number: int) -> Path:
    return folder / f"{kind}-{number:02d}.png"
