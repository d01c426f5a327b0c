"""Da-HAR against the paper's text, in loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from loops import loop_pointwise, randomize
from passerby.errors import ModelError
from passerby.models import DaHAR, create_model
from passerby.models.da_har.blocks import MaskBlock
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Guidance

SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has property {i}") for i in range(3)))

CONTRACT_CASES: dict[str, dict[str, Any]] = {
    "default": {"dropout": 0.3, "fusion_channels": 8, "attention_channels": 8},
    "unsupervised": {
        "fusion_channels": 8,
        "attention_channels": 8,
        "mask_supervision": False,
        "levels": [4],
    },
    "fusion": {"fusion_channels": 8, "self_mask_stages": [], "masked_attention": False},
    "self-mask": {"levels": [], "masked_attention": False},
}
"""Arguments for `test_contract.py`."""


def make(**arguments: Any) -> DaHAR:
    torch.manual_seed(1)
    given = {"backbone": "test_resnet", "fusion_channels": 4, "attention_channels": 4, **arguments}
    model = create_model("da-har", schema=SCHEMA, **given)
    assert isinstance(model, DaHAR)
    return model.double().eval()


def create_images(count: int = 2, height: int = 64, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_self_masks_multiply_the_input_of_the_next_stage() -> None:
    model, images = make(), create_images()
    randomize(model.self_masks)
    inputs: dict[int, Tensor] = {}
    run = model.backbone.run_stage

    def record(stage: int, features: Tensor) -> Tensor:
        inputs[stage] = features.clone()
        return run(stage, features)

    model.backbone.run_stage = record  # type: ignore[assignment]
    maps = model(images).maps
    for stage in (1, 2, 3):
        before = run(stage, inputs[stage])
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
                            expected = sigmoid(loop_pointwise(block.layers, inside)[0])
                            assert mask[n, 0, y, x].item() == pytest.approx(expected, abs=1e-5)
                        product = inside[c] * mask[n, 0, y, x].item()
                        assert inputs[stage + 1][n, c, y, x].item() == pytest.approx(product, abs=1e-5)
    assert torch.equal(model(images).features, run(4, inputs[4]))  # type: ignore[arg-type]


def test_masked_confidence_weighted_attention_in_a_loop() -> None:
    """The fused features times the mask; attention times confidence; one linear layer over the sum."""
    model, images = make(), create_images()
    for block in (model.fusion, model.mask, model.attention, model.side):
        assert block is not None
        randomize(block)
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
        positions = [(y, x) for y in range(height) for x in range(width)]
        masked = {
            (y, x): [v * sigmoid(logits[n, 0, y, x].item()) for v in fused[0][n, :, y, x].tolist()]
            for y, x in positions
        }
        scores = {p: loop_pointwise(model.attention.attention, masked[p]) for p in positions}
        confidence = model.attention.confidence
        assert confidence is not None
        confident = {p: loop_pointwise(nn.Sequential(confidence), masked[p]) for p in positions}
        for a in range(3):
            largest = max(scores[p][a] for p in positions)
            total = sum(math.exp(scores[p][a] - largest) for p in positions)
            logit = model.side.bias[a].item()
            for p in positions:
                weight = math.exp(scores[p][a] - largest) / total * sigmoid(confident[p][a])
                assert output.maps["attention"][n, a, p[0], p[1]].item() == pytest.approx(
                    math.exp(scores[p][a] - largest) / total, abs=1e-5
                )
                for c in range(channels):
                    logit += model.side.weight[a, c].item() * weight * masked[p][c]
            assert output.branches["side"][n, a].item() == pytest.approx(logit, abs=1e-5)
    torch.testing.assert_close(output.maps["mask"], logits.sigmoid())


def test_score_is_the_mean_of_main_and_side() -> None:
    model, images = make(), create_images()
    randomize(model)
    output = model(images)
    assert output.features is not None
    main = output.features.mean((2, 3)) @ model.main.weight.T + model.main.bias
    torch.testing.assert_close(output.branches["main"], main)
    torch.testing.assert_close(output.logits, (main + output.branches["side"]) / 2)


def test_outline_is_above_the_median() -> None:
    """Fig. 4."""
    model, images = make(), create_images(1, 96, 64)
    randomize(model.self_masks)
    before: dict[int, Tensor] = {}
    run = model.backbone.run_stage
    model.backbone.run_stage = lambda stage, given: before.setdefault(stage, run(stage, given))  # type: ignore
    maps = model(images).maps
    for stage, middle in ((3, 11), (4, 2)):  # the lower median of 6·4 and of 3·2 positions
        _, _, height, width = before[stage].shape
        sums = [[sum(before[stage][0, :, y, x].tolist()) for x in range(width)] for y in range(height)]
        median = sorted(value for row in sums for value in row)[middle]
        expected = [[float(value > median) for value in row] for row in sums]
        assert maps[f"outline{stage}"][0, 0].tolist() == expected
    model.backbone.run_stage = run  # type: ignore[method-assign]
    assert "outline3" not in model.train()(create_images()).maps


def names(model: DaHAR) -> set[str]:
    return {name.split(".")[0] for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("arguments", "removed", "branches"),
    [
        ({}, set(), {"main", "side"}),
        ({"self_mask_stages": ()}, {"self_masks"}, {"main", "side"}),
        ({"masked_attention": False}, {"mask", "attention"}, {"main", "side"}),
        ({"levels": (), "masked_attention": False}, {"mask", "attention", "fusion", "side"}, {"main"}),
    ],
)
def test_switches_remove_their_modules(
    arguments: dict[str, Any], removed: set[str], branches: set[str]
) -> None:
    full, reduced = make(), make(**arguments)
    assert names(full) - names(reduced) == removed
    output = reduced(create_images())
    assert set(output.branches) == branches
    assert ("self_mask1" in output.maps) == ("self_masks" not in removed)
    assert ("mask" in output.maps) == ("mask" not in removed)
    assert bool(reduced.parsing_classes) == ("mask" not in removed)
    if "mask" in removed:
        with pytest.raises(ModelError, match=r"has no mask for parsing maps.*masked_attention: true"):
            reduced.parse(create_images())


def test_without_any_extension_it_equals_the_baseline() -> None:
    model = make(self_mask_stages=(), levels=(), masked_attention=False)
    baseline = create_model("baseline", schema=SCHEMA, backbone="test_resnet").double().eval()
    state = {k.replace("main.", "classifier."): v for k, v in model.state_dict().items()}
    baseline.load_state_dict(state)
    torch.testing.assert_close(model(create_images()).logits, baseline(create_images()).logits)


def test_parsing_map_of_the_mask_has_the_size_of_the_image() -> None:
    model, images = make(), create_images(2, 72, 40)
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
    model, images = make(), create_images()
    assert torch.equal(model(images).logits, model(images, Guidance(masks=torch.zeros(2, 1, 64, 48))).logits)
    assert model.guidance == ()


def test_new_blocks_have_small_initial_weights() -> None:
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
        ({"levels": []}, "masked_attention needs fused levels; give levels, or masked_attention: false"),
        ({"fusion_channels": 0}, "expected fusion_channels of at least 1, got 0"),
        ({"attention_channels": 1.5}, r"expected attention_channels of at least 1, got 1\.5"),
        ({"dropout": 1}, r"expected a dropout in \[0, 1\), got 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)
