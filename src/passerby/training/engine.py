"""Recipe in, run folder out.

```
RUN/
  recipe.yaml          the recipe with every default written out
  environment.json     versions, machine, commit
  logs/metrics.csv     one row an epoch; logs/tensorboard beside it
  checkpoints/         best.ckpt (by the selected validation score) and last.ckpt
  bundle/              the best weights, ready to predict
```
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from passerby.bundle import Bundle
from passerby.config import Recipe
from passerby.data.cache import PackedCache
from passerby.data.loader import BatchLoader
from passerby.data.manifest import Manifest
from passerby.data.transforms import Augmentation
from passerby.errors import TrainingError
from passerby.losses import create_loss
from passerby.models import create_model
from passerby.models.base import AttributeModel
from passerby.training.callbacks import EpochLog, Interrupted, LastCheckpoint, create_ema
from passerby.training.environment import describe_environment, is_other_process
from passerby.training.task import AttributeTask
from passerby.types import Preprocess

__all__ = ["TrainingOutcome", "train"]


@dataclass(frozen=True)
class TrainingOutcome:
    """What a finished run leaves.

    Args:
        run: The run folder.
        bundle: The best model in it.
        best_epoch: Counted from 1.
        val_scores: Its validation scores, in [0, 1], by name (`mA`, `accuracy`, `precision`, …).
        seconds: Training time, all resumed parts together.
    """

    run: Path
    bundle: Path
    best_epoch: int
    val_scores: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class _Data:
    manifest: Manifest
    cache: PackedCache
    labels: NDArray[np.int8]
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]

    @property
    def positive_ratio(self) -> torch.Tensor:
        """Share of positives among the known training labels, (A,)."""
        labels = self.labels[self.train_rows]
        known = np.maximum((labels >= 0).sum(axis=0), 1)
        return torch.from_numpy(((labels == 1).sum(axis=0) / known).astype(np.float32))


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
    """
    run = Path(run)
    last = run / "checkpoints" / "last.ckpt"
    finished = _prepare_folder(recipe, run, resume=resume)
    if finished is not None:
        say(f"{run} is finished already")
        return finished
    seed_everything(recipe.seed, verbose=False)
    preprocess = Preprocess(**recipe.input.model_dump())
    data = _load_data(recipe, preprocess, say)
    model = _create_start(recipe, data, say)
    criterion = create_loss(recipe.loss.name, positive_ratio=data.positive_ratio, **recipe.loss.arguments)
    with _quiet_lightning():
        trainer, loaders = _create_trainer(recipe, run, data, model.guidance, say)
        task = AttributeTask(
            model,
            criterion,
            recipe=recipe,
            preprocess=preprocess,
            steps_per_epoch=len(loaders[0]),
            image_names=data.manifest.images,
        )
        _fit(trainer, task, loaders, last if resume and last.is_file() else None, last)
    return _finish(recipe, run, trainer, task, preprocess, data)


def _prepare_folder(recipe: Recipe, run: Path, *, resume: bool) -> TrainingOutcome | None:
    """Create the folder, or check that the one to resume fits; return the outcome of a finished run."""
    if not resume:
        if run.exists() and any(run.iterdir()) and not is_other_process():
            raise TrainingError(f"{run} is there already; give another --out, or --resume to go on with it")
    elif (run / "recipe.yaml").is_file():
        if (run / "recipe.yaml").read_text(encoding="utf-8") != recipe.to_yaml():
            raise TrainingError(
                f"{run}/recipe.yaml differs from the recipe given; resume with the same recipe and overrides, "
                "or start a new run in another folder"
            )
        if (run / "outcome.json").is_file():
            values = json.loads((run / "outcome.json").read_text(encoding="utf-8"))
            return TrainingOutcome(run, run / "bundle", **values)
    if not is_other_process():
        run.mkdir(parents=True, exist_ok=True)
        _write_text(run / "recipe.yaml", recipe.to_yaml())
        _write_text(run / "environment.json", json.dumps(describe_environment(), indent=2) + "\n")
    return None


def _load_data(recipe: Recipe, preprocess: Preprocess, say: Callable[[str], None]) -> _Data:
    section = recipe.data
    manifest = Manifest.load(section.manifest, root=section.root)
    if section.attributes is not None:
        manifest = manifest.select_attributes(section.attributes)
    cache = PackedCache.build(
        manifest,
        preprocess,
        section.cache,
        broken=section.broken,
        workers=max(1, recipe.training.workers),
        progress=None,
    )
    for image, reason in cache.broken:
        say(f"skipped {image}: {reason}")
    rows = [manifest.split_rows(section.split, part) for part in section.train]
    usable = np.asarray(cache.valid)
    train_rows = np.sort(np.concatenate(rows))
    val_rows = manifest.split_rows(section.split, section.val)
    return _Data(manifest, cache, manifest.labels, train_rows[usable[train_rows]], val_rows[usable[val_rows]])


def _create_start(recipe: Recipe, data: _Data, say: Callable[[str], None]) -> AttributeModel:
    """The network with the weights that training begins with."""
    section, schema = recipe.model, data.manifest.schema
    if section.start_from is None:
        return create_model(section.name, schema=schema, pretrained=section.pretrained, **section.arguments)
    model = create_model(section.name, schema=schema, pretrained=False, **section.arguments)
    given = Bundle.load(section.start_from).model
    state, mine = given.state_dict(), model.state_dict()
    other_attributes = given.schema.names != schema.names
    taken = {
        name: value
        for name, value in state.items()
        if name in mine
        and value.shape == mine[name].shape
        and not (other_attributes and value.ndim and value.shape[0] == len(given.schema))
    }
    fresh = sorted(set(mine) - set(taken))
    if len(fresh) > len(mine) // 2:
        raise TrainingError(
            f"model.start_from: only {len(taken)} of {len(mine)} tensors of {section.start_from} fit; "
            "expected a bundle of the same system and backbone"
        )
    model.load_state_dict({**mine, **taken})
    say(f"starting from {section.start_from}" + (f"; fresh: {', '.join(fresh)}" if fresh else ""))
    return model


def _create_trainer(
    recipe: Recipe, run: Path, data: _Data, guidance: tuple[str, ...], say: Callable[[str], None]
) -> tuple[Trainer, tuple[BatchLoader, BatchLoader]]:
    t = recipe.training
    callbacks: list[Callback] = [
        EpochLog(run / "logs" / "metrics.csv", epochs=t.epochs, say=say),
        ModelCheckpoint(
            dirpath=run / "checkpoints",
            filename="best",
            monitor=f"val_{t.select}",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        ),
        LastCheckpoint(run / "checkpoints" / "last.ckpt", every_steps=t.checkpoint_every_steps),
    ]
    if t.ema is not None:
        callbacks.append(create_ema(t.ema))
    if t.early_stopping is not None:
        callbacks.append(EarlyStopping(f"val_{t.select}", mode="max", patience=t.early_stopping, verbose=False))
    trainer = Trainer(
        accelerator=t.accelerator,
        devices=t.devices,
        strategy="ddp" if t.devices > 1 else "auto",
        precision=t.precision,
        max_epochs=t.epochs,
        gradient_clip_val=t.clip_norm,
        callbacks=callbacks,
        logger=TensorBoardLogger(run / "logs", name="", version="tensorboard"),
        default_root_dir=run,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
    )
    augmentation = Augmentation(**recipe.augmentation.model_dump())
    rank, world = trainer.global_rank, trainer.world_size
    training = BatchLoader(
        data.cache,
        labels=data.labels,
        rows=data.train_rows,
        batch_size=t.batch_size,
        augmentation=augmentation,
        shuffle=True,
        drop_last=True,
        seed=recipe.seed,
        rank=rank,
        world_size=world,
        workers=t.workers,
        guidance=guidance,
    )
    # Validation rows are dealt out without padding: the metrics merge exactly, and no row counts twice.
    validation = BatchLoader(
        data.cache,
        labels=data.labels,
        rows=data.val_rows[rank::world],
        batch_size=t.batch_size * 2,
        augmentation=None,
        shuffle=False,
        drop_last=False,
        workers=t.workers,
        guidance=guidance,
    )
    if not len(training):
        raise TrainingError(
            f"{len(data.train_rows)} training pictures make no full batch of {t.batch_size} on {world} process(es); "
            "lower training.batch_size"
        )
    return trainer, (training, validation)


def _fit(
    trainer: Trainer,
    task: AttributeTask,
    loaders: tuple[BatchLoader, BatchLoader],
    checkpoint: Path | None,
    last: Path,
) -> None:
    kept = f"the last good checkpoint is {last}" if last.is_file() else "there is no checkpoint yet"
    try:
        trainer.fit(task, *loaders, ckpt_path=checkpoint, weights_only=True)
    except TrainingError as error:
        kept = f"the last good checkpoint is {last}" if last.is_file() else kept
        raise TrainingError(f"{error}; {kept}") from None
    except Interrupted:
        raise TrainingError(
            f"interrupted after step {trainer.global_step}; go on from {last} with --resume"
        ) from None


def _finish(
    recipe: Recipe, run: Path, trainer: Trainer, task: AttributeTask, preprocess: Preprocess, data: _Data
) -> TrainingOutcome:
    """Turn the best checkpoint into a bundle and note the outcome."""
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    weights = {k.removeprefix("model."): v for k, v in checkpoint["state_dict"].items() if k.startswith("model.")}
    task.model.load_state_dict(weights)
    log = next(c for c in trainer.callbacks if isinstance(c, EpochLog))  # type: ignore[attr-defined]
    best = log.rows[checkpoint["epoch"]]
    scores = {k.removeprefix("val_"): v for k, v in best.items() if k.startswith("val_")}
    values: dict[str, Any] = {
        "best_epoch": int(best["epoch"]) + 1,
        "val_scores": scores,
        "seconds": round(sum(row["seconds"] for row in log.rows), 1),
    }
    outcome = TrainingOutcome(run, run / "bundle", **values)
    if trainer.is_global_zero:
        bundle = Bundle(
            task.model.cpu().eval(),
            preprocess,
            thresholds=(0.5,) * len(data.manifest.schema),
            metadata=_describe_training(recipe, data, outcome),
        )
        shutil.rmtree(outcome.bundle, ignore_errors=True)
        bundle.save(outcome.bundle)
        _write_text(run / "outcome.json", json.dumps(values, indent=2) + "\n")
    trainer.strategy.barrier("bundle")
    return outcome


def _describe_training(recipe: Recipe, data: _Data, outcome: TrainingOutcome) -> dict[str, Any]:
    """What the bundle says about its origin; no paths of this machine."""
    pretrained = recipe.model.pretrained
    if recipe.model.start_from is not None:
        pretraining = f"bundle {recipe.model.start_from.name}"
    elif isinstance(pretrained, str):
        pretraining = Path(pretrained).name
    else:
        pretraining = "imagenet" if pretrained else "none"
    return {
        "system": recipe.model.name,
        "variant": recipe.variant,
        "backbone": recipe.model.arguments.get("backbone"),
        "pretraining": pretraining,
        "dataset": data.manifest.dataset,
        "split": recipe.data.split,
        "train_parts": list(recipe.data.train),
        "train_images": len(data.train_rows),
        "manifest": data.manifest.fingerprint,
        "protocol": recipe.protocol,
        "selection": f"best {recipe.training.select} on {recipe.data.val}",
        "ema": recipe.training.ema,
        "seed": recipe.seed,
        "epochs": recipe.training.epochs,
        "best_epoch": outcome.best_epoch,
        "seconds": outcome.seconds,
        "val_scores": outcome.val_scores,
        "environment": describe_environment(),
    }


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
