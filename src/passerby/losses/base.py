"""Base class of the losses."""

from __future__ import annotations

from torch import Tensor, nn

from passerby.errors import DataError
from passerby.types import Batch, Output

__all__ = ["AttributeLoss"]


class AttributeLoss(nn.Module):
    """A criterion called as `criterion(output, labels, batch)`, which returns named terms with `total`.

    Subclasses implement `forward` for an `Output`. A plain tensor of logits (N, A) is accepted as well, which
    is enough for losses without branches, maps or parsing.

    Raises:
        DataError: If the output is neither.

    Example:
        >>> import torch
        >>> from passerby.losses import create_loss
        >>> criterion = create_loss("bce", positive_ratio=torch.tensor([0.5, 0.5]))
        >>> terms = criterion(torch.zeros(4, 2), torch.tensor([[1, 0]] * 4))
        >>> round(terms["total"].item(), 4)  # 2 log 2
        1.3863
    """

    def __call__(
        self, output: Output | Tensor, labels: Tensor, batch: Batch | None = None
    ) -> dict[str, Tensor]:
        """Named terms of the loss of a model's output, or of its logits."""
        if isinstance(output, Tensor):
            output = Output(output)
        if not isinstance(output, Output):
            raise DataError(
                "expected the Output of a model, or its logits as a tensor (N, A), got "
                f"{type(output).__name__}"
            )
        terms: dict[str, Tensor] = super().__call__(output, labels, batch)
        return terms
