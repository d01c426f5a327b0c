"""Compilation, and the running mean of the loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics import MeanMetric

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.training import train
from passerby.training.task import _MeanLoss

MakeRecipe = Callable[..., Recipe]


def final_state(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return {**checkpoint["state_dict"], **checkpoint.get("current_model_state", {})}


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The graphs that torch compiles, with a backend that runs them unchanged: the real one takes minutes."""
    found: list[Any] = []
    compile_in_place = nn.Module.compile

    def keep(graph: Any, inputs: Any) -> Any:
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", lambda self: compile_in_place(self, backend=keep))
    torch.compiler.reset()
    return found


MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {},
    "diaa": {
        "model": {"name": "diaa", "arguments": {"attention_channels": 8}},
        "loss": {"name": "diaa", "arguments": {"burn_in": 0}},
    },
    "sspnet": {
        "model": {"name": "sspnet", "arguments": {"pyramid_channels": 8, "selection_memory": 20}},
        "loss": {"name": "hierarchical", "arguments": {"weighting": "sb"}},
    },
    "mtms": {
        "model": {"name": "mtms", "arguments": {"parsing_classes": "coarse"}},
        "loss": {"name": "mtms", "arguments": {"first_epochs": 1}},
        "input": {"height": 32, "width": 16},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_compiled_model_gets_the_same_weights_with_the_same_names(
    make_recipe: MakeRecipe, tmp_path: Path, model: str, graphs: list[Any]
) -> None:
    sections = dict(MODELS[model])
    if "model" in sections:
        arguments = {"backbone": "test_resnet", **sections["model"]["arguments"]}
        sections["model"] = {**sections["model"], "pretrained": False, "arguments": arguments}
    states, bundles = [], []
    for compiled in (False, True):
        assert not graphs
        recipe = make_recipe(**sections, training={"epochs": 2, "ema": 0.9, "compile": compiled})
        outcome = train(recipe, tmp_path / f"{compiled}")
        states.append(final_state(outcome.run))
        bundles.append(Bundle.load(outcome.bundle).model.state_dict())
    assert graphs
    for plain, other in (states, bundles):
        assert plain.keys() == other.keys()
        for name, value in plain.items():
            assert torch.equal(value, other[name]), name


def test_the_mean_loss_is_that_of_torchmetrics() -> None:
    mean_loss, reference = _MeanLoss(), MeanMetric()
    losses = torch.rand(7, generator=torch.Generator().manual_seed(0)) * 30
    for size, loss in enumerate(losses, 3):
        mean_loss.update(loss, size)
        reference.update(loss, size)
    mean_loss.update(losses[0])
    reference.update(losses[0])
    assert torch.equal(mean_loss.compute(), reference.compute())
    assert (mean_loss.weight, mean_loss.mean_value) == (reference.weight, reference.mean_value)
    mean_loss.reset()
    assert mean_loss.weight == 0
