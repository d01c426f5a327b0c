"""Heat maps of networks with analytically known maps; of all models, batched and one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from loops import loop_bilinear
from passerby.errors import ConfigError, DataError, ModelError, SchemaError
from passerby.explain.heat import METHODS, compute_heat_maps
from passerby.models import AttributeModel, create_model
from passerby.models.base import evaluating
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance, Output

SCHEMA = AttributeSchema("toy", tuple(Attribute(name, "is there") for name in ("Red", "Blue", "Both")))
GRADIENTS = ("grad-cam", "grad-cam-p", "grad-cam++", "layer-cam")


class Toy(AttributeModel):
    """Features are 4×4 means of the image's channels; the head is given."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(SCHEMA)
        self.name, self.arguments = "toy", {}
        self.head = head

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        features = self.capture(nn.functional.avg_pool2d(images, 4))
        return Output(self.head(features), features=features)


class Pooled(nn.Module):
    """Logits are linear in the mean over all locations."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        weights = torch.tensor([[1.0, 0.0, -0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
        self.register_buffer("weights", weights)

    def forward(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)) @ self.weights.T


class Squared(nn.Module):
    """Each logit is the sum of the squares of one channel: gradients differ between locations."""

    def forward(self, features: Tensor) -> Tensor:
        return features.square().sum((2, 3))


def pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 16, 12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def features_of(images: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(images, 4)  # (N, 3, 4, 3)


def by_hand(features: Tensor, slopes: list[list[list[float]]], method: str) -> list[list[float]]:
    """One map from the features (C, h, w) of an image and the gradients of one attribute, in loops."""
    channels, height, width = features.shape
    f: list[list[list[float]]] = features.tolist()
    area = height * width
    found = [[0.0] * width for _ in range(height)]
    for k in range(channels):
        mean = sum(sum(row) for row in slopes[k]) / area
        total = max(0.0, sum(sum(row) for row in f[k]))  # of features that are not ReLU'd, the departure
        plus = 0.0
        for y in range(height):
            for x in range(width):
                g = slopes[k][y][x]
                below = 2 * g**2 + g**3 * total
                plus += (g**2 / below if g and below else 0.0) * max(0.0, g)
        for y in range(height):
            for x in range(width):
                weight = {
                    "grad-cam": mean,
                    "grad-cam-p": slopes[k][y][x],
                    "grad-cam++": plus,
                    "layer-cam": max(0.0, slopes[k][y][x]),
                }[method]
                found[y][x] += weight * f[k][y][x]
    return [[max(0.0, value) for value in row] for row in found]


@pytest.mark.parametrize("method", GRADIENTS)
@pytest.mark.parametrize("head", [Pooled(), Squared()], ids=["pooled", "squared"])
def test_analytically_known_maps(head: nn.Module, method: Any) -> None:
    images = pictures()
    features = features_of(images)
    heat = compute_heat_maps(Toy(head), images, method=method)
    assert heat.attributes == (0, 1, 2)
    torch.testing.assert_close(heat.logits, head(features))
    for n in range(len(images)):
        for a in range(3):
            if isinstance(head, Pooled):
                slopes = [[[float(head.weights[a, k]) / 12] * 3 for _ in range(4)] for k in range(3)]
            else:
                slopes = [
                    [[2 * v if k == a else 0.0 for v in row] for row in features[n, k].tolist()]
                    for k in range(3)
                ]
            expected = torch.tensor(by_hand(features[n], slopes, method), dtype=torch.float64)
            torch.testing.assert_close(heat.maps[a][n], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("total", [-24.0, -23.9, -24.1, -1e6])
def test_grad_cam_plus_plus_of_features_below_zero(total: float) -> None:
    """Red has g = 1/12 everywhere, and 2 + g Σ F = 0 at −24: there the paper's α has its pole."""
    images = torch.full((1, 3, 16, 12), 0.0, dtype=torch.float64)
    images[0, 0] = (total - 10) / 11
    images[0, 0, 4:8, 8:12] = 10
    (heat,) = compute_heat_maps(Toy(Pooled()), images, attributes=["Red"], method="grad-cam++").maps
    expected = torch.zeros(1, 4, 3, dtype=torch.float64)
    expected[0, 1, 2] = 10 / 2  # α = 1/2 and Σ g = 1
    torch.testing.assert_close(heat, expected)


def test_a_red_square_is_found_where_it_is() -> None:
    images = torch.zeros(1, 3, 16, 12)
    images[0, 0, 4:8, 8:12] = 1
    model = Toy(Pooled().float())
    (heat,) = compute_heat_maps(model, images, attributes=["Red"]).maps
    assert heat[0].nonzero().tolist() == [[1, 2]]
    full = compute_heat_maps(model, images, attributes=["Red"]).resize((16, 12))
    assert divmod(int(full[0, 0].argmax()), 12) in {(y, x) for y in range(4, 8) for x in range(8, 12)}


def test_occlusion_measures_the_drop_of_the_logit() -> None:
    """The drop of a linear logit is known: the share of the window in the square, times its weight."""
    images = torch.zeros(1, 3, 16, 12)
    images[0, 0, 4:8, 8:12] = 1
    heat = compute_heat_maps(Toy(Pooled().float()), images, attributes=["Red", "Blue"], method="occlusion")
    red, blue = heat.maps
    assert red.shape == (1, 16, 12)
    whole = compute_heat_maps(Toy(Pooled().float()), images).logits[0, 0].item()
    assert red[0, 5:7, 9:11].min().item() == pytest.approx(whole * 4 / 16)  # windows of 2×2 wholly inside
    assert red[0, :3].max() == 0
    assert blue.max() == 0


MODELS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "da-har": {"fusion_channels": 8, "attention_channels": 8},
    "diaa": {"attention_channels": 8},
    "man": {"hidden": [8, 8, 8]},
    "mtms": {"parsing_classes": "coarse"},
    "passerby": {"evidence_channels": 8},
    "sspnet": {"pyramid_channels": 8},
}


def make(name: str, **arguments: Any) -> AttributeModel:
    torch.manual_seed(0)
    parts = ("head", "torso", "bottom")
    schema = AttributeSchema("s", tuple(Attribute(p, "is there", body_part=p) for p in parts))  # type: ignore[arg-type]
    return create_model(name, schema=schema, backbone="test_resnet", **MODELS[name], **arguments)


def images_of(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def one_by_one(model: AttributeModel, images: Tensor, attribute: int, method: str) -> Tensor:
    """One backward pass for each image and attribute."""
    maps = []
    with evaluating(model):
        for image in images:
            with model.capturing() as captured:
                logits = model(image[None]).logits
            features = captured[model.heat_map_levels[attribute]]
            (slopes,) = torch.autograd.grad(logits[0, attribute], features)
            found = by_hand(features[0].detach(), slopes[0].tolist(), method)
            maps.append(torch.tensor(found, dtype=features.dtype))
    return torch.stack(maps)


def amplify(model: AttributeModel, factor: float) -> AttributeModel:
    """Multiply the logits: random heads have maps near 0, which agree with anything."""
    forward = model.forward

    def scaled(images: Tensor, guidance: Guidance | None = None) -> Output:
        output = forward(images, guidance)
        return replace(output, logits=factor * output.logits)

    model.forward = scaled  # type: ignore[method-assign]
    return model


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, {}) for name in sorted(MODELS)),
        ("sspnet", {"locations": "regions"}),
        ("sspnet", {"locations": "keypoints"}),
    ],
)
@pytest.mark.parametrize("method", GRADIENTS)
def test_batched_maps_equal_single_ones(name: str, arguments: dict[str, Any], method: Any) -> None:
    model, images = make(name, **arguments).double(), images_of(2).double()
    most = max(float(each.max()) for each in compute_heat_maps(model, images, method="layer-cam").maps)
    peaks = []
    for factor in (30 / most, -1):  # means over locations are below 1 then; −1 for negative evidence
        heat = compute_heat_maps(amplify(model, factor), images, method=method)
        for attribute in range(3):
            expected = one_by_one(model, images, attribute, method)
            torch.testing.assert_close(heat.maps[attribute], expected, atol=1e-9, rtol=1e-9)
            peaks.append(float(expected.max()))
    assert max(peaks) > 0.1
    some = compute_heat_maps(model, images, attributes=["bottom", "head"], method=method)
    assert some.attributes == (2, 0)
    torch.testing.assert_close(some.maps[0], heat.maps[2])
    torch.testing.assert_close(some.maps[1], heat.maps[0])


def test_the_chunk_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = make("sspnet"), images_of()
    whole = compute_heat_maps(model, images)
    monkeypatch.setattr("passerby.explain.heat._CHUNK_BYTES", 1)
    for a, b in zip(compute_heat_maps(model, images).maps, whole.maps, strict=True):
        torch.testing.assert_close(a, b)


def test_maps_of_sspnet_lie_on_the_selected_scale() -> None:
    model = create_model(
        "sspnet",
        schema=make("sspnet").schema,
        backbone="test_resnet",
        pyramid_channels=8,
        selection="fixed",
        scales={"head": 1, "torso": 2, "bottom": 3, "all": 3},
    )
    assert model.heat_map_levels == ("P1", "P2", "P3")
    shapes = [tuple(each.shape) for each in compute_heat_maps(model, images_of(2)).maps]
    assert shapes == [(2, 16, 12), (2, 8, 6), (2, 4, 3)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_native_maps(name: str) -> None:
    model, images = make(name), images_of()
    if not model.native_map:
        with pytest.raises(ModelError, match=f"a {name} model has no native map"):
            compute_heat_maps(model, images, method="native")
        return
    heat = compute_heat_maps(model, images, method="native")
    with torch.no_grad(), evaluating(model):
        maps = model(images).maps
    for n in range(3):
        for attribute in range(3):
            expected = native_by_hand(name, {key: each[n].tolist() for key, each in maps.items()}, attribute)
            torch.testing.assert_close(heat.maps[attribute][n], torch.tensor(expected))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_default_method_is_that_of_the_model(name: str) -> None:
    model, images = make(name), images_of()
    assert model.heat_method == ("native" if name in {"da-har", "diaa", "passerby"} else "grad-cam-p")
    default, explicit = (
        compute_heat_maps(model, images, method=each).maps for each in (None, model.heat_method)
    )
    assert all(map(torch.equal, default, explicit))
    other = compute_heat_maps(model, images, method="layer-cam").maps
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(default, other, strict=True))


def test_without_a_native_map_the_default_is_grad_cam_p() -> None:
    plain = create_model(
        "da-har", schema=make("da-har").schema, backbone="test_resnet", masked_attention=False
    )
    assert (plain.native_map, plain.heat_method) == ("", "grad-cam-p")


def native_by_hand(name: str, maps: dict[str, Any], a: int) -> list[list[float]]:
    """The native map of an attribute from the maps of an image, in loops."""
    if name == "mtms":
        return maps["stage2"][a]  # type: ignore[no-any-return]
    if name == "da-har":
        rows = zip(maps["attention"][a], maps["confidence"][a], maps["mask"][0], strict=True)
        return [[x * y * z for x, y, z in zip(*each, strict=True)] for each in rows]
    factor = {"diaa": "confidence", "passerby": "evidence"}[name]
    height, width = len(maps["attention3"][a]), len(maps["attention3"][a][0])
    found = [[0.0] * width for _ in range(height)]
    for stage in (3, 4):
        attention, factors = (
            loop_bilinear(maps[f"{kind}{stage}"][a], height, width) for kind in ("attention", factor)
        )
        total = sum(attention[y][x] * factors[y][x] for y in range(height) for x in range(width))
        for y in range(height):
            for x in range(width):
                found[y][x] += attention[y][x] * factors[y][x] / total / 2
    return found


class BoomError(Exception):
    """Raised by a head."""


class Exploding(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        raise BoomError


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["train", "eval", "mixed"])
@pytest.mark.parametrize("grad", [True, False])
def test_model_and_caller_stay_unchanged(method: Any, mode: str, grad: bool) -> None:
    model = make("diaa")
    model.train(mode == "train")
    if mode == "mixed":
        next(model.children()).train()
    before = [m.training for m in model.modules()]
    state = {k: v.clone() for k, v in model.state_dict().items()}
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    images = images_of(1).requires_grad_(grad)
    with torch.set_grad_enabled(grad):
        heat = compute_heat_maps(model, images, method=method)
        assert torch.is_grad_enabled() == grad
    assert not any(each.requires_grad for each in (*heat.maps, heat.logits))
    assert [m.training for m in model.modules()] == before
    assert [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()] == hooks
    assert all(p.grad is not None and (p.grad == 1).all() for p in model.parameters())
    assert images.grad is None
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_model_and_caller_stay_unchanged_after_an_error() -> None:
    model = Toy(Exploding()).train()
    with torch.enable_grad(), pytest.raises(BoomError):
        compute_heat_maps(model, pictures())
    assert torch.is_grad_enabled()
    assert model.training
    model.head = Pooled()
    assert not model(pictures()).features.requires_grad  # capturing has ended


def test_in_inference_mode() -> None:
    model = make("baseline")
    with torch.inference_mode():
        heat = compute_heat_maps(model, images_of())
        assert torch.is_inference_mode_enabled()
    torch.testing.assert_close(heat.maps[0], compute_heat_maps(model, images_of()).maps[0])


def test_wrong_arguments_are_refused() -> None:
    model = make("baseline")
    with pytest.raises(ConfigError, match="no method 'cam'; choose one of grad-cam, grad-cam-p"):
        compute_heat_maps(model, images_of(), method="cam")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="has no attribute 'Hat'; it has head, torso, bottom"):
        compute_heat_maps(model, images_of(), attributes=["Hat"])
    with pytest.raises(SchemaError, match=r"no attribute 'Head'; did you mean head\?"):
        compute_heat_maps(model, images_of(), attributes=["Head"])
    with pytest.raises(DataError, match="at least one attribute for heat maps, got an empty list"):
        compute_heat_maps(model, images_of(), attributes=[])


def test_features_that_are_never_captured_are_refused() -> None:
    class WithoutCapture(Toy):
        @property
        def heat_map_levels(self) -> tuple[str, ...]:
            return ("elsewhere",) * 3

    with pytest.raises(ModelError, match="names the features 'elsewhere' for heat maps, but did not"):
        compute_heat_maps(WithoutCapture(Pooled()), pictures())


def test_the_package_grad_cam_agrees() -> None:
    """Of a baseline, with the features as its target layer; its maps are scaled to 0 … 1 and enlarged."""
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils import model_targets as targets

    model, images = make("baseline").eval(), images_of(2)
    with torch.no_grad():  # the package adds 1e-6 to squared gradients, which must not count
        model.get_parameter("classifier.weight").mul_(1e3)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> Tensor:
            return self.model(images).logits

    for method, name in (
        ("grad-cam", "GradCAM"),
        ("grad-cam++", "GradCAMPlusPlus"),
        ("layer-cam", "LayerCAM"),
    ):
        ours = compute_heat_maps(model, images, method=method)  # type: ignore[arg-type]
        with getattr(package, name)(model=Logits(), target_layers=[model.backbone]) as cam:
            for attribute in range(3):
                theirs = cam(images, [targets.ClassifierOutputTarget(attribute)] * 2)
                mine = ours.maps[attribute]
                scaled = [_scale_and_enlarge(each) for each in mine.numpy()]
                for a, b in zip(scaled, theirs, strict=True):
                    assert float(abs(a - b).max()) < 2e-4, (method, attribute)


def _scale_and_enlarge(heat: Any) -> Any:
    import cv2

    shifted = heat - heat.min()
    return cv2.resize(shifted / (1e-7 + shifted.max()), (48, 64))
