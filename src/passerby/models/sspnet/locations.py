"""Prior location extraction (PLE): features at the expected locations of a body part."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from passerby.keypoints import MEAN_POSE_MPII, convert_coco_to_mpii
from passerby.models.sspnet.regions import find_region_rows, select_uniformly
from passerby.models.sspnet.sampling import OffsetSampling, sample_around, sample_weighted
from passerby.schema import BODY_PART_KEYPOINTS_MPII, BodyPart

__all__ = [
    "KeypointLocations",
    "Locations",
    "RegionLocations",
    "SparseLocations",
    "place_keypoints",
    "pool_pyramid",
]


def pool_pyramid(features: Tensor) -> Tensor:
    """Maxima over a map and over its quarters: spatial pyramid pooling with levels 1 and 2.

    Shape:
        features: (N, C, h, w). Returns (N, 5 · C): the maxima over the map, then those over its quarters, by
            channel.

    Example:
        >>> pool_pyramid(torch.arange(16.0).view(1, 1, 4, 4))
        tensor([[15.,  5.,  7., 13., 15.]])
    """
    halves = [[slice(0, (size + 1) // 2), slice(size // 2, size)] for size in features.shape[2:]]
    quarters = [features[:, :, rows, columns].amax((2, 3)) for rows in halves[0] for columns in halves[1]]
    cells = torch.stack(quarters, dim=2)  # (N, C, 4); the ONNX exporter has no adaptive pooling
    return torch.cat((cells.amax(2), cells.flatten(1)), dim=1)


class Locations(nn.Module, ABC):
    """Extracts the features of groups of attributes from one map and pools them: Ψ(Φ(x)) of Eq. 5, 7 and 9.

    Args:
        body_parts: Body part whose location each group uses, by the name of the group.
    """

    def __init__(self, body_parts: Mapping[str, BodyPart]) -> None:
        super().__init__()
        self.body_parts = dict(body_parts)

    @abstractmethod
    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Pooled features of some of the groups, (N, 5 · C) each.

        Shape:
            features: (N, C, h, w); keypoints: (N, 16, 2), x and y in [0, 1], fractions of the width and
                height (only for `KeypointLocations`).
        """


class RegionLocations(Locations):
    """PLE-R: all positions in the rows of the body part.

    Paper: Shen et al., 2023, Eq. 5 and Table A.11; see `find_region_rows`.
    """

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Crop and pool."""
        del keypoints
        rows = {group: find_region_rows(self.body_parts[group], features.shape[2]) for group in groups}
        return {group: pool_pyramid(features[:, :, first:end]) for group, (first, end) in rows.items()}


class SparseLocations(Locations):
    """PLE-S: evenly spaced positions in the rows of the body part, with learned offsets.

    A fraction `ratio` of the positions is sampled, √ratio of the rows and √ratio of the columns, so that the
    points form the grid that pyramid pooling needs. They are positions of the map, so without offsets their
    features equal those of the map.

    Paper: Shen et al., 2023, Eq. 8–9, section 4.2 ("taking 75% of the feature points").

    Args:
        body_parts: Body part whose location each group uses, by the name of the group.
        channels: Channels of the map.
        offsets: Number of offsets M per point; 0 samples the points themselves.
        ratio: Fraction of the positions, in (0, 1].
    """

    def __init__(
        self, body_parts: Mapping[str, BodyPart], channels: int, *, offsets: int = 3, ratio: float = 0.75
    ) -> None:
        super().__init__(body_parts)
        self.ratio = ratio
        self.samplers = _create_samplers(body_parts, channels, offsets)

    def find_points(self, group: str, rows: int, columns: int) -> tuple[list[int], list[int]]:
        """Rows and columns of a group's points in a map of this size; each pair of them is a point."""
        first, end = find_region_rows(self.body_parts[group], rows)
        side = math.sqrt(self.ratio)
        return [first + i for i in select_uniformly(end - first, side)], select_uniformly(columns, side)

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Sample at the points and pool."""
        del keypoints
        rows, columns = (int(side) for side in features.shape[2:])  # a tensor while the model is traced
        grids = {
            group: [
                torch.tensor(indices, device=features.device)
                for indices in self.find_points(group, rows, columns)
            ]
            for group in groups
        }
        if not self.samplers:
            read = [features.index_select(2, y).index_select(3, x) for y, x in grids.values()]
            return {group: pool_pyramid(points) for group, points in zip(groups, read, strict=True)}
        points = [
            torch.stack((x.repeat(len(y)), y.repeat_interleave(len(x))), dim=1)
            .float()
            .expand(features.shape[0], -1, -1)
            for y, x in grids.values()
        ]
        sampled = sample_around(features, _pick(self.samplers, groups), points)
        return {
            group: pool_pyramid(values.view(*values.shape[:2], *(len(side) for side in grids[group])))
            for group, values in zip(groups, sampled, strict=True)
        }


class KeypointLocations(Locations):
    """PLE-K: the keypoints of the body part, with learned offsets.

    Pyramid pooling needs a grid, and keypoints have none. Here the first level is the maximum over all
    keypoints of the body part. The four cells of the second level are its upper right, upper left, lower
    right and lower left keypoints, in an upright pose; right and left are the person's, and keypoints in the
    middle belong to both. A cell without a keypoint uses the maximum over all.

    Paper: Shen et al., 2023, Eq. 6–7, Table A.12. It does not state how keypoints are pooled.

    Args:
        body_parts: Body part whose location each group uses, by the name of the group.
        channels: Channels of the map.
        offsets: Number of offsets M per keypoint; 0 samples the keypoints themselves.
    """

    def __init__(self, body_parts: Mapping[str, BodyPart], channels: int, *, offsets: int = 3) -> None:
        super().__init__(body_parts)
        self.samplers = _create_samplers(body_parts, channels, offsets)
        for body_part in dict.fromkeys(body_parts.values()):
            members = BODY_PART_KEYPOINTS_MPII[body_part]
            cells = torch.tensor(_assign_cells(members))  # (5, K)
            self.register_buffer(f"indices_{body_part}", torch.tensor(members), persistent=False)
            self.register_buffer(f"cells_{body_part}", cells, persistent=False)

    def forward(
        self, features: Tensor, groups: Sequence[str], keypoints: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Sample at the keypoints and pool."""
        if keypoints is None:
            raise TypeError("expected keypoints (N, 16, 2)")
        size = torch.tensor((features.shape[3], features.shape[2]), device=keypoints.device)
        positions = keypoints * size - 0.5  # (N, 16, 2), in units of map positions
        indices = [self.get_buffer(f"indices_{self.body_parts[group]}") for group in groups]
        points = [positions.index_select(1, index) for index in indices]  # (N, K, 2) each
        if self.samplers:
            sampled = sample_around(features, _pick(self.samplers, groups), points)
        else:
            all_points = torch.cat(points, dim=1).unsqueeze(2)
            read = sample_weighted(features, all_points, torch.ones_like(all_points[..., 0]))
            sampled = torch.split(read, [len(index) for index in indices], dim=2)
        return {
            group: _pool_cells(values, self.get_buffer(f"cells_{self.body_parts[group]}"))
            for group, values in zip(groups, sampled, strict=True)
        }


def _create_samplers(body_parts: Mapping[str, BodyPart], channels: int, offsets: int) -> nn.ModuleDict:
    """The offsets of each group; empty if the points themselves are sampled."""
    return nn.ModuleDict({group: OffsetSampling(channels, offsets) for group in body_parts if offsets})


def _pick(samplers: nn.ModuleDict, groups: Sequence[str]) -> list[OffsetSampling]:
    return [cast(OffsetSampling, samplers[group]) for group in groups]


def _pool_cells(sampled: Tensor, cells: Tensor) -> Tensor:
    """Maxima over the keypoints of each cell: (N, C, K) and (5, K) become (N, 5 · C)."""
    masked = sampled.unsqueeze(1).masked_fill(~cells.unsqueeze(1), torch.finfo(sampled.dtype).min)
    return masked.amax(3).flatten(1)


def _assign_cells(members: tuple[int, ...]) -> list[list[bool]]:
    """Which keypoints belong to the body part, and to each of its quarters."""
    positions = [MEAN_POSE_MPII[member] for member in members]
    heights = [y for _, y in positions]
    middle = (min(heights) + max(heights)) / 2
    cells = [[True] * len(members)]
    for lower in (False, True):
        for left in (False, True):
            cell = [(y > middle) == lower and (x >= 0.5 if left else x <= 0.5) for x, y in positions]
            cells.append(cell if any(cell) else cells[0])
    return cells


def place_keypoints(keypoints: Tensor | None, *, images: Tensor, min_score: float) -> Tensor:
    """MPII keypoints as fractions of the image's width and height.

    A keypoint that is missing, outside of the image, or has a score below `min_score` takes its position in
    the average pose of a pedestrian, which makes it a fixed prior. Without keypoints, all of them do.

    Args:
        keypoints: (N, 17, 3), COCO order, in pixels of the input; or None.
        images: (N, 3, H, W), for their size.
        min_score: In (0, 1]; a missing keypoint has a score of 0.

    Returns:
        (N, 16, 2) float32, x and y in [0, 1].
    """
    mean = torch.tensor(MEAN_POSE_MPII, device=images.device).expand(images.shape[0], -1, -1)
    if keypoints is None:
        return mean
    points = convert_coco_to_mpii(keypoints.float())
    size = torch.tensor((images.shape[3], images.shape[2]), device=images.device)
    positions = (points[..., :2] + 0.5) / size  # the centre of pixel 0 is half a pixel from the border
    inside = ((positions >= 0) & (positions <= 1)).all(2)
    good = inside & (points[..., 2] >= min_score)
    return torch.where(good.unsqueeze(2), positions, mean)
