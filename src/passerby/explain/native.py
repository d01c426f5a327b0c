"""Combination of the maps that a model outputs into one map per attribute."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ModelError

__all__ = ["combine_maps", "enlarge_maps"]


def combine_maps(maps: Mapping[str, Tensor], expression: str) -> Tensor:
    """Combine maps by an expression.

    Args:
        maps: By name.
        expression: A name, such as `attention3`; names joined by `*` for their product, such as
            `attention3*confidence3`, which DIAA classifies; terms joined by `+` for their mean, with equal
            contributions: each term is divided by its sum over all locations first. Maps of different sizes
            are enlarged to the largest, bilinear.

    Raises:
        ModelError: If there is no map of a name.

    Shape:
        maps: (N, A, h, w) ≥ 0, or (N, 1, h, w) for all attributes; returns (N, A, h, w) ≥ 0, or (N, 1, h, w)
        if all are.

    Example:
        >>> delta, uniform = torch.tensor([[[[0.0, 1], [0, 0]]]]), torch.full((1, 1, 2, 2), 0.5)
        >>> combine_maps({"delta": delta, "uniform": uniform}, "delta+uniform").tolist()
        [[[[0.125, 0.625], [0.125, 0.125]]]]
    """
    terms = [[_look_up(maps, name.strip()) for name in term.split("*")] for term in expression.split("+")]
    sizes = [each.shape[2:] for term in terms for each in term]
    size = (max(h for h, _ in sizes), max(w for _, w in sizes))
    products: list[Tensor] = []
    for first, *others in terms:
        product = enlarge_maps(first, size)
        for factor in others:
            product = product * enlarge_maps(factor, size)
        products.append(product)
    if len(products) == 1:
        return products[0]
    sums = [each.sum((2, 3), keepdim=True) for each in products]
    shares = [each / torch.where(total > 0, total, 1) for each, total in zip(products, sums, strict=True)]
    most = max(each.shape[1] for each in shares)
    return torch.stack([each.expand(-1, most, -1, -1) for each in shares]).mean(0)


def enlarge_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge maps, bilinear; the outer edges of the border cells are aligned with those of the image.

    Shape:
        maps: (N, A, h, w) float. Returns (N, A, *size).
    """
    return maps if maps.shape[2:] == size else F.interpolate(maps, size=size, mode="bilinear")


def _look_up(maps: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in maps:
        near = get_close_matches(name, maps, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"no map {name!r}; the model has {', '.join(maps)}{hint}")
    return maps[name]
