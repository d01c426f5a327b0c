"""The sections of a recipe: keys, ranges, defaults, and checks across keys."""

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
    """Base of all sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSection(Section):
    """The training data.

    Args:
        manifest: Parquet file that `passerby prepare` wrote.
        root: Folder of the images, if it differs from the one in the manifest.
        partition: Name of the partition.
        train: Splits of the partition to train on.
        val: Split to select the epoch on, not one of `train`. `test` is common in the literature, but makes
            the score too optimistic, and needs the protocol `select-on-test`.
        attributes: Attributes to train, in this order; null for all.
        cache: Folder of the packed image caches.
        on_unreadable: Whether an unreadable image stops the run before its first step (`raise`), or is
            skipped and logged (`skip`).
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
    """Size and normalisation of the model's input; see `passerby.types.Preprocess`.

    Args:
        height: In pixels.
        width: In pixels.
        mean: Mean of each channel, red, green and blue, of values in [0, 1].
        std: Standard deviation of each channel.
        resize: `stretch` changes the aspect ratio if necessary; `pad` keeps it and adds black borders.
    """

    height: Annotated[int, Field(ge=16, le=4096)] = 256
    width: Annotated[int, Field(ge=16, le=4096)] = 192
    mean: Triple = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    resize: Literal["stretch", "pad"] = "stretch"


class AugmentationSection(Section):
    """Random changes of the training images; see `passerby.data.augmentation.Augmentation`.

    Args:
        pad_px: Zeros added on each side before a random crop of the original size.
        flip: Mirror half of the samples horizontally.
        rotation_deg: Maximum rotation in either direction.
        shift: Maximum translation, as a fraction of height and width.
        zoom: Scale by a factor between 1 − zoom and 1 + zoom.
        shear_deg: Maximum shear along both axes.
        brightness: Factor between 1 − brightness and 1 + brightness.
        contrast: Factor between 1 − contrast and 1 + contrast.
        saturation: Factor between 1 − saturation and 1 + saturation.

        crop_sides: Possible sides of crops at a corner or the centre, as fractions of height and width; empty
            for no crops. They follow padding, so `pad_px` is usually 0 with them.
        crop_keep_ratio: Use the same fraction for both sides of a crop.
        crop_to: Size that crops are resized to, as a fraction of height and width. Below 1, the model is
            trained on smaller images than it is tested on.
    """

    pad_px: Annotated[int, Field(ge=0)] = 10
    flip: bool = True
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Fraction = 0.0
    zoom: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    shear_deg: Annotated[float, Field(ge=0, le=60)] = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0

    crop_sides: tuple[Share, ...] = ()
    crop_keep_ratio: bool = False
    crop_to: Share = 1.0

    @model_validator(mode="after")
    def _crops_to_resize(self) -> AugmentationSection:
        if self.crop_to != 1 and not self.crop_sides:
            raise ValueError("augmentation.crop_to resizes crops; set crop_sides, or leave crop_to at 1")
        return self


class ModelSection(Section):
    """The model.

    Args:
        name: One of `passerby.list_models()`.
        pretrained: false, true (ImageNet weights from timm), or the path of a weights file;
            `${NAME}` stands for an environment variable.
        init_from: Bundle with the initial weights, for fine-tuning or for the same model with a larger input;
            `pretrained` is then ignored.
        arguments: Keyword arguments of the model.
    """

    name: str = "baseline"
    pretrained: bool | str = True
    init_from: Path | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class LossSection(Section):
    """The loss.

    Args:
        name: One of `passerby.list_losses()`.
        arguments: Keyword arguments of the loss.
        teachers: Predictions of other models on the training split (`passerby evaluate … --split train
            --out`; for several training splits, one for each). Their mean is a second target in addition to
            the labels; see `passerby.losses.Distilled`.
        teacher_weight: Weight of the teachers' term; the labels' term has the remaining weight.
        teachers_as_labels: Apply the loss, with its class weights, to the teacher predictions as soft labels.
            Only `bce` supports it.
    """

    name: str = "bce"
    arguments: dict[str, Any] = Field(default_factory=dict)
    teachers: tuple[Path, ...] = ()
    teacher_weight: Share = 0.5
    teachers_as_labels: bool = False

    @model_validator(mode="after")
    def _supports_soft_labels(self) -> LossSection:
        if self.teachers_as_labels and self.name != "bce":
            raise ValueError(
                f"teachers_as_labels: expected the loss bce, got {self.name}; remove teachers_as_labels"
            )
        return self


class OptimizerSection(Section):
    """The optimiser: Adam with L2 regularisation (as in the Strong Baseline), AdamW, or SGD with momentum.

    Args:
        name: The optimiser.
        lr: Base learning rate.
        weight_decay: L2 regularisation of `adam`; decoupled weight decay of `adamw`.
        momentum: Of `sgd`.
        decay_norm_and_bias: Also decay one-dimensional parameters, as the Strong Baseline does.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay_norm_and_bias: bool = True


class ScheduleSection(Section):
    """The learning-rate schedule.

    Args:
        name: `plateau` depends on the validation loss of each epoch, the others on the step.
        warmup_epochs: Epochs of linear increase from zero; not with `plateau`.
        factor: Factor on the rate at a plateau or milestone.
        patience: Epochs without improvement before `plateau` reduces the rate.
        milestones: Epochs at which `step` multiplies the rate by `factor`.
        decay: `inverse-time` divides the rate by 1 + decay · steps (as Keras does).
    """

    name: Literal["constant", "plateau", "cosine", "step", "inverse-time"] = "plateau"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 4
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    decay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _keys_fit(self) -> ScheduleSection:
        if self.name == "plateau" and self.warmup_epochs:
            raise ValueError("schedule plateau has no warm-up; choose cosine, step or constant")
        if (self.name == "step") != bool(self.milestones):
            raise ValueError("schedule step needs milestones (epochs), the others have none")
        if (self.name == "inverse-time") != bool(self.decay):
            raise ValueError("schedule inverse-time needs a decay (per step), the others have none")
        return self


class TrainingSection(Section):
    """The training loop.

    Args:
        epochs: Number of epochs.
        batch_size: Images per step on each device.
        precision: Precision of the arithmetic; the `mixed` ones keep the weights in 32 bits.
        ema: Decay of the exponential moving average of the weights, which is then validated and saved; null
            for none. The decay increases as (1 + n) / (10 + n) in the first steps.
        clip_norm: Maximum norm of the gradient; null for no clipping.
        early_stopping: Epochs without a better `select` score before the run ends; null for never.
        select: Validation score that selects the best epoch.
        calibrate: Score for which the threshold of each attribute is chosen at the end, on the validation
            split, as by `passerby calibrate`; null keeps 0.5.
        checkpoint_every_steps: Steps between checkpoints within an epoch; null for one checkpoint per epoch.
        channels_last: Memory layout, which is faster for convolutions on most CPUs and GPUs.
        accelerator: Type of device; `auto` uses a GPU if there is one.
        devices: Number of devices.
        workers: Number of threads that load batches, and that pack the images before the first epoch.
        device_cache: Keep the images on the device and augment them there. The batches are the same. It is
            faster if a GPU waits for its batches, and needs height · width · 3 bytes of its memory for each
            training and validation image (0.14 MiB at 256×192), and a third more each for masks and parsing
            maps if the model uses them. Then no `workers` load batches.
        compile: Compile the forward and backward pass of the model (`torch.compile`). This takes a minute or
            more before the first steps; the kernels are then fewer and larger. It is useful for long runs on
            a GPU if the kernels are small. Scores differ by rounding and by the random numbers of dropout. A
            GPU needs Triton, a CPU a C++ compiler.
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
    """The definition of a training run. `passerby recipes` lists complete examples with comments.

    Args:
        variant: Name of this recipe among those of its model, in results and tables.
        seed: Determines initialisation, order, augmentation and dropout.
        protocol: Name of the evaluation protocol; see `passerby.evaluation.protocols`.
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
    def _selects_on_other_data(self) -> Recipe:
        if self.data.val in self.data.train:
            raise ValueError(
                f"data.val: {self.data.val} is among data.train; select on a split that is not trained on"
            )
        if self.data.val == "test" and self.training.calibrate is not None:
            raise ValueError(
                "training.calibrate with data.val: test makes every later test score too optimistic; use val"
            )
        if self.data.val == "test" and "select-on-test" not in self.protocol.split("+"):
            raise ValueError(
                "data.val: test makes the score too optimistic; use val, or set protocol: select-on-test"
            )
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Recipe:
        if self.schedule.warmup_epochs > self.training.epochs:
            raise ValueError("schedule.warmup_epochs exceeds the length of the run (training.epochs)")
        return self

    def to_yaml(self) -> str:
        """The recipe with all defaults, as YAML that `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
