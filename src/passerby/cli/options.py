"""Arguments and options that several commands have, each said once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BinarizeOption",
    "BoxChoice",
    "BundleArgument",
    "CacheOption",
    "DeviceOption",
    "FiveCropsOption",
    "MethodChoice",
    "MethodOption",
    "OnUnreadable",
    "OnUnreadableOption",
    "PartitionOption",
    "PicturesArgument",
    "RootOption",
    "Split",
    "SplitOption",
    "WorkersOption",
]


class Split(StrEnum):
    """A split."""

    train = "train"
    val = "val"
    test = "test"


class OnUnreadable(StrEnum):
    """What to do about a picture that cannot be read."""

    raise_ = "raise"
    skip = "skip"


class MethodChoice(StrEnum):
    """The methods of `passerby.explain.METHODS`, which takes too long to import for a help text."""

    grad_cam = "grad-cam"
    grad_cam_p = "grad-cam-p"
    grad_cam_plus_plus = "grad-cam++"
    layer_cam = "layer-cam"
    native = "native"
    occlusion = "occlusion"


class BoxChoice(StrEnum):
    """What a box of a heat map is around: `passerby.explain.BoxMode`."""

    outer = "outer"
    components = "components"


BundleArgument = Annotated[
    str, typer.Argument(help="A bundle: folder, zip, or owner/name on the Hugging Face Hub.")
]
PicturesArgument = Annotated[
    list[str],
    typer.Argument(help="Pictures of one person each: files, folders (searched through), patterns."),
]
PartitionOption = Annotated[
    str | None, typer.Option(help="Name of the partition; may be left out where the manifest has only one.")
]
SplitOption = Annotated[Split, typer.Option(help="Split of the partition.")]
RootOption = Annotated[Path | None, typer.Option(help="Folder of the pictures, if not the manifest's.")]
CacheOption = Annotated[
    Path | None, typer.Option(help="Folder of packed caches; packs the whole manifest at first.")
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Threads that decode pictures.")]
DeviceOption = Annotated[str, typer.Option(help="Such as cpu or cuda:0; auto takes a GPU if there is one.")]
OnUnreadableOption = Annotated[OnUnreadable, typer.Option(help="What to do about an unreadable picture.")]
MethodOption = Annotated[
    MethodChoice | None,
    typer.Option(
        help="How heat maps are made; native is what the model itself shows.",
        show_default="what finds more with the model: its own, or grad-cam-p",
    ),
]
BinarizeOption = Annotated[
    str,
    typer.Option(help="What of a map is foreground: max:0.5 (of its peak), quantile:0.9 (above it) or otsu."),
]
FiveCropsOption = Annotated[
    bool,
    typer.Option(
        "--five-crops",
        help="Average over the four corners and the centre of the picture, each 7/8 of its height and width: "
        "five times the work.",
    ),
]
