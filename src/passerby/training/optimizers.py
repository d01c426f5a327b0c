"""Optimisers and learning-rate schedules of a recipe."""

from __future__ import annotations

import math
from bisect import bisect_right

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from passerby.config import OptimizerSection, ScheduleSection

__all__ = ["compute_lr_factor", "create_optimizer", "create_step_schedule"]


def create_optimizer(model: nn.Module, section: OptimizerSection) -> torch.optim.Optimizer:
    """Create the optimiser of all trainable parameters.

    Without `decay_norm_and_bias`, one-dimensional parameters (normalisation, biases) have no weight decay.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    if section.decay_norm_and_bias:
        groups = [{"params": trainable, "weight_decay": section.weight_decay}]
    else:
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": section.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
    if section.name == "sgd":
        return torch.optim.SGD(groups, lr=section.lr, momentum=section.momentum)
    kind = torch.optim.Adam if section.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=section.lr)


def compute_lr_factor(step: int, section: ScheduleSection, *, steps_per_epoch: int, epochs: int) -> float:
    """Factor on the base learning rate at a step, in closed form, so that a resumed run is exact.

    Args:
        step: Optimiser steps done so far, from 0.
        section: Name and parameters of the schedule.
        steps_per_epoch: Optimiser steps per epoch.
        epochs: Number of epochs of the run.

    Example:
        >>> cosine = ScheduleSection(name="cosine", warmup_epochs=1)
        >>> [round(compute_lr_factor(s, cosine, steps_per_epoch=2, epochs=3), 3) for s in range(6)]
        [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    warmup = section.warmup_epochs * steps_per_epoch
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    if section.name == "cosine":
        total = epochs * steps_per_epoch
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))
    if section.name == "step":
        return float(section.factor ** bisect_right(section.milestones, step // steps_per_epoch))
    if section.name == "inverse-time":
        return 1 / (1 + section.decay * step)
    return 1.0


def create_step_schedule(
    optimizer: torch.optim.Optimizer, section: ScheduleSection, *, steps_per_epoch: int, epochs: int
) -> LambdaLR:
    """`compute_lr_factor` as a torch scheduler, to be stepped after every optimiser step."""
    return LambdaLR(
        optimizer,
        lambda step: compute_lr_factor(step, section, steps_per_epoch=steps_per_epoch, epochs=epochs),
    )
