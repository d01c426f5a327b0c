"""Networks that score the attributes of persons: `create_model` builds each of them by name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
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
    "AttributeModel",
    "Backbone",
    "Baseline",
    "DaHAR",
    "Passerby",
    "SSPNet",
    "StagedBackbone",
    "create_backbone",
    "create_model",
    "create_staged_backbone",
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


def list_models() -> list[str]:
    """Names that `create_model` takes.

    Example:
        >>> list_models()[:3]
        ['baseline', 'da-har', 'diaa']
    """
    return list(MODELS)


def create_model(
    name: str, *, schema: AttributeSchema, pretrained: bool | str | Path = False, **arguments: Any
) -> AttributeModel:
    """Create a model by name.

    The model's `name` and `arguments` (defaults included, `pretrained` apart) suffice to create it again:
    `create_model(model.name, schema=model.schema, **model.arguments)`.

    Args:
        name: A key of `MODELS`.
        schema: The attributes, in the order of the logits.
        pretrained: Weights of the backbone: True (timm's own), the path of a `.safetensors` file, or False.
        arguments: Arguments of that model's class, plain JSON values.

    Raises:
        ModelError: If there is no such model or argument (the message lists what there is), a value is no
            plain JSON value, or the model itself refuses a value.

    Example:
        >>> from passerby.schema import Attribute
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"),))
        >>> model = create_model("baseline", schema=schema, backbone="test_resnet")
        >>> model.arguments["backbone"], model.arguments["dropout"]
        ('test_resnet', 0.0)
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"no model {name!r}; there is {', '.join(sorted(MODELS))}{hint}")
    kind = MODELS[name]
    resolved = _resolve_arguments(name, kind, arguments)
    model = kind(schema, pretrained=pretrained, **resolved)  # type: ignore[call-arg]  # each model has its own
    model.name = name
    model.arguments = resolved
    return model


def _resolve_arguments(name: str, kind: type[AttributeModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a model with their defaults, as plain JSON values of our own."""
    parameters = {
        key: p for key, p in inspect.signature(kind).parameters.items() if key not in ("schema", "pretrained")
    }
    unknown = sorted(set(arguments) - set(parameters))
    if unknown:
        near = get_close_matches(unknown[0], parameters, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"model {name!r} takes no {unknown[0]!r}; it takes {', '.join(parameters)}{hint}")
    missing = [
        k for k, p in parameters.items() if p.default is inspect.Parameter.empty and k not in arguments
    ]
    if missing:
        raise ModelError(f"model {name!r} needs {', '.join(missing)}")
    resolved = {key: arguments.get(key, p.default) for key, p in parameters.items()}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(resolved, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(f"arguments of model {name!r} must be plain JSON values: {error}") from error
    return plain
