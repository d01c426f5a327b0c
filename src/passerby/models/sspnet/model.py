"""SSPNet: a feature pyramid, sampled for each body part at its own scale and location."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Unpack, cast, get_args

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbone_model import BackboneArguments, StagedModel
from passerby.models.base import check_choice, check_width
from passerby.models.sspnet.locations import (
    KeypointLocations,
    Locations,
    RegionLocations,
    SparseLocations,
    place_keypoints,
)
from passerby.models.sspnet.pyramid import FeaturePyramid
from passerby.models.sspnet.selection import ScaleSelection
from passerby.schema import BODY_PARTS, AttributeSchema, BodyPart
from passerby.types import Guidance, Output

__all__ = ["LocationPrior", "SSPNet", "Selection"]

LocationPrior = Literal["regions", "keypoints", "sparse"]
Selection = Literal["group", "attribute", "fixed"]

_SCALES = (1, 2, 3)
_PUBLISHED_SCALES: Mapping[BodyPart, int] = {"head": 1, "torso": 2, "bottom": 2, "all": 3}


class SSPNet(StagedModel):
    """Scale and spatial priors: a feature pyramid, sampled for each body part at its scale and location.

    The attributes form up to four groups by body part (`Attribute.body_part`). Each group is classified by
    one linear layer over pooled features. They come from one level of the pyramid (selected by AFSS), at the
    expected locations of the body part (PLE).

    Paper: Shen et al., *SSPNet: Scale and spatial priors guided generalizable and interpretable pedestrian
    attribute recognition*, 2023, sections 3.2.1–3.2.4; train it with the loss `hierarchical`. For details
    that the paper leaves open see `FeaturePyramid`, `ScaleSelection`, `OffsetSampling` and the three kinds of
    `Locations`. Training computes and scores all scales; evaluation only the selected ones.

    Args:
        schema: The attributes, in the order of the logits; their `body_part` defines the groups.
        locations: `sparse` (PLE-S), `keypoints` (PLE-K: SSPNet-K takes keypoints as input, or else the
            average pose) or `regions` (PLE-R).
        spatial_prior: Use the expected locations of each body part; otherwise the entire map (all keypoints).
        offsets: Number of learned offsets M per point; 0 for none. Regions have no points.
        sampling_ratio: Fraction of the positions that become sparse points, in (0, 1].
        keypoint_score: A keypoint with a lower score counts as missing, in (0, 1]; see `place_keypoints`.
        selection: Select the scale in training by `group` (AFSS) or by `attribute` (AFSS*), or keep it
            `fixed`.
        scales: Scale of each body part, 1 (stride 4), 2 or 3 (stride 16): the initial ones of AFSS, or the
            fixed ones. By default head 1, torso 2, bottom 2, all 3, as found in section 4.2 and used by the
            published code.
        selection_memory: Number of samples after which AFSS halves its counts; see `ScaleSelection`.
        pyramid_channels: Width of the pyramid.
        smoothing: Smooth each level of the pyramid by a 3×3 convolution.
        shared: See `BackboneModel`; `dropout` applies to the pooled features.

    Raises:
        ModelError: If the backbone has no stages, or an argument is out of its range.

    Shape:
        images: (N, 3, H, W) float; guidance: keypoints (N, 17, 3).
        returns: logits (N, A); in training with a selection, candidates `P1`, `P2`, `P3`, (N, A) each;
            features (N, C, h, w) of stage 4, on which all attributes depend. The heat maps of section 3.2.5
            are computed on the selected level of the pyramid (`heat_map_levels`).
    """

    def __init__(
        self,
        schema: AttributeSchema,
        *,
        locations: LocationPrior = "sparse",
        spatial_prior: bool = True,
        offsets: int = 3,
        sampling_ratio: float = 0.75,
        keypoint_score: float = 0.2,
        selection: Selection = "group",
        scales: Mapping[BodyPart, int] | None = None,
        selection_memory: int = 8192,
        pyramid_channels: int = 256,
        smoothing: bool = True,
        **shared: Unpack[BackboneArguments],
    ) -> None:
        scales = {**_PUBLISHED_SCALES, **(scales or {})}
        check_choice("locations", locations, get_args(LocationPrior))
        check_choice("selection", selection, get_args(Selection))
        check_width("pyramid_channels", pyramid_channels)
        _check_points(offsets, sampling_ratio, keypoint_score)
        _check_scales(scales)
        super().__init__(schema, **shared)
        if locations == "keypoints":
            self.guidance = ("keypoints",)
            self.without_guidance = "the average pose of a pedestrian replaces them"
        self.keypoint_score = keypoint_score
        groups = schema.group_by("body_part")
        self.groups: dict[BodyPart, tuple[int, ...]] = {
            body_part: groups[body_part] for body_part in BODY_PARTS if body_part in groups
        }
        self.start_scales = tuple(scales[attribute.body_part] for attribute in schema)
        self.selection = self._create_selection(selection, selection_memory)
        trained = tuple(sorted(set(self.start_scales))) if self.selection is None else _SCALES
        self.pyramid = FeaturePyramid(
            self.backbone.stage_channels, pyramid_channels, scales=trained, smoothing=smoothing
        )
        self.locations = nn.ModuleDict()
        self.classifiers = nn.ModuleDict()
        for scale in trained:
            members = {
                body_part: indices
                for body_part, indices in self.groups.items()
                if self.selection is not None or scales[body_part] == scale
            }
            prior: dict[str, BodyPart] = {each: each if spatial_prior else "all" for each in members}
            self.locations[f"P{scale}"] = _create_locations(
                locations, prior, pyramid_channels, offsets=offsets, ratio=sampling_ratio
            )
            self.classifiers[f"P{scale}"] = nn.ModuleDict(
                {each: nn.Linear(5 * pyramid_channels, len(indices)) for each, indices in members.items()}
            )

    def _create_selection(self, selection: Selection, memory: int) -> ScaleSelection | None:
        if selection == "fixed":
            return None
        self.observed = ("selection",)
        self._selected: Mapping[str, tuple[int, ...]] = {
            name: (i,) for i, name in enumerate(self.schema.names)
        }
        if selection == "group":
            self._selected = dict[str, tuple[int, ...]](self.groups.items())
        return ScaleSelection(list(self._selected.values()), start=self.start_scales, memory=memory)

    @property
    def scales(self) -> tuple[int, ...]:
        """Scale of each attribute, 1 to 3, at prediction."""
        return self.start_scales if self.selection is None else self.selection.scales

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits."""
        keypoints = None
        if self.guidance:
            given = None if guidance is None else guidance.keypoints
            keypoints = place_keypoints(given, images=images, min_score=self.keypoint_score)
        stages, features = [], images
        for stage in (1, 2, 3, 4):
            features = self.backbone.run_stage(stage, features)
            stages.append(features)
        candidates = self.training and self.selection is not None
        scales = _SCALES if candidates else tuple(sorted(set(self.scales)))
        levels = self.pyramid(stages, scales)
        logits: dict[int, Tensor] = {}
        columns: dict[int, list[int]] = {}  # attributes of the columns of each level's logits
        for scale in scales:
            used = [
                body_part
                for body_part, members in self.groups.items()
                if candidates or any(self.scales[i] == scale for i in members)
            ]
            level = self.capture(levels[scale], f"P{scale}")
            logits[scale] = self._score_level(scale, level, used, keypoints)
            columns[scale] = [i for body_part in used for i in self.groups[body_part]]
        selected = [logits[s][:, columns[s].index(i)] for i, s in enumerate(self.scales)]
        competing = {}
        if candidates:
            order = [columns[1].index(i) for i in range(len(self.schema))]
            competing = {f"P{scale}": logits[scale][:, order] for scale in scales}
        return Output(torch.stack(selected, dim=1), candidates=competing, features=features)

    def _score_level(
        self, scale: int, level: Tensor, body_parts: Sequence[BodyPart], keypoints: Tensor | None
    ) -> Tensor:
        """Logits of the attributes of these body parts at one scale."""
        pooled = self.locations[f"P{scale}"](level, body_parts, keypoints)
        classifiers = cast(nn.ModuleDict, self.classifiers[f"P{scale}"])
        return torch.cat([classifiers[each](self.dropout(pooled[each])) for each in body_parts], dim=1)

    @property
    def heat_map_levels(self) -> tuple[str, ...]:
        """The level of the pyramid that classifies each attribute."""
        return tuple(f"P{scale}" for scale in self.scales)

    def observe(self, output: Output, labels: Tensor) -> None:
        """Update the counts and the selection of AFSS with a training batch."""
        if self.selection is not None and output.candidates:
            logits = torch.stack([output.candidates[f"P{scale}"].detach() for scale in _SCALES])
            self.selection.update(logits, labels)

    def locate_attributes(self) -> Mapping[str, tuple[int, ...]]:
        """Each classifier has rows for the attributes of its body part."""
        return {
            f"classifiers.P{scale}.{body_part}.{name}": members
            for scale in _SCALES
            for body_part, members in self.groups.items()
            for name in ("weight", "bias")
        }

    def describe_state(self) -> dict[str, float]:
        """The scale and the running mA of every group (or attribute) whose scale AFSS selects."""
        if self.selection is None:
            return {}
        accuracy = self.selection.compute_mean_accuracy().cpu()  # (3, A)
        values: dict[str, float] = {}
        for name, members in self._selected.items():
            values[f"scale/{name}"] = self.scales[members[0]]
            for scale in _SCALES:
                values[f"running_mA/{name}/P{scale}"] = float(accuracy[scale - 1, list(members)].nanmean())
        return values


def _create_locations(
    kind: LocationPrior, body_parts: Mapping[str, BodyPart], channels: int, *, offsets: int, ratio: float
) -> Locations:
    if kind == "regions":
        return RegionLocations(body_parts)
    if kind == "keypoints":
        return KeypointLocations(body_parts, channels, offsets=offsets)
    return SparseLocations(body_parts, channels, offsets=offsets, ratio=ratio)


def _check_points(offsets: int, ratio: float, score: float) -> None:
    if offsets < 0:
        raise ModelError(f"expected offsets of 0 or more, got {offsets}")
    if not 0 < ratio <= 1:
        raise ModelError(f"expected a sampling_ratio in (0, 1], got {ratio}")
    if not 0 < score <= 1:
        raise ModelError(f"expected a keypoint_score in (0, 1], got {score}; a missing keypoint has 0")


def _check_scales(scales: Mapping[BodyPart, int]) -> None:
    if set(scales) != set(BODY_PARTS) or not set(scales.values()) <= set(_SCALES):
        raise ModelError(f"expected scales 1, 2 or 3 of {', '.join(BODY_PARTS)}, got {dict(scales)}")
