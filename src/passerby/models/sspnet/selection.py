"""Adaptive feature scale selection (AFSS): the best level of the pyramid for each group of attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from passerby.errors import ModelError

__all__ = ["ScaleSelection"]

ROUNDING = 1e-9
"""Means with a smaller difference count as equal."""


class ScaleSelection(nn.Module):
    """Selects the scale with the best mean accuracy (mA) in training for each group of attributes.

    Every candidate scale has a separate classifier. All of them train on every batch with the same weight,
    independently of the selection: the comparison stays fair, and a scale that is worse now can be selected
    later. The mA is computed on the training samples during training (augmented, in training mode, threshold
    0.5), the same samples for all scales: the mean of the recall of positives and of negatives for each
    attribute, then the mean over the attributes of the group that have had both labels. After each batch, the
    best scale of a group is selected if it is strictly better than the current one.

    The counts decay: whenever they contain more than `memory` samples they are halved, so that the mA mostly
    reflects the last `memory` samples, and older ones count less and less. They are integer buffers, summed
    over all processes; every checkpoint stores them and the selection. A bundle stores the selection at the
    time its weights were saved.

    Paper: Shen et al., 2023, section 3.2.2, Eq. 4 and Fig. 3, which state that the scale of maximum mA "is
    iteratively updated in the training phase" and used in the test phase. The remaining details are not from
    the paper, and its published code has no selection.

    Args:
        groups: Indices of the attributes of each group; groups of one index select by attribute.
        start: Scale of each attribute, 1 to 3, before the first batch.
        memory: Samples after which the counts are halved.

    Attributes:
        scales: Selected scale of each attribute, 1 to 3.

    Raises:
        ModelError: If the memory is below 1.

    Example:
        >>> selection = ScaleSelection([[0]], start=[3])
        >>> labels = torch.tensor([[1], [0]])
        >>> right, wrong = torch.tensor([[2.0], [-2.0]]), torch.tensor([[-2.0], [2.0]])
        >>> selection.update(torch.stack([right, wrong, wrong]), labels)  # logits from P1, P2, P3
        >>> selection.scales
        (1,)
    """

    hits: Tensor
    seen: Tensor
    samples: Tensor
    choice: Tensor

    def __init__(self, groups: Sequence[Sequence[int]], *, start: Sequence[int], memory: int = 8192) -> None:
        super().__init__()
        if memory < 1:
            raise ModelError(f"expected a selection_memory of at least 1 sample, got {memory}")
        self.groups = tuple(tuple(group) for group in groups)
        self.memory = memory
        self.scales = tuple(start)
        attributes = len(start)
        self.register_buffer("hits", torch.zeros(3, attributes, 2, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(attributes, 2, dtype=torch.int64))
        self.register_buffer("samples", torch.zeros((), dtype=torch.int64))
        self.register_buffer("choice", torch.tensor(start, dtype=torch.int64))
        self.register_load_state_dict_post_hook(_load_choice)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count the correct predictions of a batch on all processes, and update the selection.

        Shape:
            logits: (3, N, A), from P1, P2 and P3; labels: (N, A) in {1, 0, −1}; −1 is not counted.
        """
        truth = torch.stack((labels == 1, labels == 0), dim=-1)  # (N, A, 2)
        predicted = torch.stack((logits > 0, logits <= 0), dim=-1)  # (3, N, A, 2)
        counts = torch.cat((truth.sum(0).unsqueeze(0), (predicted & truth).sum(1)))  # (4, A, 2)
        samples = torch.tensor(len(labels), device=counts.device)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(counts)
            distributed.all_reduce(samples)
        self.seen += counts[0]
        self.hits += counts[1:]
        self.samples += samples
        if self.samples > self.memory:
            for count in (self.seen, self.hits, self.samples):
                count //= 2
        self._choose()

    def compute_mean_accuracy(self) -> Tensor:
        """Running mA of each attribute at each scale, (3, A) float in [0, 1]; NaN without both labels."""
        return (self.hits / self.seen).mean(2)

    def _choose(self) -> None:
        accuracy, scales = (self.hits.cpu().double() / self.seen.cpu()).mean(2), list(self.scales)
        for group in self.groups:
            means = accuracy[:, list(group)].nanmean(1)  # (3,)
            current = scales[group[0]]
            best = int(means.argmax()) + 1
            if means[best - 1] > means[current - 1] + ROUNDING:  # false for NaN
                for index in group:
                    scales[index] = best
        self.scales = tuple(scales)
        self.choice.copy_(torch.tensor(scales))


def _load_choice(selection: nn.Module, incompatible: Any) -> None:
    """Set the plain numbers, which determine the levels to compute, from the loaded buffer."""
    del incompatible
    if isinstance(selection, ScaleSelection) and not selection.choice.is_meta:
        selection.scales = tuple(selection.choice.tolist())
