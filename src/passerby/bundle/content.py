"""The content of a bundle's files: encoded from a model, and the model rebuilt from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from passerby._version import __version__
from passerby.bundle.card import render_card
from passerby.bundle.storage import CARD, CONFIG, WEIGHTS, Content, encode_config
from passerby.errors import BundleError
from passerby.io import replace_nan
from passerby.models import AttributeModel, create_model
from passerby.schema import AttributeSchema
from passerby.types import Preprocess

__all__ = ["compute_fingerprint", "encode_files", "rebuild_model"]


def encode_files(
    model: AttributeModel, preprocess: Preprocess, *, thresholds: Sequence[float], metadata: Mapping[str, Any]
) -> dict[str, bytes]:
    """Encode the files of a bundle by name: configuration, weights and model card.

    Raises:
        BundleError: If the metadata is not plain JSON.
    """
    weights = _encode_weights(model)
    config: dict[str, Any] = {
        "passerby": __version__,
        "model": {"name": model.name, "arguments": dict(model.arguments)},
        "schema": model.schema.to_dict(),
        "preprocess": preprocess.to_dict(),
        "thresholds": dict(zip(model.schema.names, thresholds, strict=True)),
        "metadata": replace_nan(metadata),
    }
    card = render_card(
        model.schema,
        preprocess,
        model=model.name,
        arguments=model.arguments,
        thresholds=thresholds,
        metadata=config["metadata"],
        guidance=model.guidance,
        without_guidance=model.without_guidance,
    )
    return {CONFIG: encode_config(config, weights), WEIGHTS: weights, CARD: card.encode()}


def compute_fingerprint(model: AttributeModel, preprocess: Preprocess, thresholds: Sequence[float]) -> str:
    """Sixteen hexadecimal digits that depend on all that predictions depend on."""
    parts = (model.name, model.arguments, model.schema.to_dict(), preprocess.to_dict(), list(thresholds))
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update(_encode_weights(model))
    return digest.hexdigest()[:16]


def _encode_weights(model: AttributeModel) -> bytes:
    # Weights in another memory format are stored in the default one.
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
        raise BundleError(f"{path}: {WEIGHTS} is not a safetensors file ({error})") from error
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
