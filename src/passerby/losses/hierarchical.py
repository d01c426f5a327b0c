"""SSPNet's loss: one weighted cross-entropy per group of attributes."""

from __future__ import annotations

from typing import Unpack, cast

import torch
from torch import Tensor, nn

from passerby.errors import DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy, CrossEntropyOptions
from passerby.losses.label_weights import check_ratio_count
from passerby.schema import AttributeSchema
from passerby.types import Batch, Output

__all__ = ["HierarchicalLoss"]


class HierarchicalLoss(AttributeLoss):
    """Sum of the weighted binary cross-entropies of the groups of attributes.

    The groups are the body parts of the schema. Each attribute is in one group, so with reduction `sum` the
    total equals that of `bce`, and the terms show the contribution of each body part. If a model returns
    candidates (`Output.candidates`, the scales of SSPNet's selection in training), the loss is the mean over
    the candidates: the gradient of the shared layers keeps its magnitude, and all candidates count equally.

    Paper: Shen et al., 2023, Eq. 10–12. Eq. 11 prints the weights the other way round; by default the rarer
    label has the larger weight, as in published code and in the text of the paper (`weighting: sb-printed` is
    as printed). Eq. 10 also lacks its minus.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split.
        schema: The attributes; their `body_part` defines the groups.
        options: `weighting` (`sb` by default), `reduction`, `unknown` as in `BinaryCrossEntropy`. Reduction
            `mean` averages over the known cells of each group.

    Shape:
        positive_ratio: (A,) float in [0, 1].

    Raises:
        ConfigError: If an option has no such value.
        DataError: If the number of ratios is not that of the attributes.

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
        **options: Unpack[CrossEntropyOptions],
    ) -> None:
        super().__init__()
        check_ratio_count(positive_ratio, schema)
        self.groups = schema.group_by("body_part")
        options = {"weighting": "sb", **options}
        self.criteria = nn.ModuleList(
            [
                BinaryCrossEntropy(positive_ratio=positive_ratio[list(members)], **options)
                for members in self.groups.values()
            ]
        )

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss.

        Shape:
            output: logits (N, A), and candidates (N, A) if there are any; labels: (N, A) in {1, 0, −1};
                batch: not used.
            returns: one term per group, and `total`, () float each.

        Raises:
            DataError: If labels and logits do not fit each other or the ratios.
        """
        del batch
        if labels.shape != output.logits.shape:
            shapes = f"{tuple(output.logits.shape)} and {tuple(labels.shape)}"
            raise DataError(f"expected logits and labels of one shape (N, A), got {shapes}")
        terms: dict[str, Tensor] = {}
        for (body_part, members), criterion in zip(self.groups.items(), self.criteria, strict=True):
            compute = cast(BinaryCrossEntropy, criterion).compute
            index = torch.tensor(members, device=labels.device)
            selected = labels.index_select(1, index)
            losses = [compute(logits.index_select(1, index), selected) for logits in output.scored]
            terms[body_part] = torch.stack(losses).mean()
        return {**terms, "total": torch.stack(list(terms.values())).sum()}
