"""The weights that training begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Create the network of a recipe, with pretrained weights or those of a bundle (`init_from`).

    A bundle of other attributes gives all it has: the shared layers, and in the layers with an entry an
    attribute the entries of those attributes that both know by the same name. `say` hears which are fresh.
    What the other network observed of its training samples (`AttributeModel.observed`) is left behind.

    Raises:
        TrainingError: If the bundle is of another model or backbone, or (SSPNet) lacks a part of the body.
    """
    if section.init_from is None:
        return create_model(section.name, schema=schema, pretrained=section.pretrained, **section.arguments)
    model = create_model(section.name, schema=schema, pretrained=False, **section.arguments)
    given = Bundle.load(section.init_from).model
    mine, theirs = model.state_dict(), given.state_dict()
    axes, ours, others = _find_attribute_axes(given), _name_rows(model), _name_rows(given)
    anew = tuple(f"{part}." for part in model.observed)
    taken: dict[str, Tensor] = {name: value for name, value in mine.items() if name.startswith(anew)}
    for name in sorted(set(mine) - set(taken)):
        if name in ours:
            taken[name] = _take_rows(mine[name], theirs.get(name), ours[name], others.get(name, ()))
        elif name in theirs:
            value = theirs[name]
            if name in axes:
                value = _sort_by_name(mine[name], value, axes[name], ours=schema, other=given.schema)
            if value.shape == mine[name].shape:
                taken[name] = value
    if len(taken) < len(mine):
        raise TrainingError(
            f"model.init_from: only {len(taken)} of {len(mine)} tensors of {section.init_from} fit; "
            "expected a bundle of the same model and backbone, and for sspnet of the same parts of the body"
        )
    model.load_state_dict(taken)
    fresh = [name for name in schema.names if name not in given.schema]
    say(f"starting from {section.init_from}" + (f"; fresh attributes: {', '.join(fresh)}" if fresh else ""))
    return model


def _find_attribute_axes(model: AttributeModel) -> dict[str, tuple[int, ...]]:
    """For each tensor with an entry an attribute, the axes that one attribute more lengthens."""
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
    """Names of the attributes of each row, of the tensors whose rows stand for some of them."""
    return {
        name: [model.schema[i].name for i in members] for name, members in model.locate_attributes().items()
    }


def _take_rows(fresh: Tensor, given: Tensor | None, ours: Sequence[str], others: Sequence[str]) -> Tensor:
    """The rows of `given` in the order of our attributes; those that it does not know stay fresh."""
    if given is None or given.shape[1:] != fresh.shape[1:]:
        return fresh
    rows = [others.index(name) if name in others else None for name in ours]
    return torch.stack([fresh[i] if row is None else given[row] for i, row in enumerate(rows)])


def _sort_by_name(
    fresh: Tensor, given: Tensor, axes: tuple[int, ...], *, ours: AttributeSchema, other: AttributeSchema
) -> Tensor:
    """The entries of `given` in our order; an attribute that it does not know keeps that of `fresh`."""
    others = [axis for axis in range(given.ndim) if axis not in axes]
    if [given.shape[axis] for axis in others] != [fresh.shape[axis] for axis in others]:
        return given
    shared = [name for name in ours.names if name in other]
    mine, theirs = ([schema.index(name) for name in shared] for schema in (ours, other))
    here, there = (torch.tensor(indices, dtype=torch.int64) for indices in (mine, theirs))
    places = [here if i in axes else torch.arange(n) for i, n in enumerate(fresh.shape)]
    for axis in axes:
        given = given.index_select(axis, there)
    merged = fresh.clone()
    merged[torch.meshgrid(*places, indexing="ij")] = given
    return merged
