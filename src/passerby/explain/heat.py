"""Heat maps: the contribution of each location of an image to the logit of an attribute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ConfigError, DataError, ModelError
from passerby.explain.native import combine_maps
from passerby.io import count_of
from passerby.models.base import AttributeModel, evaluating
from passerby.schema import list_names
from passerby.types import Guidance

__all__ = ["METHODS", "HeatMaps", "Method", "compute_heat_maps"]

Method = Literal["grad-cam", "grad-cam-p", "grad-cam++", "layer-cam", "native", "occlusion"]
METHODS: tuple[str, ...] = get_args(Method)

_CHUNK_BYTES = 256 * 2**20
_OCCLUDED_SHARE = 1 / 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HeatMaps:
    """Heat maps of a batch.

    Args:
        attributes: Indices in the schema of the attributes that have a map, in the order of `maps`.
        maps: One per attribute, at the size of the features that it was computed from.
        logits: Of all attributes.

    Shape:
        maps: (N, h, w) float ≥ 0 each, not on a common scale; h and w may differ from map to map.
        logits: (N, A).
    """

    attributes: tuple[int, ...]
    maps: tuple[Tensor, ...]
    logits: Tensor

    def __repr__(self) -> str:
        sizes = dict.fromkeys(f"{each.shape[-1]} × {each.shape[-2]}" for each in self.maps)
        counts = f"{count_of(len(self.logits), 'image')}, {count_of(len(self.maps), 'attribute')}"
        return f"HeatMaps({counts}; {', '.join(sizes) or 'no map'})"

    def resize(self, size: tuple[int, int]) -> Tensor:
        """Resize all maps to one size, bilinear.

        Shape:
            size: H and W; returns (N, A', H, W) for A' maps.
        """
        return torch.cat(
            [F.interpolate(each[:, None], size=size, mode="bilinear") for each in self.maps], dim=1
        )


def compute_heat_maps(
    model: AttributeModel,
    images: Tensor,
    guidance: Guidance | None = None,
    *,
    attributes: str | Sequence[str] | None = None,
    method: Method | None = None,
) -> HeatMaps:
    """Compute heat maps of some or all attributes from one forward pass; gradients stop at the features.

    With F the captured features (`AttributeModel.capture`), S the logit of an attribute and g = ∂S / ∂F:

    | method | map |
    |---|---|
    | `grad-cam` | ReLU Σ_k (mean of g_k over all locations) · F_k (Selvaraju et al., 2017) |
    | `grad-cam-p` | ReLU Σ_k g_k · F_k at each location (SSPNet, Eq. 13) |
    | `grad-cam++` | ReLU Σ_k w_k F_k, w = Σ α ReLU(g), α = g² / (2 g² + g³ Σ F) (Chattopadhay et al., 2018) |
    | `layer-cam` | ReLU Σ_k ReLU(g_k) · F_k at each location (Jiang et al., 2021) |
    | `native` | a map of the model itself, such as its attention (`AttributeModel.native_map`) |
    | `occlusion` | the drop of the logit when a region of the image is grey: slow, free of assumptions |

    Eq. 13 differentiates a_j, the "model prediction result". We take it as the logit, as in Grad-CAM, because
    Eq. 10 applies the sigmoid σ to a_ij; the sigmoid would only multiply each map by a number, which changes
    no box. Grad-CAM++ assumes F ≥ 0; for features without a ReLU a negative Σ F counts as 0 here, as α would
    have a pole otherwise. Layer-CAM's maps are those of F alone, without the paper's fusion of several
    layers.

    Gradient-based maps show the contributions that reach the logit through F. They leave out others:

    - DIAA: the attention at stage 3, one of the three logits that are averaged; F is stage 4.
    - Da-HAR: stages 2 and 3, which the side branch fuses with stage 4; F is stage 4.
    - MTMS: the maps of stage I in the relation attention, which scale and shift those of F; F is stage II.
    - passerby: attention and evidence at stage 3; F is stage 4.

    The model's mode, hooks and gradients and the caller's grad mode stay unchanged, also after an error.

    Args:
        model: In any mode; computed in evaluation mode.
        guidance: The auxiliary inputs of the model.
        attributes: One name or several; by default all attributes.
        method: One of `METHODS`; None takes the model's `heat_method`.

    Shape:
        images: (N, 3, H, W) float, normalised.

    Raises:
        ConfigError: If there is no such method.
        DataError: If `attributes` is empty.
        SchemaError: If there is no attribute of a name.
        ModelError: If `native` is requested and the model has no native map.

    Example:
        >>> from passerby.models import create_model
        >>> from passerby.schema import Attribute, AttributeSchema
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "has a bag")))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> heat = compute_heat_maps(model, torch.randn(3, 3, 64, 32), attributes=["Bag"])
        >>> heat.attributes, heat.maps[0].shape, heat.resize((64, 32)).shape
        ((1,), torch.Size([3, 2, 1]), torch.Size([3, 1, 64, 32]))
        >>> heat
        HeatMaps(3 images, 1 attribute; 1 × 2)
    """
    method = method or model.heat_method
    if method not in METHODS:
        raise ConfigError(f"no method {method!r}; choose one of {', '.join(METHODS)}")
    numbers = _find_attributes(model, attributes)
    # Tensors of inference mode have no gradients; a caller in this mode gets ordinary tensors back.
    with torch.inference_mode(mode=False), evaluating(model), torch.no_grad():
        images = images.clone() if images.is_inference() else images
        if method == "native":
            return _take_native(model, images, guidance, numbers)
        if method == "occlusion":
            return _occlude(model, images, guidance, numbers)
        return _differentiate(model, images, guidance, numbers, rule=_RULES[method])


def _find_attributes(model: AttributeModel, names: str | Sequence[str] | None) -> tuple[int, ...]:
    if names is None:
        return tuple(range(len(model.schema)))
    if not names:
        raise DataError(
            "expected at least one attribute for heat maps, got an empty list; pass None for all attributes"
        )
    return tuple(model.schema.index(name) for name in list_names(names))


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
    levels = model.heat_map_levels
    maps: dict[int, Tensor] = {}
    for level in dict.fromkeys(levels[i] for i in numbers):
        if level not in captured:
            raise ModelError(
                f"a {model.name} model names the features {level!r} for heat maps, but did not capture them"
            )
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
    """Gradients of some logits with respect to the features of all images, (a, N, C, h, w).

    In evaluation mode the logits of an image depend on that image only, so one vector-Jacobian product is
    enough for all images.
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
            f"a {model.name} model has no native map that localises attributes; choose another method, such "
            "as grad-cam-p"
        )
    output = model(images, guidance)
    maps = combine_maps(output.maps, model.native_map).expand(-1, output.logits.shape[1], -1, -1)
    return HeatMaps(numbers, tuple(maps[:, i].float() for i in numbers), output.logits)


def _occlude(
    model: AttributeModel, images: Tensor, guidance: Guidance | None, numbers: tuple[int, ...]
) -> HeatMaps:
    """Mean drop of the logit over the windows that cover a location.

    Windows are squares of 1/8 of the height that overlap by half. Covered pixels become 0, the mean colour
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
            drop = (logits - model(covered, guidance).logits)[:, list(numbers)]  # (N, a)
            total[:, :, window[0], window[1]] += drop[:, :, None, None]
            count[window] += 1
    maps = (total / count).relu()
    return HeatMaps(numbers, tuple(maps.unbind(1)), logits)
