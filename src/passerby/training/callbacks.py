"""Callbacks of the training loop: weight averaging, log, checkpoints, early stopping."""

from __future__ import annotations

import csv
import logging
import signal
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from passerby.evaluation.scoring import format_percent
from passerby.io import replace_file
from passerby.training.task import AttributeTask, check_weights

__all__ = ["EpochLog", "InterruptedRunError", "LastCheckpoint", "LastingEarlyStopping", "create_ema"]

logger = logging.getLogger(__name__)


class InterruptedRunError(Exception):
    """Training was interrupted by a signal, after a checkpoint was written."""


class _MovingAverage(AveragedModel):
    """An averaged model that counts its updates on the host.

    Torch's class reads their number from the GPU for each tensor at each step.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move weights and batch-norm statistics towards those of the model."""
        n = int(self.n_averaged)
        share = 1 - min(self.decay, (1 + n) / (10 + n)) if n else 1.0
        averaged, current = (chain(m.parameters(), m.buffers()) for m in (self.module, model))
        pairs = [(a, c) for a, c in zip(averaged, current, strict=True) if a.data_ptr() != c.data_ptr()]
        mixed = [(a.detach(), c.detach()) for a, c in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in mixed], [c for _, c in mixed], share)
        for a, c in pairs:
            if not a.is_floating_point():
                a.copy_(c)
        self.n_averaged += 1


class _ModelAveraging(WeightAveraging):
    """Averages the model, and shares the criterion's state with it."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average, with the criterion of the model."""
        if stage == "fit":
            self._average_model = _MovingAverage(pl_module, decay=self.decay)
            self._average_model.module.criterion = pl_module.criterion


def create_ema(decay: float) -> WeightAveraging:
    """An exponential moving average of weights and batch-norm statistics, validated and saved in their place.

    The decay at update n is min(decay, (1 + n) / (10 + n)), which gives the initial weights little influence
    in short runs. The criterion's state is not averaged but shared with the model.
    """
    return _ModelAveraging(decay)


class LastingEarlyStopping(EarlyStopping):
    """Early stopping that holds after a resume: a run that was killed after its last epoch stops at once."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if the patience is already exceeded."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class EpochLog(Callback):
    """One row per epoch, in `metrics.csv`, TensorBoard and the log, with the estimated remaining time.

    Checkpoints contain the rows: a resumed run rewrites the file with the epochs before its checkpoint.

    Args:
        path: The CSV file.
        epochs: Number of epochs of the run.
    """

    def __init__(self, path: Path, *, epochs: int) -> None:
        self.path = path
        self.epochs = epochs
        self.rows: list[dict[str, float]] = []
        self._seconds_before = 0.0
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and the seconds spent in the unfinished epoch."""
        return {"rows": self.rows, "seconds": self._elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows and seconds of a checkpoint."""
        self.rows = list(state_dict["rows"])
        self._seconds_before = state_dict["seconds"]

    def _elapsed(self) -> float:
        return self._seconds_before + time.monotonic() - self._start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start measuring time."""
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's row."""
        if not isinstance(pl_module, AttributeTask):
            raise TypeError(f"expected an AttributeTask, got {type(pl_module).__name__}")
        train_loss = float(pl_module.train_loss.compute())
        pl_module.train_loss.reset()
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "train_loss": train_loss,
            "lr": float(trainer.optimizers[0].param_groups[0]["lr"]),
            **pl_module.val_scores,
            **pl_module.model.describe_state(),
            "seconds": round(self._elapsed(), 3),
        }
        self.rows.append(row)
        self._seconds_before, self._start = 0.0, time.monotonic()
        if trainer.is_global_zero:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        row = self.rows[-1]
        with (
            replace_file(self.path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows(self.rows)
        for each in trainer.loggers:
            each.log_metrics(
                {k: v for k, v in row.items() if k not in ("epoch", "step")}, step=trainer.global_step
            )
        done = len(self.rows)
        left = sum(r["seconds"] for r in self.rows) / done * (self.epochs - done)
        logger.info(
            f"epoch {done}/{self.epochs}  loss {row['train_loss']:.3f}  val: loss {row['val_loss']:.3f}  "
            f"mA {format_percent(row['val_mA'])}  F1 {format_percent(row['val_f1'])}  "
            f"mAP {format_percent(row['val_mAP'])}  "
            f"{row['seconds']:.0f} s, {left / 60:.1f} min left"
        )


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt`, and stops after the current step on Ctrl-C or SIGTERM (`kill`).

    A checkpoint is written at the end of each epoch (after the schedule's step, unlike Lightning's
    `ModelCheckpoint`), every `every_steps` steps, and after the first signal. A second signal stops at once.

    Args:
        path: The file, which Lightning replaces atomically.
        every_steps: Optimiser steps between checkpoints within an epoch, or None.

    Raises:
        InterruptedRunError: After a signal, once the checkpoint is written.
        TrainingError: If weights are not finite, in place of a checkpoint.
    """

    def __init__(self, path: Path, *, every_steps: int | None) -> None:
        self.path = path
        self.every_steps = every_steps
        self._stop_requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle signals, where Python can (in the main thread).

        Lightning's own handler of SIGTERM would end the run as if it were complete.
        """
        with suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write within the epoch if due; after the last batch, `on_train_epoch_end` writes."""
        if trainer.is_last_batch:
            return
        due = bool(self.every_steps) and trainer.global_step % (self.every_steps or 1) == 0
        self._write(trainer, due=due)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end of the epoch."""
        self._write(trainer, due=True)

    def _write(self, trainer: Trainer, *, due: bool) -> None:
        # Processes may handle a signal in different steps, and must write together.
        stop = trainer.strategy.reduce_boolean_decision(self._stop_requested, all=False)
        if due or stop:
            check_weights(trainer.lightning_module, trainer.global_step)
            trainer.save_checkpoint(self.path)
        if stop:
            raise InterruptedRunError

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the previous signal handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
