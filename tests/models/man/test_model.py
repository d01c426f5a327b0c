"""MAN against a step-by-step computation: stages, product, mean, and dense layers for each task."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models import MAN, create_model, list_arguments
from passerby.schema import TASKS, Attribute, AttributeSchema, Task
from passerby.types import Guidance

TASK_OF: tuple[Task, ...] = (
    "accessory",
    "head",
    "full body",
    "head",
    "footwear",
    "accessory",
    "full body",
    "accessory",
)
SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has {i}", task=t) for i, t in enumerate(TASK_OF)))

CONTRACT_CASES: dict[str, dict[str, Any]] = {
    "default": {"dropout": 0.3, "hidden": [16, 16, 16]},
    "light": {"hidden": [8, 8, 8], "stride": 8, "multi_task": False},
    "unmasked": {"hidden": [8, 8, 8], "masked": False},
}
"""Arguments for `test_contract.py`."""
GROUPS = {task: [i for i, each in enumerate(TASK_OF) if each == task] for task in TASKS if task in TASK_OF}
ONE_GROUP = {"all": list(range(len(TASK_OF)))}
HIDDEN = (9, 8, 7)
HEIGHT, WIDTH = 64, 48  # a map of 4×3, and of 8×6 at stride 8

Maps = list[list[list[float]]]
"""One sample: channel, row, column."""

Weights = dict[str, Any]
"""A state dict as nested lists."""


# --- the model under test: small, in float64, with random statistics and weights ---


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomize(model: nn.Module) -> None:
    """Random weights and statistics, as after training."""
    with torch.no_grad():
        for i, (name, value) in enumerate([*model.named_parameters(), *model.named_buffers()]):
            if name.startswith("classifiers."):
                scale = 1 / math.sqrt(value[0].numel()) if value.ndim > 1 else 0.5
                value.copy_(scale * draw(*value.shape, seed=i))
            elif name.endswith(
                ("bn1.weight", "bn2.weight", "bn3.weight")
            ):  # timm initialises some of them with 0
                value.copy_(1 + 0.2 * draw(*value.shape, seed=i))
            elif name.endswith("running_mean"):
                value.copy_(0.1 * draw(*value.shape, seed=i))
            elif name.endswith("running_var"):
                value.copy_(0.5 + 0.2 * draw(*value.shape, seed=i).square())


def make(schema: AttributeSchema = SCHEMA, **arguments: Any) -> MAN:
    torch.manual_seed(1)
    model = create_model("man", schema=schema, **{"backbone": "test_resnet", "hidden": HIDDEN, **arguments})
    assert isinstance(model, MAN)
    randomize(model)
    return model.double().eval()


def create_images(count: int = 3, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    return draw(count, 3, *size, seed=2)


CELLS = torch.tensor(
    [
        [[0.0, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]],
        [[0.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]],  # missing
        [[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]],
    ]
)[:, None]
"""Masks at the size of the map of stride 16."""


def auxiliary() -> Guidance:
    return Guidance(masks=CELLS.repeat_interleave(16, 2).repeat_interleave(16, 3))


def keep(stride: int = 16) -> Tensor:
    """Foreground cells of a map, (N, 1, h, w): those of the masks, or all without a mask."""
    cells = CELLS.repeat_interleave(16 // stride, 2).repeat_interleave(16 // stride, 3) > 0
    return cells | ~cells.any(3, keepdim=True).any(2, keepdim=True)


@torch.no_grad()
def run_stages(model: MAN, images: Tensor, stride: int) -> Tensor:
    """The features at that stride, from the complete timm network with the same weights."""
    whole = timm.create_model("test_resnet", num_classes=0).double().eval()
    missing, unexpected = whole.load_state_dict(model.backbone.network.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith("layer4." if stride == 16 else ("layer3.", "layer4.")) for key in missing)
    features = whole.maxpool(whole.act1(whole.bn1(whole.conv1(images))))
    features = whole.layer2(whole.layer1(features))
    return whole.layer3(features) if stride == 16 else features


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-5)


# --- the paper in loops ---


def loop_mean(maps: Maps) -> list[float]:
    """Over all cells, including the background."""
    return [sum(sum(row) for row in channel) / (len(channel) * len(channel[0])) for channel in maps]


def loop_dense(vector: list[float], weights: Weights, name: str) -> list[float]:
    rows, biases = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return [
        b + sum(w * v for w, v in zip(row, vector, strict=True)) for row, b in zip(rows, biases, strict=True)
    ]


def loop_relu(vector: list[float]) -> list[float]:
    return [max(0.0, v) for v in vector]


def loop_classify(vector: list[float], weights: Weights, task: str) -> list[float]:
    """Dense[ReLU] → DropOut → Dense[ReLU] → DropOut → Dense[ReLU] → Dense, in evaluation."""
    layers = sorted({int(key.split(".")[2]) for key in weights if key.startswith(f"classifiers.{task}.")})
    assert len(layers) == 4
    for layer in layers[:3]:
        vector = loop_relu(loop_dense(vector, weights, f"classifiers.{task}.{layer}"))
    return loop_dense(vector, weights, f"classifiers.{task}.{layers[3]}")


def loop_logits(maps: Maps, weights: Weights, groups: dict[str, list[int]]) -> list[float]:
    vector, logits = loop_mean(maps), [math.nan] * len(TASK_OF)
    for task, members in groups.items():
        for i, logit in zip(members, loop_classify(vector, weights, task), strict=True):
            logits[i] = logit
    return logits


# --- the forward pass ---


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("multi_task", [True, False])
@pytest.mark.parametrize("stride", [16, 8])
@torch.no_grad()
def test_forward_in_plain_steps(stride: int, multi_task: bool, masked: bool) -> None:
    model, images = make(stride=stride, multi_task=multi_task, masked=masked), create_images()
    output = model(images, auxiliary())
    before = run_stages(model, images, stride)
    assert before.shape[2:] == (HEIGHT // stride, WIDTH // stride)
    after = torch.where(keep(stride), before, 0.0) if masked else before
    assert output.features is not None
    torch.testing.assert_close(output.features, after, rtol=0, atol=1e-5)
    weights = {k: v.tolist() for k, v in model.state_dict().items() if k.startswith("classifiers.")}
    groups = GROUPS if multi_task else ONE_GROUP
    assert {key.split(".")[1] for key in weights} == set(groups)
    for n in range(3):
        assert output.logits[n].tolist() == close(loop_logits(after[n].tolist(), weights, groups))
    assert output.logits.std(0).min() > 1e-4  # constant logits would agree with almost any result
    assert output.logits.std(1).min() > 0.1
    assert output.branches == {}


@pytest.mark.parametrize("stride", [16, 8])
def test_maps_are_the_root_mean_squares_before_and_after_the_product(stride: int) -> None:
    model, images = make(stride=stride), create_images()
    output = model(images, auxiliary())
    before = run_stages(model, images, stride)
    assert list(output.maps) == ["mask", "before", "after"]
    assert torch.equal(output.maps["mask"][:, 0], keep(stride)[:, 0].to(output.maps["mask"]))
    for name, each in (("before", before), ("after", torch.where(keep(stride), before, 0.0))):
        h, w = HEIGHT // stride, WIDTH // stride
        assert output.maps[name].shape == (3, 1, h, w)
        assert not output.maps[name].requires_grad
        for n in range(3):
            for y in range(h):
                for x in range(w):
                    mean = sum(v * v for v in each[n, :, y, x].tolist()) / each.shape[1]
                    assert output.maps[name][n, 0, y, x].item() == close(mean**0.5)
    assert output.features is not None
    assert output.features.requires_grad


def test_heat_map_of_a_task_is_grad_cam_of_its_logits() -> None:
    model, images = make(), create_images()
    output = model(images, auxiliary())
    with torch.inference_mode():
        found = model.explain(model(images, auxiliary()))["task"]
    assert found.shape == (3, len(SCHEMA), *output.features.shape[2:])
    for i, attribute in enumerate(SCHEMA):
        members = [k for k, other in enumerate(SCHEMA) if other.task == attribute.task]
        score = output.logits[:, members].abs().sum()
        (gradient,) = torch.autograd.grad(score, output.features, retain_graph=True)  # (N, C, h, w)
        heat = (gradient.mean((2, 3), keepdim=True) * output.features).sum(1).relu()
        torch.testing.assert_close(found[:, i], heat.detach(), rtol=1e-5, atol=1e-7)
    assert found.max() > 0


@pytest.mark.parametrize("arguments", [{"masked": False}, {}])
@torch.no_grad()
def test_without_a_product_both_maps_are_the_same(arguments: dict[str, Any]) -> None:
    model = make(**arguments)
    output = model(create_images(), auxiliary() if arguments else None)
    assert torch.equal(output.maps["before"], output.maps["after"])


@torch.no_grad()
def test_no_mask_is_a_mask_of_ones() -> None:
    model, images = make(), create_images()
    expected = model(images, Guidance(masks=torch.ones(3, 1, HEIGHT, WIDTH)))
    others = (
        None,
        Guidance(),
        Guidance(keypoints=torch.zeros(3, 17, 3)),
        Guidance(masks=torch.zeros(3, 1, HEIGHT, WIDTH)),
    )
    for guidance in others:
        output = model(images, guidance)
        torch.testing.assert_close(output.logits, expected.logits)  # the order of summation may differ
        assert torch.equal(output.features, expected.features)
    logits = model(images, auxiliary()).logits
    differs = [not torch.allclose(a, b) for a, b in zip(logits, expected.logits, strict=True)]
    assert differs == [True, False, True]  # the second image has no mask


@torch.no_grad()
def test_masks_may_have_another_size_than_the_images() -> None:
    model, images = make(), create_images()
    assert torch.equal(model(images, Guidance(masks=CELLS)).logits, model(images, auxiliary()).logits)


@torch.no_grad()
def test_unmasked_takes_no_masks_as_input() -> None:
    model, images = make(masked=False), create_images()
    assert model.guidance == ()
    assert model.without_guidance == ""
    assert torch.equal(model(images, auxiliary()).logits, model(images).logits)
    masked = make()
    assert masked.guidance == ("masks",)
    assert masked.without_guidance == "the entire image counts as the person"
    assert MAN.guidance == ()  # an instance does not change the class
    assert model.state_dict().keys() == masked.state_dict().keys()
    model.load_state_dict(masked.state_dict())
    assert torch.equal(model(images, auxiliary()).logits, masked(images).logits)


def reach(model: MAN) -> tuple[int, int]:
    """Upper bound of the receptive field beyond a cell, in pixels, and its stride."""
    far, stride = 0, 1
    for name, module in model.backbone.network.named_modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d) and "downsample" not in name:
            size, step = (v if isinstance(v, int) else v[0] for v in (module.kernel_size, module.stride))
            far += (size - 1) * stride
            stride *= step
    return far, stride


@torch.no_grad()
def test_pixels_far_from_the_person_change_nothing() -> None:
    """Pixels outside of the receptive field of all foreground cells do not change the logits."""
    model, plain = make(stride=8), make(stride=8, masked=False)
    far, stride = reach(model)
    assert stride == 8
    size = (16 + 2 * far + 16, 32)
    size = (-(-size[0] // 8) * 8, 32)
    masks = torch.zeros(1, 1, *size)
    masks[:, :, :16] = 1
    images = create_images(1, size)
    changed, broken = images.clone(), images.clone()
    changed[:, :, 16 + far :] = 5.0
    broken[:, :, 16 + far :] = math.nan
    guidance = Guidance(masks=masks)
    torch.testing.assert_close(
        model(changed, guidance).logits, model(images, guidance).logits, rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        model(broken, guidance).logits, model(images, guidance).logits, rtol=0, atol=1e-12
    )
    assert not torch.allclose(plain(changed).logits, plain(images).logits)
    near = images.clone()
    near[:, :, :8] = 5.0
    assert not torch.allclose(model(near, guidance).logits, model(images, guidance).logits)


def test_features_of_the_background_get_no_gradient() -> None:
    model, found = make(dropout=0.0).train(), []
    model.backbone.network.get_submodule("layer3.0").register_forward_hook(
        lambda _module, _given, features: found.append(features)
    )
    model.backbone.eval()
    output = model(create_images(), auxiliary())
    (gradient,) = torch.autograd.grad(output.logits.square().sum(), found[-1])
    kept = keep().expand_as(gradient)
    assert bool((gradient[~kept] == 0).all())
    assert bool((gradient.abs().amax(1, keepdim=True)[keep()] > 0).all())


# --- tasks ---


@pytest.mark.parametrize("task", GROUPS)
def test_tasks_share_only_the_backbone(task: str) -> None:
    model = make()
    model(create_images(), auxiliary()).logits[:, GROUPS[task]].square().sum().backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
    members = {n for n, _ in model.named_parameters() if n.startswith(f"classifiers.{task}.")}
    assert len(members) == 8
    assert {n for n in trained if n.startswith("classifiers.")} == members
    assert {n for n, _ in model.backbone.named_parameters("backbone")} <= trained


@torch.no_grad()
def test_weights_of_another_task_do_not_matter() -> None:
    model, images = make(), create_images()
    expected = model(images).logits
    for task in GROUPS:
        other = make()
        for parameter in other.classifiers.get_submodule(task).parameters():
            parameter.add_(1.0)
        changed = ~torch.isclose(other(images).logits, expected).all(0)
        assert [i for i in range(len(TASK_OF)) if changed[i]] == GROUPS[task]


def test_one_stack_is_shared_without_tasks() -> None:
    model = make(multi_task=False)
    shapes = {k: tuple(v.shape) for k, v in model.named_parameters() if k.startswith("classifiers.")}
    widths = (192, *HIDDEN, len(TASK_OF))
    assert sorted(shapes.values()) == sorted(
        [(b, a) for a, b in pairwise(widths)] + [(b,) for b in widths[1:]]
    )
    model(create_images(), auxiliary()).logits[:, 3].square().sum().backward()
    hidden = [p.grad for k, p in model.named_parameters() if k.startswith("classifiers.") and len(p) != 8]
    assert all(grad is not None for grad in hidden)
    assert sum(p.numel() for p in make().classifiers.parameters()) == sum(
        (192 + 1) * 9 + (9 + 1) * 8 + (8 + 1) * 7 + (7 + 1) * len(members) for members in GROUPS.values()
    )


@torch.no_grad()
def test_a_schema_of_a_single_task_makes_no_difference() -> None:
    schema = AttributeSchema("one", tuple(Attribute(f"a{i}", f"has {i}", task="action") for i in range(3)))
    several, shared, images = make(schema), make(schema, multi_task=False), create_images()
    assert [key for key, _ in several.classifiers.named_children()] == ["action"]
    names = {k: k.replace("classifiers.action.", "classifiers.all.") for k in several.state_dict()}
    shared.load_state_dict({names[k]: v for k, v in several.state_dict().items()})
    assert torch.equal(shared(images, auxiliary()).logits, several(images, auxiliary()).logits)


@torch.no_grad()
def test_columns_follow_the_schema_in_any_order() -> None:
    model, images = make(), create_images()
    expected = model(images, auxiliary()).logits
    order = [6, 0, 3, 7, 2, 1, 5, 4]
    model_of_others = make(AttributeSchema("turned", tuple(SCHEMA[i] for i in order)))
    state = dict(model.state_dict())
    for task, members in GROUPS.items():
        rows = [members.index(i) for i in order if i in members]
        for kind in ("weight", "bias"):
            state[f"classifiers.{task}.8.{kind}"] = state[f"classifiers.{task}.8.{kind}"][rows]
    model_of_others.load_state_dict(state)
    found = model_of_others(images, auxiliary()).logits
    torch.testing.assert_close(found, expected[:, order], rtol=0, atol=1e-12)


# --- dropout ---


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@torch.no_grad()
def test_dropout_follows_the_first_two_layers_in_training(dropout: float) -> None:
    model, images = make(multi_task=False, dropout=dropout, hidden=(64, 32, 16)), create_images()
    dense = [m for m in model.classifiers.modules() if isinstance(m, nn.Linear)]
    vector = model(images, auxiliary()).features.mean((2, 3))
    model.train()
    model.backbone.eval()  # so that its statistics stay fixed
    torch.manual_seed(5)
    found = model(images, auxiliary()).logits
    torch.manual_seed(5)
    for layer in dense[:2]:
        vector = (vector @ layer.weight.T + layer.bias).clamp_min(0)
        kept = torch.empty_like(vector).bernoulli_(1 - dropout) if dropout else torch.ones_like(vector)
        vector = vector * kept / (1 - dropout)
    vector = (vector @ dense[2].weight.T + dense[2].bias).clamp_min(0)
    torch.testing.assert_close(found, vector @ dense[3].weight.T + dense[3].bias, rtol=0, atol=1e-5)


@torch.no_grad()
def test_evaluation_drops_nothing() -> None:
    model, images = make(dropout=0.9), create_images()
    assert torch.equal(model(images).logits, model(images).logits)
    assert torch.equal(model(images).logits, make(dropout=0.0)(images).logits)
    model.train()
    model.backbone.eval()
    assert not torch.equal(model(images).logits, model(images).logits)


# --- sizes, defaults, arguments ---


@pytest.mark.parametrize(
    ("arguments", "side", "shape"),
    [
        ({}, 256, (2, 1024, 16, 16)),
        ({"stride": 8}, 128, (2, 512, 16, 16)),
        ({"backbone": "mobilenetv2_100", "stride": 8}, 128, (2, 32, 16, 16)),
    ],
)
def test_sizes_of_the_paper(arguments: dict[str, Any], side: int, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):  # shapes only
        model = MAN(SCHEMA, **arguments).eval()
        output = model(torch.zeros(2, 3, side, side), Guidance(masks=torch.zeros(2, 1, side, side)))
    assert output.features is not None
    assert output.features.shape == shape
    assert output.logits.shape == (2, len(TASK_OF))
    for stack in model.classifiers.children():
        dense = [m for m in stack.modules() if isinstance(m, nn.Linear)]
        assert [m.in_features for m in dense] == [shape[1], 512, 512, 512]
        assert [m.p for m in stack.modules() if isinstance(m, nn.Dropout)] == [0.7, 0.7]


def test_defaults_are_those_of_the_paper() -> None:
    defaults = list_arguments("man")
    assert defaults["backbone"] == "resnet50"
    assert defaults["stride"] == 16
    assert defaults["dropout"] == 0.7
    assert defaults["multi_task"] is True
    assert defaults["masked"] is True


@pytest.mark.parametrize(("stride", "channels"), [(16, 192), (8, 48)])
def test_layers_after_the_last_stage_are_removed(stride: int, channels: int) -> None:
    model = make(stride=stride)
    gone = ("layer4.",) if stride == 16 else ("layer3.", "layer4.")
    whole = timm.create_model("test_resnet", num_classes=0).state_dict()
    left = {key.removeprefix("backbone.network.") for key in model.state_dict() if "backbone" in key}
    assert left == {key for key in whole if not key.startswith(gone)}
    assert model.backbone.channels == channels


def test_weights_of_the_backbone_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(9)
    whole = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(whole, tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    model = MAN(SCHEMA, backbone="test_resnet", pretrained=tmp_path / "weights.safetensors")
    for key, value in model.backbone.network.state_dict().items():
        assert torch.equal(value, whole[key]), key


def test_arguments_of_the_backbone_are_passed_on() -> None:
    model = make(backbone_arguments={"stem_width": 8})
    assert model.backbone.network.get_submodule("conv1.0").out_channels == 8


@pytest.mark.parametrize("backbone", ["test_convnext", "mobilenetv2_035"])
def test_works_on_other_backbones(backbone: str) -> None:
    model = make(backbone=backbone).float()
    output = model(create_images().float(), auxiliary())
    assert output.features is not None
    assert output.features.shape[2:] == (4, 3)
    assert torch.equal(output.features.abs().sum(1, keepdim=True) > 0, keep())
    output.logits.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1\.0"),
        ({"dropout": -0.1}, r"dropout in \[0, 1\), got -0\.1"),
        ({"stride": 32}, r"stride of 8 or 16, got 32"),
        ({"stride": 4}, r"stride of 8 or 16, got 4"),
        ({"stride": "16"}, r"stride of 8 or 16, got '16'"),
        ({"hidden": [8, 8]}, r"three widths of hidden layers, each at least 1, got \[8, 8\]"),
        ({"hidden": [8, 8, 8, 8]}, r"three widths of hidden layers, each at least 1, got \[8, 8, 8, 8\]"),
        ({"hidden": [8, 0, 8]}, r"three widths of hidden layers, each at least 1, got \[8, 0, 8\]"),
        ({"hidden": []}, r"three widths of hidden layers, each at least 1, got \[\]"),
        ({"backbone": "test_vit"}, r"cannot be cut into stages"),
        ({"backbone": "test_resnett"}, r"no model 'test_resnett'; did you mean test_resnet"),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)


def test_widths_of_one_are_enough() -> None:
    assert make(hidden=[1, 1, 1])(create_images()).logits.shape == (3, len(TASK_OF))
