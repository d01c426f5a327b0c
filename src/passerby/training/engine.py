"""Recipe in, run folder out; what lies in the folder: `passerby.training.run_folder`."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.crops import scale_side
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import ModelError, TrainingError
from passerby.evaluation.calibration import calibrate
from passerby.evaluation.evaluate import evaluate
from passerby.evaluation.protocols import load_protocol
from passerby.losses import Distilled, create_loss
from passerby.models.base import AttributeModel, evaluating
from passerby.schema import AttributeSchema
from passerby.training.callbacks import (
    EpochLog,
    InterruptedRunError,
    LastCheckpoint,
    LastingEarlyStopping,
    create_ema,
)
from passerby.training.data import TrainingData
from passerby.training.initialization import create_start
from passerby.training.provenance import describe_provenance
from passerby.training.run_folder import RunFolder, TrainingOutcome
from passerby.training.task import AttributeTask
from passerby.training.teachers import load_soft_labels
from passerby.types import Preprocess

__all__ = ["train"]


def train(
    recipe: Recipe, run: Path, *, resume: bool = False, say: Callable[[str], None] = print
) -> TrainingOutcome:
    """Train one model.

    Args:
        recipe: See `passerby.config.load_recipe`.
        run: Folder to create; with `resume`, the one to go on in.
        resume: Go on from `checkpoints/last.ckpt`; a finished run is returned as it is.
        say: Receives one line an epoch.

    Raises:
        TrainingError: If the folder is there already (without `resume`), holds another recipe (with it), the
            loss is not finite, or the run was interrupted; the message names the checkpoint to go on from.
        ConfigError: If there is no such protocol or loss.
    """
    load_protocol(recipe.protocol)  # a wrong name is told before the work
    folder = RunFolder(Path(run))
    finished = folder.open(recipe, resume=resume)
    if finished is not None:
        say(f"{run} is finished already")
        return finished
    seed_everything(recipe.seed, verbose=False)
    preprocess = Preprocess(**recipe.input.model_dump())
    data = TrainingData.load(recipe, preprocess, say)
    model = create_start(recipe.model, data.manifest.schema, say=say)
    _check_crops(recipe, model)
    criterion = _create_criterion(recipe, data, model.schema)
    log = EpochLog(folder.path / "logs" / "metrics.csv", epochs=recipe.training.epochs, say=say)
    origin = describe_provenance(recipe, data)  # now: the files it names may be gone when training ends
    with _quiet_lightning():
        trainer = _create_trainer(recipe, folder, log, partly=bool(model.supervision))
        device = trainer.strategy.root_device
        loaders = data.create_loaders(
            recipe, model=model, rank=trainer.global_rank, world_size=trainer.world_size, device=device
        )
        for line in data.describe_missing(model):
            say(line)
        task = AttributeTask(
            model,
            criterion,
            recipe=recipe,
            preprocess=preprocess,
            steps_per_epoch=len(loaders[0]),
            image_names=data.manifest.images,
        ).to(device)  # before fitting, or EMA would keep its average on the CPU
        _fit(trainer, task, loaders, folder=folder, resume=resume)
    outcome = folder.finish(
        task.model,
        preprocess=preprocess,
        origin=origin,
        rows=log.rows,
        calibrate=partial(_calibrate, recipe) if recipe.training.calibrate else None,
    )
    trainer.strategy.barrier("bundle")
    return outcome


def _create_criterion(recipe: Recipe, data: TrainingData, schema: AttributeSchema) -> nn.Module:
    """The recipe's loss, with its teachers if it has some."""
    section = recipe.loss
    ratio = data.compute_positive_ratio(unknown=section.arguments.get("unknown", "ignore"))
    rows = torch.from_numpy(data.train_rows)
    criterion = create_loss(section.name, positive_ratio=ratio, rows=rows, schema=schema, **section.arguments)
    if (first := getattr(criterion, "first_epochs", 0)) >= recipe.training.epochs:
        raise TrainingError(
            f"expected loss.arguments.first_epochs below training.epochs ({recipe.training.epochs}), got "
            f"{first}; stage II would learn nothing"
        )
    if not section.teachers:
        return criterion
    soft = load_soft_labels(section.teachers, data.manifest, data.train_rows)
    return Distilled(
        criterion,
        rows=rows,
        soft=soft,
        weight=section.teacher_weight,
        as_labels=section.teachers_as_labels,
    )


def _calibrate(recipe: Recipe, bundle: Bundle) -> Bundle:
    """The bundle with thresholds chosen on the validation split."""
    data, goal = recipe.data, recipe.training.calibrate
    if goal is None:
        return bundle
    evaluation = evaluate(
        bundle.to("cpu" if recipe.training.accelerator == "cpu" else "auto"),
        Manifest.load(data.manifest, root=data.root),
        partition=data.partition,
        split=data.val,
        cache=data.cache,
        on_unreadable=data.on_unreadable,
        workers=max(1, recipe.training.workers),
    )
    return calibrate(bundle, evaluation, goal=goal)


def _check_crops(recipe: Recipe, model: AttributeModel) -> None:
    """Refuse crops of a size that the network does not take, before the first step."""
    share = recipe.augmentation.crop_to
    if share == 1:
        return
    height, width = (scale_side(side, share) for side in (recipe.input.height, recipe.input.width))
    try:
        with torch.no_grad(), evaluating(model):
            model(torch.zeros(1, 3, height, width))
    except (ModelError, AssertionError) as error:  # of timm, for sides that patches do not divide
        raise TrainingError(
            f"{recipe.model.name} on this backbone takes no crops of {height}×{width} pixels ({error}); set "
            "augmentation.crop_to: 1, or to a share that it takes"
        ) from error


def _create_trainer(recipe: Recipe, folder: RunFolder, log: EpochLog, *, partly: bool) -> Trainer:
    """A trainer.

    Args:
        partly: Whether splits of the model may get no gradient, as the criterion or the epoch says.
    """
    t = recipe.training
    several = "ddp_find_unused_parameters_true" if partly else "ddp"
    callbacks: list[Callback] = [
        log,
        ModelCheckpoint(
            dirpath=folder.best.parent,
            filename=folder.best.stem,
            monitor=f"val_{t.select}",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        ),
        LastCheckpoint(folder.last, every_steps=t.checkpoint_every_steps),
    ]
    if t.ema is not None:
        callbacks.append(create_ema(t.ema))
    if t.early_stopping is not None:
        callbacks.append(LastingEarlyStopping(f"val_{t.select}", mode="max", patience=t.early_stopping))
    try:
        return Trainer(
            accelerator=t.accelerator,
            devices=t.devices,
            strategy=several if t.devices > 1 else "auto",
            precision=t.precision,
            max_epochs=t.epochs,
            gradient_clip_val=t.clip_norm,
            callbacks=callbacks,
            logger=TensorBoardLogger(folder.path / "logs", name="", version="tensorboard"),
            default_root_dir=folder.path,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
    except MisconfigurationException as error:
        raise TrainingError(
            f"training.accelerator={t.accelerator} with training.devices={t.devices} is not to be had here "
            f"({error}); take auto, or cpu"
        ) from error


def _fit(
    trainer: Trainer,
    task: AttributeTask,
    loaders: tuple[BatchLoader, BatchLoader],
    *,
    folder: RunFolder,
    resume: bool,
) -> None:
    checkpoint = folder.last if resume and folder.last.is_file() else None
    try:
        trainer.fit(task, *loaders, ckpt_path=checkpoint, weights_only=True)
    except TrainingError as error:
        kept = f"the last good checkpoint is {folder.last}" if folder.last.is_file() else "no checkpoint yet"
        raise TrainingError(f"{error}; {kept}") from None
    except InterruptedRunError:
        raise TrainingError(
            f"interrupted after step {trainer.global_step}; go on from {folder.last} with --resume"
        ) from None


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advertisements and the advice that does not apply; all else is still heard."""
    advice = (
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*LeafSpec.*",
    )
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in advice:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)
