"""Training and validation steps, optimiser and schedule, as a `LightningModule`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from passerby.config import Recipe
from passerby.data.loader import BatchLoader
from passerby.data.normalise import normalise
from passerby.errors import TrainingError
from passerby.evaluation.protocols import load_protocol
from passerby.metrics import AttributeMetrics, MeanAveragePrecision
from passerby.models.base import AttributeModel
from passerby.training.optimizers import create_optimizer, create_step_schedule
from passerby.types import Batch, Output, Preprocess

__all__ = ["AttributeTask", "check_weights"]


def check_weights(model: nn.Module, step: int) -> None:
    """Refuse weights that are not finite, before validation and before a checkpoint.

    Raises:
        TrainingError: If a weight is infinite or NaN; the message names the step and the first such tensor.
    """
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise TrainingError(
                f"the weights are not finite after step {step} (first: {name}); lower optimizer.lr or "
                "training.clip_norm"
            )


class _MeanLoss(MeanMetric):
    """A mean without torchmetrics' check for NaN, for which each step would wait. `training_step` checks."""

    def update(self, value: float | Tensor, weight: float | Tensor | None = None) -> None:
        """Add the loss of a batch, weighted by its size."""
        weight = 1.0 if weight is None else weight
        self.mean_value += value * weight
        self.weight += weight


class AttributeTask(LightningModule):
    """A model with criterion and recipe.

    Args:
        model: Any `AttributeModel`.
        criterion: See `passerby.losses`; returns named terms with a `total`.
        recipe: Optimiser, schedule, precision and selection.
        preprocess: Size and normalisation of the input.
        steps_per_epoch: Optimiser steps per epoch on each process.
        image_names: Image path of each row of the manifest, for error messages about a batch.

    Raises:
        TrainingError: In `training_step`, if the loss is not finite.
    """

    def __init__(
        self,
        model: AttributeModel,
        criterion: nn.Module,
        *,
        recipe: Recipe,
        preprocess: Preprocess,
        steps_per_epoch: int,
        image_names: Sequence[str],
    ) -> None:
        super().__init__()
        layout = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
        self.model = model.to(memory_format=layout)
        if recipe.training.compile:
            self.model.compile()  # in place: the names of the weights do not change
        self.criterion = criterion
        # Each process updates the state of the criterion itself, so it is not broadcast at every step.
        self._ddp_params_and_buffers_to_ignore = [f"criterion.{n}" for n, _ in criterion.named_buffers()]
        self.recipe = recipe
        self.preprocess = preprocess
        self.steps_per_epoch = steps_per_epoch
        self.image_names = image_names
        self.layout = layout
        protocol = load_protocol(recipe.protocol)
        self.scores = AttributeMetrics(
            len(model.schema),
            thresholds=protocol.choose_thresholds((0.5,) * len(model.schema)),
            unknown=protocol.unknown,
            unmeasured=protocol.unmeasured,
        )
        self.average_precision = MeanAveragePrecision(len(model.schema), unknown=protocol.unknown)
        self.val_loss = MeanMetric()
        self.train_loss = _MeanLoss()
        self.val_scores: dict[str, float] = {}
        self.plateau: ReduceLROnPlateau | None = None
        self._restored: dict[str, Any] | None = None

    def forward(self, batch: Batch) -> Output:
        """Normalise the uint8 images of a batch and run the model."""
        images = normalise(batch.images, self.preprocess).contiguous(memory_format=self.layout)
        output: Output = self.model(images, batch.guidance)
        return output

    # ------------------------------------------------------------------ training

    def on_train_epoch_start(self) -> None:
        """Set the loader's epoch, which determines the order of the samples."""
        loader = self.trainer.train_dataloader
        if isinstance(loader, BatchLoader):
            loader.set_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout by the step, so that a resumed run draws the same values; set the criterion's epoch.

        The epoch is set here because a run that is resumed within an epoch does not start the epoch again.
        """
        del batch, batch_idx
        if (set_epoch := getattr(self.criterion, "set_epoch", None)) is not None:
            set_epoch(self.current_epoch)
        stream = self.recipe.seed * 1009 + self.global_rank
        torch.manual_seed((stream * 2**32 + self.global_step) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        del batch_idx
        output = self(batch)
        terms: dict[str, Tensor] = self.criterion(output, batch.labels, batch)
        total = terms["total"]
        # Waits for the GPU's forward pass. The GPU then idles until the first kernel of the backward pass is
        # launched; the host's remaining work overlaps with the backward pass.
        if not torch.isfinite(total):
            names = [self.image_names[row] for row in batch.rows.tolist()]
            values = {name: float(term.detach()) for name, term in terms.items()}
            raise TrainingError(
                f"the loss is not finite at step {self.global_step} (epoch {self.current_epoch}): {values}; "
                f"images of the batch: {', '.join(names)}"
            )
        self.model.observe(output, batch.labels)
        self.train_loss.update(total.detach(), len(batch.labels))
        for name, term in terms.items():
            self.log(f"loss/{name}", term.detach(), on_step=True, on_epoch=False, prog_bar=name == "total")
        return total

    # ------------------------------------------------------------------ validation

    def on_validation_start(self) -> None:
        """Refuse weights that are not finite."""
        check_weights(self.model, self.global_step)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect probabilities and loss."""
        del batch_idx
        output = self(batch)
        self.val_loss.update(self.criterion(output, batch.labels, batch)["total"], len(batch.labels))
        probs = output.logits.float().sigmoid()
        self.scores.update(probs, batch.labels)
        self.average_precision.update(probs, batch.labels)

    def on_validation_epoch_end(self) -> None:
        """Scores of the validation split, merged across processes."""
        if self.trainer.sanity_checking:
            return
        values = {"loss": float(self.val_loss.compute()), **self.scores.compute().summary()}
        values["mAP"] = float(self.average_precision.compute()[0])
        self.val_scores = {f"val_{name}": value for name, value in values.items()}
        self.log_dict(self.val_scores, sync_dist=self.trainer.world_size > 1)
        for metric in (self.val_loss, self.scores, self.average_precision):
            metric.reset()

    def on_train_epoch_end(self) -> None:
        """Step a plateau schedule by the validation loss, before the epoch's checkpoint is written."""
        if self.plateau is not None:
            self.plateau.step(self.val_scores["val_loss"])

    # ------------------------------------------------------------------ optimiser

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule of the recipe."""
        optimizer = create_optimizer(self.model, self.recipe.optimizer)
        schedule = self.recipe.schedule
        if schedule.name == "plateau":
            # Lightning would step it after the epoch's checkpoint, and a resumed run would miss that step.
            self.plateau = ReduceLROnPlateau(optimizer, factor=schedule.factor, patience=schedule.patience)
            return optimizer
        scheduler = create_step_schedule(
            optimizer, schedule, steps_per_epoch=self.steps_per_epoch, epochs=self.recipe.training.epochs
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not save: plateau schedule, and running mean of the training loss."""
        checkpoint["plateau"] = self.plateau.state_dict() if self.plateau else None
        checkpoint["train_loss"] = [self.train_loss.mean_value.cpu(), self.train_loss.weight.cpu()]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the checkpoint until optimiser and metrics exist."""
        self._restored = checkpoint

    def on_train_start(self) -> None:
        """Restore the state that `on_save_checkpoint` added."""
        if self._restored is None:
            return
        if self.plateau is not None:
            self.plateau.load_state_dict(self._restored["plateau"])
        value, weight = self._restored["train_loss"]
        self.train_loss.mean_value = value.to(self.device)
        self.train_loss.weight = weight.to(self.device)
        self._restored = None
