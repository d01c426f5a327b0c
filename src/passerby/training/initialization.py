"""The initial weights of a training run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from passerby.bundle import Bundle
from passerby.config import ModelSection
from passerby.errors import TrainingError
from passerby.models import create_model
from passerby.models.base import AttributeModel
from passerby.schema import AttributeSchema

__all__ = ["initialize_model"]

logger = logging.getLogger(__name__)


def initialize_model(section: ModelSection, schema: AttributeSchema) -> AttributeModel:
    """Create the model of a recipe, with pretrained weights or those of a bundle (`init_from`).

    A bundle of other attributes provides the shared layers and, in layers with an entry per attribute, the
    entries of the attributes with the same name. The log names the attributes that start from random weights.
    The bundle's statistics of its training samples (`AttributeModel.observed`) are not used.

    Raises:
        TrainingError: If the bundle is of another model or backbone, or (SSPNet) lacks a body part.
    """
    if section.init_from is None:
        return create_model(section.name, schema=schema, pretrained=section.pretrained, **section.arguments)
    model = create_model(section.name, schema=schema, pretrained=False, **section.arguments)
    source = Bundle.load(section.init_from).model
    initial, trained = model.state_dict(), source.state_dict()
    axes, rows, source_rows = _find_attribute_axes(source), _name_rows(model), _name_rows(source)
    observed = tuple(f"{module}." for module in model.observed)
    merged: dict[str, Tensor] = {name: value for name, value in initial.items() if name.startswith(observed)}
    for name in sorted(set(initial) - set(merged)):
        if name in rows:
            merged[name] = _merge_rows(
                initial[name], trained.get(name), names=rows[name], trained_names=source_rows.get(name, ())
            )
        elif name in trained:
            value = trained[name]
            if name in axes:
                value = _merge_axes(
                    initial[name], value, axes[name], schema=schema, trained_schema=source.schema
                )
            if value.shape == initial[name].shape:
                merged[name] = value
    if len(merged) < len(initial):
        raise TrainingError(
            f"model.init_from: only {len(merged)} of {len(initial)} tensors of {section.init_from} fit; "
            "expected a bundle of the same model and backbone, and for sspnet of the same body parts"
        )
    model.load_state_dict(merged)
    new = [name for name in schema.names if name not in source.schema]
    suffix = f"; new attributes: {', '.join(new)}" if new else ""
    logger.info("starting from %s%s", section.init_from, suffix)
    return model


def _find_attribute_axes(model: AttributeModel) -> dict[str, tuple[int, ...]]:
    """The axes with an entry per attribute of each tensor, found by adding an attribute to the model."""
    first = model.schema[0]
    longer = AttributeSchema("longer", (*model.schema, replace(first, name=f"{first.name} again")))
    other = create_model(model.name, schema=longer, **model.arguments).state_dict()
    axes = {}
    for name, value in model.state_dict().items():
        sizes = zip(value.shape, other[name].shape, strict=True)
        if found := tuple(i for i, (size, more) in enumerate(sizes) if more == size + 1 == len(longer)):
            axes[name] = found
    return axes


def _name_rows(model: AttributeModel) -> dict[str, list[str]]:
    """Names of the attributes of each row, for tensors whose rows belong to some of the attributes."""
    return {
        name: [model.schema[i].name for i in members] for name, members in model.locate_attributes().items()
    }


def _merge_rows(
    initial: Tensor, trained: Tensor | None, *, names: Sequence[str], trained_names: Sequence[str]
) -> Tensor:
    """The trained rows in the order of `names`; rows of attributes without one keep their initial values."""
    if trained is None or trained.shape[1:] != initial.shape[1:]:
        return initial
    indices = [trained_names.index(name) if name in trained_names else None for name in names]
    return torch.stack([initial[i] if j is None else trained[j] for i, j in enumerate(indices)])


def _merge_axes(
    initial: Tensor,
    trained: Tensor,
    axes: tuple[int, ...],
    *,
    schema: AttributeSchema,
    trained_schema: AttributeSchema,
) -> Tensor:
    """The trained entries in the order of `schema`; attributes without one keep their initial entries."""
    others = [axis for axis in range(trained.ndim) if axis not in axes]
    if [trained.shape[axis] for axis in others] != [initial.shape[axis] for axis in others]:
        return trained
    shared = [name for name in schema.names if name in trained_schema]
    target, source = (
        torch.tensor([each.index(name) for name in shared], dtype=torch.int64)
        for each in (schema, trained_schema)
    )
    positions = [target if i in axes else torch.arange(n) for i, n in enumerate(initial.shape)]
    for axis in axes:
        trained = trained.index_select(axis, source)
    merged = initial.clone()
    merged[torch.meshgrid(*positions, indexing="ij")] = trained
    return merged
