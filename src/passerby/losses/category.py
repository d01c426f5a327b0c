"""MAN's loss: every category has the same weight, whatever its number of classes."""

from __future__ import annotations

from typing import Literal, Unpack, get_args

import torch
from torch import Tensor

from passerby.errors import ConfigError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.focal import WeightedFocal
from passerby.losses.label_weights import check_ratio_count
from passerby.schema import AttributeSchema
from passerby.types import Batch, Output

__all__ = ["CategoryWeighted"]

Base = Literal["bce", "focal"]


class CategoryWeighted(AttributeLoss):
    """Binary cross-entropy or focal loss in which each attribute has the weight 1/R.

    R is the number of classes of the attribute's category (`Attribute.classes`), 2 for a single binary
    attribute. All categories have about the same weight, whether they have two classes or ten.

    Paper: MAN (2020), Eq. 4–5, with `base: bce`. Table 8 also applies it to the focal loss without stating γ;
    here γ is that of Lin et al., 2.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split.
        schema: The attributes; their `classes` are R.
        base: `bce` or `focal`.
        gamma: γ of the focal loss, 2 if None.
        options: `weighting`, `reduction`, `unknown` as in `BinaryCrossEntropy`. Reduction `mean`
            divides the sum of the weighted cells by their number.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If an option has no such value, or `gamma` is given to `bce`.
        DataError: If the number of ratios is not that of the attributes.

    Example:
        >>> from passerby.schema import Attribute
        >>> ages = ("child", "young", "grown", "old")
        >>> schema = AttributeSchema("toy", tuple(Attribute(a, f"is {a}", classes=4) for a in ages))
        >>> loss = CategoryWeighted(positive_ratio=torch.full((4,), 0.25), schema=schema)
        >>> terms = loss(Output(torch.zeros(3, 4)), torch.tensor([[1, 0, 0, 0]] * 3))
        >>> round(terms["total"].item(), 4)  # 4 · log 2 / 4
        0.6931
    """

    share: Tensor

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        schema: AttributeSchema,
        base: Base = "bce",
        gamma: float | None = None,
        **options: Unpack[CrossEntropyOptions],
    ) -> None:
        super().__init__()
        check_ratio_count(positive_ratio, schema)
        if base not in get_args(Base):
            raise ConfigError(f"no base {base!r}; choose one of {', '.join(get_args(Base))}")
        if base == "bce" and gamma is not None:
            raise ConfigError("gamma is an argument of base 'focal'; leave it out with 'bce'")
        self.base: Base = base
        self.criterion: BinaryCrossEntropy
        if base == "bce":
            self.criterion = BinaryCrossEntropy(positive_ratio=positive_ratio, **options)
        else:
            options = {"weighting": "none", **options}
            gamma = 2.0 if gamma is None else gamma
            self.criterion = WeightedFocal(positive_ratio=positive_ratio, gamma=gamma, **options)
        share = torch.tensor([1 / attribute.classes for attribute in schema])
        self.register_buffer("share", share, persistent=False)  # (A,)

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A); labels: (N, A) in {1, 0, −1}; batch: not used.
            returns: the base's name and `total`, both () float, here equal.

        Raises:
            DataError: If labels and logits do not fit each other or the ratios.
        """
        del batch
        loss = self.criterion.compute_scored(output, labels, factors=self.share)
        return {self.base: loss, "total": loss}
