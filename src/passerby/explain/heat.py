"""Heat maps: what in a picture speaks for an attribute, for all of a batch at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ConfigError, DataError, ModelError
from passerby.explain.native import combine_maps
from passerby.models.base import AttributeModel, evaluating
from passerby.types import Guidance

__all__ = ["METHODS", "HeatMaps", "Method", "compute_heat_maps"]

Method = Literal["grad-cam", "grad-cam-p", "grad-cam++", "layer-cam", "native", "occlusion"]
METHODS: tuple[str, ...] = get_args(Method)

_CHUNK_BYTES = 256 * 2**20
_OCCLUDED_SHARE = 1 / 8


@dataclass(frozen=True, slots=True, eq=False)
class HeatMaps:
    """Heat maps of a batch.

    Args:
        attributes: Numbers in the schema of the attributes that have a map, in the order of `maps`.
        maps: One an attribute, as large as what was looked at.
        logits: Of all attributes.

    Shape:
        maps: (N, h, w) float ≥ 0 each, on no common scale; h and w may differ from one to the next.
        logits: (N, A).
    """

    attributes: tuple[int, ...]
    maps: tuple[Tensor, ...]
    logits: Tensor

    def resize(self, size: tuple[int, int]) -> Tensor:
        """All maps in one size, bilinear.

        Shape:
            size: H and W; returns (N, A', H, W), A' being the number of maps.
        """
        return torch.cat(
            [F.interpolate(each[:, None], size=size, mode="bilinear") for each in self.maps], dim=1
        )


def compute_heat_maps(
    model: AttributeModel,
    images: Tensor,
    guidance: Guidance | None = None,
    *,
    attributes: Sequence[str] | None = None,
    method: Method | None = None,
) -> HeatMaps:
    """Heat maps of some or all attributes from one forward pass, and of the head's gradient alone.

    With F the features that the model looks at (`AttributeModel.capture`), S the logit of an attribute and
    g = ∂S / ∂F:

    | method | map |
    |---|---|
    | `grad-cam` | ReLU Σ_k (mean of g_k over the places) · F_k (Selvaraju et al., 2017) |
    | `grad-cam-p` | ReLU Σ_k g_k · F_k at each place by itself (SSPNet, Eq. 13) |
    | `grad-cam++` | ReLU Σ_k w_k F_k, w = Σ α ReLU(g), α = g² / (2 g² + g³ Σ F) (Chattopadhay et al., 2018) |
    | `layer-cam` | ReLU Σ_k ReLU(g_k) · F_k at each place by itself (Jiang et al., 2021) |
    | `native` | what the model itself shows, such as its attention (`AttributeModel.native_map`) |
    | `occlusion` | how much the logit falls when a part of the picture is grey: slow, but no theory |

    Eq. 13 differentiates a_j, "model prediction result": the logit, as in Grad-CAM, for Eq. 10 has the
    sigmoid σ over a_ij (it would multiply each map by a number, which changes no box). Grad-CAM++ presumes
    F ≥ 0; of features without a ReLU a negative Σ F counts as 0 here, or α would have a pole. Layer-CAM's
    maps are those of F alone; the paper's fusion of several layers is left out.

    Maps by gradient show what reaches the logit through F. What goes past it is left out:

    - DIAA: the attention to stage 3, one of the three logits that are averaged; F is stage 4.
    - Da-HAR: stages 2 and 3 where the side branch fuses them with stage 4, which is F.
    - MTMS: the maps of stage I in the relation attention, which scale and shift those of F, stage II.
    - passerby: attention and evidence at stage 3; F is stage 4.

    The model's mode, hooks and gradients and the grad mode of the caller are left as they were, also if
    something fails.

    Args:
        model: In any mode; computed in evaluation mode.
        guidance: What the model looks at beside the pictures.
        attributes: Names, at least one; all of them by default.
        method: One of `METHODS`; None takes the model's `heat_method`.

    Shape:
        images: (N, 3, H, W) float, normalised.

    Raises:
        ConfigError: If there is no such method.
        DataError: If no attribute is named.
        SchemaError: If there is no attribute of a name.
        ModelError: If the model shows no map of its own, and that was asked for.

    Example:
        >>> from passerby.models import create_model
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "has a bag")))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> heat = compute_heat_maps(model, torch.randn(3, 3, 64, 32), attributes=["Bag"])
        >>> heat.attributes, heat.maps[0].shape, heat.resize((64, 32)).shape
        ((1,), torch.Size([3, 2, 1]), torch.Size([3, 1, 64, 32]))
    """
    method = method or model.heat_method
    if method not in METHODS:
        raise ConfigError(f"no method {method!r}; choose one of {', '.join(METHODS)}")
    numbers = _find_attributes(model, attributes)
    # Gradients cannot be had of tensors of inference mode; a caller in it gets plain ones back.
    with torch.inference_mode(mode=False), evaluating(model), torch.no_grad():
        images = images.clone() if images.is_inference() else images
        if method == "native":
            return _take_native(model, images, guidance, numbers)
        if method == "occlusion":
            return _occlude(model, images, guidance, numbers)
        return _differentiate(model, images, guidance, numbers, rule=_RULES[method])


def _find_attributes(model: AttributeModel, names: Sequence[str] | None) -> tuple[int, ...]:
    if names is None:
        return tuple(range(len(model.schema)))
    if not names:
        raise DataError("expected at least one attribute to make maps of, got none; None makes those of all")
    return tuple(model.schema.index(name) for name in names)


# ---------------------------------------------------------------------- by gradient

Rule = Callable[[Tensor, Tensor], Tensor]
"""From features (N, C, h, w) and gradients (a, N, C, h, w) to maps (a, N, h, w), before the ReLU."""


def _grad_cam(features: Tensor, slopes: Tensor) -> Tensor:
    return torch.einsum("anc,nchw->anhw", slopes.mean((3, 4)), features)


def _grad_cam_p(features: Tensor, slopes: Tensor) -> Tensor:
    return torch.einsum("anchw,nchw->anhw", slopes, features)


def _grad_cam_plus_plus(features: Tensor, slopes: Tensor) -> Tensor:
    gains = slopes.relu()  # α counts only where g > 0, and g² cancels in it
    weights = gains / (2 + gains * features.sum((2, 3), keepdim=True).clamp_min(0))
    return torch.einsum("anc,nchw->anhw", weights.sum((3, 4)), features)


def _layer_cam(features: Tensor, slopes: Tensor) -> Tensor:
    return torch.einsum("anchw,nchw->anhw", slopes.relu(), features)


_RULES: dict[str, Rule] = {
    "grad-cam": _grad_cam,
    "grad-cam-p": _grad_cam_p,
    "grad-cam++": _grad_cam_plus_plus,
    "layer-cam": _layer_cam,
}


def _differentiate(
    model: AttributeModel, images: Tensor, guidance: Guidance | None, numbers: tuple[int, ...], *, rule: Rule
) -> HeatMaps:
    with model.capturing() as captured:
        logits = model(images, guidance).logits  # (N, A), with a graph from the captured features on
    levels = model.levels_looked_at
    maps: dict[int, Tensor] = {}
    for level in dict.fromkeys(levels[i] for i in numbers):
        if level not in captured:
            raise ModelError(f"a {model.name} model names {level!r} for heat maps, and never looked at it")
        features = captured[level]
        members = [i for i in numbers if levels[i] == level]
        size = max(1, _CHUNK_BYTES // max(1, features.numel() * features.element_size()))
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            slopes = _compute_slopes(logits, features, chunk)  # (a, N, C, h, w)
            found = rule(features.detach(), slopes).relu()
            maps.update(zip(chunk, found.unbind(0), strict=True))
    return HeatMaps(numbers, tuple(maps[i] for i in numbers), logits.detach())


def _compute_slopes(logits: Tensor, features: Tensor, members: Sequence[int]) -> Tensor:
    """Gradients of some logits with respect to the features of all pictures, (a, N, C, h, w).

    Pictures do not see each other in evaluation mode, so one product with the Jacobian serves all of them.
    """
    rows = torch.zeros(len(members), *logits.shape, dtype=logits.dtype, device=logits.device)
    rows[torch.arange(len(members)), :, list(members)] = 1
    (slopes,) = torch.autograd.grad(logits, features, rows, retain_graph=True, is_grads_batched=True)
    return slopes


# ---------------------------------------------------------------------- others


def _take_native(
    model: AttributeModel, images: Tensor, guidance: Guidance | None, numbers: tuple[int, ...]
) -> HeatMaps:
    if not model.native_map:
        raise ModelError(
            f"a {model.name} model shows no map of its own that locates attributes; take another method, "
            "such as grad-cam-p"
        )
    output = model(images, guidance)
    maps = combine_maps(output.maps, model.native_map).expand(-1, output.logits.shape[1], -1, -1)
    return HeatMaps(numbers, tuple(maps[:, i].float() for i in numbers), output.logits)


def _occlude(
    model: AttributeModel, images: Tensor, guidance: Guidance | None, numbers: tuple[int, ...]
) -> HeatMaps:
    """Mean fall of the logit over the windows that cover a place.

    Windows are squares of 1/8 of the height that overlap by half. What is covered becomes 0, the mean colour
    after the usual normalisation.
    """
    logits = model(images, guidance).logits
    height, width = images.shape[2:]
    side = max(2, round(height * _OCCLUDED_SHARE))
    step = side // 2
    total = images.new_zeros(len(images), len(numbers), height, width)
    count = images.new_zeros(height, width)
    for top in range(step - side, height, step):
        for left in range(step - side, width, step):
            window = (slice(max(0, top), top + side), slice(max(0, left), left + side))
            covered = images.clone()
            covered[:, :, window[0], window[1]] = 0
            fall = (logits - model(covered, guidance).logits)[:, list(numbers)]  # (N, a)
            total[:, :, window[0], window[1]] += fall[:, :, None, None]
            count[window] += 1
    maps = (total / count).relu()
    return HeatMaps(numbers, tuple(maps.unbind(1)), logits)
