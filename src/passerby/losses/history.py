"""What the model predicted for each training sample in the last epochs."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from passerby.errors import ConfigError, DataError
from passerby.losses.functional import compute_history_std

__all__ = ["PredictionHistory"]


class PredictionHistory(nn.Module):
    """The predictions of the last epochs, kept by sample: a ring of `window` probabilities an attribute.

    It is keyed by the row of the manifest, so the order of a loader does not matter. Each sample counts its
    own visits (one an epoch), so no epoch has to be announced. Rows, visits and predictions live in buffers,
    hence in every checkpoint, also in the middle of an epoch. On several processes each update is gathered,
    so that all of them hold the same history at every step, wherever a sample goes in the next epoch.

    Args:
        rows: Rows of the manifest that train.
        attributes: Number of attributes A.
        window: Predictions kept of each sample, at least 2.
        burn_in: Visits of a sample before its first prediction is kept.

    Shape:
        rows: (S,) int64, ascending.
        memory: S · window · A halves; PETA's 9,500 · 5 · 35 take 3.3 MB.

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
        """How much the kept predictions of these samples scatter (see `compute_history_std`).

        Shape:
            rows: (N,) int64; returns: (N, A) float32, 0 for a sample with fewer than two.

        Raises:
            DataError: If a row is none of those that train.
        """
        slots = self._find(rows)
        count = (self.visits[slots] - self.burn_in).clamp(0, self.window)
        return compute_history_std(self.probs[slots], count)

    @torch.no_grad()
    def update(self, rows: Tensor, probs: Tensor) -> None:
        """Count a visit of these samples on all processes, and keep their predictions after the burn-in.

        Shape:
            rows: (N,) int64, each once; probs: (N, A) float in [0, 1]; the same N on all processes.

        Raises:
            DataError: If a row is none of those that train.
        """
        rows, probs = _gather(rows), _gather(probs.to(self.probs.dtype))
        slots = self._find(rows)
        # Before the end of the burn-in place 0 is written too: it is not counted, and the first kept one
        # overwrites it.
        places = (self.visits[slots] - self.burn_in).clamp(min=0) % self.window
        self.probs[slots, places.long()] = probs
        self.visits[slots] += 1

    def _find(self, rows: Tensor) -> Tensor:
        slots = torch.searchsorted(self.rows, rows).clamp(max=len(self.rows) - 1)
        if not bool((self.rows[slots] == rows).all()):
            strange = rows[self.rows[slots] != rows].tolist()
            raise DataError(
                f"rows {strange[:5]} are none of the {len(self.rows)} that train; "
                "give the rows of the training split, and resume with the data that the run began with"
            )
        return slots

    def extra_repr(self) -> str:
        """The options, for `print(criterion)`."""
        return f"samples={len(self.rows)}, window={self.window}, burn_in={self.burn_in}"


def _gather(values: Tensor) -> Tensor:
    """The values of all processes, one after the other; on a single one the values themselves."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
