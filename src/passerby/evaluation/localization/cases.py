"""The best and the worst samples of a score, kept to be looked at.

```
cases/
  cases.json                     picture, attribute, probability, IoU and boxes of each
  best-01.png … worst-01.png …   its heat map at the size of the input, 8 bits, the peak 255
```

No picture of anybody is among them: who shows a case reads its picture from where it lies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.localization.samples import LocalizationSamples, Measurement
from passerby.evaluation.results import CASES_FILE
from passerby.images.decode import load_map
from passerby.io import read_json, replace_file, write_json
from passerby.types import Box, Preprocess

__all__ = ["Case", "CaseKeeper", "LocalizationCases", "remove_cases"]

Kind = Literal["best", "worst"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COUNT = 12
"""So many of each kind …"""
PER_ATTRIBUTE = 2
"""… and of one attribute among them, so that none fills the page."""
VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A sample with its heat map.

    Args:
        image: Path of its picture below the root.
        row: Its row in the manifest.
        crop: The person's box in pixels of the picture, None for the whole picture.
        attribute: Name.
        prob: Probability that the model gives it.
        box_iou: IoU of the boxes.
        found: Boxes around the heat map's foreground, in pixels of the input; none of a map of zeros.
        truth: Boxes around where the attribute is.
        heat: The map, its peak 255.

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


@dataclass(frozen=True, slots=True, eq=False)
class LocalizationCases:
    """Samples of the mean: those of the highest IoU and those of the lowest.

    Args:
        best: At most 12, at most 2 an attribute, the best first.
        worst: As many, the worst first; none of them is among the best.
        root: Folder that the pictures lie below.
        resize: How pictures became inputs, see `Preprocess`.
    """

    best: tuple[Case, ...]
    worst: tuple[Case, ...]
    root: Path
    resize: Literal["stretch", "pad"]

    def write(self, folder: Path) -> None:
        """Write the heat maps and `cases.json` (last, so that a folder with it is complete)."""
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
            values[kind] = [_to_dict(case) for case in cases]
        write_json(folder / CASES_FILE, values)

    @classmethod
    def load(cls, folder: Path, *, root: Path | None = None) -> Self:
        """Read what `write` wrote.

        Args:
            root: Where the pictures lie; by default the root noted in the file, relative to the folder.

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
                    _read_case(each, _locate_heat(folder, kind, i)) for i, each in enumerate(values[kind], 1)
                )
                for kind in KINDS
            )
            resize = Preprocess(resize=values["resize"]).resize
            return cls(best, worst, Path(root) if root else folder / values["root"], resize)
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{folder} has no complete cases ({error}); make them anew with "
                "`passerby evaluate-localization … --out`, or delete the folder to go without"
            ) from error

    def check(self, samples: LocalizationSamples, size: tuple[int, int]) -> None:
        """Refuse cases that are none of some samples.

        Args:
            size: Height and width of the network's input.

        Raises:
            DataError: If one is not among them, has another IoU or probability, or a map of another size.
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
                    f"the case {case.attribute} of {case.image} is none of the samples; the files do not "
                    "belong together, run `passerby evaluate-localization` anew"
                )

    def _by_kind(self) -> Mapping[Kind, tuple[Case, ...]]:
        return {"best": self.best, "worst": self.worst}


def remove_cases(folder: Path) -> None:
    """Remove what `LocalizationCases.write` wrote, and the folder if nothing else is in it."""
    (folder / CASES_FILE).unlink(missing_ok=True)
    for kind in KINDS:
        for old in folder.glob(f"{kind}-[0-9][0-9].png"):
            old.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


# ---------------------------------------------------------------------- while measuring


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    measured: Measurement
    heat: NDArray[np.uint8]
    found: tuple[Box, ...]
    truth: tuple[Box, ...]

    def rank(self, kind: Kind) -> tuple[float, float, int]:
        return _rank(self.measured, kind)


class CaseKeeper:
    """Keeps the heat maps of the best and the worst samples of each attribute, and of no others.

    Of those with the same IoU the one comes first that the model is surest of, then the one that is further
    up in the data, so that batches change nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Kind, int], list[_Candidate]] = {}

    def wants(self, measured: Measurement) -> bool:
        """Whether a sample is, so far, among the best or the worst of its attribute."""
        for kind in KINDS:
            kept = self._kept.get((kind, measured.attribute), [])
            if len(kept) < PER_ATTRIBUTE or _rank(measured, kind) < kept[-1].rank(kind):
                return True
        return False

    def keep(
        self,
        measured: Measurement,
        heat: NDArray[np.float32],
        *,
        found: Sequence[Box],
        truth: Sequence[Box],
    ) -> None:
        """Keep one that is wanted.

        Shape:
            heat: (H, W) ≥ 0.
        """
        one = _Candidate(measured, _to_bytes(heat), tuple(found), tuple(truth))
        for kind in KINDS:
            kept = [*self._kept.get((kind, measured.attribute), []), one]
            kept.sort(key=lambda each: each.rank(kind))
            self._kept[kind, measured.attribute] = kept[:PER_ATTRIBUTE]

    def choose(
        self,
        manifest: Manifest,
        *,
        names: Sequence[str],
        members: Sequence[int],
        rows: NDArray[np.int64],
        resize: Literal["stretch", "pad"],
    ) -> LocalizationCases:
        """The cases of some attributes.

        Args:
            manifest: Whose rows were measured.
            names: Of all attributes.
            members: The numbers of those that may be chosen.
            rows: The rows of `manifest` in the manifest that was given.
            resize: How pictures became inputs.
        """
        images, boxes = manifest.images, manifest.boxes()

        def describe(one: _Candidate) -> Case:
            measured = one.measured
            return Case(
                image=images[measured.row],
                row=int(rows[measured.row]),
                crop=boxes[measured.row],
                attribute=names[measured.attribute],
                prob=measured.prob,
                box_iou=measured.measures["box_iou"],
                found=one.found,
                truth=one.truth,
                heat=one.heat,
            )

        best = self._sort("best", members)[:COUNT]
        worst = [one for one in self._sort("worst", members) if one not in best][:COUNT]
        return LocalizationCases(
            tuple(map(describe, best)), tuple(map(describe, worst)), manifest.root, resize
        )

    def _sort(self, kind: Kind, members: Sequence[int]) -> list[_Candidate]:
        every = [one for number in members for one in self._kept.get((kind, number), [])]
        return sorted(every, key=lambda one: (*one.rank(kind), one.measured.attribute))


def _rank(measured: Measurement, kind: Kind) -> tuple[float, float, int]:
    iou = measured.measures["box_iou"]
    return (-iou if kind == "best" else iou), -measured.prob, measured.row


def _to_bytes(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    peak = float(heat.max())
    shares = heat / peak if peak > 0 else np.zeros_like(heat)
    return np.rint(255 * shares).astype(np.uint8)


# ---------------------------------------------------------------------- files


def _locate_heat(folder: Path, kind: Kind, number: int) -> Path:
    return folder / f"{kind}-{number:02d}.png"


def _to_dict(case: Case) -> dict[str, Any]:
    return {
        "image": case.image,
        "row": case.row,
        "crop": None if case.crop is None else list(case.crop),
        "attribute": case.attribute,
        "prob": case.prob,
        "box_iou": case.box_iou,
        "found": [list(box.as_xyxy()) for box in case.found],
        "truth": [list(box.as_xyxy()) for box in case.truth],
    }


def _read_case(values: Mapping[str, Any], heat: Path) -> Case:
    crop = values["crop"]
    return Case(
        image=str(values["image"]),
        row=int(values["row"]),
        crop=None if crop is None else Box(*map(float, crop)).as_xyxy(),
        attribute=str(values["attribute"]),
        prob=float(values["prob"]),
        box_iou=float(values["box_iou"]),
        found=tuple(Box(*map(float, box)) for box in values["found"]),
        truth=tuple(Box(*map(float, box)) for box in values["truth"]),
        heat=load_map(heat),
    )
