"""Sections of a recipe: optimiser, learning-rate schedule and training loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from passerby.config.sections import Positive, Section

__all__ = ["Goal", "OptimizerSection", "ScheduleSection", "TrainingSection"]

Goal = Literal["mA", "f1"]


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
            raise ValueError("milestones (epochs) are required for schedule step and not allowed for others")
        if (self.name == "inverse-time") != bool(self.decay):
            raise ValueError(
                "decay (per step) is required for schedule inverse-time and not allowed for others"
            )
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
        accelerator: Type of device; `auto` uses a GPU if there is one, `cuda` is a GPU by NVIDIA.
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
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    workers: Annotated[int, Field(ge=0)] = 2
    device_cache: bool = False
    compile: bool = False
