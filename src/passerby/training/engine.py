"""The training of one model. `passerby.training.run_folder` describes the files of a run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.crops import scale_side
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.errors import ModelError, TrainingError
from passerby.evaluation.calibration import calibrate, describe_uncalibrated
from passerby.evaluation.protocols import load_protocol
from passerby.models.backbones import Backbone
from passerby.models.base import AttributeModel, evaluating
from passerby.training.callbacks import (
    EpochLog,
    InterruptedRunError,
    LastCheckpoint,
    LastingEarlyStopping,
    create_ema,
)
from passerby.training.checks import check_inputs, load_manifest, select_training_rows
from passerby.training.criterion import check_criterion, create_criterion
from passerby.training.data import TrainingData, check_batches, check_guidance
from passerby.training.initialization import initialize_model
from passerby.training.progress import EpochProgress
from passerby.training.provenance import describe_provenance
from passerby.training.run_folder import RunFolder, TrainingOutcome
from passerby.training.scoring import evaluate_split
from passerby.training.task import AttributeTask

__all__ = ["train"]

logger = logging.getLogger(__name__)


def train(recipe: Recipe, run: Path, *, resume: bool = False) -> TrainingOutcome:
    """Train one model.

    Logs one line per epoch at level INFO, which
    `logging.basicConfig(level=logging.INFO, format="%(message)s")` shows.

    Args:
        recipe: See `passerby.config.load_recipe`.
        run: Run folder. It must not exist yet, unless `resume` is set.
        resume: Continue from `checkpoints/last.ckpt`, or start if there is no run. A finished run is returned
            unchanged, or extended if `training.epochs` is larger than it was.

    Raises:
        TrainingError: If the folder exists (without `resume`) or contains another recipe (with it), the
            device is missing, the loss is not finite, or the run was interrupted; the message then names the
            checkpoint to resume from.
        ConfigError: If the recipe names an unknown protocol or loss.
        ManifestError, DataError, ModelError, BundleError: If files or rows are missing; see `check_inputs`.
    """
    load_protocol(recipe.protocol)  # raises for an unknown name before any work
    folder = RunFolder(Path(run))
    recipe = folder.match(recipe, resume=resume)
    finished = folder.find_outcome(recipe)
    if finished is not None:
        logger.info("%s is already finished", run)
        return finished
    recipe = check_inputs(recipe)
    manifest = load_manifest(recipe)
    seed_everything(recipe.seed, verbose=False)
    model = initialize_model(recipe.model, manifest.schema)
    recipe = _resolve_normalisation(recipe, model)
    _check_crops(recipe, model)
    check_guidance(recipe, model, manifest)
    log = EpochLog(folder.path / "logs" / "metrics.csv", epochs=recipe.training.epochs)
    with _quiet_lightning():
        trainer = _create_trainer(recipe, folder, log, unused_parameters=bool(model.supervision))
        check_batches(recipe, len(select_training_rows(recipe, manifest)), trainer.world_size)
        check_criterion(recipe, manifest)
        folder.start(recipe)
        outcome = _train(recipe, model, manifest, trainer=trainer, folder=folder, log=log, resume=resume)
    trainer.strategy.barrier("bundle")
    return outcome


def _train(
    recipe: Recipe,
    model: AttributeModel,
    manifest: Manifest,
    *,
    trainer: Trainer,
    folder: RunFolder,
    log: EpochLog,
    resume: bool,
) -> TrainingOutcome:
    """Pack the images, fit the model and save the bundle, after all checks."""
    preprocess = recipe.input.create_preprocess()
    data = TrainingData.load(recipe, preprocess, manifest)
    criterion = create_criterion(recipe, manifest, data.train_rows)
    provenance = describe_provenance(recipe, data)  # before training: files may be deleted meanwhile
    loaders = data.create_loaders(
        recipe,
        model=model,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
        device=trainer.strategy.root_device,
    )
    for line in data.describe_missing(model):
        logger.info(line)
    task = AttributeTask(
        model,
        criterion,
        recipe=recipe,
        preprocess=preprocess,
        steps_per_epoch=len(loaders[0]),
        image_names=data.manifest.images,
    ).to(trainer.strategy.root_device)  # before fitting: otherwise the moving average stays on the CPU
    _fit(trainer, task, loaders, folder=folder, resume=resume)
    return folder.finish(
        task.model,
        preprocess=preprocess,
        provenance=provenance,
        rows=log.rows,
        epochs=recipe.training.epochs,
        calibrate=partial(_calibrate, recipe) if recipe.training.calibrate else None,
    )


def _resolve_normalisation(recipe: Recipe, model: AttributeModel) -> Recipe:
    """The recipe with the mean and standard deviation of its initial weights, unless it states them."""
    section = recipe.input
    if section.mean is not None and section.std is not None:
        return recipe
    preprocess = section.create_preprocess()
    mean, std, source = preprocess.mean, preprocess.std, None
    backbone = getattr(model, "backbone", None)
    if recipe.model.init_from is not None:
        trained = Bundle.load(recipe.model.init_from).preprocess
        mean, std, source = trained.mean, trained.std, str(recipe.model.init_from)
    elif recipe.model.pretrained and isinstance(backbone, Backbone):
        mean, std, source = backbone.input_mean, backbone.input_std, f"timm for {model.arguments['backbone']}"
    section = section.model_copy(update={"mean": section.mean or mean, "std": section.std or std})
    if source is not None:
        logger.info("input.mean %s and input.std %s, from %s", section.mean, section.std, source)
    return recipe.model_copy(update={"input": section})


def _calibrate(recipe: Recipe, bundle: Bundle) -> Bundle:
    """The bundle with thresholds chosen on the validation split."""
    goal = recipe.training.calibrate
    if goal is None:
        return bundle
    evaluation = evaluate_split(bundle, recipe, recipe.data.val)
    if line := describe_uncalibrated(evaluation):
        logger.info(line)
    return calibrate(bundle, evaluation, goal=goal)


def _check_crops(recipe: Recipe, model: AttributeModel) -> None:
    """Refuse crops of a size that the network does not support, before the first step."""
    share = recipe.augmentation.crop_to
    if share == 1:
        return
    height, width = (scale_side(side, share) for side in (recipe.input.height, recipe.input.width))
    try:
        with torch.no_grad(), evaluating(model):
            model(torch.zeros(1, 3, height, width))
    except (ModelError, AssertionError) as error:  # timm asserts that sides are multiples of the patch size
        raise TrainingError(
            f"{recipe.model.name} with this backbone does not support crops of {height}×{width} pixels "
            f"({error}); set augmentation.crop_to to 1 or another share"
        ) from error


def _create_trainer(recipe: Recipe, folder: RunFolder, log: EpochLog, *, unused_parameters: bool) -> Trainer:
    """Lightning's trainer with the callbacks of the recipe.

    Args:
        unused_parameters: Whether a step may leave parameters without gradient, depending on criterion and
            epoch.
    """
    t = recipe.training
    distributed = "ddp_find_unused_parameters_true" if unused_parameters else "ddp"
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
        EpochProgress(t.epochs),
    ]
    if t.ema is not None:
        callbacks.append(create_ema(t.ema))
    if t.early_stopping is not None:
        callbacks.append(LastingEarlyStopping(f"val_{t.select}", mode="max", patience=t.early_stopping))
    try:
        return Trainer(
            accelerator=t.accelerator,
            devices=t.devices,
            strategy=distributed if t.devices > 1 else "auto",
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
            enable_progress_bar=False,
        )
    except MisconfigurationException as error:
        raise TrainingError(
            f"training.accelerator={t.accelerator} with training.devices={t.devices} is not available here "
            f"({error}); set training.accelerator to auto or cpu"
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
            f"interrupted after step {trainer.global_step}; continue from {folder.last} with --resume"
        ) from None


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advertisements, and those of its warnings that do not apply."""
    advice = (
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*LeafSpec.*",
    )
    lightning = logging.getLogger("lightning.pytorch")
    level = lightning.level
    lightning.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in advice:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        lightning.setLevel(level)
