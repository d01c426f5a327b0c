"""Fractions of positives, and the weights of positive and negative labels."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from passerby.errors import ConfigError, DataError
from passerby.schema import AttributeSchema

__all__ = ["Unknown", "Weighting", "check_ratio_count", "compute_label_weights", "compute_positive_ratio"]

Unknown = Literal["ignore", "negative"]
Weighting = Literal["none", "sb", "sb-printed", "wpal", "mixed", "diaa"]


def compute_positive_ratio(labels: Tensor, *, unknown: Unknown = "ignore") -> Tensor:
    """Fraction of positives of each attribute, the r of SB and the ω of WPAL.

    Shape:
        labels: (N, A) in {1 positive, 0 negative, −1 unknown}.
        returns: (A,) float32 in [0, 1].

    Args:
        unknown: `ignore` divides by the known labels, `negative` by all rows. An attribute without any
            known label gets 0.5, for which all weightings treat both labels alike.

    Raises:
        DataError: If the labels have no shape (N, A) with N ≥ 1.

    Example:
        >>> compute_positive_ratio(torch.tensor([[1, -1], [0, -1], [0, -1], [-1, -1]]))
        tensor([0.3333, 0.5000])
    """
    if labels.ndim != 2 or not len(labels):
        raise DataError(f"expected labels of shape (N, A) with N >= 1, got {tuple(labels.shape)}")
    positives = (labels == 1).sum(0)
    counted = (labels >= 0).sum(0) if unknown == "ignore" else torch.full_like(positives, len(labels))
    return torch.where(counted > 0, positives / counted.clamp(min=1), 0.5)


def compute_label_weights(weighting: Weighting, positive_ratio: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of positive and of negative labels for each attribute.

    With r the positive ratio of the training split:

    | weighting | y = 1 | y = 0 |
    |---|---|---|
    | `none` | 1 | 1 |
    | `sb` | exp(1 − r) | exp(r) |
    | `sb-printed` | exp(r) | exp(1 − r) |
    | `wpal` | 1 / (2r) | 1 / (2(1 − r)) |
    | `mixed` | (1 + 1 / (2r)) / 2 | (1 + 1 / (2(1 − r))) / 2 |
    | `diaa` | exp(−r) | exp(−r) |

    Paper:
        `sb`: Jia et al., arXiv 2107.03576; SSPNet (2023), Eq. 11 prints the exponents the other way round,
        which gives the more frequent label the larger weight; `sb-printed` is the formula as printed.
        `wpal`: MTMS (2019), Eq. 2; Da-HAR (AAAI 2020), Eq. 2. Departure: where r is exactly 0 (or 1), the
        weight of positives (or negatives) would be infinite; the training split has no such label, so the
        weight is set to 1 and affects only the loss on another split.
        `mixed`: Da-HAR (AAAI 2020) has a mixed loss in its Table 2 and does not define it. Here it is the
        mean of `none` and `wpal`, which equals the mean of their weights.
        `diaa`: DIAA (ECCV 2018), Eq. 4: one weight per attribute, where a_c is its prior.

    Shape:
        positive_ratio: (A,) in [0, 1].
        returns: two tensors (A,) float32, for y = 1 and for y = 0.

    Raises:
        ConfigError: If there is no weighting of that name; the message lists the valid ones.
        DataError: If a ratio is not a number in [0, 1], such as NaN for an attribute without known labels;
            `compute_positive_ratio` gives 0.5 there.

    Example:
        >>> positive, negative = compute_label_weights("wpal", torch.tensor([0.25]))
        >>> positive.item(), round(negative.item(), 4)
        (2.0, 0.6667)
    """
    ratio = positive_ratio.detach().double()
    if ratio.ndim != 1 or not len(ratio) or not bool(((ratio >= 0) & (ratio <= 1)).all()):
        raise DataError(
            f"expected positive ratios of shape (A,) in [0, 1], got shape {tuple(ratio.shape)} and values "
            f"{ratio.flatten()[:5].tolist()}; compute them with `compute_positive_ratio`"
        )
    if weighting == "none":
        pair = torch.ones_like(ratio), torch.ones_like(ratio)
    elif weighting == "sb":
        pair = torch.exp(1 - ratio), torch.exp(ratio)
    elif weighting == "sb-printed":
        pair = torch.exp(ratio), torch.exp(1 - ratio)
    elif weighting in ("wpal", "mixed"):
        pair = torch.where(ratio > 0, 0.5 / ratio, 1.0), torch.where(ratio < 1, 0.5 / (1 - ratio), 1.0)
        if weighting == "mixed":
            pair = (1 + pair[0]) / 2, (1 + pair[1]) / 2
    elif weighting == "diaa":
        pair = torch.exp(-ratio), torch.exp(-ratio)
    else:
        raise ConfigError(f"no weighting {weighting!r}; choose one of {', '.join(get_args(Weighting))}")
    return pair[0].float(), pair[1].float()


def check_ratio_count(positive_ratio: Tensor, schema: AttributeSchema) -> None:
    """Refuse a number of positive ratios that is not that of the attributes.

    Raises:
        DataError: The message contains both numbers.
    """
    if len(positive_ratio) != len(schema):
        raise DataError(f"expected {len(schema)} positive ratios, got {len(positive_ratio)}")
