"""Prior location extraction: where in a map the attributes of a part of the body are looked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from passerby.keypoints import MEAN_POSE_MPII, convert_coco_to_mpii
from passerby.models.sspnet.sampling import OffsetSampling, sample_around, sample_weighted
from passerby.schema import BODY_PART_KEYPOINTS_MPII, BodyPart

__all__ = [
    "KeypointLocations",
    "Locations",
    "RegionLocations",
    "SparseLocations",
    "find_region_rows",
    "place_keypoints",
    "pool_pyramid",
    "select_uniformly",
]

_REGIONS: dict[BodyPart, tuple[float, float]] = {
    "head": (0, 24 / 64),
    "torso": (8 / 64, 40 / 64),
    "bottom": (32 / 64, 1),
    "all": (0, 1),
}
"""First and last row of each part, as shares of the rows: Table A.11, in its P1 of 64 rows."""


def find_region_rows(part: BodyPart, rows: int) -> tuple[int, int]:
    """The rows of a map where a part of the body is expected: the first, and the one after the last.

    Paper: Shen et al., 2023, Table A.11, whose last row belongs to the region (0 to 63 are all 64 rows). Its
    figures for 64, 32 and 16 rows come out exactly; other heights get the same shares, rounded down.

    Example:
        >>> [find_region_rows("torso", rows) for rows in (64, 32, 16)]
        [(8, 41), (4, 21), (2, 11)]
    """
    first, last = (math.floor(share * rows) for share in _REGIONS[part])
    return first, min(last, rows - 1) + 1


def select_uniformly(count: int, ratio: float) -> list[int]:
    """Indices of a share of `count` positions in a row, evenly spread; at least one.

    Example:
        >>> select_uniformly(8, 0.5), select_uniformly(4, 1.0)
        ([1, 3, 5, 7], [0, 1, 2, 3])
    """
    chosen = max(1, round(count * ratio))
    return [int((i + 0.5) * count / chosen) for i in range(chosen)]


def pool_pyramid(features: Tensor) -> Tensor:
    """Maxima over a map as a whole and over its quarters: spatial pyramid pooling with levels 1 and 2.

    Shape:
        features: (N, C, h, w); returns: (N, 5 · C), the whole first, then the quarters of each channel.

    Example:
        >>> pool_pyramid(torch.arange(16.0).view(1, 1, 4, 4))
        tensor([[15.,  5.,  7., 13., 15.]])
    """
    halves = [[slice(0, (size + 1) // 2), slice(size // 2, size)] for size in features.shape[2:]]
    quarters = [features[:, :, rows, columns].amax((2, 3)) for rows in halves[0] for columns in halves[1]]
    cells = torch.stack(quarters, dim=2)  # (N, C, 4); the exporter to ONNX knows no adaptive pooling
    return torch.cat((cells.amax(2), cells.flatten(1)), dim=1)


class Locations(nn.Module, ABC):
    """Reads the features of groups of attributes off one map, and pools them: Ψ(Φ(x)) of Eq. 5, 7 and 9.

    Args:
        parts: Where each group is looked for, by the name of the group.
    """

    def __init__(self, parts: Mapping[str, BodyPart]) -> None:
        super().__init__()
        self.parts = dict(parts)

    @abstractmethod
    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Pooled features of some of the groups, (N, 5 · C) each.

        Shape:
            features: (N, C, h, w); keypoints: (N, 16, 2), x and y in [0, 1], shares of the width and height
                (only for `KeypointLocations`).
        """


class RegionLocations(Locations):
    """PLE-R: all positions in the rows of the part.

    Paper: Shen et al., 2023, Eq. 5 and Table A.11; see `find_region_rows`.
    """

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Crop and pool."""
        del keypoints
        rows = {group: find_region_rows(self.parts[group], features.shape[2]) for group in groups}
        return {group: pool_pyramid(features[:, :, first:end]) for group, (first, end) in rows.items()}


class SparseLocations(Locations):
    """PLE-S: evenly spread positions in the rows of the part, with learned offsets.

    A share `ratio` of the positions is taken, √ratio of the rows and √ratio of the columns, so that the
    points keep the grid that pyramid pooling needs. They are positions of the map, hence without offsets
    their features are the map's own.

    Paper: Shen et al., 2023, Eq. 8–9, section 4.2 ("taking 75% of the feature points").

    Args:
        parts: Where each group is looked for, by the name of the group.
        channels: Channels of the map.
        offsets: M offsets a point; 0 reads the points themselves.
        ratio: Share of the positions, in (0, 1].
    """

    def __init__(
        self, parts: Mapping[str, BodyPart], channels: int, *, offsets: int = 3, ratio: float = 0.75
    ) -> None:
        super().__init__(parts)
        self.ratio = ratio
        self.samplers = _create_samplers(parts, channels, offsets)

    def find_points(self, group: str, rows: int, columns: int) -> tuple[list[int], list[int]]:
        """Rows and columns of a group's points in a map of this size; every pair of them is a point."""
        first, end = find_region_rows(self.parts[group], rows)
        side = math.sqrt(self.ratio)
        return [first + i for i in select_uniformly(end - first, side)], select_uniformly(columns, side)

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Sample at the points and pool."""
        del keypoints
        grids = {
            group: [
                torch.tensor(indices, device=features.device)
                for indices in self.find_points(group, features.shape[2], features.shape[3])
            ]
            for group in groups
        }
        if not self.samplers:
            read = [features.index_select(2, y).index_select(3, x) for y, x in grids.values()]
            return {group: pool_pyramid(own) for group, own in zip(groups, read, strict=True)}
        points = [
            torch.stack((x.repeat(len(y)), y.repeat_interleave(len(x))), dim=1)
            .float()
            .expand(features.shape[0], -1, -1)
            for y, x in grids.values()
        ]
        sampled = sample_around(features, _pick(self.samplers, groups), points)
        return {
            group: pool_pyramid(own.view(*own.shape[:2], *(len(side) for side in grids[group])))
            for group, own in zip(groups, sampled, strict=True)
        }


class KeypointLocations(Locations):
    """PLE-K: the keypoints of the part, with learned offsets.

    Pyramid pooling needs places, and keypoints have no grid: the first level is the maximum over all
    keypoints of the part; the four cells of the second are its upper right, upper left, lower right and lower
    left (the person's own right and left; what lies in the middle belongs to both), upper and lower as in a
    person who stands. A cell without a keypoint takes the maximum over all.

    Paper: Shen et al., 2023, Eq. 6–7, Table A.12. How keypoints are pooled is not in it.

    Args:
        parts: Where each group is looked for, by the name of the group.
        channels: Channels of the map.
        offsets: M offsets a keypoint; 0 reads the keypoints themselves.
    """

    def __init__(self, parts: Mapping[str, BodyPart], channels: int, *, offsets: int = 3) -> None:
        super().__init__(parts)
        self.samplers = _create_samplers(parts, channels, offsets)
        for part in dict.fromkeys(parts.values()):
            members = BODY_PART_KEYPOINTS_MPII[part]
            self.register_buffer(f"indices_{part}", torch.tensor(members), persistent=False)
            self.register_buffer(f"cells_{part}", torch.tensor(_divide(members)), persistent=False)  # (5, K)

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Sample at the keypoints and pool."""
        if keypoints is None:
            raise TypeError("expected keypoints (N, 16, 2)")
        size = torch.tensor((features.shape[3], features.shape[2]), device=keypoints.device)
        places = keypoints * size - 0.5  # (N, 16, 2), positions of the map
        indices = [self.get_buffer(f"indices_{self.parts[group]}") for group in groups]
        points = [places.index_select(1, index) for index in indices]  # (N, K, 2) each
        if self.samplers:
            sampled = sample_around(features, _pick(self.samplers, groups), points)
        else:
            all_points = torch.cat(points, dim=1).unsqueeze(2)
            read = sample_weighted(features, all_points, torch.ones_like(all_points[..., 0]))
            sampled = torch.split(read, [len(index) for index in indices], dim=2)
        return {
            group: _pool_cells(own, self.get_buffer(f"cells_{self.parts[group]}"))
            for group, own in zip(groups, sampled, strict=True)
        }


def _create_samplers(parts: Mapping[str, BodyPart], channels: int, offsets: int) -> nn.ModuleDict:
    """The offsets of each group; none if the points themselves are read."""
    return nn.ModuleDict({group: OffsetSampling(channels, offsets) for group in parts if offsets})


def _pick(samplers: nn.ModuleDict, groups: Sequence[str]) -> list[OffsetSampling]:
    return [cast(OffsetSampling, samplers[group]) for group in groups]


def _pool_cells(sampled: Tensor, cells: Tensor) -> Tensor:
    """Maxima over the keypoints of each cell: (N, C, K) and (5, K) become (N, 5 · C)."""
    masked = sampled.unsqueeze(1).masked_fill(~cells.unsqueeze(1), torch.finfo(sampled.dtype).min)
    return masked.amax(3).flatten(1)


def _divide(members: tuple[int, ...]) -> list[list[bool]]:
    """Which keypoints belong to the whole part, and to its quarters."""
    places = [MEAN_POSE_MPII[member] for member in members]
    heights = [y for _, y in places]
    middle = (min(heights) + max(heights)) / 2
    cells = [[True] * len(members)]
    for lower in (False, True):
        for left in (False, True):
            cell = [(y > middle) == lower and (x >= 0.5 if left else x <= 0.5) for x, y in places]
            cells.append(cell if any(cell) else cells[0])
    return cells


def place_keypoints(keypoints: Tensor | None, *, images: Tensor, least_score: float) -> Tensor:
    """MPII keypoints as shares of the picture's width and height.

    A keypoint that is missing, outside of the picture, or of a score below `least_score` is put where it is
    in a pedestrian on average, so the prior is as good as a fixed place there; so are all if there are none.

    Args:
        keypoints: (N, 17, 3), COCO order, in pixels of the input; or None.
        images: (N, 3, H, W), for their size.
        least_score: In (0, 1]; a missing keypoint has a score of 0.

    Returns:
        (N, 16, 2) float32, x and y in [0, 1].
    """
    mean = torch.tensor(MEAN_POSE_MPII, device=images.device).expand(images.shape[0], -1, -1)
    if keypoints is None:
        return mean
    points = convert_coco_to_mpii(keypoints.float())
    size = torch.tensor((images.shape[3], images.shape[2]), device=images.device)
    places = (points[..., :2] + 0.5) / size  # the centre of pixel 0 is half a pixel from the border
    inside = ((places >= 0) & (places <= 1)).all(2)
    good = inside & (points[..., 2] >= least_score)
    return torch.where(good.unsqueeze(2), places, mean)
