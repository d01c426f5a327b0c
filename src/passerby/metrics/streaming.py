"""Base class of the streaming metrics, over torchmetrics, without its squeezing of results."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torchmetrics import Metric

from passerby.errors import ConfigError, DataError
from passerby.metrics.arrays import convert_to_tensors
from passerby.metrics.counting import check_inputs

__all__ = ["StreamingMetric"]


class _Result:
    """Wraps a result, as torchmetrics would squeeze the tensors of a single attribute."""

    def __init__(self, value: Any) -> None:
        self.value = value


class StreamingMetric(Metric):
    """A metric over probabilities (N, A) and labels (N, A) that arrive in batches.

    Args:
        num_attributes: A, at least 1.
        kwargs: Options of `torchmetrics.Metric`.

    Raises:
        ConfigError: If `num_attributes` is below 1.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, num_attributes: int, **kwargs: Any) -> None:
        if num_attributes < 1:
            raise ConfigError(f"expected at least one attribute, got num_attributes={num_attributes}")
        super().__init__(**kwargs)
        self.num_attributes = num_attributes

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Merge the state of another metric of this class."""
        super().merge_state(incoming_state)
        self._update_count += 1
        self._computed = None  # torchmetrics would return the previous result

    def _convert(self, probs: Tensor | ArrayLike, labels: Tensor | ArrayLike) -> tuple[Tensor, Tensor]:
        """Probabilities and labels as tensors; those that were none are moved to the metric's device."""
        device = self.device
        given = probs, labels
        probs, labels = convert_to_tensors(probs, labels)
        if not any(isinstance(each, Tensor) for each in given):
            probs, labels = probs.to(device), labels.to(device)
        check_inputs(probs, labels)
        if probs.shape[1] != self.num_attributes:
            raise DataError(
                f"expected {self.num_attributes} attributes, got probabilities of shape {tuple(probs.shape)}"
            )
        return probs, labels

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        inner = super()._wrap_compute(lambda: _Result(compute()))

        @functools.wraps(compute)
        def wrapped() -> Any:
            alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
            if alone and not self.update_called:  # in a group, other processes may have rows
                raise DataError(f"{type(self).__name__} has no rows yet; call `update` before `compute`")
            return inner().value

        return wrapped
