"""`passerby synth`: draw a data set of pedestrians."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from passerby.cli.option_groups import expand_option_groups
from passerby.cli.output import print_note
from passerby.cli.progress import show_progress

__all__ = ["synth"]


class ImageFormat(StrEnum):
    """File format of the images."""

    jpg = "jpg"
    png = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """Appearance of the images: the fields of `SynthConfig`."""

    height: Annotated[int, typer.Option(min=32, max=2048, help="Height in pixels.")] = 256
    width: Annotated[int, typer.Option(min=24, max=2048, help="Width in pixels.")] = 192
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="Blur, noise, low resolution, unusual viewpoints.")
    ] = 0.3
    imbalance: Annotated[
        float, typer.Option(min=0, max=1, help="0: balanced; 1: long-tailed, as in street footage.")
    ] = 0.0
    distractors: Annotated[
        float, typer.Option(min=0, max=4, help="Mean number of other people in an image.")
    ] = 0.3
    occlusion: Annotated[
        float, typer.Option(min=0, max=1, help="Probability of an object in front of the person.")
    ] = 0.15
    clutter: Annotated[float, typer.Option(min=0, max=1, help="Amount of street furniture.")] = 0.5
    object_scale: Annotated[
        float, typer.Option(min=0.1, max=1.5, help="Relative size of hats, bags, glasses, prints.")
    ] = 1.0
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Images per identity.")] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Files to write."""

    image_format: Annotated[ImageFormat, typer.Option("--format", help="File format of the images.")] = (
        ImageFormat.jpg
    )
    workers: Annotated[int, typer.Option(min=1, help="Number of processes.")] = 1
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a data set that synth wrote.")] = (
        False
    )


@expand_option_groups
def synth(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", show_default=False)],
    count: Annotated[int, typer.Option("--count", min=1, help="Number of images.", show_default=False)],
    scene: SceneOptions,
    output: OutputOptions,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Draw people with labels, masks, parsing maps, keypoints and boxes.

    `passerby prepare table --root OUT` reads the data set.
    """
    from passerby.synthetic import SynthConfig, write_dataset

    config = SynthConfig(
        height=scene.height,
        width=scene.width,
        difficulty=scene.difficulty,
        imbalance=scene.imbalance,
        distractors=scene.distractors,
        occlusion=scene.occlusion,
        clutter=scene.clutter,
        object_scale=scene.object_scale,
        views_per_identity=scene.views,
    )
    with show_progress("drawing people") as progress:
        write_dataset(
            out,
            count,
            config,
            seed=seed,
            image_format=output.image_format.value,
            overwrite=output.overwrite,
            workers=output.workers,
            progress=progress,
        )
    identities = -(-count // scene.views)
    print_note(f"Wrote {count:,} images of {identities:,} identities to {out}.")
    print_note(f"Next: passerby prepare table --root {out}")
