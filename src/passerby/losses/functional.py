"""Functions on tensors for the losses, computed with at least 32 bits."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from passerby.errors import ConfigError, DataError

__all__ = [
    "Reduction",
    "check_labels",
    "compute_binary_cross_entropy",
    "compute_focal_loss",
    "compute_history_std",
    "reduce_terms",
]

Reduction = Literal["sum", "mean"]


def compute_binary_cross_entropy(
    logits: Tensor, labels: Tensor, *, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Binary cross-entropy of every cell, without reduction.

    −w₁ · y · log σ(x) − w₀ · (1 − y) · log(1 − σ(x)), computed without overflow for any logit. A cell whose
    label is unknown has loss 0 and gradient 0, whatever its logit.

    Paper:
        SB (Jia et al., arXiv 2107.03576); Da-HAR (AAAI 2020), Eq. 1; DIAA (ECCV 2018), Eq. 3.

    Shape:
        logits: (N, A) of any floating type; half types are computed as float32.
        labels: (N, A) in {1 positive, 0 negative, −1 unknown}.
        weights: two of (A,) or (N, A): for y = 1 and for y = 0.
        returns: (N, A) float32 (float64 for float64 logits).

    Raises:
        DataError: If the shapes differ, or a label on the CPU is not 1, 0 or −1 (on an accelerator, the
            check would stall every step).

    Example:
        >>> compute_binary_cross_entropy(torch.tensor([[0.0, 200.0, 7.0]]), torch.tensor([[1, 0, -1]]))
        tensor([[  0.6931, 200.0000,   0.0000]])
    """
    logits, positive, known = _prepare(logits, labels)
    loss = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return _apply_weights(loss, positive, known, weights)


def compute_focal_loss(
    logits: Tensor, labels: Tensor, *, gamma: float = 0.5, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Focal loss of every cell, without reduction.

    −w₁ · y · (1 − σ(x))^γ · log σ(x) − w₀ · (1 − y) · σ(x)^γ · log(1 − σ(x)). A cell whose label is unknown
    has loss 0 and gradient 0, whatever its logit. With γ = 0 it is the binary cross-entropy.

    Paper:
        DIAA (ECCV 2018), Eq. 4, after Lin et al., *Focal Loss for Dense Object Detection* (ICCV 2017). The
        power is computed as exp(γ · log(1 − p)), which is finite for any logit.

    Shape:
        As `compute_binary_cross_entropy`.

    Args:
        gamma: γ, 0 or larger; larger values reduce the weight of well-classified samples.

    Raises:
        ConfigError: If γ is negative.
        DataError: As `compute_binary_cross_entropy`.

    Example:
        >>> compute_focal_loss(torch.tensor([[0.0, 200.0, 7.0]]), torch.tensor([[1, 0, -1]]))
        tensor([[  0.4901, 200.0000,   0.0000]])
    """
    if not gamma >= 0:
        raise ConfigError(f"expected a gamma of 0 or larger, got {gamma}")
    logits, positive, known = _prepare(logits, labels)
    toward = torch.where(positive, logits, -logits)  # the larger, the better classified
    loss = torch.exp(gamma * F.logsigmoid(-toward)) * F.softplus(-toward)
    return _apply_weights(loss, positive, known, weights)


def compute_history_std(probs: Tensor, count: Tensor) -> Tensor:
    """Standard deviation of the predictions of past epochs, with the correction for a short history.

    With v the (biased) variance of the stored probabilities: √(v + v² / (|H| − 1)). It is 0 for fewer than
    two stored predictions.

    Paper:
        DIAA (ECCV 2018), Eq. 5, after Chang et al., *Active Bias* (NIPS 2017). p(y_s|x_s) is the
        probability of each attribute separately, as in the published code: a person's hat may be uncertain
        while the sex is not. The variance is the same for the positive and for the true label.

    Shape:
        probs: (N, T, A) float in [0, 1], the stored ones first along T; the rest is ignored.
        count: (N,) integers in [0, T]: number of stored ones.
        returns: (N, A) float32.

    Example:
        >>> probs = torch.tensor([[[0.2], [0.6], [0.0]]])
        >>> compute_history_std(probs, torch.tensor([2]))  # v = 0.04
        tensor([[0.2040]])
    """
    probs = probs.float()
    stored = (torch.arange(probs.shape[1], device=probs.device) < count[:, None])[:, :, None]  # (N, T, 1)
    number = count.clamp(min=1)[:, None].to(probs.dtype)  # (N, 1)
    mean = (probs * stored).sum(1) / number
    variance = ((probs - mean[:, None]).square() * stored).sum(1) / number
    return (variance + variance.square() / (number - 1).clamp(min=1)).sqrt()


def reduce_terms(terms: Tensor, known: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """Reduce the loss of every cell to a scalar.

    Args:
        terms: Loss of every cell, 0 where the label is unknown.
        known: Whether each cell has a known label.
        reduction: `sum` sums each row and averages over **all N rows** of the batch, so a row with unknown
            labels has less weight (common in the literature; about A times the other). `mean` divides by the
            **number of known cells**; weights do not enter the divisor. Without any known cell, both give 0,
            with gradient 0.

    Shape:
        terms: (N, A) float; known: (N, A) bool; returns: () float.

    Raises:
        ConfigError: If there is no reduction of that name.

    Example:
        >>> terms, known = torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[True, True], [True, False]])
        >>> reduce_terms(terms, known), reduce_terms(terms, known, reduction="mean")
        (tensor(3.), tensor(2.))
    """
    if reduction == "sum":
        return terms.sum() / max(len(terms), 1)
    if reduction == "mean":
        return terms.sum() / known.sum().clamp(min=1)
    raise ConfigError(f"no reduction {reduction!r}; choose one of sum, mean")


def _prepare(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits with at least 32 bits and zeros at unknown labels, the positive cells, and the known cells."""
    check_labels(logits, labels)
    if logits.dtype not in (torch.float32, torch.float64):
        logits = logits.float()
    known = labels >= 0
    # Filled before the loss: masking only afterwards would give a gradient of 0 · inf = NaN.
    return logits.masked_fill(~known, 0.0), labels > 0, known


def _apply_weights(
    loss: Tensor, positive: Tensor, known: Tensor, weights: tuple[Tensor, Tensor] | None
) -> Tensor:
    if weights is not None:
        loss = loss * torch.where(positive, weights[0], weights[1]).to(loss.dtype)
    return loss * known


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """Refuse labels that do not have the shape (N, A) of the logits or, on the CPU, are not 1, 0 or −1.

    Raises:
        DataError: The message contains the shapes, or the invalid labels.
    """
    if logits.ndim != 2 or logits.shape != labels.shape:
        shapes = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
        raise DataError(f"expected logits and labels of one shape (N, A), got {shapes}")
    if labels.device.type == "cpu" and not bool(((labels == 1) | (labels == 0) | (labels == -1)).all()):
        wrong = sorted(set(labels.flatten().tolist()) - {-1, 0, 1})
        raise DataError(f"expected labels 1 (positive), 0 (negative) or -1 (unknown), also got {wrong[:5]}")
