"""MTMS against the paper's equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ModelError
from passerby.models import MTMS, create_model
from passerby.models.mtms import RelationAttention
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has property {i}") for i in range(3)))

CONTRACT_CASES: dict[str, dict[str, Any]] = {
    "default": {"dropout": 0.3},
    "one stage": {"hierarchical": False, "attention": False},
    "stage 1": {"attention": False, "predict_from": "stage1"},
}
"""Arguments for `test_contract.py`."""


def make(**arguments: Any) -> MTMS:
    torch.manual_seed(1)
    model = create_model(
        "mtms", schema=SCHEMA, **{"backbone": "test_resnet", "parsing_classes": "coarse", **arguments}
    )
    assert isinstance(model, MTMS)
    return model.double().eval()


def create_images(count: int = 2, height: int = 64, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def randomize(attention: RelationAttention) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in attention.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=value.dtype))


def test_relation_attention_in_a_loop() -> None:
    """Eq. 6–7."""
    attention = RelationAttention(3).double()
    randomize(attention)
    first, second = torch.randn(2, 3, 4, 6).double(), torch.randn(2, 3, 2, 3).double()
    found = attention(first, second)
    halve, weight, bias = (
        {k: v.tolist() for k, v in layer.state_dict().items()}
        for layer in (attention.halve, attention.weight, attention.bias)
    )
    for n in range(2):
        for y in range(2):
            for x in range(3):
                located = []
                for a in range(3):
                    total = halve["bias"][a]
                    for b in range(3):
                        for i in range(3):
                            for j in range(3):
                                row, column = 2 * y + i - 1, 2 * x + j - 1
                                if 0 <= row < 4 and 0 <= column < 6:
                                    total += halve["weight"][a][b][i][j] * float(first[n, b, row, column])
                    located.append(max(0.0, total))
                for a in range(3):
                    w = weight["bias"][a] + sum(weight["weight"][a][b][0][0] * located[b] for b in range(3))
                    shift = bias["bias"][a] + sum(bias["weight"][a][b][0][0] * located[b] for b in range(3))
                    expected = shift + max(0.0, w) * float(second[n, a, y, x])
                    assert found[n, a, y, x].item() == pytest.approx(expected, abs=1e-5)


def test_stage_two_gets_the_mean_of_three_branches() -> None:
    """Eq. 4, and the prediction: the mean over each attribute's map."""
    model, images = make(), create_images()
    with torch.no_grad():  # branches that differ
        for tail in (model.attributes1_tail, model.parsing1_tail):
            for value in tail.parameters():
                value.mul_(1.3)
    backbone, count = model.backbone, model.tails[0]
    shared = backbone.run_stage(2, backbone.run_stage(1, images), layers=slice(-count))
    branches = [
        model.attributes1_tail(shared),
        model.parsing1_tail(shared),
        backbone.run_stage(2, shared, layers=slice(-count, None)),
    ]
    assert not torch.allclose(branches[0], branches[2])
    features = backbone.run_stage(3, sum(branches) / 3)
    first, second = model.attributes1(branches[0]), model.attributes2(features)
    assert model.attention is not None
    output = model(images)
    torch.testing.assert_close(output.logits, model.attention(first, second).mean((2, 3)))
    torch.testing.assert_close(output.branches["stage1"], first.mean((2, 3)))
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.maps["stage1"], first.sigmoid())


def test_copies_start_equal_to_the_backbone_with_separate_weights() -> None:
    model, images = make(), create_images()
    shared = model.backbone.run_stage(2, model.backbone.run_stage(1, images), layers=slice(-model.tails[0]))
    trunk = model.backbone.run_stage(2, shared, layers=slice(-model.tails[0], None))
    assert torch.equal(model.attributes1_tail(shared), trunk)
    own = {p.data_ptr() for p in model.backbone.parameters()}
    assert not own & {p.data_ptr() for p in model.attributes1_tail.parameters()}


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext"])  # rounds sizes up; rounds them down
@pytest.mark.parametrize("size", [(64, 48), (72, 40)])
def test_parsing_has_the_size_of_the_images(size: tuple[int, int], backbone: str) -> None:
    model = make(backbone=backbone)
    images = create_images(1, *size)
    assert model(images).parsing == {}
    shown = model.parse(images).parsing
    assert {k: v.shape for k, v in shown.items()} == dict.fromkeys(("stage1", "stage2"), (1, 6, *size))
    assert set(model.train()(create_images(2, *size)).parsing) == {"stage1", "stage2"}


def test_prediction_skips_layers_used_in_training_only() -> None:
    model = make()
    called = []
    for name, module in model.named_children():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    model(create_images())
    assert not {"parsing1", "parsing2", "parsing2_tail"} & set(called)
    assert "parsing1_tail" in called  # Eq. 4 needs it
    called.clear()
    model.train()(create_images())
    assert {"parsing1", "parsing2", "parsing2_tail"} <= set(called)
    first = make(attention=False, predict_from="stage1")
    output = first(create_images())
    assert set(output.maps) == {"stage1"}
    assert output.features is not None
    torch.testing.assert_close(first.attributes1(output.features).mean((2, 3)), output.logits)
    assert set(first.train()(create_images()).branches) == {"stage1", "stage2"}


def test_switches_remove_their_modules() -> None:
    def module_names(**arguments: Any) -> set[str]:
        return {name.split(".")[0] for name, _ in make(**arguments).named_parameters()}

    full = module_names()
    assert full - module_names(attention=False) == {"attention"}
    single = module_names(hierarchical=False, attention=False)
    assert full - single == {"attention", "attributes1", "attributes1_tail", "parsing1"}
    model = make(hierarchical=False, attention=False).train()
    output = model(create_images())
    assert set(output.branches) == set(output.parsing) == {"stage2"}
    first = make(attention=False, predict_from="stage1")(create_images())
    torch.testing.assert_close(first.logits, first.branches["stage1"])


def test_attention_initially_keeps_the_maps_of_stage_two() -> None:
    plain, attended = make(attention=False)(create_images()).logits, make()(create_images()).logits
    assert (attended - plain).abs().max() < 0.1 * plain.abs().max()


def test_the_parsing_loss_does_not_reach_the_attributes_of_its_stage() -> None:
    """Without the fusion, a loss on the parsing of stage II has no gradient in either attribute branch."""
    model = make().train()
    output = model(create_images())
    F.cross_entropy(output.parsing["stage2"], torch.zeros(2, 64, 48, dtype=torch.int64)).backward()
    assert model.attributes2.weight.grad is None
    assert model.attributes1.weight.grad is None
    assert next(model.parsing1_tail.layers[0].parameters()).grad is not None


def test_one_stage_is_the_plain_backbone_and_a_parsing_branch() -> None:
    """The row "Multi-task": attributes from the backbone, parsing from a branch that splits in stage I."""
    model, images = make(hierarchical=False, attention=False), create_images()
    backbone = model.backbone
    shared = backbone.run_stage(2, backbone.run_stage(1, images), layers=slice(-model.tails[0]))
    trunk = backbone.run_stage(2, shared, layers=slice(-model.tails[0], None))
    features = backbone.run_stage(3, trunk)
    output = model.parse(images)
    torch.testing.assert_close(output.logits, model.attributes2(features).mean((2, 3)))
    parsed = model.parsing2(model.parsing2_tail(model.parsing1_tail(shared)))
    torch.testing.assert_close(output.parsing["stage2"], parsed)


def test_parsing_has_separate_branches() -> None:
    model, images = make(branch_layers=[1, 1]), create_images()
    with torch.no_grad():
        for value in (*model.parsing1_tail.parameters(), *model.parsing2_tail.parameters()):
            value.mul_(1.3)
    backbone = model.backbone
    shared = backbone.run_stage(2, backbone.run_stage(1, images), layers=slice(-1))
    branches = [model.attributes1_tail(shared), model.parsing1_tail(shared)]
    trunk = (sum(branches) + backbone.run_stage(2, shared, layers=slice(-1, None))) / 3
    middle = backbone.run_stage(3, trunk, layers=slice(-1))
    parsing = model.parse(images).parsing
    torch.testing.assert_close(parsing["stage1"], model.parsing1(branches[1]))
    torch.testing.assert_close(parsing["stage2"], model.parsing2(model.parsing2_tail(middle)))


def test_refusals() -> None:
    for wrong, reason in (
        ({"dropout": 1.0}, r"dropout in \[0, 1\), got 1.0"),
        ({"parsing_classes": "lips"}, "lip, coarse, or at least two distinct names, got .lips."),
        ({"predict_from": "stage3"}, "no predict_from 'stage3'; choose one of stage1, stage2"),
        ({"parsing_classes": 3}, "at least two distinct names, got 3"),
        ({"parsing_classes": ["a", ["b"]]}, "at least two distinct names"),
        ({"parsing_classes": ["a", "a"]}, "at least two distinct names"),
        ({"hierarchical": False}, "attention and predict_from: stage1 need two stages"),
        ({"branch_layers": [99, 1]}, "two numbers of branch_layers, 1 … "),
        ({"branch_layers": [1, -3], "hierarchical": False, "attention": False}, "two numbers"),
        ({"branch_layers": []}, "two numbers of branch_layers"),
        ({"branch_layers": 3}, "two numbers of branch_layers"),
    ):
        with pytest.raises(ModelError, match=reason):
            make(**wrong)
