"""The passerby model against its formula, in loops over plain floats."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from loops import loop_bilinear
from passerby.errors import ModelError
from passerby.models import Passerby, create_model
from passerby.models.passerby import EvidencePooling
from passerby.schema import Attribute, AttributeSchema

SCHEMA = AttributeSchema("toy", tuple(Attribute(f"a{i}", f"has property {i}") for i in range(3)))

CONTRACT_CASES: dict[str, dict[str, Any]] = {"default": {"dropout": 0.3, "evidence_channels": 8}}
"""Arguments for `test_contract.py`."""


def make_pooling(size: tuple[int, int], seed: int = 0) -> tuple[EvidencePooling, Tensor]:
    """A layer with random weights and statistics, and features of that size."""
    generator = torch.Generator().manual_seed(seed)
    pooling = EvidencePooling(4, 3, hidden=5).double().eval()
    with torch.no_grad():
        for name, value in [*pooling.named_parameters(), *pooling.named_buffers()]:
            if value.is_floating_point():
                draw = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                value.copy_(0.2 + draw.square() if name.endswith("running_var") else draw)
    return pooling, torch.randn(1, 4, *size, generator=generator, dtype=torch.float64)


def make(**arguments: Any) -> Passerby:
    torch.manual_seed(1)
    small = {"backbone": "test_resnet", "evidence_channels": 8}
    model = create_model("passerby", schema=SCHEMA, **{**small, **arguments})
    assert isinstance(model, Passerby)
    return model.eval()


def create_images(height: int = 64, width: int = 48) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("size", [(8, 6), (4, 3), (16, 12)])
@torch.no_grad()
def test_pooling_in_loops(size: tuple[int, int]) -> None:
    pooling, features = make_pooling(size)
    state: dict[str, Any] = {key: value.tolist() for key, value in pooling.state_dict().items()}
    cells = [(y, x) for y in range(size[0]) for x in range(size[1])]
    hidden: dict[tuple[int, int], list[float]] = {}
    for y, x in cells:
        hidden[y, x] = []
        for o in range(5):
            value = sum(state["reduce.0.weight"][o][i][0][0] * float(features[0, i, y, x]) for i in range(4))
            scale = state["reduce.1.weight"][o] / math.sqrt(state["reduce.1.running_var"][o] + 1e-5)
            value = (value - state["reduce.1.running_mean"][o]) * scale + state["reduce.1.bias"][o]
            hidden[y, x].append(max(0.0, value))
    logits, attention, evidence = pooling(features)
    for a in range(3):
        prior = loop_bilinear(state["prior"][a], *size)
        scores = {
            (y, x): prior[y][x]
            + sum(state["attention.weight"][a][i][0][0] * hidden[y, x][i] for i in range(5))
            for y, x in cells
        }
        total = sum(map(math.exp, scores.values()))
        logit = 0.0
        for y, x in cells:
            e = state["evidence.bias"][a]
            e += sum(state["evidence.weight"][a][i][0][0] * hidden[y, x][i] for i in range(5))
            assert evidence[0, a, y, x].item() == pytest.approx(e)
            assert attention[0, a, y, x].item() == pytest.approx(math.exp(scores[y, x]) / total)
            logit += math.exp(scores[y, x]) / total * e
        assert logits[0, a].item() == pytest.approx(logit)


@torch.no_grad()
def test_initial_attention_is_uniform_where_features_are_equal() -> None:
    pooling, features = EvidencePooling(4, 3, hidden=5).eval(), torch.ones(1, 4, 7, 9)
    torch.nn.init.ones_(pooling.reduce[0].weight)  # type: ignore[arg-type]  # positive before the ReLU
    logits, attention, evidence = pooling(features)
    assert logits.unique().numel() == 3
    torch.testing.assert_close(attention, torch.full((1, 3, 7, 9), 1 / 63))
    torch.testing.assert_close(logits, evidence[:, :, 0, 0])


@pytest.mark.parametrize("size", [(4, 3), (16, 12), (5, 7)])
@torch.no_grad()
def test_the_prior_moves_attention_to_its_positions_at_any_size(size: tuple[int, int]) -> None:
    pooling = EvidencePooling(4, 3, hidden=5).eval()
    pooling.prior[1, :4] = 5.0  # the upper half
    _, attention, _ = pooling(torch.zeros(1, 4, *size))
    assert attention[0, 1, : size[0] // 2].sum() > 0.9
    assert attention[0, 0, : size[0] // 2].sum() < 0.51
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(1, 3))


@torch.no_grad()
def test_the_logit_is_the_sum_of_its_branches() -> None:
    model, images = make(), create_images()
    output = model(images)
    assert set(output.branches) == {"pooled", "positions3", "positions4"}
    torch.testing.assert_close(output.logits, sum(output.branches.values()))
    features = images
    for stage in (1, 2, 3, 4):
        features = model.backbone.run_stage(stage, features)
        if stage > 2:
            logits, attention, evidence = model.places[str(stage)](features)
            torch.testing.assert_close(output.branches[f"positions{stage}"], logits)
            torch.testing.assert_close(output.maps[f"attention{stage}"], attention)
            torch.testing.assert_close(output.maps[f"evidence{stage}"], evidence.sigmoid())
    torch.testing.assert_close(output.branches["pooled"], model.classifier(features.mean((2, 3))))


@pytest.mark.slow
@torch.no_grad()
def test_an_exported_model_takes_any_size() -> None:
    sides = {2: torch.export.Dim("h8", min=2, max=40) * 32, 3: torch.export.Dim("w8", min=2, max=40) * 32}

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = make()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.model(images).logits
            return logits

    exported = torch.export.export(Logits(), (create_images(256, 192),), dynamic_shapes=(sides,)).module()
    images = create_images(128, 160)
    torch.testing.assert_close(exported(images), make()(images).logits, rtol=1e-4, atol=1e-5)


def test_only_the_pooled_features_are_dropped_and_only_in_training() -> None:
    model, images = make(dropout=0.9), create_images()
    torch.testing.assert_close(model(images).logits, model(images).logits)
    model.dropout.train()
    torch.manual_seed(0)
    first, second = model(images).branches, model(images).branches
    assert not torch.equal(first["pooled"], second["pooled"])
    for stage in (3, 4):
        assert torch.equal(first[f"positions{stage}"], second[f"positions{stage}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"evidence_channels": 0}, "evidence_channels of at least 1"),
        ({"dropout": 1.0}, "dropout in"),
        ({"backbone": "test_vit"}, "cannot be cut into stages"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(**arguments)
