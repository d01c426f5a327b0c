"""Losses: `create_loss(name, positive_ratio=…)` builds one of `LOSSES`.

A loss is a module that takes the output of a model, or its logits, and the labels, and returns named scalar
terms; training minimises `total`. To add a loss, write its module, one line in `LOSSES`, its test and its row
in the docs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from passerby.errors import ConfigError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.category import CategoryWeighted
from passerby.losses.da_har import DaHARLoss
from passerby.losses.diaa import DIAALoss
from passerby.losses.distilled import Distilled
from passerby.losses.focal import WeightedFocal
from passerby.losses.functional import (
    compute_binary_cross_entropy,
    compute_focal_loss,
    compute_history_std,
    reduce_terms,
)
from passerby.losses.hierarchical import HierarchicalLoss
from passerby.losses.history import PredictionHistory
from passerby.losses.label_weights import compute_label_weights, compute_positive_ratio
from passerby.losses.mtms import StagedMultiTask, compute_parsing_loss
from passerby.schema import AttributeSchema

__all__ = [
    "LOSSES",
    "AttributeLoss",
    "BinaryCrossEntropy",
    "CategoryWeighted",
    "DIAALoss",
    "DaHARLoss",
    "Distilled",
    "HierarchicalLoss",
    "PredictionHistory",
    "StagedMultiTask",
    "WeightedFocal",
    "compute_binary_cross_entropy",
    "compute_focal_loss",
    "compute_history_std",
    "compute_label_weights",
    "compute_parsing_loss",
    "compute_positive_ratio",
    "create_loss",
    "list_losses",
    "reduce_terms",
]

LOSSES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "bce": BinaryCrossEntropy,
        "category": CategoryWeighted,
        "da-har": DaHARLoss,
        "diaa": DIAALoss,
        "focal": WeightedFocal,
        "hierarchical": HierarchicalLoss,
        "mtms": StagedMultiTask,
    }
)
"""Every loss by its name in recipes."""


def list_losses() -> list[str]:
    """Names that `create_loss` takes.

    Example:
        >>> list_losses()[:3]
        ['bce', 'category', 'da-har']
    """
    return list(LOSSES)


def create_loss(
    name: str,
    *,
    positive_ratio: Tensor,
    rows: Tensor | None = None,
    schema: AttributeSchema | Sequence[str] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build a loss by name.

    Args:
        name: A key of `LOSSES`.
        positive_ratio: Fraction of positives of each attribute in the training split; unknown labels are left
            out, or counted as negative by a loss with `unknown: negative`.
        rows: Manifest rows of the training samples, for a loss that keeps a history of each sample.
        schema: The attributes or their names, for a loss that handles groups of them separately.
        kwargs: Keyword arguments of that loss.

    Shape:
        positive_ratio: (A,) float in [0, 1]; rows: (S,) int64, ascending.

    Returns:
        A module called as `criterion(output, labels, batch)`, see `AttributeLoss`; it returns scalar terms by
        name, with `total`. Losses that need no more than logits take these in place of the output.

    Raises:
        ConfigError: If there is no loss of that name, it has no such argument (the message lists the valid
            names), or it needs rows or schema and got none.

    Example:
        >>> import torch
        >>> create_loss("bce", positive_ratio=torch.tensor([0.5]), weighting="sb")
        BinaryCrossEntropy(reduction='sum', weighting='sb', unknown='ignore')
    """
    if name not in LOSSES:
        raise ConfigError(f"no loss {name!r}; choose one of {', '.join(sorted(LOSSES))}")
    schema = None if schema is None else AttributeSchema.from_names(schema)
    given = {"positive_ratio": positive_ratio, "rows": rows, "schema": schema}
    parameters = inspect.signature(LOSSES[name]).parameters
    valid: list[str] = []
    for key, parameter in parameters.items():
        is_options = parameter.kind is inspect.Parameter.VAR_KEYWORD
        valid += CrossEntropyOptions.__annotations__ if is_options else [key] if key not in given else []
    wrong = sorted(set(kwargs) - set(valid))
    missing = [k for k, v in given.items() if v is None and k in parameters]
    if wrong:
        raise ConfigError(
            f"loss {name!r} has no argument {wrong[0]!r}; it takes {', '.join(valid) or 'none'}"
        )
    if any(parameters[k].default is inspect.Parameter.empty for k in missing):
        raise ConfigError(f"loss {name!r} needs {', '.join(missing)}; give create_loss(…, {missing[0]}=…)")
    return LOSSES[name](**{k: v for k, v in given.items() if k in parameters}, **kwargs)
