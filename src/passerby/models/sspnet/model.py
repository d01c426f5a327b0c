"""SSPNet: the scale and the place of each group of attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.base import AttributeModel, check_dropout
from passerby.models.sspnet.locations import (
    KeypointLocations,
    Locations,
    RegionLocations,
    SparseLocations,
    place_keypoints,
)
from passerby.models.sspnet.pyramid import FeaturePyramid
from passerby.models.sspnet.selection import ScaleSelection
from passerby.models.staged import create_staged_backbone
from passerby.schema import BODY_PARTS, AttributeSchema, BodyPart
from passerby.types import Guidance, Output

__all__ = ["SSPNet", "Selection", "Where"]

Where = Literal["regions", "keypoints", "sparse"]
Selection = Literal["group", "attribute", "fixed"]

_SCALES = (1, 2, 3)
_PUBLISHED_SCALES: Mapping[BodyPart, int] = {"head": 1, "torso": 2, "bottom": 2, "all": 3}


class SSPNet(AttributeModel):
    """Scale and spatial priors: a feature pyramid, read for each part of the body at its scale and place.

    The attributes fall into up to four groups by the part of the body (`Attribute.body_part`). Each group is
    scored by one linear layer over features that are read off one level of the pyramid (AFSS) at the places
    where the part is expected (PLE), and pooled.

    Paper: Shen et al., *SSPNet: Scale and spatial priors guided generalizable and interpretable pedestrian
    attribute recognition*, 2023, sections 3.2.1–3.2.4; train it with the loss `hierarchical`. For what the
    paper leaves open see `FeaturePyramid`, `ScaleSelection`, `OffsetSampling` and the three sorts of
    `Locations`. In training all scales are computed and scored; in evaluation only the chosen ones.

    Args:
        schema: The attributes, in the order of the logits; their `body_part` makes the groups.
        backbone: Name of a timm model that can be cut into stages.
        pretrained: Weights of the backbone: True (timm's own), the path of a `.safetensors` file, or False.
        dropout: Probability of dropping a pooled feature in training.
        backbone_arguments: Further arguments of the timm model, plain JSON values; see `create_backbone`.
        locations: `sparse` (PLE-S), `keypoints` (PLE-K: SSPNet-K wants keypoints as guidance, else it takes
            the average pose) or `regions` (PLE-R).
        spatial_prior: Look for each part where it is expected; without it, on the whole map (all keypoints).
        offsets: M learned offsets a point; 0 for none. Regions have no points.
        sampling_ratio: Share of the positions that become sparse points, in (0, 1].
        keypoint_score: A keypoint of a lower score counts as missing, in (0, 1]; see `place_keypoints`.
        selection: Choose the scale in training by `group` (AFSS) or by `attribute` (AFSS*), or keep it
            `fixed`.
        scales: Scale of each part, 1 (stride 4), 2 or 3 (stride 16): where AFSS starts, or the fixed ones. By
            default head 1, torso 2, bottom 2, all 3, as section 4.2 finds and the published code has them.
        selection_memory: Samples after which AFSS begins to forget; see `ScaleSelection`.
        pyramid_channels: Width of the pyramid.
        smoothing: Smooth each level of the pyramid by a 3×3 convolution.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float; guidance: keypoints (N, 17, 3).
        returns: logits (N, A); in training with a selection, candidates `P1`, `P2`, `P3`, (N, A) each;
            features (N, C, h, w) of stage 4, which reach every attribute. The heat maps of section 3.2.5 lie
            on the level of the pyramid that was chosen (`levels_looked_at`).
    """

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        backbone: str = "resnet50",
        pretrained: bool | str | Path = False,
        dropout: float = 0.0,
        backbone_arguments: Mapping[str, Any] | None = None,
        locations: Where = "sparse",
        spatial_prior: bool = True,
        offsets: int = 3,
        sampling_ratio: float = 0.75,
        keypoint_score: float = 0.2,
        selection: Selection = "group",
        scales: Mapping[BodyPart, int] | None = None,
        selection_memory: int = 8192,
        pyramid_channels: int = 256,
        smoothing: bool = True,
    ) -> None:
        super().__init__(schema)
        scales = {**_PUBLISHED_SCALES, **(scales or {})}
        _check(
            dropout, locations, offsets, sampling_ratio, keypoint_score, selection, scales, pyramid_channels
        )
        if locations == "keypoints":
            self.guidance = ("keypoints",)
            self.without_guidance = "the average pose of a pedestrian takes their place"
        self.keypoint_score = keypoint_score
        self.backbone = create_staged_backbone(backbone, pretrained=pretrained, arguments=backbone_arguments)
        self.dropout = nn.Dropout(dropout)
        groups = schema.group_by("body_part")
        self.groups: dict[BodyPart, tuple[int, ...]] = {
            part: groups[part] for part in BODY_PARTS if part in groups
        }
        start = [scales[attribute.body_part] for attribute in schema]
        self.selection: ScaleSelection | None = None
        if selection != "fixed":
            single = {name: (i,) for i, name in enumerate(schema.names)}
            self._deciding: Mapping[str, tuple[int, ...]] = (
                {part: self.groups[part] for part in self.groups} if selection == "group" else single
            )
            self.selection = ScaleSelection(
                list(self._deciding.values()), start=start, memory=selection_memory
            )
            self.observed = ("selection",)
        self.start_scales = tuple(start)
        trained = tuple(sorted(set(start))) if self.selection is None else _SCALES
        self.pyramid = FeaturePyramid(
            self.backbone.stage_channels, pyramid_channels, scales=trained, smoothing=smoothing
        )
        self.locations = nn.ModuleDict()
        self.classifiers = nn.ModuleDict()
        for scale in trained:
            parts = [part for part in self.groups if self.selection is not None or scales[part] == scale]
            where: dict[str, BodyPart] = {part: part if spatial_prior else "all" for part in parts}
            self.locations[f"P{scale}"] = _create_locations(
                locations, where, pyramid_channels, offsets=offsets, ratio=sampling_ratio
            )
            self.classifiers[f"P{scale}"] = nn.ModuleDict(
                {part: nn.Linear(5 * pyramid_channels, len(self.groups[part])) for part in parts}
            )

    @property
    def scales(self) -> tuple[int, ...]:
        """Scale of each attribute, 1 to 3, at prediction."""
        return self.start_scales if self.selection is None else self.selection.scales

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures."""
        keypoints = None
        if self.guidance:
            given = None if guidance is None else guidance.keypoints
            keypoints = place_keypoints(given, images=images, least_score=self.keypoint_score)
        stages, features = [], images
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            stages.append(features)
        candidates = self.training and self.selection is not None
        wanted = _SCALES if candidates else tuple(sorted(set(self.scales)))
        levels = self.pyramid(stages, wanted)
        scored: dict[int, list[Tensor]] = {scale: [] for scale in wanted}
        columns: dict[int, list[int]] = {scale: [] for scale in wanted}
        for scale in wanted:
            used = [
                part
                for part, members in self.groups.items()
                if candidates or any(self.scales[i] == scale for i in members)
            ]
            level = self.capture(levels[scale], f"P{scale}")
            pooled = self.locations[f"P{scale}"](level, used, keypoints)
            classifiers = cast(nn.ModuleDict, self.classifiers[f"P{scale}"])
            for part in used:
                scored[scale].append(classifiers[part](self.dropout(pooled[part])))
                columns[scale].extend(self.groups[part])
        # A level has columns, in the order of `columns`, for the attributes that it scores.
        by_level = {scale: torch.cat(scored[scale], dim=1) for scale in wanted}
        chosen = [by_level[s][:, columns[s].index(i)] for i, s in enumerate(self.scales)]
        competing = {}
        if candidates:
            order = [columns[1].index(i) for i in range(len(self.schema))]
            competing = {f"P{scale}": by_level[scale][:, order] for scale in wanted}
        return Output(torch.stack(chosen, dim=1), candidates=competing, features=features)

    @property
    def levels_looked_at(self) -> tuple[str, ...]:
        """The level of the pyramid that scores each attribute."""
        return tuple(f"P{scale}" for scale in self.scales)

    def observe(self, output: Output, labels: Tensor) -> None:
        """Let AFSS count the hits of a training batch."""
        if self.selection is not None and output.candidates:
            logits = torch.stack([output.candidates[f"P{scale}"].detach() for scale in _SCALES])
            self.selection.update(logits, labels)

    def locate_attributes(self) -> Mapping[str, tuple[int, ...]]:
        """Each classifier has rows for the attributes of its part."""
        return {
            f"classifiers.P{scale}.{part}.{name}": members
            for scale in _SCALES
            for part, members in self.groups.items()
            for name in ("weight", "bias")
        }

    def describe_state(self) -> dict[str, float]:
        """The scale and the running mA of every group (or attribute) that AFSS decides on."""
        if self.selection is None:
            return {}
        accuracy = self.selection.compute_mean_accuracy().cpu()  # (3, A)
        values: dict[str, float] = {}
        for name, members in self._deciding.items():
            values[f"scale/{name}"] = self.scales[members[0]]
            for scale in _SCALES:
                values[f"running_mA/{name}/P{scale}"] = float(accuracy[scale - 1, list(members)].nanmean())
        return values


def _create_locations(
    sort: Where, parts: Mapping[str, BodyPart], channels: int, *, offsets: int, ratio: float
) -> Locations:
    if sort == "regions":
        return RegionLocations(parts)
    if sort == "keypoints":
        return KeypointLocations(parts, channels, offsets=offsets)
    return SparseLocations(parts, channels, offsets=offsets, ratio=ratio)


def _check(
    dropout: float,
    locations: str,
    offsets: int,
    ratio: float,
    score: float,
    selection: str,
    scales: Mapping[BodyPart, int],
    channels: int,
) -> None:
    for name, value, valid in (("locations", locations, Where), ("selection", selection, Selection)):
        choices: Sequence[str] = get_args(valid)
        if value not in choices:
            raise ModelError(f"no {name} {value!r}; choose one of {', '.join(choices)}")
    check_dropout(dropout)
    if offsets < 0:
        raise ModelError(f"expected offsets of 0 or more, got {offsets}")
    if not 0 < ratio <= 1:
        raise ModelError(f"expected a sampling_ratio in (0, 1], got {ratio}")
    if not 0 < score <= 1:
        raise ModelError(f"expected a keypoint_score in (0, 1], got {score}; a missing keypoint has 0")
    if set(scales) != set(BODY_PARTS) or not set(scales.values()) <= set(_SCALES):
        raise ModelError(f"expected scales 1, 2 or 3 of {', '.join(BODY_PARTS)}, got {dict(scales)}")
    if channels < 1:
        raise ModelError(f"expected pyramid_channels of at least 1, got {channels}")
