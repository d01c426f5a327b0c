"""The recipe: a validated YAML file that says everything about a training run.

The only reader of YAML and the only room below the command line that knows pydantic. Library classes take
plain arguments and know nothing of recipes.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from passerby.errors import ConfigError

__all__ = ["Recipe", "load_recipe"]

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Triple = tuple[float, float, float]


class Section(BaseModel):
    """Base of all sections: frozen, and a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSection(Section):
    """Which manifest, which split of it.

    Args:
        manifest: The Parquet file that `passerby prepare` wrote.
        root: Folder of the pictures, if not the one noted in the manifest.
        split: Name of the split.
        train: Parts of the split that train.
        val: Part that selects the epoch, none of those that train. `test`, a habit of the field, flatters the
            score and needs the protocol `select-on-test`.
        attributes: Names to keep, in this order; null keeps all.
        cache: Folder of the packed picture caches.
        broken: A picture that cannot be read stops the run before its first step, or is skipped and named.
    """

    manifest: Path
    root: Path | None = None
    split: str
    train: tuple[Literal["train", "val", "test"], ...] = ("train",)
    val: Literal["train", "val", "test"] = "val"
    attributes: tuple[str, ...] | None = None
    cache: Path = Path(".cache/passerby")
    broken: Literal["stop", "skip"] = "stop"


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
    """The system's constructor: its name in `passerby.models.MODELS` and keyword arguments.

    Args:
        pretrained: false, true (ImageNet weights through timm) or the path of a weights file;
            `${NAME}` stands for an environment variable.
        start_from: A bundle whose weights the network starts with (fine-tuning, or the same network at a
            larger input); `pretrained` is then not looked at.
        arguments: Passed on to the model.
    """

    name: str = "baseline"
    pretrained: bool | str = True
    start_from: Path | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class LossSection(Section):
    """The loss: its name in `passerby.losses.LOSSES` and keyword arguments."""

    name: str = "bce"
    arguments: dict[str, Any] = Field(default_factory=dict)


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
        checkpoint_every_steps: Also write a checkpoint every so many steps; null for once an epoch.
        channels_last: Memory layout; on most CPUs and GPUs the faster one for convolutions.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch_size: Annotated[int, Field(ge=1)] = 64
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_norm: Positive | None = 10.0
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    select: Literal["mA", "accuracy", "f1", "mAP"] = "mA"
    checkpoint_every_steps: Annotated[int, Field(ge=1)] | None = None
    channels_last: bool = True
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    workers: Annotated[int, Field(ge=0)] = 2


class Recipe(Section):
    """Everything about a training run; see `recipes/` for complete, commented ones.

    Args:
        variant: Names this recipe among the recipes of its system, in results and tables.
        protocol: Name of the evaluation protocol (see `passerby.evaluation.protocols`).
        seed: Fixes initialisation, order, augmentation and dropout.
    """

    variant: str = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    protocol: str = "honest"
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
                f"data.val: {self.data.val} is among data.train; select on a part that does not train"
            )
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


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `key.sub=value` overrides, check everything.

    A recipe may say `extends: other.yaml` (a path beside its own) and then only what differs: its sections
    are laid over those of the other, key by key. A list replaces a list, and a section that names another
    model, loss, optimiser or schedule takes over nothing of the section below.

    Args:
        path: A YAML file. `${NAME}` in a string stands for the environment variable NAME.
        overrides: Such as `optimizer.lr=1e-4`; the value is read as YAML.

    Raises:
        ConfigError: If the file is missing or no YAML, recipes extend each other in a circle, a key is
            unknown (the nearest valid one is proposed), a value is out of range, or an environment variable
            is not set.
    """
    values = _read(Path(path))
    for override in overrides:
        _apply_override(values, override)
    return _validate(_expand(values, str(path)), str(path))


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a recipe, laid over those of the one that it extends."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        wanted = f", which {above[-1]} extends" if above else ""
        raise ConfigError(f"no recipe at {path}{wanted}; recipes lie in recipes/<system>/") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends: expected the path of another recipe, got {base!r}")
    chain = (*above, path)
    below = path.parent / base
    if below.resolve() in [each.resolve() for each in chain]:
        raise ConfigError(f"{path}: extends: {base} extends this recipe in turn; let one of them stand alone")
    return _lay_over(_read(below, chain), values)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key; where `above` has another `name`, nothing of that section below remains."""
    if "name" in above and above["name"] != below.get("name"):
        return dict(above)
    both = {**below, **above}
    for key in set(below) & set(above):
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = _lay_over(below[key], above[key])
    return both


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"expected an override like optimizer.lr=1e-4, got {override!r}")
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
    try:
        node[last] = _number(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML: {error}") from error


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-4` as text; a person who types it means the number."""
    return (
        float(value)
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)
        else value
    )


def _expand(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _expand(v, f"{where}: {k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, where) for v in value]
    if isinstance(value, str):
        for name in re.findall(r"\$\{(\w+)\}", value):
            if name not in os.environ:
                raise ConfigError(f"{where}: the variable {name} is not set; set it or write a path")
        return _number(re.sub(r"\$\{(\w+)\}", lambda m: os.environ[m[1]], value))
    return value


def _validate(values: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError(f"{where}:\n  " + "\n  ".join(lines)) from None


def _explain(problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join(location) or "recipe"
    if problem["type"] == "extra_forbidden":
        valid = list(_fields_at(location[:-1]))
        near = difflib.get_close_matches(location[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys are {', '.join(valid)}"
        return f"{path}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{path}: missing; it has no default"
    if problem["type"] == "value_error":
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{path}: {problem['msg']}, got {problem['input']!r}"


def _fields_at(location: Sequence[str]) -> Sequence[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ()
        model = annotation
    return tuple(model.model_fields)
