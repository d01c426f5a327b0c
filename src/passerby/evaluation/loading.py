"""How images are loaded for an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

__all__ = ["Loading", "Progress"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of images done and the number of all images."""


@dataclass(frozen=True)
class Loading:
    """How the images of a split are loaded, and where the model runs.

    Args:
        batch_size: Images per batch.
        cache: Folder of the packed image caches, shared with training: the entire manifest is packed there
            unless it is already. None decodes only the images of the split, in memory or in a temporary
            folder.
        device: Such as `cpu` or `cuda`; None leaves the model on its device.
        on_unreadable: An unreadable image stops the evaluation (`raise`), or is left out and reported
            (`skip`).
        workers: Number of threads that decode.
        progress: Called after each batch, see `Progress`.

    Example:
        >>> Loading(workers=4).batch_size
        128
    """

    batch_size: int = 128
    cache: Path | None = None
    device: str | None = None
    on_unreadable: Literal["raise", "skip"] = "raise"
    workers: int = 2
    progress: Progress | None = None
