"""DIAA's total loss: weighted focal loss of the primary logits, history-weighted loss of the attention."""

from __future__ import annotations

import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.losses.base import AttributeLoss
from passerby.losses.bce import BinaryCrossEntropy
from passerby.losses.focal import WeightedFocal
from passerby.losses.functional import Reduction
from passerby.losses.history import PredictionHistory
from passerby.losses.label_weights import Unknown, Weighting
from passerby.types import Batch, Output

__all__ = ["DIAALoss"]


class DIAALoss(AttributeLoss):
    """L = L_w(ŷp) + Σ_i (1 + std(H)) · L_b(ŷa_i).

    The primary logits have the weighted focal loss. The logits of each attention module have the binary
    cross-entropy, with larger weights where the predictions for that sample varied over the last epochs.

    Paper: DIAA (ECCV 2018), Eq. 3–7. The history contains the final prediction ŷ of the training passes, one
    for all modules (Eq. 5 has no index i), and its standard deviation is computed for each attribute (see
    `compute_history_std`), from earlier epochs only. The paper states "some burn-in epochs"; 2 is the value
    of the published code. That code uses the weights from three stored predictions on; here from two, the
    minimum for a standard deviation. The weights have no gradient. In evaluation mode, the history is neither
    used nor changed, so that validation losses of different epochs are comparable.

    Args:
        positive_ratio: Fraction of positives of each attribute in the training split; unknown labels are left
            out, or counted as negative with `unknown: negative`.
        rows: Manifest rows of the training samples; keys of the history.
        gamma: γ of the focal loss.
        weighting: Weighting of the primary loss, as in `BinaryCrossEntropy`; `diaa` is the paper's.
        history: Weight the attention losses by the history; otherwise they are plain L_b.
        window: Number of epochs in the history.
        burn_in: Number of epochs before the history starts.
        reduction, unknown: As in `BinaryCrossEntropy`.

    Shape:
        positive_ratio: (A,) float in [0, 1]; rows: (S,) int64, ascending.

    Raises:
        ConfigError: If an option has no such value.
        DataError: If a ratio is out of range, or `history` is on and the rows are missing.

    Example:
        >>> criterion = DIAALoss(positive_ratio=torch.tensor([0.5]), rows=torch.arange(4))
        >>> branches = {"primary": torch.zeros(4, 1), "attention4": torch.zeros(4, 1)}
        >>> output = Output(torch.zeros(4, 1), branches=branches)
        >>> labels = torch.ones(4, 1)
        >>> batch = Batch(torch.empty(4, 3, 8, 8), labels, rows=torch.arange(4))
        >>> sorted(criterion(output, labels, batch))
        ['attention4', 'primary', 'total']
    """

    def __init__(
        self,
        *,
        positive_ratio: Tensor,
        rows: Tensor | None = None,
        gamma: float = 0.5,
        weighting: Weighting = "diaa",
        history: bool = True,
        window: int = 5,
        burn_in: int = 2,
        reduction: Reduction = "sum",
        unknown: Unknown = "ignore",
    ) -> None:
        super().__init__()
        self.primary = WeightedFocal(
            positive_ratio=positive_ratio,
            gamma=gamma,
            weighting=weighting,
            reduction=reduction,
            unknown=unknown,
        )
        self.attention = BinaryCrossEntropy(
            positive_ratio=positive_ratio, reduction=reduction, unknown=unknown
        )
        self.history: PredictionHistory | None = None
        if history:
            if rows is None:
                raise DataError("the history needs the training rows; give rows=…, or history=False")
            self.history = PredictionHistory(rows, len(positive_ratio), window=window, burn_in=burn_in)

    def forward(self, output: Output, labels: Tensor, batch: Batch | None = None) -> dict[str, Tensor]:
        """Named terms of the loss; in training mode, the history is first used, then updated.

        Shape:
            output: logits (N, A), branches `primary` and one or more others, (N, A) each.
            labels: (N, A) in {1, 0, −1}; batch: its rows (N,) are keys of the history.
            returns: a term for each branch and `total`, all () float.

        Raises:
            ConfigError: If the model has no such branches.
            DataError: If labels and logits do not fit, or the history needs the batch and it is missing.
        """
        others = [name for name in output.branches if name != "primary"]
        if "primary" not in output.branches or not others:
            raise ConfigError(
                "loss 'diaa' needs the branches primary and attention…, which the model 'diaa' has; "
                f"got {', '.join(output.branches) or 'none'}; pass the Output of that model, not its logits "
                "alone, and for a plain network use the loss 'focal'"
            )
        factors = self._weigh(output.logits, batch) if self.training else None
        terms = {"primary": self.primary.compute(output.branches["primary"], labels)}
        for name in others:
            terms[name] = self.attention.compute(output.branches[name], labels, factors=factors)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def _weigh(self, logits: Tensor, batch: Batch | None) -> Tensor | None:
        """1 + std of each cell from previous epochs; then update the history."""
        if self.history is None:
            return None
        if batch is None:
            raise DataError("loss 'diaa' keeps a history by sample; call it with the batch")
        factors = 1 + self.history.compute_std(batch.rows)
        self.history.update(batch.rows, logits.detach().float().sigmoid())
        return factors
