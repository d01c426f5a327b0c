"""DIAA against the paper's equations, written out as loops over plain floats."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from loops import loop_bilinear
from passerby.errors import ModelError
from passerby.models import DIAA, create_model, list_arguments
from passerby.models.diaa import AttentionClassifier
from passerby.models.visual_attention import VisualAttention
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has property {i}") for i in range(3)))

CONTRACT_CASES: dict[str, dict[str, Any]] = {
    "default": {"dropout": 0.3, "attention_channels": 8},
    "upsample": {"attention_channels": 8, "aggregation": "upsample"},
    "max-pool": {"attention_channels": 8, "aggregation": "max-pool"},
    "strided-conv": {"attention_channels": 8, "aggregation": "strided-conv"},
}
"""Arguments for `test_contract.py`."""

Maps = list[list[list[float]]]
"""One sample: channel, row, column."""

Weights = dict[str, Any]
"""A state dict as nested lists."""


# --- the model under test: small, in float64, with random statistics and weights ---


def randomize(module: nn.Module, seed: int = 0) -> None:
    """Weights and statistics as after training, except for the backbone's weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if name.startswith("backbone") or not value.is_floating_point():
                continue
            draw = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            if name.endswith("running_var"):
                draw = 0.2 + draw.square()
            elif value.ndim > 1:
                draw = 2 * draw / math.sqrt(value[0].numel())
            value.copy_(draw)


def make(**arguments: Any) -> DIAA:
    small = {"backbone": "test_resnet", "attention_channels": 5}
    torch.manual_seed(1)
    model = create_model("diaa", schema=SCHEMA, **{**small, **arguments})
    assert isinstance(model, DIAA)
    randomize(model)
    return model.double().eval()


def create_images(height: int = 64, width: int = 48, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def to_lists(module: nn.Module) -> Weights:
    return {k: v.tolist() for k, v in module.state_dict().items() if not k.startswith("backbone")}


@torch.no_grad()
def stage_features(model: DIAA, images: Tensor) -> dict[int, Tensor]:
    features, found = images, {}
    for stage in (1, 2, 3, 4):
        features = found[stage] = model.backbone.run_stage(stage, features)
    return found


def close(expected: Any) -> Any:
    return pytest.approx(expected, abs=1e-5)


# --- the paper in loops ---


def loop_cells(maps: Maps) -> list[tuple[int, int]]:
    return [(y, x) for y in range(len(maps[0])) for x in range(len(maps[0][0]))]


def loop_pointwise(maps: Maps, weights: Weights, name: str) -> Maps:
    """A convolution of kernel size one: a weighted sum of the channels at every position."""
    out = []
    for o, row in enumerate(weights[f"{name}.weight"]):
        bias = weights[f"{name}.bias"][o] if f"{name}.bias" in weights else 0.0
        out.append([[bias for _ in line] for line in maps[0]])
        for y, x in loop_cells(maps):
            for i, channel in enumerate(maps):
                out[o][y][x] += row[i][0][0] * channel[y][x]
    return out


def loop_norm_relu(maps: Maps, weights: Weights, name: str) -> Maps:
    """Batch normalisation with its running statistics, then max(0, ·)."""
    out = []
    for c, channel in enumerate(maps):
        mean, var = weights[f"{name}.running_mean"][c], weights[f"{name}.running_var"][c]
        scale, shift = weights[f"{name}.weight"][c], weights[f"{name}.bias"][c]
        out.append(
            [[max(0.0, scale * (v - mean) / math.sqrt(var + 1e-5) + shift) for v in row] for row in channel]
        )
    return out


def loop_attention(features: Maps, weights: Weights, prefix: str = "") -> tuple[Maps, Maps]:
    """Section 3.1: the masks of Eq. 2 and the confidences (all 1 where there is no such branch)."""
    hidden = features
    for conv, norm in ((0, 1), (3, 4)):
        hidden = loop_pointwise(hidden, weights, f"{prefix}attention.{conv}")
        hidden = loop_norm_relu(hidden, weights, f"{prefix}attention.{norm}")
    attention = []
    for channel in loop_pointwise(hidden, weights, f"{prefix}attention.6"):
        total = sum(math.exp(z) for row in channel for z in row)
        attention.append([[math.exp(z) / total for z in row] for row in channel])
    if f"{prefix}confidence.weight" not in weights:
        return attention, [[[1.0 for _ in row] for row in channel] for channel in attention]
    scores = loop_pointwise(features, weights, f"{prefix}confidence")
    return attention, [[[1 / (1 + math.exp(-s)) for s in row] for row in channel] for channel in scores]


def loop_product(first: Maps, second: Maps) -> Maps:
    return [
        [[p * q for p, q in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]
        for a, b in zip(first, second, strict=True)
    ]


def loop_scale(maps: Maps, factor: float) -> Maps:
    return [[[v * factor for v in row] for row in channel] for channel in maps]


def loop_linear(vector: list[float], weights: Weights, name: str) -> list[float]:
    rows, biases = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return [
        b + sum(w * v for w, v in zip(row, vector, strict=True)) for row, b in zip(rows, biases, strict=True)
    ]


def loop_mean(maps: Maps) -> list[float]:
    return [sum(channel[y][x] for y, x in loop_cells(maps)) / len(loop_cells(maps)) for channel in maps]


def loop_classifier(maps: Maps, weights: Weights, prefix: str = "") -> list[float]:
    """The maps times h · w, normalised, resampled to the grid, and a weight for each position of each map."""
    scaled = loop_scale(maps, len(loop_cells(maps)))
    kernels, biases = weights[f"{prefix}linear.weight"], weights[f"{prefix}linear.bias"]
    rows, columns = len(kernels[0][0]), len(kernels[0][0][0])
    norm = {
        key: weights[f"{prefix}normalisation.{key}"]
        for key in ("weight", "bias", "running_mean", "running_var")
    }
    resampled = []
    for c, channel in enumerate(scaled):
        deviation = math.sqrt(norm["running_var"][c] + 1e-5)
        normed = [
            [(v - norm["running_mean"][c]) / deviation * norm["weight"][c] + norm["bias"][c] for v in row]
            for row in channel
        ]
        resampled.append(loop_bilinear(normed, rows, columns))
    logits = []
    for kernel, bias in zip(kernels, biases, strict=True):
        total = bias
        for plane, channel in zip(kernel, resampled, strict=True):
            for y in range(rows):
                for x in range(columns):
                    total += plane[y][x] * channel[y][x]
        logits.append(total)
    return logits


def loop_max_pool(channel: list[list[float]]) -> list[list[float]]:
    """The maximum of each 2×2 window; windows at an odd edge are smaller."""
    height, width = len(channel), len(channel[0])
    return [
        [
            max(channel[v][u] for v in (y, y + 1) for u in (x, x + 1) if v < height and u < width)
            for x in range(0, width, 2)
        ]
        for y in range(0, height, 2)
    ]


def loop_shrink(maps: Maps, kernel: list[Any]) -> Maps:
    """A 3×3 convolution of stride 2 with zero padding, without bias."""
    height, width = len(maps[0]), len(maps[0][0])
    out = []
    for row in kernel:
        out.append([[0.0 for _ in range(0, width, 2)] for _ in range(0, height, 2)])
        for y, x in loop_cells(out):
            for i, channel in enumerate(maps):
                for v in range(3):
                    for u in range(3):
                        t, s = 2 * y + v - 1, 2 * x + u - 1
                        if 0 <= t < height and 0 <= s < width:
                            out[-1][y][x] += row[i][v][u] * channel[t][s]
    return out


def loop_sum(larger: Maps, smaller: Maps, aggregation: str, kernel: list[Any] | None) -> Maps:
    """Section 4.4: one sum of both scales, each times its own h · w, divided by that of the sum."""
    larger = loop_scale(larger, len(loop_cells(larger)))
    smaller = loop_scale(smaller, len(loop_cells(smaller)))
    if aggregation == "upsample":
        smaller = [loop_bilinear(channel, len(larger[0]), len(larger[0][0])) for channel in smaller]
    elif aggregation == "max-pool":
        larger = [loop_max_pool(channel) for channel in larger]
    else:
        assert kernel is not None
        larger = loop_shrink(larger, kernel)
    added = [
        [[p + q for p, q in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]
        for a, b in zip(larger, smaller, strict=True)
    ]
    return loop_scale(added, 1 / len(loop_cells(added)))


def loop_model(features: dict[int, Maps], weights: Weights, aggregation: str) -> dict[str, Any]:
    """The output of DIAA for one image, from the features of the stages with attention and of stage 4."""
    out: dict[str, Any] = {"primary": loop_linear(loop_mean(features[4]), weights, "classifier")}
    weighted = {}
    for stage in (1, 2, 3, 4):
        if f"attention.{stage}.attention.0.weight" in weights:
            masks, confidence = loop_attention(features[stage], weights, f"attention.{stage}.")
            out[f"map{stage}"], out[f"confidence{stage}"] = masks, confidence
            weighted[f"attention{stage}"] = loop_product(masks, confidence)
    if aggregation != "score":
        larger, smaller = weighted.values()
        weighted = {"attention": loop_sum(larger, smaller, aggregation, weights.get("shrink.weight"))}
    logits = [out["primary"]]
    for name, maps in weighted.items():
        out[name] = loop_classifier(maps, weights, f"attention_classifiers.{name}.")
        logits.append(out[name])
    out["logits"] = [sum(each) / len(each) for each in zip(*logits, strict=True)]
    return out


# --- one attention module ---


@pytest.mark.parametrize("confidence_weighting", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (5, 3), (1, 1)])
@torch.no_grad()
def test_attention_is_equation_2_in_a_loop(size: tuple[int, int], confidence_weighting: bool) -> None:
    module = VisualAttention(7, 4, hidden=5, confidence_weighting=confidence_weighting)
    randomize(module)
    features = torch.randn(2, 7, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    attention, confidence = module.double().eval()(features)
    assert attention.shape == (2, 4, *size)
    for sample in range(2):
        masks, scores = loop_attention(features[sample].tolist(), to_lists(module))
        assert sum(sum(row) for row in masks[0]) == pytest.approx(1)
        for c in range(4):
            for y, x in loop_cells(masks):
                assert attention[sample, c, y, x].item() == close(masks[c][y][x])
                if confidence is not None:
                    assert confidence[sample, c, y, x].item() == close(scores[c][y][x])
    assert (confidence is not None) == confidence_weighting
    if size != (1, 1):  # constant masks would agree with almost any result
        assert (attention.amax((2, 3)) / attention.amin((2, 3))).min() > 1.2


@torch.no_grad()
def test_attention_by_hand() -> None:
    # z = x · log 2 where x > 0, else 0: the masks double from each position to the next.
    module = VisualAttention(1, 1, hidden=1).eval()
    for convolution in (module.attention[0], module.attention[3]):
        convolution.weight.fill_(1)
    module.attention[6].weight.fill_(math.log(2) * (1 + 1e-5))  # compensates the ε of both normalisations
    module.confidence.weight.fill_(math.log(3))
    module.confidence.bias.fill_(0)
    attention, confidence = module(torch.tensor([[[[-1.0, 1.0], [2.0, 3.0]]]]))
    assert attention.flatten().tolist() == pytest.approx([1 / 15, 2 / 15, 4 / 15, 8 / 15], rel=1e-5)
    assert confidence.flatten().tolist() == pytest.approx([1 / 4, 3 / 4, 9 / 10, 27 / 28], rel=1e-5)


def test_scores_of_any_size_give_masks_that_sum_to_1_with_finite_gradients() -> None:
    module = VisualAttention(2, 3, hidden=4).eval()
    features = (1e6 * torch.randn(1, 2, 4, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    attention, confidence = module(features)
    assert attention.sum((2, 3)).flatten().tolist() == pytest.approx([1.0] * 3)
    assert bool(((confidence >= 0) & (confidence <= 1)).all())
    (attention * confidence).square().sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_gradients_of_the_weighted_masks_are_those_of_finite_differences() -> None:
    module = VisualAttention(3, 2, hidden=4)
    randomize(module)
    module.double().eval()
    features = torch.randn(1, 3, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def weigh(values: Tensor) -> Tensor:
        attention, confidence = module(values)
        return attention * confidence

    assert torch.autograd.gradcheck(weigh, features.requires_grad_())


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (2, 2), (9, 11)])
@torch.no_grad()
def test_classifier_in_a_loop(size: tuple[int, int]) -> None:
    module = AttentionClassifier(3, grid=(4, 4))
    randomize(module)
    maps = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(4), dtype=torch.float64) / 10
    logits = module.double().eval()(maps)
    for sample in range(2):
        assert logits[sample].tolist() == close(loop_classifier(maps[sample].tolist(), to_lists(module)))


@torch.no_grad()
def test_uniform_attention_is_classified_equally_at_every_size() -> None:
    module = AttentionClassifier(3, grid=(5, 4))
    randomize(module)
    module.eval()
    small, large = (module(torch.full((1, 3, h, w), 1 / (h * w)))[0].tolist() for h, w in ((2, 3), (14, 14)))
    assert small == pytest.approx(large, rel=1e-4)


@torch.no_grad()
def test_logits_depend_on_the_position_of_the_attention() -> None:
    """The same values at other positions give other logits, at the grid's size and at others."""
    module = AttentionClassifier(2, grid=(4, 4)).eval()
    randomize(module)
    for size in ((4, 4), (6, 5)):
        maps = torch.zeros(2, 2, *size)
        maps[0, :, 0, 0] = 1
        maps[1, :, -1, -1] = 1
        top, bottom = module(maps)
        assert (top - bottom).abs().min() > 1e-3


# --- the complete model ---


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"confidence_weighting": False},
        {"attention_stages": [4]},
        {"attention_stages": [3], "confidence_weighting": False},
        {"attention_stages": [2, 3, 4]},
    ],
)
@torch.no_grad()
def test_the_score_is_the_mean_of_all_classifiers(arguments: dict[str, Any]) -> None:
    model, images = make(**arguments), create_images(80, 48)
    output, features = model(images), stage_features(model, images)
    stages = arguments.get("attention_stages", [3, 4])
    assert set(output.branches) == {"primary", *(f"attention{stage}" for stage in stages)}
    for sample in range(2):
        lists = {stage: features[stage][sample].tolist() for stage in {*stages, 4}}
        expected = loop_model(lists, to_lists(model), "score")
        for name, logits in output.branches.items():
            assert logits[sample].tolist() == close(expected[name])
        total = [sum(output.branches[name][sample, a].item() for name in output.branches) for a in range(3)]
        assert output.logits[sample].tolist() == close([each / (1 + len(stages)) for each in total])
        assert output.logits[sample].tolist() == close(expected["logits"])
        for stage in stages:
            assert_maps(output.maps[f"attention{stage}"][sample], expected[f"map{stage}"])
            if arguments.get("confidence_weighting", True):
                assert_maps(output.maps[f"confidence{stage}"][sample], expected[f"confidence{stage}"])


def assert_maps(maps: Tensor, expected: Maps) -> None:
    for channel, wanted in zip(maps.tolist(), expected, strict=True):
        for row, wanted_row in zip(channel, wanted, strict=True):
            assert row == close(wanted_row)


@pytest.mark.parametrize("size", [(64, 64), (80, 48)])  # maps of 4×4 and 2×2, of 5×3 and 3×2
@pytest.mark.parametrize("aggregation", ["upsample", "max-pool", "strided-conv"])
@torch.no_grad()
def test_feature_aggregation_in_a_loop(aggregation: str, size: tuple[int, int]) -> None:
    model, images = make(aggregation=aggregation), create_images(*size)
    output, features = model(images), stage_features(model, images)
    assert [*output.branches] == ["primary", "attention"]
    for sample in range(2):
        lists = {stage: features[stage][sample].tolist() for stage in (3, 4)}
        expected = loop_model(lists, to_lists(model), aggregation)
        for name, logits in output.branches.items():
            assert logits[sample].tolist() == close(expected[name])
        assert output.logits[sample].tolist() == close(expected["logits"])


@torch.no_grad()
def test_upsampling_works_for_more_than_one_halving() -> None:
    model, images = make(aggregation="upsample", attention_stages=[2, 4]), create_images(80, 48, count=1)
    features = stage_features(model, images)
    assert features[2].shape[2:] == (10, 6)
    lists = {stage: features[stage][0].tolist() for stage in (2, 4)}
    expected = loop_model(lists, to_lists(model), "upsample")
    assert model(images).branches["attention"][0].tolist() == close(expected["attention"])


@pytest.mark.parametrize(
    ("arguments", "size", "shapes"),
    [
        ({"attention_stages": [2, 4]}, (64, 64), r"\(4, 4\) and \(2, 2\)"),
        ({"backbone": "test_convnext"}, (80, 48), r"\(3, 2\) and \(2, 1\)"),  # this backbone rounds down
    ],
)
@pytest.mark.parametrize("aggregation", ["max-pool", "strided-conv"])
def test_maps_that_cannot_be_summed_are_refused(
    aggregation: str, arguments: dict[str, Any], size: tuple[int, int], shapes: str
) -> None:
    model = make(aggregation=aggregation, **arguments)
    with pytest.raises(
        ModelError, match=rf"{shapes} .*cannot be summed: {aggregation} .*neighbouring .* or upsample"
    ):
        model(create_images(*size))


def names_of(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("arguments", "gone", "new"),
    [
        ({"attention_stages": [4]}, ("attention.3.", "attention_classifiers.attention3."), ()),
        ({"attention_stages": [3]}, ("attention.4.", "attention_classifiers.attention4."), ()),
        ({"confidence_weighting": False}, ("attention.3.confidence.", "attention.4.confidence."), ()),
        ({"aggregation": "upsample"}, ("attention_classifiers.",), ("attention_classifiers.attention.",)),
        ({"aggregation": "max-pool"}, ("attention_classifiers.",), ("attention_classifiers.attention.",)),
        (
            {"aggregation": "strided-conv"},
            ("attention_classifiers.",),
            ("attention_classifiers.attention.", "shrink.weight"),
        ),
    ],
)
def test_a_switch_removes_exactly_its_modules(
    arguments: dict[str, Any], gone: tuple[str, ...], new: tuple[str, ...]
) -> None:
    full, other = names_of(make()), names_of(make(**arguments))
    assert full - other == {name for name in full if name.startswith(gone)}
    assert other - full == {name for name in other if new and name.startswith(new)}
    for prefix in (*gone, *new):
        assert any(name.startswith(prefix) for name in full | other), prefix


@pytest.mark.parametrize("stage", [3, 4])
@torch.no_grad()
def test_a_single_scale_keeps_the_other_outputs(stage: int) -> None:
    full, single, images = make(), make(attention_stages=[stage]), create_images()
    single.load_state_dict({k: v for k, v in full.state_dict().items() if k in single.state_dict()})
    expected, output = full(images), single(images)
    assert [*output.branches] == ["primary", f"attention{stage}"]
    assert [*output.maps] == [f"attention{stage}", f"confidence{stage}"]
    for name in output.branches:
        assert torch.equal(output.branches[name], expected.branches[name])
    halves = [
        (p + q) / 2
        for p, q in zip(*(logits.flatten().tolist() for logits in output.branches.values()), strict=True)
    ]
    assert output.logits.flatten().tolist() == close(halves)
    assert not torch.allclose(output.logits, expected.logits)


@torch.no_grad()
def test_full_confidence_is_no_weighting() -> None:
    weighted, plain, images = make(), make(confidence_weighting=False), create_images()
    plain.load_state_dict({k: v for k, v in weighted.state_dict().items() if k in plain.state_dict()})
    expected = plain(images)
    assert [*expected.maps] == ["attention3", "attention4"]
    assert not torch.allclose(weighted(images).logits, expected.logits)
    for module in weighted.attention.values():
        module.confidence.weight.zero_()
        module.confidence.bias.fill_(100.0)  # σ = 1 in 64 bits
    torch.testing.assert_close(weighted(images).logits, expected.logits, rtol=0, atol=1e-12)


@torch.no_grad()
def test_features_are_those_of_the_entire_backbone() -> None:
    model, images = make(), create_images()
    features = model(images).features
    assert features is not None
    assert torch.equal(features, model.backbone(images))


def test_dropout_is_for_the_primary_classifier_in_training_only() -> None:
    model, images = make(dropout=0.5).train(), create_images(count=4)
    first, second = model(images).branches, model(images).branches
    assert not torch.equal(first["primary"], second["primary"])
    for name in ("attention3", "attention4"):
        assert torch.equal(first[name], second[name])


def test_each_branch_has_gradients_in_its_own_modules() -> None:
    for name, module in (
        ("primary", ("backbone.", "classifier.")),
        ("attention3", ("backbone.", "attention.3.", "attention_classifiers.attention3.")),
        ("attention4", ("backbone.", "attention.4.", "attention_classifiers.attention4.")),
    ):
        model = make(attention_channels=12)  # enough for one to be above zero before the ReLU
        model(create_images()).branches[name].square().sum().backward()
        trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert {n for n in names_of(model) if n.startswith(module[1:])} <= trained, name
        assert any(n.startswith("backbone.") for n in trained), name
        assert all(n.startswith(module) for n in trained), name


@pytest.mark.parametrize(
    ("backbone", "arguments"),
    [
        ("test_resnet", {}),
        ("test_convnext", {"aggregation": "strided-conv"}),
        ("mobilenetv2_035", {}),
        ("mobilenetv2_035", {"aggregation": "max-pool"}),
        ("densenet121", {"aggregation": "strided-conv"}),  # Table 4
    ],
)
def test_works_on_many_backbones(backbone: str, arguments: dict[str, Any]) -> None:
    model = make(backbone=backbone, **arguments).float().train()
    output = model(create_images(64, 64).float())
    assert output.logits.shape == (2, 3)
    for stage, size in ((3, (4, 4)), (4, (2, 2))):
        attention, confidence = output.maps[f"attention{stage}"], output.maps[f"confidence{stage}"]
        assert attention.shape == confidence.shape == (2, 3, *size)
        assert attention.sum((2, 3)).flatten().tolist() == pytest.approx([1.0] * 6, abs=1e-5)
        assert bool((attention >= 0).all())
        assert bool(((confidence >= 0) & (confidence <= 1)).all())
    output.logits.square().sum().backward()
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)


@torch.no_grad()
def test_defaults_are_those_of_the_paper() -> None:
    defaults = list_arguments("diaa")
    assert defaults["backbone"] == "resnet101"
    assert defaults["attention_stages"] == (3, 4)
    assert defaults["aggregation"] == "score"
    assert defaults["confidence_weighting"] is True
    model = DIAA(SCHEMA).eval()
    assert model.backbone.stage_channels[2:] == (1024, 2048)
    maps = model(torch.zeros(1, 3, 224, 224)).maps
    assert {name: tuple(each.shape[2:]) for name, each in maps.items()} == {
        "attention3": (14, 14),
        "confidence3": (14, 14),
        "attention4": (7, 7),
        "confidence4": (7, 7),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"aggregation": "sum"}, r"no aggregation 'sum'; choose .*score, upsample, max-pool, strided-conv"),
        ({"attention_stages": []}, r"expected at least one of attention_stages"),
        ({"attention_stages": [0, 4]}, r"attention_stages from 1 to 4, ascending, got \[0, 4\]"),
        ({"attention_stages": [4, 5]}, r"attention_stages from 1 to 4, ascending, got \[4, 5\]"),
        ({"attention_stages": [4, 3]}, r"attention_stages from 1 to 4, ascending, got \[4, 3\]"),
        ({"attention_stages": [4, 4]}, r"attention_stages from 1 to 4, ascending, got \[4, 4\]"),
        (
            {"aggregation": "upsample", "attention_stages": [4]},
            r"aggregation upsample sums two stages, got attention_stages \[4\]",
        ),
        (
            {"aggregation": "max-pool", "attention_stages": [2, 3, 4]},
            r"aggregation max-pool sums two stages, got attention_stages \[2, 3, 4\]",
        ),
        ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1\.0"),
        ({"dropout": -0.1}, r"dropout in \[0, 1\), got -0\.1"),
        ({"attention_channels": 0}, r"attention_channels of at least 1, got 0"),
        ({"backbone": "test_vit"}, r"has no stage|cannot be cut into stages"),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)
