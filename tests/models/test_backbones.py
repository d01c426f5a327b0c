from __future__ import annotations

import os
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from passerby.errors import ModelError
from passerby.models.backbones import Backbone, create_backbone
from passerby.models.staged import create_staged_backbone


@pytest.mark.parametrize(
    ("name", "arguments", "size", "shape"),
    [
        ("test_resnet", {}, (64, 48), (2, 96, 2, 2)),
        ("test_efficientnet", {}, (64, 64), (2, 256, 2, 2)),
        ("mobilenetv3_small_050", {}, (64, 64), (2, 288, 2, 2)),  # without the convolution after the pooling
        ("test_convnext", {}, (64, 64), (2, 64, 2, 2)),  # without the norm after the pooling
        ("test_vit", {"img_size": [64, 48]}, (64, 48), (2, 64, 4, 3)),  # one class token
        ("test_vit", {"dynamic_img_size": True}, (96, 32), (2, 64, 6, 2)),
        (
            "deit_tiny_distilled_patch16_224",
            {"img_size": 64, "depth": 1},
            (64, 64),
            (2, 192, 4, 4),
        ),  # two tokens
        (
            "swin_tiny_patch4_window7_224",  # channels last
            {"img_size": [64, 48], "window_size": [2, 3], "embed_dim": 24, "depths": [1, 1, 1, 1]},
            (64, 48),
            (2, 192, 2, 2),
        ),
    ],
)
def test_every_layout_becomes_a_map_with_gradients_for_all_parameters(
    name: str, arguments: dict[str, object], size: tuple[int, int], shape: tuple[int, ...]
) -> None:
    backbone = create_backbone(name, arguments=arguments)
    features = backbone(torch.randn(2, 3, *size))
    assert features.shape == shape
    assert features.shape[1] == backbone.channels
    features.square().sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_tokens_are_at_the_position_of_their_patch() -> None:
    """A change in one patch changes the token at that position the most."""
    torch.manual_seed(0)
    backbone = create_backbone("test_vit", arguments={"img_size": [64, 48]}).eval()
    images = torch.zeros(1, 3, 64, 48)
    changed = images.clone()
    changed[..., 32:48, 16:32] = 3.0  # row 2, column 1 of the patches of 16 pixels
    with torch.no_grad():
        difference = (backbone(changed) - backbone(images)).norm(dim=1)[0]
    assert divmod(int(difference.argmax()), 3) == (2, 1)


def test_channels_last_features_keep_their_positions() -> None:
    class Last(nn.Module):
        num_features, output_fmt, pretrained_cfg = 4, "NHWC", {}

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).permute(0, 2, 3, 1)

    network = Last()
    images = torch.randn(1, 3, 4, 5)  # as many rows as channels: only the named format distinguishes them
    torch.testing.assert_close(Backbone(network)(images), network.conv(images))


def test_features_equal_those_of_timm() -> None:
    torch.manual_seed(1)
    backbone = create_backbone("test_resnet").eval()
    torch.manual_seed(1)
    reference = timm.create_model("test_resnet", num_classes=0).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), reference.forward_features(images))


def test_creating_uses_the_same_random_numbers_as_timm() -> None:
    torch.manual_seed(1)
    create_backbone("test_resnet")
    actual = torch.rand(1)
    torch.manual_seed(1)
    timm.create_model("test_resnet", num_classes=0)
    assert torch.equal(actual, torch.rand(1))


def test_mean_and_std_come_from_timm_or_the_overlay() -> None:
    assert create_backbone("test_vit").input_mean == (0.5, 0.5, 0.5)
    overlay = {"pretrained_cfg_overlay": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}}
    backbone = create_backbone("test_vit", arguments=overlay)
    assert backbone.input_mean == (0.1, 0.2, 0.3)
    assert backbone.input_std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnt50", {}, "did you mean .*resnet50"),
        ("qqqqqqq", {}, "timm.list_models"),
        ("hf_hub:someone/something", {}, "has no model"),
        ("resnet18.no_such_weights", {}, "Invalid pretrained tag"),
        ("test_resnet", {"widht": 3}, "does not take backbone_arguments.*widht"),
        ("test_resnet", {"num_classes": 3}, "may not set num_classes"),
        ("test_resnet", {"checkpoint_path": "x.pth"}, "may not set checkpoint_path"),
        ("coat_lite_tiny", {"depths": [1, 1, 1, 1], "return_interm_layers": True}, "no|not"),
        ("crossvit_9_240", {}, "map or tokens, not list"),
    ],
)
def test_refusals(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        create_backbone(name, arguments=arguments)


def test_wrong_image_size_suggests_a_fix() -> None:
    backbone = create_backbone("vit_tiny_patch16_224", arguments={"depth": 1})
    with pytest.raises(ModelError, match=r'\(224, 224\).*got \(64, 48\).*"img_size": \[64, 48\]'):
        backbone(torch.zeros(1, 3, 64, 48))


def test_size_not_divisible_by_the_patch_size() -> None:
    backbone = create_backbone("test_vit", arguments={"dynamic_img_size": True, "dynamic_img_pad": True})
    with pytest.raises(ModelError, match="do not fill a grid"):
        backbone(torch.zeros(1, 3, 40, 100))


# ---------------------------------------------------------------------- weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights as from ImageNet training, with a classifier of 1,000 classes."""
    torch.manual_seed(9)
    path = tmp_path_factory.mktemp("weights") / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=1000).state_dict(), path)
    return path


def test_weights_from_a_file(weights: Path) -> None:
    backbone = create_backbone("test_resnet", pretrained=weights)
    given = load_file(weights)
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, given[name]), name


def test_pretrained_weights_of_another_network(weights: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks \d+ of \d+ tensors of test_efficientnet"):
        create_backbone("test_efficientnet", pretrained=weights)


def test_file_that_lacks_a_tensor_is_refused(weights: Path, tmp_path: Path) -> None:
    some = load_file(weights)
    del some["layer1.0.conv1.weight"]
    save_file(some, tmp_path / "some.safetensors")
    with pytest.raises(ModelError, match=r"layer1\.0\.conv1\.weight|lacks 1 of"):
        create_backbone("test_resnet", pretrained=tmp_path / "some.safetensors")


def test_network_without_published_weights() -> None:
    name = next(n for n in timm.list_models("resnet*") if not timm.models.is_model_pretrained(n))
    with pytest.raises(ModelError, match="No pretrained weights exist"):
        create_backbone(name, pretrained=True)


@pytest.mark.realdata
def test_imagenet_weights_predict_as_in_timm() -> None:
    folder = os.environ.get("PASSERBY_WEIGHTS")
    if not folder:
        pytest.skip("PASSERBY_WEIGHTS is not set")
    path = Path(folder) / "mobilenetv2_100_tf_imagenet.safetensors"
    backbone = create_backbone("mobilenetv2_100", pretrained=path, arguments={"pad_type": "same"}).eval()
    reference = timm.create_model(
        "mobilenetv2_100", pad_type="same", pretrained=True, pretrained_cfg_overlay={"file": str(path)}
    ).eval()
    images = torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        features = backbone(images)
        assert features.shape == (1, 1280, 4, 3)
        torch.testing.assert_close(reference.classifier(features.mean((2, 3))), reference(images))


STAGED = [
    ("resnet50", {}, (256, 512, 1024, 2048)),
    ("resnet101", {}, (256, 512, 1024, 2048)),
    ("densenet121", {}, (256, 512, 1024, 1024)),
    ("densenet201", {}, (256, 512, 1792, 1920)),
    ("swin_small_patch4_window7_224", {"img_size": [96, 64]}, (96, 192, 384, 768)),
    ("convnext_tiny", {}, (96, 192, 384, 768)),
    ("mobilenetv2_100", {}, (24, 32, 96, 1280)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arguments", "channels"), STAGED, ids=[case[0] for case in STAGED])
@torch.no_grad()
def test_stages_end_at_their_strides_and_compose_to_the_network(
    name: str, arguments: dict[str, object], channels: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    backbone = create_staged_backbone(name, arguments=arguments).eval()
    assert backbone.stage_channels == channels
    images = torch.randn(2, 3, 96, 64)
    features = images
    for stage, stride in zip((1, 2, 3, 4), backbone.strides, strict=True):
        features = backbone.run_stage(stage, features)
        assert features.shape == (2, channels[stage - 1], 96 // stride, 64 // stride)
    assert torch.equal(features, Backbone.forward(backbone, images))
    assert torch.equal(features, backbone(images))
    assert features.shape[1] == backbone.channels


@pytest.mark.parametrize("name", ["test_resnet", "swin_tiny_patch4_window7_224"])
@torch.no_grad()
def test_features_between_stages_can_be_replaced(name: str) -> None:
    """Later stages depend on the replaced features only."""
    arguments = {"img_size": [64, 64], "embed_dim": 24, "depths": [1, 1, 1, 1]} if "swin" in name else {}
    backbone = create_staged_backbone(name, arguments=arguments).eval()
    one, other = torch.randn(2, 1, 3, 64, 64)

    def run(images: torch.Tensor, last: int) -> torch.Tensor:
        for stage in range(1, last + 1):
            images = backbone.run_stage(stage, images)
        return images

    replaced = run(other, 3)
    assert torch.equal(backbone.run_stage(4, replaced), run(other, 4))
    assert not torch.equal(backbone.run_stage(4, run(one, 3) * 0.5), run(one, 4))


def test_cutting_changes_neither_weights_nor_mode() -> None:
    torch.manual_seed(1)
    whole = create_backbone("test_resnet")
    torch.manual_seed(1)
    staged = create_staged_backbone("test_resnet")
    assert staged.training
    assert whole.state_dict().keys() == staged.state_dict().keys()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, staged.state_dict()[key]), key
    assert all(not m._forward_hooks for m in staged.modules())
    staged(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in staged.parameters())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("test_vit", {"img_size": [64, 48]}, "not a chain of layers"),
        ("test_resnet", {"output_stride": 8}, "no stage that ends at stride"),
    ],
)
def test_a_network_without_stages_is_refused(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=rf"{message}.*choose a backbone with features at strides"):
        create_staged_backbone(name, arguments=arguments)


def test_a_wrong_stage_or_size_is_explained() -> None:
    with pytest.raises(ModelError, match="expected a stage from 1 to 4, got 5"):
        create_staged_backbone("test_resnet").run_stage(5, torch.zeros(1, 3, 64, 64))
    swin = create_staged_backbone(
        "swin_tiny_patch4_window7_224",
        arguments={"img_size": [64, 64], "embed_dim": 24, "depths": [1, 1, 1, 1]},
    )
    with pytest.raises(ModelError, match=r"takes images of \(64, 64\) pixels"):
        swin.run_stage(1, torch.zeros(1, 3, 32, 32))
