"""Foreground and boxes of heat maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from passerby.errors import ConfigError, DataError
from passerby.types import Box

__all__ = ["RULES", "Binarization", "BoxMode", "Rule", "enclose", "find_boxes"]

Rule = Literal["max", "otsu", "quantile"]
RULES: tuple[str, ...] = get_args(Rule)
BoxMode = Literal["outer", "components"]

_EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True, slots=True)
class Binarization:
    """Which pixels of a heat map are foreground.

    Paper: SSPNet (2023), section 3.2.5 binarises and does not state how; half of the maximum is stricter than
    usual for CAM (Zhou et al., 2016, take a fifth).

    Args:
        rule: `max`: at least `share` of the map's maximum; `quantile`: above the quantile `share` of the map,
            or only its maximum where the quantile equals it; `otsu`: above the value that splits the map into
            two classes with the least variance within each (Otsu, 1979).
        share: In (0, 1); `otsu` ignores it.

    Raises:
        ConfigError: If there is no such rule, or the share is out of range.

    Example:
        >>> heat = np.float32([[0, 1], [2, 4]])
        >>> Binarization("max", 0.5)(heat).tolist()
        [[False, False], [True, True]]
        >>> Binarization.parse("otsu")
        Binarization(rule='otsu', share=0.5)
        >>> str(Binarization("quantile", 0.9))
        'quantile:0.9'
    """

    rule: Rule = "max"
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ConfigError(f"no binarisation rule {self.rule!r}; choose one of {', '.join(RULES)}")
        if not 0 < self.share < 1:
            raise ConfigError(
                f"binarization: expected a share between 0 and 1, such as max:0.5, got {self.share}"
            )

    @classmethod
    def parse(cls, text: str) -> Binarization:
        """Parse `max:0.5`, `max` (the same), `quantile:0.9` or `otsu`.

        Raises:
            ConfigError: If the text is none of these.
        """
        rule, colon, share = text.partition(":")
        if colon and rule == "otsu":
            raise ConfigError(f"otsu computes its threshold from the map; expected no share, got {text!r}")
        if not colon and rule == "quantile":
            raise ConfigError("expected a share of the quantile, such as quantile:0.9, got none")
        try:
            return cls(rule, float(share)) if colon else cls(rule)  # type: ignore[arg-type]
        except ValueError:
            raise ConfigError(f"expected max:0.5, quantile:0.9 or otsu, got {text!r}") from None

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return self.rule if self.rule == "otsu" else f"{self.rule}:{self.share:g}"

    def __call__(self, heat: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The foreground of a map: empty if the map is 0 everywhere, otherwise at least one pixel.

        Shape:
            heat: (H, W) ≥ 0; returns (H, W).

        Raises:
            DataError: If the map has another shape, or a number that is negative or not finite.
        """
        check_heat(heat)
        peak = float(heat.max())
        if peak <= 0:
            return np.zeros(heat.shape, np.bool_)
        if self.rule == "max":
            return heat >= self.share * peak
        threshold = np.quantile(heat, self.share) if self.rule == "quantile" else _find_otsu(heat)
        return heat == peak if threshold >= peak else heat > threshold


def check_heat(heat: NDArray[np.float32]) -> None:
    """Refuse an array that is not a heat map.

    Raises:
        DataError: If it is not (H, W) of finite numbers ≥ 0.
    """
    if heat.ndim != 2 or not heat.size or not np.isfinite(heat).all() or float(heat.min()) < 0:
        raise DataError(f"expected a heat map (H, W) of finite numbers ≥ 0, got shape {heat.shape}")


def find_boxes(
    heat: NDArray[np.float32], binarization: Binarization | None = None, *, mode: BoxMode = "outer"
) -> tuple[Box, ...]:
    """Boxes around the foreground of a heat map.

    Args:
        heat: At the size of the image.
        binarization: By default half of the maximum.
        mode: `outer`: one box around all foreground (SSPNet, section 3.2.5); `components`: one box per
            connected component (8-connected; two boots), the one with the most heat first.

    Returns:
        The boxes in pixels; none if the map is 0 everywhere.

    Raises:
        ConfigError: If there is no such mode.
        DataError: If the map is not (H, W) of finite numbers ≥ 0.

    Shape:
        heat: (H, W) ≥ 0.

    Example:
        >>> heat = np.float32([[3, 0, 0, 4], [0, 0, 0, 4]])
        >>> [box.as_xyxy() for box in find_boxes(heat)]
        [(0.0, 0.0, 4.0, 2.0)]
        >>> [box.as_xyxy() for box in find_boxes(heat, mode="components")]
        [(3.0, 0.0, 4.0, 2.0), (0.0, 0.0, 1.0, 1.0)]
    """
    if mode not in get_args(BoxMode):
        raise ConfigError(f"no box mode {mode!r}; choose one of {', '.join(get_args(BoxMode))}")
    foreground = (binarization or Binarization())(heat)
    if mode == "outer":
        box = enclose(foreground)
        return () if box is None else (box,)
    from scipy import ndimage  # here because it loads slowly

    labels, count = ndimage.label(foreground, structure=_EIGHT)
    sums = ndimage.sum_labels(heat, labels, np.arange(1, count + 1))
    boxes = [_box_of(slices) for slices in ndimage.find_objects(labels)]
    return tuple(boxes[i] for i in np.argsort(-np.asarray(sums), kind="stable"))


def enclose(foreground: NDArray[np.bool_]) -> Box | None:
    """The bounding box of the true pixels; None if there is none.

    Example:
        >>> enclose(np.array([[0, 0, 0], [0, 1, 1]], bool)).as_xyxy()
        (1.0, 1.0, 3.0, 2.0)
    """
    from scipy import ndimage  # here because it loads slowly

    slices = ndimage.find_objects(foreground.astype(np.int8))
    return _box_of(slices[0]) if slices else None


def _box_of(slices: tuple[slice, ...]) -> Box:
    rows, columns = slices
    return Box(float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))


def _find_otsu(heat: NDArray[np.float32]) -> float:
    """Otsu's threshold, exact: over all values of the map instead of a histogram."""
    values, counts = np.unique(heat.astype(np.float64), return_counts=True)
    if len(values) == 1:
        return 0.0  # a constant map is foreground everywhere
    below, sums = counts.cumsum()[:-1], (values * counts).cumsum()
    above = counts.sum() - below
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(values[int(between.argmax())])
