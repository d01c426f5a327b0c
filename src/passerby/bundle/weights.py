"""The model of a bundle as bytes of safetensors, and the model rebuilt from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from passerby.bundle.storage import WEIGHTS, Content
from passerby.errors import BundleError
from passerby.models import AttributeModel, create_model
from passerby.schema import AttributeSchema

__all__ = ["encode_weights", "rebuild_model"]


def encode_weights(model: AttributeModel) -> bytes:
    """The state of a model as the content of a `.safetensors` file, in the default memory format."""
    return save_tensors({k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()})


def rebuild_model(content: Content, path: Path) -> AttributeModel:
    """Rebuild the model of a bundle on the CPU; the global random state is left as it was.

    Args:
        content: The files of the bundle.
        path: Path of the bundle, for messages.

    Raises:
        BundleError: If the model's arguments name reserved words, or the weights do not fit the model.
        KeyError, TypeError, ValueError, AttributeError, ModelError, SchemaError: If the configuration cannot
            be used.
    """
    model_config = content.config["model"]
    arguments = dict(model_config["arguments"])
    if reserved := {"name", "schema", "pretrained"} & set(arguments):
        raise BundleError(f"{path}: {', '.join(sorted(reserved))} must not be among the model's arguments")
    schema = AttributeSchema.from_dict(content.config["schema"])
    if tuple(content.config["thresholds"]) != schema.names:
        raise BundleError(f"{path}: the thresholds are of other attributes than the schema")
    with torch.random.fork_rng(devices=[]):
        model = create_model(model_config["name"], schema=schema, **arguments)
    try:
        state = load_tensors(content.weights)
    except SafetensorError as error:
        raise BundleError(f"{path}: {WEIGHTS} is no safetensors file ({error})") from error
    _check_state(state, model.state_dict(), path)
    model.load_state_dict(state)
    return model


def _check_state(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are missing, unknown, or of another shape or type."""
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [f"{name} is unknown" for name in given if name not in expected]
    for name in set(given) & set(expected):
        is_, should = given[name], expected[name]
        if is_.shape != should.shape or is_.dtype != should.dtype:
            problems.append(
                f"{name} is {is_.dtype} {tuple(is_.shape)} instead of {should.dtype} {tuple(should.shape)}"
            )
    if problems:
        raise BundleError(
            f"{path}: {len(problems)} tensors of the weights do not fit the model, such as {problems[0]}; "
            "the files belong to different bundles, or to another version of passerby or timm"
        )
