"""Backbones that end early: the remaining stages are unchanged, the others are removed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.staged import StagedBackbone, create_staged_backbone

SIZE = (64, 96)

NETWORKS: dict[str, dict[str, Any]] = {
    "test_resnet": {},
    "mobilenetv2_035": {},  # with a convolution after its last stage
    "test_convnext": {},  # with a norm there
    "swin_tiny_patch4_window7_224": {  # channels last, a fixed size
        "img_size": list(SIZE),
        "embed_dim": 24,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 2, 4, 8],
    },
}

each_network = pytest.mark.parametrize("name", NETWORKS)
each_count = pytest.mark.parametrize("count", [1, 2, 3, 4])


def make(name: str) -> StagedBackbone:
    torch.manual_seed(0)
    backbone = create_staged_backbone(name, arguments=NETWORKS[name]).eval()
    for module in backbone.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
    return backbone


def create_images() -> Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def run(backbone: StagedBackbone, count: int) -> list[Tensor]:
    """The features of each stage."""
    found = [create_images()]
    for stage in range(1, count + 1):
        found.append(backbone.run_stage(stage, found[-1]))
    return found[1:]


@each_count
@each_network
@torch.no_grad()
def test_remaining_stages_compute_the_same_features(name: str, count: int) -> None:
    whole, backbone = make(name), make(name)
    backbone.keep_stages(count)
    expected = run(whole, count)
    for found, wanted in zip(run(backbone, count), expected, strict=True):
        assert torch.equal(found, wanted)
    assert torch.equal(backbone(create_images()), expected[-1])
    assert expected[-1].shape == (
        2,
        backbone.channels,
        *(length // backbone.strides[count - 1] for length in SIZE),
    )
    assert backbone.stage_channels[:count] == whole.stage_channels[:count]
    assert not backbone.training


@each_count
@each_network
def test_later_stages_are_removed(name: str, count: int) -> None:
    whole, backbone = make(name), make(name)
    backbone.keep_stages(count)
    used: set[str] = set()
    for path, module in whole.named_modules():
        module.register_forward_hook(lambda *_, path=path: used.add(path))
    features = run(whole, count)[-1]
    state = whole.state_dict()
    assert backbone.state_dict().keys() == {key for key in state if key.rpartition(".")[0] in used}
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, state[key]), key
    # The same for the parameters, by their gradients.
    features.square().sum().backward()
    trained = {key for key, parameter in whole.named_parameters() if parameter.grad is not None}
    assert {key for key, _ in backbone.named_parameters()} == trained
    assert (len(trained) < len(list(whole.parameters()))) == (count < 4)
    backbone(create_images()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@each_count
@each_network
def test_a_removed_stage_does_not_run(name: str, count: int) -> None:
    backbone = make(name)
    backbone.keep_stages(count)
    with torch.no_grad():
        features = run(backbone, count)[-1]
    for stage in range(count + 1, 6):
        with pytest.raises(ModelError, match=f"expected a stage from 1 to {count}, got {stage}"):
            backbone.run_stage(stage, features)


@torch.no_grad()
def test_stages_can_be_removed_one_by_one() -> None:
    backbone, at_once = make("test_resnet"), make("test_resnet")
    for count in (4, 3, 3, 2):
        backbone.keep_stages(count)
    at_once.keep_stages(2)
    assert backbone.state_dict().keys() == at_once.state_dict().keys()
    assert backbone.channels == at_once.channels == 48
    assert torch.equal(backbone(create_images()), at_once(create_images()))


def test_removing_stages_keeps_mode_and_input_size() -> None:
    backbone = make("swin_tiny_patch4_window7_224").train()
    backbone.keep_stages(2)
    assert backbone.training
    assert all(module.training for module in backbone.modules())
    with pytest.raises(ModelError, match=r"takes images of \(64, 96\) pixels"):
        backbone(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("count", [0, -1, 5, 2.0, "2", None])
def test_a_wrong_count_is_explained(count: Any) -> None:
    backbone = make("test_resnet")
    keys = backbone.state_dict().keys()
    with pytest.raises(ModelError, match=rf"from 1 to 4, got {count!r}"):
        backbone.keep_stages(count)
    assert backbone.state_dict().keys() == keys


def test_a_removed_stage_cannot_be_kept() -> None:
    backbone = make("test_resnet")
    backbone.keep_stages(2)
    with pytest.raises(ModelError, match="from 1 to 2, got 3"):
        backbone.keep_stages(3)
    assert backbone.channels == 48
