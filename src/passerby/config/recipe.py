"""The sections of a recipe: names, ranges, defaults, and what must fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "AugmentationSection",
    "DataSection",
    "InputSection",
    "LossSection",
    "ModelSection",
    "OptimizerSection",
    "Recipe",
    "ScheduleSection",
    "Section",
    "TrainingSection",
]

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Triple = tuple[float, float, float]
Goal = Literal["mA", "f1"]


class Section(BaseModel):
    """Base of all sections: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSection(Section):
    """Which manifest, which partition of it.

    Args:
        manifest: The Parquet file that `passerby prepare` wrote.
        root: Folder of the pictures, if not the one noted in the manifest.
        partition: Name of the partition.
        train: Splits of the partition that train.
        val: Split that selects the epoch, none of those that train. `test`, a habit of the field, flatters the
            score and needs the protocol `select-on-test`.
        attributes: Names to keep, in this order; null keeps all.
        cache: Folder of the packed picture caches.
        on_unreadable: A picture that cannot be read stops the run before its first step, or is skipped and named.
    """

    manifest: Path
    root: Path | None = None
    partition: str
    train: tuple[Literal["train", "val", "test"], ...] = ("train",)
    val: Literal["train", "val", "test"] = "val"
    attributes: tuple[str, ...] | None = None
    cache: Path = Path(".cache/passerby")
    on_unreadable: Literal["raise", "skip"] = "raise"


class InputSection(Section):
    """Size in pixels and normalisation of the network's input (see `passerby.types.Preprocess`)."""

    height: Annotated[int, Field(ge=16, le=4096)] = 256
    width: Annotated[int, Field(ge=16, le=4096)] = 192
    mean: Triple = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    resize: Literal["stretch", "pad"] = "stretch"


class AugmentationSection(Section):
    """Random changes of the training pictures, explained in `passerby.data.transforms.Augmentation`."""

    pad_px: Annotated[int, Field(ge=0)] = 10
    flip: bool = True
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Fraction = 0.0
    zoom: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    shear_deg: Annotated[float, Field(ge=0, le=60)] = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    erase: Fraction = 0.0
    crop_sides: tuple[Share, ...] = ()
    crop_keep_ratio: bool = False
    crop_to: Share = 1.0

    @model_validator(mode="after")
    def _resizes_crops(self) -> AugmentationSection:
        if self.crop_to != 1 and not self.crop_sides:
            raise ValueError("augmentation.crop_to resizes crops; give crop_sides, or leave crop_to at 1")
        return self


class ModelSection(Section):
    """The model's constructor: its name in `passerby.models.MODELS` and keyword arguments.

    Args:
        pretrained: false, true (ImageNet weights through timm) or the path of a weights file;
            `${NAME}` stands for an environment variable.
        init_from: A bundle whose weights the network starts with (fine-tuning, or the same network at a
            larger input); `pretrained` is then not looked at.
        arguments: Passed on to the model.
    """

    name: str = "baseline"
    pretrained: bool | str = True
    init_from: Path | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class LossSection(Section):
    """The loss: its name in `passerby.losses.LOSSES` and keyword arguments.

    Args:
        teachers: Predictions of other models on the training split (`passerby evaluate … --split train --out`;
            one of each, where several splits train), whose mean is learnt beside the labels; see
            `passerby.losses.Distilled`.
        teacher_weight: How much they count; the labels count the rest.
        teachers_as_labels: Learn what they say by the loss itself, with its weights; only `bce` can.
    """

    name: str = "bce"
    arguments: dict[str, Any] = Field(default_factory=dict)
    teachers: tuple[Path, ...] = ()
    teacher_weight: Share = 0.5
    teachers_as_labels: bool = False

    @model_validator(mode="after")
    def _can_learn_from_teachers(self) -> LossSection:
        if self.teachers_as_labels and self.name != "bce":
            raise ValueError(
                f"expected the loss bce beside teachers_as_labels, got {self.name}; leave the latter out"
            )
        return self


class OptimizerSection(Section):
    """Adam with L2 (SB), AdamW or SGD with momentum.

    Args:
        decay_norm_and_bias: Apply weight decay to one-dimensional parameters too, as SB does.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay_norm_and_bias: bool = True


class ScheduleSection(Section):
    """How the learning rate moves.

    Args:
        name: `plateau` watches the validation loss once an epoch; the others are functions of the step.
        warmup_epochs: Linear rise from zero at the start; not with `plateau`.
        factor: What a plateau or a milestone multiplies the rate by.
        patience: Epochs without improvement that a plateau waits.
        milestones: Epochs at which `step` multiplies by `factor`.
        decay: `inverse-time` divides the rate by 1 + decay · steps (Keras).
    """

    name: Literal["constant", "plateau", "cosine", "step", "inverse-time"] = "plateau"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 4
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    decay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> ScheduleSection:
        if self.name == "plateau" and self.warmup_epochs:
            raise ValueError("schedule plateau has no warm-up; choose cosine, step or constant")
        if (self.name == "step") != bool(self.milestones):
            raise ValueError("schedule step needs milestones (epochs), the others have none")
        if (self.name == "inverse-time") != bool(self.decay):
            raise ValueError("schedule inverse-time needs a decay (a step), the others have none")
        return self


class TrainingSection(Section):
    """The loop.

    Args:
        ema: Decay of the exponential moving average of the weights, which is then what is validated and
            saved; null for none. The decay rises as (1 + n) / (10 + n) in the first steps.
        clip_norm: Largest gradient norm; null for no clipping.
        precision: Of the arithmetic; the `mixed` ones keep the weights in 32 bits.
        early_stopping: Epochs without a better `select` before the run ends; null for never.
        select: Validation score that chooses the best epoch.
        calibrate: What each attribute's own threshold is chosen for at the end, on the validation split, as by
            `passerby calibrate`; null keeps 0.5.
        checkpoint_every_steps: Also write a checkpoint every so many steps; null for once an epoch.
        channels_last: Memory layout; on most CPUs and GPUs the faster one for convolutions.
        workers: Threads that fetch batches ahead, and that pack the pictures before the first epoch.
        device_cache: Keep the pictures on the device and augment them there; the batches are the same. It pays
            where a GPU waits for its batches, and costs height · width · 3 bytes of its memory a picture of
            train and val (0.14 MiB at 256×192), a third more for masks and for parsing maps each if the
            model takes them. `workers` fetch nothing then.
        compile: Compile the network's forward and backward pass (`torch.compile`): a minute or more before
            the first steps, then fewer and larger kernels. It pays on a GPU and in long runs, where the
            kernels are small. Scores differ by rounding and by what dropout draws. A GPU needs Triton for it,
            a CPU a C++ compiler.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 64
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_norm: Positive | None = 10.0
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    select: Literal["mA", "accuracy", "f1", "mAP"] = "mA"
    calibrate: Goal | None = None
    checkpoint_every_steps: Annotated[int, Field(ge=1)] | None = None
    channels_last: bool = True
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    workers: Annotated[int, Field(ge=0)] = 2
    device_cache: bool = False
    compile: bool = False


class Recipe(Section):
    """Everything about a training run; see `recipes/` for complete, commented ones.

    Args:
        variant: Names this recipe among the recipes of its model, in results and tables.
        protocol: Name of the evaluation protocol (see `passerby.evaluation.protocols`).
        seed: Fixes initialisation, order, augmentation and dropout.
    """

    variant: str = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    protocol: str = "default"
    data: DataSection
    input: InputSection = InputSection()
    augmentation: AugmentationSection = AugmentationSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    training: TrainingSection = TrainingSection()

    @model_validator(mode="after")
    def _selects_honestly(self) -> Recipe:
        if self.data.val in self.data.train:
            raise ValueError(
                f"data.val: {self.data.val} is among data.train; select on a split that does not train"
            )
        if self.data.val == "test" and self.training.calibrate is not None:
            raise ValueError("training.calibrate on data.val: test flatters every later score; use val")
        if self.data.val == "test" and "select-on-test" not in self.protocol.split("+"):
            raise ValueError("data.val: test flatters the score; use val, or say protocol: select-on-test")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Recipe:
        if self.schedule.warmup_epochs > self.training.epochs:
            raise ValueError("schedule.warmup_epochs is longer than the whole run (training.epochs)")
        return self

    def to_yaml(self) -> str:
        """The whole recipe, defaults included, as YAML that `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
