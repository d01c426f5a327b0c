"""SSPNet's loss: one weighted cross-entropy a group of attributes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from passerby.errors import DataError
from passerby.losses.bce import BinaryCrossEntropy
from passerby.losses.functional import Reduction, Unknown, Weighting
from passerby.schema import AttributeSchema
from passerby.types import Batch, Output

__all__ = ["HierarchicalLoss"]


class HierarchicalLoss(nn.Module):
    """Sum over the groups of attributes of their weighted binary cross-entropy.

    The groups are the parts of the body of the schema, each attribute in one of them; so with
    reduction `sum` the total is that of `bce`, and the terms show which part it comes from. When a model
    returns candidates (`Output.candidates`, the scales of SSPNet's selection in training), each of them gets
    the loss, and their mean counts: the gradient of the shared layers keeps its size, and none is favoured.

    Paper: Shen et al., 2023, Eq. 10–12. Eq. 11 prints the weights the other way round; by default the rarer
    answer weighs more, as in the field's code and in the paper's words (`weighting: sb-printed` is as
    printed). Eq. 10 also lacks its minus.

    Args:
        positive_ratio: Share of positives of each attribute in the training split.
        schema: The attributes; their `body_part` makes the groups.
        weighting, reduction, unknown: As in `BinaryCrossEntropy`. With reduction `mean`, a mean over the
            known cells of each group.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If an option has no such value.
        DataError: If the ratios are not those of the schema.

    Example:
        >>> from passerby.schema import Attribute
        >>> schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat", body_part="head"),
        ...                                  Attribute("Male", "is male")))
        >>> loss = HierarchicalLoss(positive_ratio=torch.tensor([0.5, 0.5]), schema=schema, weighting="none")
        >>> terms = loss(Output(torch.zeros(4, 2)), torch.tensor([[1, 0]] * 4))
        >>> {name: round(term.item(), 4) for name, term in terms.items()}
        {'head': 0.6931, 'all': 0.6931, 'total': 1.3863}
    """

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        schema: AttributeSchema,
        weighting: Weighting = "sb",
        reduction: Reduction = "sum",
        unknown: Unknown = "ignore",
    ) -> None:
        super().__init__()
        if len(positive_ratio) != len(schema):
            raise DataError(f"expected {len(schema)} positive ratios, got {len(positive_ratio)}")
        self.groups = schema.group_by("body_part")
        self.criteria = nn.ModuleList(
            [
                BinaryCrossEntropy(
                    positive_ratio=positive_ratio[list(members)],
                    reduction=reduction,
                    weighting=weighting,
                    unknown=unknown,
                )
                for members in self.groups.values()
            ]
        )

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A), and candidates (N, A) if there are any; labels: (N, A) in {1, 0, −1};
                batch: not needed by this loss.
            returns: a term a group, and `total`, () float each.

        Raises:
            DataError: If labels and logits do not fit each other or the ratios.
        """
        del batch
        if labels.shape != output.logits.shape:
            shapes = f"{tuple(output.logits.shape)} and {tuple(labels.shape)}"
            raise DataError(f"expected logits and labels of one shape (N, A), got {shapes}")
        terms: dict[str, Tensor] = {}
        for (part, members), criterion in zip(self.groups.items(), self.criteria, strict=True):
            compute = cast(BinaryCrossEntropy, criterion).compute
            index = torch.tensor(members, device=labels.device)
            own = labels.index_select(1, index)
            losses = [compute(logits.index_select(1, index), own) for logits in output.scored]
            terms[part] = torch.stack(losses).mean()
        return {**terms, "total": torch.stack(list(terms.values())).sum()}
