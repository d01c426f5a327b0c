"""Predictions of the last epochs for each training sample."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from passerby.errors import ConfigError, DataError
from passerby.losses.functional import compute_history_std

__all__ = ["PredictionHistory"]


class PredictionHistory(nn.Module):
    """Predictions of the last epochs by sample: a ring buffer of `window` probabilities per attribute.

    The keys are manifest rows, so the order of the loader does not matter. The history counts the visits of
    each sample (one per epoch) and needs no epoch number. Rows, visits and predictions are buffers, so every
    checkpoint contains them, also within an epoch. With several processes, each update is gathered: all
    processes have the same history at every step, whichever of them processes a sample in the next epoch.

    Args:
        rows: Manifest rows of the training samples.
        attributes: Number of attributes A.
        window: Number of predictions stored for each sample, at least 2.
        burn_in: Number of visits of a sample before its first prediction is stored.

    Shape:
        rows: (S,) int64, ascending.
        memory: S · window · A values of 16 bits; PETA's 9,500 · 5 · 35 take 3.3 MB.

    Raises:
        ConfigError: If the window is below 2 or the burn-in negative.
        DataError: If the rows are not ascending.

    Example:
        >>> history = PredictionHistory(torch.tensor([3, 8]), 1, burn_in=0)
        >>> for probability in (0.2, 0.6):
        ...     history.update(torch.tensor([8]), torch.tensor([[probability]]))
        >>> history.compute_std(torch.tensor([8, 3]))
        tensor([[0.2040],
                [0.0000]])
    """

    rows: Tensor
    visits: Tensor
    probs: Tensor

    def __init__(self, rows: Tensor, attributes: int, *, window: int = 5, burn_in: int = 2) -> None:
        super().__init__()
        if window < 2 or burn_in < 0:
            raise ConfigError(f"expected window >= 2 and burn_in >= 0, got {window} and {burn_in}")
        if rows.ndim != 1 or not len(rows) or not bool((rows[1:] > rows[:-1]).all()):
            raise DataError(f"expected rows of shape (S,), ascending, without repeats, got {rows!r}")
        self.window = window
        self.burn_in = burn_in
        self.register_buffer("rows", rows.clone())
        self.register_buffer("visits", torch.zeros(len(rows), dtype=torch.int32))
        self.register_buffer("probs", torch.zeros(len(rows), window, attributes, dtype=torch.float16))

    @torch.no_grad()
    def compute_std(self, rows: Tensor) -> Tensor:
        """Standard deviation of the stored predictions of these samples (see `compute_history_std`).

        Shape:
            rows: (N,) int64; returns: (N, A) float32, 0 for a sample with fewer than two.

        Raises:
            DataError: If a row is not a training row.
        """
        slots = self._find(rows)
        count = (self.visits[slots] - self.burn_in).clamp(0, self.window)
        return compute_history_std(self.probs[slots], count)

    @torch.no_grad()
    def update(self, rows: Tensor, probs: Tensor) -> None:
        """Count a visit of these samples on all processes, and store their predictions after the burn-in.

        Shape:
            rows: (N,) int64, each once; probs: (N, A) float in [0, 1]; the same N on all processes.

        Raises:
            DataError: If a row is not a training row.
        """
        rows, probs = _gather(rows), _gather(probs.to(self.probs.dtype))
        slots = self._find(rows)
        # Before the end of the burn-in, index 0 is written but not counted; the first stored prediction
        # overwrites it.
        indices = (self.visits[slots] - self.burn_in).clamp(min=0) % self.window
        self.probs[slots, indices.long()] = probs
        self.visits[slots] += 1

    def _find(self, rows: Tensor) -> Tensor:
        slots = torch.searchsorted(self.rows, rows).clamp(max=len(self.rows) - 1)
        if not bool((self.rows[slots] == rows).all()):
            unknown = rows[self.rows[slots] != rows].tolist()
            raise DataError(
                f"rows {unknown[:5]} are not among the {len(self.rows)} training rows; "
                "give the rows of the training split, and resume with the data of the original run"
            )
        return slots

    def extra_repr(self) -> str:
        """The options, for `print(criterion)`."""
        return f"samples={len(self.rows)}, window={self.window}, burn_in={self.burn_in}"


def _gather(values: Tensor) -> Tensor:
    """The concatenated values of all processes; with a single process, the values."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
