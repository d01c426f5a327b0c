"""The weights that training begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from passerby.bundle import Bundle
from passerby.config import ModelSection
from passerby.errors import TrainingError
from passerby.models import create_model
from passerby.models.base import AttributeModel
from passerby.schema import AttributeSchema

__all__ = ["create_start"]


def create_start(
    section: ModelSection, schema: AttributeSchema, *, say: Callable[[str], None]
) -> AttributeModel:
    """Create the network of a recipe, with pretrained weights or those of a bundle (`start_from`).

    A bundle of other attributes gives all it has: the shared layers, and in the layers with an entry an
    attribute the entries of those attributes that both know by the same name. `say` hears which are fresh.

    Raises:
        TrainingError: If the bundle is of another system or backbone.
    """
    if section.start_from is None:
        return create_model(section.name, schema=schema, pretrained=section.pretrained, **section.arguments)
    model = create_model(section.name, schema=schema, pretrained=False, **section.arguments)
    given = Bundle.load(section.start_from).model
    mine, theirs = model.state_dict(), given.state_dict()
    axes = _find_attribute_axes(given)
    taken: dict[str, Tensor] = {}
    for name in sorted(set(mine) & set(theirs)):
        value = theirs[name]
        if name in axes:
            value = _sort_by_name(mine[name], value, axes[name], ours=schema, other=given.schema)
        if value.shape == mine[name].shape:
            taken[name] = value
    if len(taken) < len(mine):
        raise TrainingError(
            f"model.start_from: only {len(taken)} of {len(mine)} tensors of {section.start_from} fit; "
            "expected a bundle of the same system and backbone"
        )
    model.load_state_dict(taken)
    fresh = [name for name in schema.names if name not in given.schema]
    say(f"starting from {section.start_from}" + (f"; fresh attributes: {', '.join(fresh)}" if fresh else ""))
    return model


def _find_attribute_axes(model: AttributeModel) -> dict[str, int]:
    """For each tensor with an entry an attribute, the axis that one attribute more lengthens."""
    first = model.schema[0]
    longer = AttributeSchema("longer", (*model.schema, replace(first, name=f"{first.name} again")))
    other = create_model(model.name, schema=longer, **model.arguments).state_dict()
    axes = {}
    for name, value in model.state_dict().items():
        for axis, (size, longer_size) in enumerate(zip(value.shape, other[name].shape, strict=True)):
            if longer_size == size + 1 == len(longer):
                axes[name] = axis
    return axes


def _sort_by_name(
    fresh: Tensor, given: Tensor, axis: int, *, ours: AttributeSchema, other: AttributeSchema
) -> Tensor:
    """The entries of `given` in our order; an attribute that it does not know gets that of `fresh`."""
    entries = [
        given.select(axis, other.index(name)) if name in other else fresh.select(axis, i)
        for i, name in enumerate(ours.names)
    ]
    same_shape = all(entry.shape == entries[0].shape for entry in entries)
    return torch.stack(entries, dim=axis) if same_shape else given
