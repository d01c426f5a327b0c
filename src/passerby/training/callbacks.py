"""What happens around the steps: averaging, the epoch's log, checkpoints that survive an interruption."""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from passerby.io import replace_file
from passerby.training.task import AttributeTask, check_weights

__all__ = ["EpochLog", "InterruptedRunError", "LastCheckpoint", "LastingEarlyStopping", "create_ema"]


class InterruptedRunError(Exception):
    """The user pressed Ctrl-C; the checkpoint is written."""


class _MovingAverage(AveragedModel):
    """Counts its steps on the host, as torch's own asks a GPU for their number at each step and tensor."""

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move all weights and batch-norm statistics a share of the way to those of the model."""
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
    """Averages the model; the criterion's state stays one and the same."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Create the average, and let it share the criterion."""
        if stage == "fit":
            self._average_model = _MovingAverage(pl_module, decay=self.decay)
            self._average_model.module.criterion = pl_module.criterion


def create_ema(decay: float) -> WeightAveraging:
    """An exponential moving average of weights and batch-norm statistics, validated and saved in their place.

    The decay rises as min(decay, (1 + n) / (10 + n)), so that a short run does not average its start. What
    the criterion remembers is not averaged: the average shares it with the model in training.
    """
    return _ModelAveraging(decay)


class LastingEarlyStopping(EarlyStopping):
    """Early stopping that a resumed run remembers: one that was killed after it does not train on."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the checkpoint is that of the last epoch."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class EpochLog(Callback):
    """One row an epoch, in `metrics.csv`, in TensorBoard and on the screen with the time still to go.

    The rows travel in the checkpoint: a resumed run rewrites the file with exactly the epochs it builds on.

    Args:
        path: The CSV file.
        epochs: Epochs of the whole run.
        say: Prints a line.
    """

    def __init__(self, path: Path, *, epochs: int, say: Callable[[str], None]) -> None:
        self.path = path
        self.epochs = epochs
        self.say = say
        self.rows: list[dict[str, float]] = []
        self._seconds_before = 0.0
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, and the seconds spent in the unfinished epoch."""
        return {"rows": self.rows, "seconds": self._elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of the checkpoint."""
        self.rows = list(state_dict["rows"])
        self._seconds_before = state_dict["seconds"]

    def _elapsed(self) -> float:
        return self._seconds_before + time.monotonic() - self._start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
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
        for logger in trainer.loggers:
            logger.log_metrics(
                {k: v for k, v in row.items() if k not in ("epoch", "step")}, step=trainer.global_step
            )
        done = len(self.rows)
        left = sum(r["seconds"] for r in self.rows) / done * (self.epochs - done)
        self.say(
            f"epoch {done}/{self.epochs}  loss {row['train_loss']:.3f}  val: loss {row['val_loss']:.3f}  "
            f"mA {row['val_mA']:.2%}  F1 {row['val_f1']:.2%}  mAP {row['val_mAP']:.2%}  "
            f"{row['seconds']:.0f} s, {left / 60:.1f} min to go"
        )


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt` fresh, and stops cleanly after the running step on Ctrl-C or SIGTERM (`kill`).

    A checkpoint is written at each epoch's end (after schedules have moved, unlike Lightning's own), every
    `every_steps` steps, and on the first of these signals; a second one stops at once.

    Args:
        path: The file; Lightning writes it in one move.
        every_steps: Optimiser steps between checkpoints within an epoch, or None.

    Raises:
        InterruptedRunError: After the checkpoint that the first signal asks for.
        TrainingError: Instead of writing weights that are not finite.
    """

    def __init__(self, path: Path, *, every_steps: int | None) -> None:
        self.path = path
        self.every_steps = every_steps
        self._asked_to_stop = False
        self._previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for signals where they can be heard (the main thread).

        Lightning, asked to end by SIGTERM, would end as if all were done.
        """
        with suppress(ValueError):
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._asked_to_stop:
            raise KeyboardInterrupt
        self._asked_to_stop = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write within the epoch; its last batch is left to the epoch's end."""
        if trainer.is_last_batch:
            return
        due = bool(self.every_steps) and trainer.global_step % (self.every_steps or 1) == 0
        self._write(trainer, due=due)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write at the end of the epoch."""
        self._write(trainer, due=True)

    def _write(self, trainer: Trainer, *, due: bool) -> None:
        # Processes hear of a signal a step apart, and must write together.
        stop = trainer.strategy.reduce_boolean_decision(self._asked_to_stop, all=False)
        if due or stop:
            check_weights(trainer.lightning_module, trainer.global_step)
            trainer.save_checkpoint(self.path)
        if stop:
            raise InterruptedRunError

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back their usual meaning."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
