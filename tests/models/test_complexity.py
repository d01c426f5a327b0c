"""Counts by hand, and against the figures of the papers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from passerby.errors import ModelError
from passerby.models import MODELS, create_model
from passerby.models.complexity import compute_complexity, count_setting, create_shapes_only
from passerby.models.published import PUBLISHED, Setting, select_settings


class ByHand(nn.Module):
    """A convolution, a grouped one, a linear layer, a matrix product; and layers that are not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)  # 3 · 9 · 8 + 8 parameters
        self.norm = nn.BatchNorm2d(8)  # 16
        self.grouped = nn.Conv2d(8, 8, kernel_size=3, padding=1, groups=4, bias=False)  # 2 · 9 · 8
        self.linear = nn.Linear(8, 5)  # 45

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.grouped(self.norm(self.conv(images))))
        rows = features.flatten(2)
        relations = rows @ rows.transpose(1, 2)  # (N, 8, 8)
        return self.linear(features.mean((2, 3)) + relations.mean(2))


def test_parameters_and_macs_by_hand() -> None:
    network = ByHand()
    complexity = compute_complexity(network, size_px=(10, 6))  # maps of 5 × 3
    assert complexity.parameters == (3 * 9 * 8 + 8) + 16 + 2 * 9 * 8 + 45
    positions = 5 * 3
    assert complexity.macs == positions * (3 * 9 * 8) + positions * (2 * 9 * 8) + 8 * 8 * positions + 8 * 5
    assert complexity.size_px == (10, 6)


def test_a_shared_layer_is_stored_once_and_computed_twice() -> None:
    layer = nn.Conv2d(3, 3, kernel_size=1, bias=False)
    complexity = compute_complexity(nn.Sequential(layer, layer), size_px=(4, 4))
    assert (complexity.parameters, complexity.macs) == (9, 2 * 9 * 16)


def test_counting_leaves_the_network_unchanged() -> None:
    network = ByHand().train()
    network.norm.eval()  # a separate mode must be restored too
    network.linear.weight.requires_grad_(False)
    network(torch.randn(2, 3, 8, 8)).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    before = {name: (id(t), t.clone()) for name, t in network.state_dict(keep_vars=True).items()}
    random_state = torch.get_rng_state()

    compute_complexity(network, size_px=(8, 8))

    assert torch.equal(torch.get_rng_state(), random_state)
    assert (network.training, network.conv.training, network.norm.training) == (True, True, False)
    for name, tensor in network.state_dict(keep_vars=True).items():
        assert id(tensor) == before[name][0]
        assert torch.equal(tensor, before[name][1])
    assert all(p.grad is gradients[name] for name, p in network.named_parameters())
    assert [n for n, p in network.named_parameters() if not p.requires_grad] == ["linear.weight"]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_counts_with_values_equal_counts_with_shapes_only(model: str) -> None:
    shapes = create_shapes_only(model, backbone="test_resnet", attributes=5, size_px=(64, 48))
    real = create_model(model, schema=shapes.schema, backbone="test_resnet")
    assert all(p.is_meta for p in shapes.parameters())
    assert compute_complexity(real, size_px=(64, 48)) == compute_complexity(shapes, size_px=(64, 48))


def published(source: str, **fields: object) -> list[Setting]:
    chosen = [s for s in PUBLISHED if s.source == source and s.model == "baseline"]
    return [s for s in chosen if all(getattr(s, k) == v for k, v in fields.items())]


@pytest.mark.slow
@pytest.mark.parametrize("setting", published("DIAA, Table 2"), ids=lambda s: s.backbone)
def test_primary_networks_of_diaa(setting: Setting) -> None:
    assert count_setting(setting).parameters_ratio == pytest.approx(1, abs=0.02)


def test_all_of_diaas_primary_networks_are_listed() -> None:
    figures = {s.backbone: s.parameters for s in published("DIAA, Table 2")}
    assert figures == {
        "resnet50": 25.6,
        "densenet121": 8.1,
        "resnet101": 44.7,
        "resnet152": 60.4,
        "densenet201": 20.2,
    }


@pytest.mark.slow
@pytest.mark.parametrize("setting", published("SSPNet, Table 3"), ids=lambda s: s.backbone)
def test_baselines_of_sspnet_are_those_of_256_x_128(setting: Setting) -> None:
    assert setting.size_px == (256, 128)
    count = count_setting(setting)
    assert count.parameters_ratio == pytest.approx(1, abs=0.02)
    assert count.gmacs_ratio == pytest.approx(1, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [s for s in PUBLISHED if s.model == "sspnet" and s.size_px == (256, 128)],
    ids=lambda s: f"{s.variant}, {s.backbone}",
)
def test_sspnet_has_the_parameters_of_its_paper(setting: Setting) -> None:
    count = count_setting(setting)
    # Swin's stages are narrower than ResNet's, so its pyramid must be smaller; in the paper it is larger.
    within = 0.03 if setting.backbone.startswith("swin") else 0.01
    assert count.parameters_ratio == pytest.approx(1, abs=within)
    if setting.variant == "SSPNet-R":
        assert count.gmacs_ratio == pytest.approx(1, abs=0.03)


def test_resnet50_at_the_size_stated_by_sspnet() -> None:
    (setting,) = published("SSPNet, Table 3, size as stated")
    count = count_setting(setting)
    assert setting.size_px == (256, 192)
    assert count.counted.macs / 1e9 == pytest.approx(4.0, abs=0.01)
    assert count.gmacs_ratio == pytest.approx(1.49, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [s for s in PUBLISHED if s.model not in ("baseline", "man", "mtms")],  # these two end at an earlier stage
    ids=lambda s: f"{s.model}-{s.backbone}",
)
def test_a_model_costs_more_than_its_baseline(setting: Setting) -> None:
    count = count_setting(setting)
    assert count.baseline is not None
    assert count.parameters_overhead is not None
    assert count.gmacs_overhead is not None
    assert count.parameters_overhead > 0
    assert count.gmacs_overhead > 0
    assert count.counted.parameters - count.baseline.parameters == pytest.approx(
        count.parameters_overhead * count.baseline.parameters
    )


def test_overhead_of_diaa_by_hand() -> None:
    """Two attention modules and their classifiers on ResNet-50, 14 attributes."""
    attributes, parameters, macs = 14, 0, 0
    for channels, positions in ((1024, 14 * 14), (2048, 7 * 7)):
        convolutions = channels * 512 + 512 * 512 + 512 * attributes + channels * attributes  # confidence
        norms, biases = 2 * (512 + 512 + attributes), attributes
        linear = attributes * attributes * positions  # a weight per position, 14×14 and 7×7
        parameters += convolutions + norms + biases + linear + attributes
        macs += convolutions * positions + linear
    (setting,) = select_settings(("diaa",), backbone="resnet50")
    count = count_setting(setting)
    assert count.baseline is not None
    assert count.counted.parameters - count.baseline.parameters == parameters
    assert count.counted.macs - count.baseline.macs == macs


def test_every_model_has_a_setting() -> None:
    assert {s.model for s in PUBLISHED} == set(MODELS)


def test_a_backbone_of_fixed_size_is_created_for_the_given_one() -> None:
    setting = Setting("baseline", "test_vit", 5, (80, 48))
    count = count_setting(setting)
    assert count.counted.size_px == (80, 48)
    assert count.counted.macs < count_setting(Setting("baseline", "test_vit", 5, (96, 96))).counted.macs


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (Setting("nonsense", "resnet50"), "baseline"),
        (Setting("baseline", "resnt50"), "did you mean .*resnet50"),
        (Setting("baseline", "test_resnet", 0), "at least 1 attribute"),
        (Setting("baseline", "test_resnet", 5, (0, 48)), "at least 1 × 1 pixel"),
        (Setting("diaa", "test_vit", 5, (64, 64)), "stages"),
    ],
    ids=["model", "backbone", "attributes", "size", "stages"],
)
def test_refusals(setting: Setting, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        count_setting(setting)


def test_a_network_that_cannot_take_the_size() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, kernel_size=5), nn.BatchNorm2d(4)).train()
    with pytest.raises(ModelError, match="cannot be counted at 3 × 3 pixels"):
        compute_complexity(network, size_px=(3, 3))
    assert all(module.training for module in network.modules())


def test_custom_settings() -> None:
    assert select_settings(("baseline",), backbone="resnet152")[0].attributes == 1000
    (custom,) = select_settings(("baseline",), backbone="test_resnet")
    assert (custom.attributes, custom.size_px, custom.parameters) == (35, (224, 224), None)
    (same,) = select_settings(("baseline",), backbone="resnet152", size_px=(224, 224), attributes=1000)
    assert same.parameters == 60.4
    (other,) = select_settings(("baseline",), backbone="resnet152", attributes=14)
    assert other.parameters is None
    assert len(select_settings(("baseline",), size_px=(256, 192))) == 6  # each backbone once


@pytest.mark.slow
def test_the_page_lists_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/model-size.md").read_text(encoding="utf-8")
    listed = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    for s in PUBLISHED:
        backbone = s.backbone.removesuffix("_patch4_window7_224")
        row = f"{s.variant or s.model} · {backbone} · {s.attributes}"
        size = "×".join(map(str, s.size_px))
        for cell in (row, f"{row} · {size}"):
            assert cell in listed, "update docs/reference/model-size.md from `passerby models --markdown`"
