"""Arguments, options and option groups that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from passerby.cli.inputs import Inputs
    from passerby.evaluation.loading import Loading

__all__ = [
    "BoxChoice",
    "BundleArgument",
    "DeviceOption",
    "FigureOptions",
    "FiveCropsOption",
    "HeatMapOptions",
    "LoadingOptions",
    "MethodChoice",
    "OnUnreadable",
    "OptionalPicturesArgument",
    "PartitionOption",
    "PicturesArgument",
    "Split",
    "SplitOption",
    "split_list",
    "split_names",
]


class Split(StrEnum):
    """A split of a partition."""

    train = "train"
    val = "val"
    test = "test"


class OnUnreadable(StrEnum):
    """What to do about an image that cannot be read."""

    raise_ = "raise"
    skip = "skip"


class MethodChoice(StrEnum):
    """The methods of `passerby.explain.METHODS`, repeated because importing them would slow down `--help`."""

    grad_cam = "grad-cam"
    grad_cam_p = "grad-cam-p"
    grad_cam_plus_plus = "grad-cam++"
    layer_cam = "layer-cam"
    native = "native"
    occlusion = "occlusion"


class BoxChoice(StrEnum):
    """What a box encloses, see `passerby.explain.BoxMode`."""

    outer = "outer"
    components = "components"


BundleArgument = Annotated[
    str, typer.Argument(help="Bundle: folder, .zip file, or owner/name on the Hugging Face Hub.")
]
_PICTURES = typer.Argument(help="Images of one person each: files, folders (searched recursively), patterns.")
PicturesArgument = Annotated[list[str], _PICTURES]
OptionalPicturesArgument = Annotated[list[str] | None, _PICTURES]
PartitionOption = Annotated[
    str | None, typer.Option(help="Name of the partition; optional if the manifest has only one.")
]
SplitOption = Annotated[Split, typer.Option(help="Split of the partition.", case_sensitive=False)]
DeviceOption = Annotated[str, typer.Option(help="For example cpu or cuda:0; auto uses a GPU if available.")]
FiveCropsOption = Annotated[
    bool,
    typer.Option(
        "--five-crops",
        help="Average over crops at the four corners and the centre, each 7/8 of height and width: five "
        "times the work.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingOptions:
    """How images are read, and where the model runs."""

    root: Annotated[Path | None, typer.Option(help="Folder of the images, if they have moved.")] = None
    cache: Annotated[
        Path | None, typer.Option(help="Folder for packed caches; the first run packs all images.")
    ] = None
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode images.")] = 2
    device: DeviceOption = "auto"
    on_unreadable: Annotated[
        OnUnreadable, typer.Option(help="Raise an error for an unreadable image, or skip it.")
    ] = OnUnreadable.raise_

    def check(self, bundle: str, data: Path, partition: str | None, split: str) -> Inputs:
        """Check bundle, device, manifest and split before anything slow, without importing torch.

        Args:
            partition: Name of the partition; None for the only one.

        Raises:
            BundleError: If there is no bundle.
            ManifestError: If there is no manifest, the partition or the split does not exist, or no partition
                is chosen and the manifest has several, or none.
            ConfigError: If this machine lacks the device.
        """
        from passerby.cli.inputs import Inputs, inspect_bundle
        from passerby.data.manifest import Manifest

        facts = inspect_bundle(bundle, self.device)
        manifest = Manifest.load(data, root=self.root)
        name = manifest.choose_partition(partition)
        manifest.split_rows(name, split)
        return Inputs(facts, manifest, name)

    def create(self, batch_size: int, progress: Callable[[int, int], None]) -> Loading:
        """The loading options of the library."""
        from passerby.evaluation.loading import Loading

        return Loading(
            batch_size=batch_size,
            cache=self.cache,
            on_unreadable=self.on_unreadable.value,
            workers=self.workers,
            progress=progress,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMapOptions:
    """How heat maps and boxes are made."""

    method: Annotated[
        MethodChoice | None,
        typer.Option(
            help="Method of the heat maps; native uses a map that the model computes itself.",
            show_default="the model's recommended one: native or grad-cam-p",
        ),
    ] = None
    binarize: Annotated[
        str,
        typer.Option(help="Threshold of a map: max:0.5 (half its peak), quantile:0.9 (top 10 %) or otsu."),
    ] = "max:0.5"
    boxes: Annotated[
        BoxChoice, typer.Option(help="One box around all foreground, or one for each component.")
    ] = BoxChoice.outer


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureOptions:
    """The layout of a figure."""

    columns: Annotated[int, typer.Option(min=1, help="Attributes per row of the figure, at most.")] = 6
    height: Annotated[
        int, typer.Option(min=64, max=4096, help="Height of an image in the figure, in pixels.")
    ] = 256


def split_list(text: str | None) -> list[str] | None:
    """The items of a comma-separated option, None if it was not given.

    Example:
        >>> split_list("Hat, Boots"), split_list(None)
        (['Hat', 'Boots'], None)
    """
    return None if text is None else [item.strip() for item in text.split(",")]


def split_names(values: Sequence[str]) -> list[str]:
    """The items of a comma-separated option that may be repeated.

    Example:
        >>> split_names(["notes, date", "weight,"])
        ['notes', 'date', 'weight']
    """
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
