"""Weights files of training scripts: entries, prefixes, other heads, and files that are refused."""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.models.backbones import create_backbone
from passerby.models.weights import fit_names, read_weights

NETWORK = "test_resnet"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Weights as from ImageNet training, with a classifier of 1,000 classes."""
    torch.manual_seed(9)
    return dict(timm.create_model(NETWORK, num_classes=1000).state_dict())


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "passerby.models")
    return caplog


def assert_loaded(path: Path, state: dict[str, Tensor]) -> None:
    for name, value in create_backbone(NETWORK, pretrained=path).network.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar"])
def test_the_files_of_torch_save_are_read(state: dict[str, Tensor], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path)
    assert_loaded(path, state)


@pytest.mark.parametrize(
    "entry",
    ["state_dict", "model", "model_state_dict", "net", "network", "state_dicts", "state_dict_ema", "weights"],
)
def test_the_entry_with_the_weights_is_found_and_named(
    state: dict[str, Tensor], tmp_path: Path, entry: str, log: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.pth"
    torch.save(
        {"epoch": 3, entry: state, "args": argparse.Namespace(lr=0.1), "optimizer": {"state": {}}}, path
    )
    assert_loaded(path, state)
    assert f"run.pth: reading its entry {entry}" in log.messages


@pytest.mark.parametrize(
    "prefix",
    ["module.", "backbone.", "model.", "encoder.", "_orig_mod.", "module.backbone.", "my.own.trunk."],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_prefix_is_found_and_named(
    state: dict[str, Tensor], tmp_path: Path, prefix: str, suffix: str, log: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"run{suffix}"
    named = {f"{prefix}{name}": value for name, value in state.items()}
    save_file(named, path) if suffix == ".safetensors" else torch.save(named, path)
    assert_loaded(path, state)
    assert f"run{suffix}: the weights of {NETWORK} have the prefix {prefix}" in log.messages


def test_a_head_of_another_size_and_other_tensors_are_left_out_and_named(
    state: dict[str, Tensor], tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    trained = {f"backbone.{name}": value for name, value in state.items()}
    trained["backbone.fc.weight"], trained["backbone.fc.bias"] = torch.zeros(35, 96), torch.zeros(35)
    trained |= {f"neck.{i}.weight": torch.zeros(2) for i in range(7)}
    path = tmp_path / "peta.pth"
    torch.save(trained, path)
    assert_loaded(path, state)
    assert "peta.pth: left out its classifier (fc.weight, fc.bias; 35 outputs)" in log.messages
    torch.save(trained | {"backbone.fc.bias": torch.tensor(0.5)}, path)
    assert_loaded(path, state)
    assert log.messages.count("peta.pth: left out its classifier (fc.weight, fc.bias; 35 outputs)") == 2
    assert (
        "peta.pth: left out 7 tensors that test_resnet lacks (neck.0.weight, neck.1.weight, "
        "neck.2.weight, neck.3.weight, neck.4.weight and 2 more)" in log.messages
    )


def test_missing_tensors_are_counted_and_the_first_five_named(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "some.pth"
    torch.save({k: v for k, v in state.items() if not k.startswith("layer1.0")}, path)
    missing = [k for k, v in state.items() if k.startswith("layer1.0") and v.is_floating_point()]
    backbone = create_backbone(NETWORK).network.state_dict()
    needed = sum(v.is_floating_point() for v in backbone.values())
    message = f"some.pth lacks {len(missing)} of {needed} tensors of test_resnet ({', '.join(missing[:5])}"
    with pytest.raises(ModelError, match=re.escape(message)):
        create_backbone(NETWORK, pretrained=path)
    torch.save({"a.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"contains no weights for test_resnet: none of its 1 tensors"):
        create_backbone(NETWORK, pretrained=path)


def test_statistics_of_normalisation_may_not_be_missing(state: dict[str, Tensor]) -> None:
    expected = {k: v for k, v in state.items() if not k.startswith("fc.")}
    without = {k: v for k, v in expected.items() if not k.endswith("bn1.running_var")}
    with pytest.raises(ModelError, match=r"lacks \d+ of .*bn1\.running_var"):
        fit_names(without, expected, file="x.pth", network=NETWORK)
    counted = {k: v for k, v in expected.items() if not k.endswith("num_batches_tracked")}
    assert fit_names(counted, expected, file="x.pth", network=NETWORK).keys() == counted.keys()


def test_tensors_of_another_shape_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({**state, "layer1.0.conv1.weight": torch.zeros(7, 7, 3, 3)}, path)
    with pytest.raises(ModelError, match=r"1 of \d+ tensors have another shape \(layer1\.0\.conv1\.weight"):
        create_backbone(NETWORK, pretrained=path)


def test_position_embeddings_are_resized_without_changing_the_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(5)
    path = tmp_path / "vit.pth"
    torch.save(timm.create_model("test_vit", num_classes=10).state_dict(), path)
    torch.manual_seed(1)
    backbone = create_backbone("test_vit", pretrained=path, arguments={"img_size": [64, 48]})
    after = torch.rand(1)
    assert backbone.network.pos_embed.shape[1] == 1 + 4 * 3
    assert torch.equal(backbone.network.cls_token, torch.load(path)["cls_token"])
    torch.manual_seed(1)
    create_backbone("test_vit", arguments={"img_size": [64, 48]})
    assert torch.equal(after, torch.rand(1))


SWIN = {"img_size": [64, 64], "embed_dim": 24, "depths": [1, 1, 1, 1]}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of timm's interpolation
@pytest.mark.parametrize("classifier", [True, False])
def test_other_tensors_are_kept_where_timm_resizes_some(tmp_path: Path, classifier: bool) -> None:
    """timm takes some files without classifier for those of another version, which has other names."""
    name, path = "swin_tiny_patch4_window7_224", tmp_path / "swin.pth"
    state = timm.create_model(name, window_size=4, num_classes=10, **SWIN).state_dict()
    given = {f"module.{k}": v for k, v in state.items() if classifier or not k.startswith("head")}
    torch.save(given, path)
    loaded = create_backbone(name, pretrained=path, arguments={**SWIN, "window_size": 2}).network.state_dict()
    table = "layers.0.blocks.0.attn.relative_position_bias_table"
    assert (state[table].shape, loaded[table].shape) == ((49, 3), (9, 3))
    for key, value in loaded.items():
        if value.shape == state[key].shape and value.is_floating_point():
            assert torch.equal(value, state[key]), key


def test_a_file_that_needs_unpickling_is_refused_with_a_cure(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "whole.pth"
    torch.save({"state_dict": state, "model": nn.Linear(1, 1)}, path)
    with pytest.raises(
        ModelError,
        match=r"whole\.pth contains more than tensors \(.*torch\.nn\.modules\.linear\.Linear.*could run code"
        r"[\s\S]*torch\.save\(content\['state_dict'\], 'weights\.pth'\)",
    ):
        read_weights(path)


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"damaged"):
            create_backbone(NETWORK, pretrained=path)


def test_a_file_without_tensors_missing_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.pth"
    torch.save({"epoch": 3, "loss": 0.5}, path)
    with pytest.raises(ModelError, match=r"log\.pth contains no tensors by name \(it has epoch, loss\)"):
        create_backbone(NETWORK, pretrained=path)
    with pytest.raises(
        ModelError, match=r"no weights at .*give the path of a weights file \(\.safetensors, \.pth"
    ):
        create_backbone(NETWORK, pretrained=tmp_path / "none.pth")
    (tmp_path / "weights.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"expected a weights file .*got weights\.npz; convert it"):
        create_backbone(NETWORK, pretrained=tmp_path / "weights.npz")


def test_torchscript_is_refused_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "traced.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch discourages TorchScript
        torch.jit.save(torch.jit.trace(nn.Linear(2, 1), torch.zeros(1, 2)), path)
    with pytest.raises(ModelError, match=r"torch\.jit\.load\(…\)\.state_dict\(\)"):
        read_weights(path)
