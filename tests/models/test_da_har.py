"""Da-HAR against the paper's text, in loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models import DaHAR, create_model
from passerby.models.da_har import Fusion, MaskBlock, ResidualBlock
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance

SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has property {i}") for i in range(3)))


def make(**arguments: Any) -> DaHAR:
    torch.manual_seed(1)
    given = {"backbone": "test_resnet", "fusion_channels": 4, "attention_channels": 4, **arguments}
    model = create_model("da-har", schema=SCHEMA, **given)
    assert isinstance(model, DaHAR)
    return model.double().eval()


def pictures(count: int = 2, height: int = 64, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def unsettle(module: nn.Module) -> None:
    """Weights and statistics far from where they begin."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in module.named_parameters():
            drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            value.copy_(drawn.abs() + 0.5 if name.endswith("weight") and value.ndim == 1 else drawn * 0.5)
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d) and each.running_mean is not None:
                each.running_mean.normal_(std=0.3, generator=generator)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def run_pointwise(layers: nn.Sequential, values: list[float]) -> list[float]:
    """1×1 convolutions, batch normalisation and ReLU at one place."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight[:, :, 0, 0].tolist()
            bias = [0.0] * len(weight) if layer.bias is None else layer.bias.tolist()
            values = [
                b + sum(w * v for w, v in zip(row, values, strict=True))
                for row, b in zip(weight, bias, strict=True)
            ]
        elif isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            facts = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
            rows = zip(values, *(fact.tolist() for fact in facts), strict=True)
            values = [(v - m) / math.sqrt(s + layer.eps) * w + b for v, m, s, w, b in rows]
        else:
            assert isinstance(layer, nn.ReLU)
            values = [max(0.0, v) for v in values]
    return values


def test_mask_block_in_a_loop() -> None:
    """Three 1×1 convolutions at each place by itself."""
    block = MaskBlock(8).double().eval()
    unsettle(block)
    features = torch.randn(2, 8, 3, 2, dtype=torch.float64)
    found = block(features)
    assert found.shape == (2, 1, 3, 2)
    assert [type(layer).__name__ for layer in block.layers] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + [
        "Conv2d"
    ]
    for n in range(2):
        for y in range(3):
            for x in range(2):
                expected = run_pointwise(block.layers, features[n, :, y, x].tolist())
                assert found[n, 0, y, x].item() == pytest.approx(expected[0], abs=1e-5)


def test_self_masks_multiply_what_the_next_stage_sees() -> None:
    model, images = make(), pictures()
    unsettle(model.self_masks)
    seen: dict[int, Tensor] = {}
    run = model.backbone.run_stage

    def watch(stage: int, features: Tensor) -> Tensor:
        seen[stage] = features.clone()
        return run(stage, features)

    model.backbone.run_stage = watch  # type: ignore[assignment]
    maps = model(images).maps
    for stage in (1, 2, 3):
        before = run(stage, seen[stage])
        mask = maps[f"self_mask{stage}"]
        assert mask.std() > 0
        for n in range(2):
            for c in range(before.shape[1]):
                for y in range(before.shape[2]):
                    for x in range(before.shape[3]):
                        inside = before[n, :, y, x].tolist()
                        block = model.self_masks[str(stage)]
                        assert isinstance(block, MaskBlock)
                        if c == 0:
                            expected = sigmoid(run_pointwise(block.layers, inside)[0])
                            assert mask[n, 0, y, x].item() == pytest.approx(expected, abs=1e-5)
                        product = inside[c] * mask[n, 0, y, x].item()
                        assert seen[stage + 1][n, c, y, x].item() == pytest.approx(product, abs=1e-5)
    assert torch.equal(model(images).features, run(4, seen[4]))  # type: ignore[arg-type]


def sample_bilinear(values: list[list[float]], y: float, x: float) -> float:
    """Between the centres of cells; beyond the outermost centres, their values."""
    rows, columns = len(values), len(values[0])
    y, x = min(max(y, 0.0), rows - 1.0), min(max(x, 0.0), columns - 1.0)
    top, left = int(y), int(x)
    below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    dy, dx = y - top, x - left
    upper = values[top][left] * (1 - dx) + values[top][right] * dx
    lower = values[below][left] * (1 - dx) + values[below][right] * dx
    return upper * (1 - dy) + lower * dy


def test_fusion_at_unequal_sizes_in_a_loop() -> None:
    """Reduce, resample, add up; what the residual blocks do with it is torch's."""
    fuse = Fusion((3, 2, 4), 2).double().eval()
    unsettle(fuse)
    levels = [torch.randn(1, c, h, w).double() for c, h, w in ((3, 7, 5), (2, 4, 3), (4, 2, 2))]
    size = (4, 3)
    total = torch.zeros(1, 2, *size, dtype=torch.float64)
    for reduce, features in zip(fuse.reduce, levels, strict=True):
        assert isinstance(reduce, nn.Conv2d)
        h, w = features.shape[2:]
        for k in range(2):
            reduced = [
                [
                    reduce.bias[k].item()  # type: ignore[index]
                    + sum(
                        reduce.weight[k, c, 0, 0].item() * features[0, c, y, x].item()
                        for c in range(features.shape[1])
                    )
                    for x in range(w)
                ]
                for y in range(h)
            ]
            for y in range(size[0]):
                for x in range(size[1]):
                    place = ((y + 0.5) * h / size[0] - 0.5, (x + 0.5) * w / size[1] - 0.5)
                    total[0, k, y, x] += sample_bilinear(reduced, *place)
    torch.testing.assert_close(fuse(levels, size), fuse.smooth(total), atol=1e-5, rtol=0)


def test_residual_block() -> None:
    block = ResidualBlock(3).double().eval()
    unsettle(block)
    features = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    first, norm1, _, second, norm2 = block.layers
    expected = (features + norm2(second(norm1(first(features)).relu()))).relu()
    torch.testing.assert_close(block(features), expected)


def test_masked_confidence_weighted_attention_in_a_loop() -> None:
    """The fused features times the mask; attention times confidence; one linear layer over the sum."""
    model, images = make(), pictures()
    for block in (model.fusion, model.mask, model.attention, model.side):
        assert block is not None
        unsettle(block)
    fused: list[Tensor] = []
    assert model.fusion is not None
    model.fusion.register_forward_hook(lambda _m, _i, got: fused.append(got))
    output = model(images)
    assert model.mask is not None
    assert model.attention is not None
    assert model.side is not None
    logits = model.mask(fused[0])
    count, channels, height, width = fused[0].shape
    for n in range(count):
        places = [(y, x) for y in range(height) for x in range(width)]
        masked = {
            (y, x): [v * sigmoid(logits[n, 0, y, x].item()) for v in fused[0][n, :, y, x].tolist()]
            for y, x in places
        }
        scores = {p: run_pointwise(model.attention.attention, masked[p]) for p in places}
        confidence = model.attention.confidence
        assert confidence is not None
        sure = {p: run_pointwise(nn.Sequential(confidence), masked[p]) for p in places}
        for a in range(3):
            largest = max(scores[p][a] for p in places)
            even = sum(math.exp(scores[p][a] - largest) for p in places)
            logit = model.side.bias[a].item()
            for p in places:
                weight = math.exp(scores[p][a] - largest) / even * sigmoid(sure[p][a])
                assert output.maps["attention"][n, a, p[0], p[1]].item() == pytest.approx(
                    math.exp(scores[p][a] - largest) / even, abs=1e-5
                )
                for c in range(channels):
                    logit += model.side.weight[a, c].item() * weight * masked[p][c]
            assert output.branches["side"][n, a].item() == pytest.approx(logit, abs=1e-5)
    torch.testing.assert_close(output.maps["mask"], logits.sigmoid())


def test_the_score_is_the_mean_of_main_and_side() -> None:
    model, images = make(), pictures()
    unsettle(model)
    output = model(images)
    assert output.features is not None
    main = output.features.mean((2, 3)) @ model.main.weight.T + model.main.bias
    torch.testing.assert_close(output.branches["main"], main)
    torch.testing.assert_close(output.logits, (main + output.branches["side"]) / 2)


def test_outline_is_what_lies_above_the_median() -> None:
    """Fig. 4."""
    model, images = make(), pictures(1, 96, 64)
    unsettle(model.self_masks)
    before: dict[int, Tensor] = {}
    run = model.backbone.run_stage
    model.backbone.run_stage = lambda stage, given: before.setdefault(stage, run(stage, given))  # type: ignore
    maps = model(images).maps
    for stage, middle in ((3, 11), (4, 2)):  # the lower of the two in the middle of 6·4 and 3·2 places
        _, _, height, width = before[stage].shape
        sums = [[sum(before[stage][0, :, y, x].tolist()) for x in range(width)] for y in range(height)]
        median = sorted(value for row in sums for value in row)[middle]
        expected = [[float(value > median) for value in row] for row in sums]
        assert maps[f"outline{stage}"][0, 0].tolist() == expected
    model.backbone.run_stage = run  # type: ignore[method-assign]
    assert "outline3" not in model.train()(pictures()).maps


def names(model: DaHAR) -> set[str]:
    return {name.split(".")[0] for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("arguments", "gone", "branches"),
    [
        ({}, set(), {"main", "side"}),
        ({"self_mask_stages": ()}, {"self_masks"}, {"main", "side"}),
        ({"masked_attention": False}, {"mask", "attention"}, {"main", "side"}),
        ({"levels": (), "masked_attention": False}, {"mask", "attention", "fusion", "side"}, {"main"}),
    ],
)
def test_switches_remove_what_they_name(
    arguments: dict[str, Any], gone: set[str], branches: set[str]
) -> None:
    whole, less = make(), make(**arguments)
    assert names(whole) - names(less) == gone
    output = less(pictures())
    assert set(output.branches) == branches
    assert ("self_mask1" in output.maps) == ("self_masks" not in gone)
    assert ("mask" in output.maps) == ("mask" not in gone)
    assert bool(less.parsing_classes) == ("mask" not in gone)
    if "mask" in gone:
        with pytest.raises(ModelError, match="has no mask to parse by"):
            less.parse(pictures())


def test_without_any_part_it_is_the_baseline() -> None:
    model = make(self_mask_stages=(), levels=(), masked_attention=False)
    baseline = create_model("baseline", schema=SCHEMA, backbone="test_resnet").double().eval()
    state = {k.replace("main.", "classifier."): v for k, v in model.state_dict().items()}
    baseline.load_state_dict(state)
    torch.testing.assert_close(model(pictures()).logits, baseline(pictures()).logits)


def test_the_mask_as_a_parsing_map_in_the_size_of_the_picture() -> None:
    model, images = make(), pictures(2, 72, 40)
    assert model(images).parsing == {}
    output = model.parse(images)
    parsing = output.parsing["mask"]
    assert parsing.shape == (2, 2, 72, 40)
    assert (parsing[:, 0] == 0).all()
    small = torch.nn.functional.interpolate(torch.logit(output.maps["mask"]), size=(72, 40), mode="bilinear")
    torch.testing.assert_close(parsing[:, 1], small[:, 0])
    assert set(model.train()(images).parsing) == {"mask"}
    assert make(mask_supervision=False).train()(images).parsing == {}
    assert make(mask_supervision=False).supervision == ()
    assert make().supervision == ("masks",)


def test_guidance_does_not_change_the_prediction() -> None:
    model, images = make(), pictures()
    assert torch.equal(model(images).logits, model(images, Guidance(masks=torch.zeros(2, 1, 64, 48))).logits)
    assert model.guidance == ()


def test_new_blocks_begin_small() -> None:
    model = make(fusion_channels=64, attention_channels=64)
    for block in (model.self_masks, model.fusion, model.mask, model.attention, model.side):
        assert block is not None
        drawn = [m for m in block.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        weights = torch.cat([m.weight.flatten() for m in drawn])
        assert weights.std().item() == pytest.approx(0.01, rel=0.1)
        assert all(m.bias is None or not m.bias.any() for m in drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": [5]}, r"expected levels from 1 to 4, ascending, got \[5\]"),
        ({"self_mask_stages": [3, 1]}, r"expected self_mask_stages from 1 to 4, ascending"),
        ({"levels": 3}, "expected levels from 1 to 4"),
        ({"levels": [[1]]}, "expected levels from 1 to 4"),
        ({"self_mask_stages": [1.0]}, "expected self_mask_stages from 1 to 4"),
        ({"self_mask_stages": [True, 2]}, "expected self_mask_stages from 1 to 4"),
        ({"fusion_channels": True}, "expected fusion_channels of at least 1, got True"),
        ({"levels": []}, "masked_attention looks at fused levels; give levels, or masked_attention: false"),
        ({"fusion_channels": 0}, "expected fusion_channels of at least 1, got 0"),
        ({"attention_channels": 1.5}, r"expected attention_channels of at least 1, got 1\.5"),
        ({"dropout": 1}, r"expected a dropout in \[0, 1\), got 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)
