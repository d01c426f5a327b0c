"""Progress of packing and training: a bar on a terminal, otherwise lines in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from passerby.terminal import create_bars, format_rate

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["EpochProgress", "show_packing"]

logger = logging.getLogger(__name__)

_LINE_EVERY_S = 60.0
"""Time after which an epoch without a terminal logs how far it is."""


@contextmanager
def show_packing() -> Iterator[Callable[[int, int], None]]:
    """Show how many images are packed: a bar on a terminal, otherwise a line for each tenth.

    Yields:
        A function to call with the number of packed images and of all images.
    """
    if not _shows_bars():
        yield _log_tenths()
        return
    with _create_bars() as bars:
        task = bars.add_task("packing images", total=None, visible=False, note="")
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)


def _shows_bars() -> bool:
    """Whether stderr is a terminal, and messages of level INFO are wanted."""
    return sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)


def _create_bars() -> Progress:
    from rich.console import Console

    return create_bars(Console(stderr=True))


def _log_tenths() -> Callable[[int, int], None]:
    """A progress callback for packing that logs every tenth, with the estimated remaining time."""
    start, logged = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal logged
        tenths = 10 * done // max(1, total)
        if tenths > logged:
            logged = tenths
            left_s = (time.monotonic() - start) / done * (total - done)
            logger.info(f"packing images: {done:,} of {total:,}, {left_s:.0f} s left")

    return progress


class EpochProgress(Callback):
    """Shows batches, rate, time left and loss within an epoch.

    On a terminal it is a bar. Otherwise it is a line each minute, so that short epochs have none.

    Args:
        epochs: Number of epochs of the run.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self._bars: Progress | None = None
        self._task: Any = None
        self._start = self._line = 0.0
        self._first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        if trainer.is_global_zero and _shows_bars():
            self._bars = _create_bars()
            self._bars.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an epoch."""
        self._show(self._name(trainer), trainer.num_training_batches)
        self._start = self._line = time.monotonic()
        self._first = 0

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start an epoch that is resumed in its middle, which Lightning does not announce."""
        if not self._start:
            self.on_train_epoch_start(trainer, pl_module)
            self._first = batch_idx

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch and its loss."""
        done, total = batch_idx + 1, int(trainer.num_training_batches)
        now = time.monotonic()
        if self._bars is None and (now - self._line < _LINE_EVERY_S or not trainer.is_global_zero):
            return
        note = f"loss {float(outputs['loss']):.3f}"
        if self._bars is not None:
            self._bars.update(self._task, completed=done, note=note, refresh=done == total)
            return
        rate = (done - self._first) / (now - self._start)
        self._line = now
        logger.info(
            f"{self._name(trainer)}: {done:,} of {total:,} batches, {format_rate(rate)}, "
            f"{(total - done) / rate:.0f} s left, {note}"
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the validation after an epoch."""
        self._show(f"{self._name(trainer)} validation", sum(map(int, trainer.num_val_batches)))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the batch."""
        if self._bars is not None:
            self._bars.update(self._task, completed=batch_idx + 1)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the bar."""
        self._stop()

    def _name(self, trainer: Trainer) -> str:
        return f"epoch {trainer.current_epoch + 1}/{self.epochs}"

    def _show(self, description: str, total: float) -> None:
        if self._bars is None:
            return
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(description, total=total, note="")

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
