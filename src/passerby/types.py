"""Value objects that all packages exchange.

This module does not import torch at run time, so that the command line starts fast.
Axes: N samples, A attributes, C channels, H height, W width, K keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Self

from passerby.errors import DataError, UnknownAttributeError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Batch", "Box", "Guidance", "Output", "Prediction", "Preprocess"]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in pixels: left, top, right, bottom; right and bottom are exclusive.

    Raises:
        DataError: If the rectangle is empty; give `x1 > x0` and `y1 > y0`.

    Example:
        >>> Box(2, 3, 12, 23).height
        20
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x1 > self.x0 and self.y1 > self.y0):
            raise DataError(f"expected a box with x1 > x0 and y1 > y0 (in pixels), got {self.as_xyxy()}")

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0

    def as_xyxy(self) -> tuple[float, float, float, float]:
        """The four sides as a tuple."""
        return (self.x0, self.y0, self.x1, self.y1)

    def shift(self, x: float, y: float) -> Box:
        """The box, moved to the right by `x` and down by `y`.

        Example:
            >>> Box(2, 3, 12, 23).shift(10, -1)
            Box(x0=12, y0=2, x1=22, y1=22)
        """
        return Box(self.x0 + x, self.y0 + y, self.x1 + x, self.y1 + y)

    def __str__(self) -> str:
        return " ".join(f"{side:g}" for side in self.as_xyxy())

    @classmethod
    def from_xyxy(cls, sides: Sequence[float] | Box) -> Box:
        """A box from four numbers in pixels.

        Raises:
            DataError: If they are not four finite numbers, the rectangle is empty, or no side exceeds 1: such
                numbers are fractions of the image.

        Example:
            >>> Box.from_xyxy([2, 3, 12, 23])
            Box(x0=2.0, y0=3.0, x1=12.0, y1=23.0)
        """
        if isinstance(sides, Box):
            return sides
        try:
            x0, y0, x1, y1 = map(float, sides)
        except (TypeError, ValueError):
            alone = isinstance(sides, (int, float))
            hint = "; expected a list of boxes as `boxes`, such as [(2, 3, 12, 23)]" if alone else ""
            raise DataError(
                f"expected a box of four numbers (left, top, right, bottom), got {sides!r}{hint}"
            ) from None
        if not all(map(math.isfinite, (x0, y0, x1, y1))):
            raise DataError(f"expected a box of finite numbers, got {(x0, y0, x1, y1)}")
        if max(map(abs, (x0, y0, x1, y1))) <= 1:
            raise DataError(
                f"expected a box in pixels, got the fractions {(x0, y0, x1, y1)}; multiply x by the width of "
                "the image and y by its height"
            )
        return cls(x0, y0, x1, y1)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How an image becomes the input of a model; every bundle stores it.

    Args:
        height: Input height in pixels.
        width: Input width in pixels.
        mean: Per-channel mean (RGB) of pixel values in [0, 1], subtracted.
        std: Per-channel standard deviation, divided by.
        resize: `stretch` to height × width whatever the aspect ratio (usual in the field), or `pad` with
            zeros to this aspect ratio first (MAN).

    Raises:
        DataError: If a side is below 1 pixel, a standard deviation is not positive, or `resize` is unknown.
    """

    height: int = 256
    width: int = 192
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: Literal["stretch", "pad"] = "stretch"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise DataError(f"expected an input of at least 1 × 1 pixel, got {self.height} × {self.width}")
        if len(self.mean) != 3 or len(self.std) != 3 or not min(self.std) > 0:
            raise DataError(f"expected three means and three positive stds, got {self.mean} and {self.std}")
        if self.resize not in ("stretch", "pad"):
            raise DataError(f"expected resize stretch or pad, got {self.resize!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Example:
            >>> Preprocess.from_dict(Preprocess(128, 96).to_dict()) == Preprocess(128, 96)
            True
        """
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


@dataclass(slots=True)
class Guidance:
    """The auxiliary inputs that some models take in addition to the image; None if not available.

    Shape:
        masks: (N, 1, H, W) float in [0, 1], 1 on the person; all 0 for an image without a mask.
        parsing: (N, H, W) int64, class of each pixel, 255 where unknown.
        keypoints: (N, 17, 3) float in COCO order: x and y in pixels of the input, score in [0, 1]; NaN for a
            image without keypoints.

    Example:
        >>> Guidance(masks=None).kinds
        ()
    """

    masks: Tensor | None = None
    parsing: Tensor | None = None
    keypoints: Tensor | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the available inputs."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is not None)

    def to(self, device: torch.device | str) -> Guidance:
        """Copy to another device."""
        return Guidance(**{name: getattr(self, name).to(device, non_blocking=True) for name in self.kinds})


@dataclass(slots=True)
class Batch:
    """A batch of samples from a loader.

    Shape:
        images: (N, 3, H, W); uint8 in [0, 255] from a loader, float after normalisation.
        labels: (N, A) int8 in {1 yes, 0 no, -1 unknown}.
        rows: (N,) int64, the row of each sample in its manifest; the key of per-sample state.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    guidance: Guidance = field(default_factory=Guidance)

    def to(self, device: torch.device | str) -> Batch:
        """Copy to another device."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.rows.to(device, non_blocking=True),
            self.guidance.to(device),
        )


@dataclass(slots=True)
class Output:
    """The output of a model.

    Shape:
        logits: (N, A) float, the final score of each attribute before the sigmoid.
        branches: Named logits (N, A) that the loss of a specific model needs; empty for a plain network.
        candidates: Named logits (N, A) that compete in training to become `logits` (SSPNet's scales); every
            loss scores all of them, see `scored`. Empty without such a competition.
        features: (N, C, h, w), the features from which heat maps are computed.
        maps: Named maps (N, A, h, w), or (N, 1, h, w) for all attributes, that visualise the model, such as
            attention; empty for a plain network.
        parsing: Named logits (N, K, H, W) of the K parsing classes at the size of the images; empty if they
            are not computed.
    """

    logits: Tensor
    branches: Mapping[str, Tensor] = field(default_factory=dict)
    features: Tensor | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    candidates: Mapping[str, Tensor] = field(default_factory=dict)
    parsing: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def scored(self) -> tuple[Tensor, ...]:
        """The logits whose losses are averaged: the candidates, or `logits` alone without candidates."""
        return tuple(self.candidates.values()) or (self.logits,)


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Mapping[str, float]):
    """The attributes of one person: a mapping from the name of each attribute to its probability.

    Args:
        source: Path of the image, or `<image>` for an image in memory.
        names: Attribute names, in the order of the bundle's schema.
        probabilities: One number in [0, 1] per attribute.
        thresholds: An attribute is present when its probability is *strictly* above its threshold.
        notes: Limitations of the result, such as a missing mask.
        parsing: Class of each pixel, (h, w) uint8 at the size of the image or the box, if it was requested.
        box: The person's box in the image, as given; None for the full image.
        row: The person's row in a table of images, if there is one.

    Raises:
        UnknownAttributeError: From `prediction[name]`, if there is no attribute of that name.

    Example:
        >>> p = Prediction("a.jpg", ("Hat", "Glasses"), (0.9, 0.2), (0.5, 0.5))
        >>> p.present
        ('Hat',)
        >>> p["Glasses"], "Bag" in p, dict(p)
        (0.2, False, {'Hat': 0.9, 'Glasses': 0.2})
        >>> p
        Prediction(a.jpg: Hat 0.90; 1 of 2 present)
    """

    source: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    thresholds: tuple[float, ...]
    notes: tuple[str, ...] = ()
    parsing: NDArray[np.uint8] | None = field(default=None, compare=False)
    box: Box | None = None
    row: int | None = None

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the attributes whose probability is above their threshold."""
        return tuple(
            n for n, p, t in zip(self.names, self.probabilities, self.thresholds, strict=True) if p > t
        )

    def __getitem__(self, name: str) -> float:
        if name not in self.names:
            raise UnknownAttributeError(
                f"no attribute {name!r} was predicted; expected one of {', '.join(self.names)}"
            )
        return self.probabilities[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: source, present attributes, probability by name; notes if there are any.

        Row and box are included if the person has them. The parsing map is left out.
        """
        return {
            "source": self.source,
            **({} if self.row is None else {"row": self.row}),
            **({} if self.box is None else {"box": list(self.box.as_xyxy())}),
            "present": list(self.present),
            "probabilities": dict(zip(self.names, self.probabilities, strict=True)),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    @property
    def _title(self) -> str:
        """The source, with the box if there is one."""
        return self.source if self.box is None else f"{self.source} [{self.box}]"

    def __repr__(self) -> str:
        present = sorted(self.present, key=self.__getitem__, reverse=True)
        shown = [f"{name} {self[name]:.2f}" for name in present[:3]] + ["…"] * (len(present) > 3)
        counts = f"{len(present)} of {len(self)} present"
        return f"Prediction({self._title}: {'; '.join([', '.join(shown), counts] if shown else [counts])})"

    def _repr_html_(self) -> str:
        """A table with a bar for each probability, for notebooks; present attributes are bold."""
        rows = "".join(map(self._render_row, sorted(self, key=self.__getitem__, reverse=True)))
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<table><caption>{escape(self._title)}</caption>{rows}</table>{notes}"

    def _render_row(self, name: str) -> str:
        label = f"<b>{escape(name)}</b>" if name in self.present else escape(name)
        bar = (
            f'<div style="background:{"#3572b0" if name in self.present else "#b8c4d0"};'
            f'width:{self[name]:.0%};height:0.8em"></div>'
        )
        return f'<tr><td>{label}</td><td style="width:12em">{bar}</td><td>{self[name]:.2f}</td></tr>'
