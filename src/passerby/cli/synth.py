"""`passerby synth`: draw a data set of pedestrians."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["synth"]


class ImageFormat(StrEnum):
    """How pictures are stored."""

    jpg = "jpg"
    png = "png"


def synth(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.", show_default=False)],
    count: Annotated[int, typer.Option("--count", min=1, help="Number of pictures.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Which world of people, cameras and scenes.")] = 0,
    height: Annotated[int, typer.Option(min=32, max=2048, help="Height in pixels.")] = 256,
    width: Annotated[int, typer.Option(min=24, max=2048, help="Width in pixels.")] = 192,
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="Blur, noise, low resolution, odd viewpoints.")
    ] = 0.3,
    imbalance: Annotated[
        float, typer.Option(min=0, max=1, help="0 balanced, 1 long-tailed like a street.")
    ] = 0.0,
    distractors: Annotated[
        float, typer.Option(min=0, max=4, help="Other people in a picture, on average.")
    ] = 0.3,
    occlusion: Annotated[
        float, typer.Option(min=0, max=1, help="How often something stands in front.")
    ] = 0.15,
    clutter: Annotated[float, typer.Option(min=0, max=1, help="How much street furniture.")] = 0.5,
    object_scale: Annotated[
        float, typer.Option(min=0.1, max=1.5, help="Size of hats, bags, glasses, prints.")
    ] = 1.0,
    figure_scale: Annotated[
        float, typer.Option(min=0.1, max=1.2, help="Size of the person in the frame.")
    ] = 1.0,
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Pictures of each identity.")] = 4,
    cameras: Annotated[int, typer.Option(min=1, max=64, help="Number of cameras.")] = 8,
    image_format: Annotated[
        ImageFormat, typer.Option("--format", help="How pictures are stored.")
    ] = ImageFormat.jpg,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a set that synth made.")] = False,
) -> None:
    """Draw a data set of people with labels, masks, parsing maps, keypoints, boxes.

    `passerby prepare table --root OUT` reads it.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from passerby.synthetic import SynthConfig, write_dataset

    config = SynthConfig(
        height=height,
        width=width,
        difficulty=difficulty,
        imbalance=imbalance,
        distractors=distractors,
        occlusion=occlusion,
        clutter=clutter,
        object_scale=object_scale,
        figure_scale=figure_scale,
        views_per_identity=views,
        cameras=cameras,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("drawing people", total=count)
        write_dataset(
            out,
            count,
            config,
            seed=seed,
            image_format=image_format.value,
            overwrite=overwrite,
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    identities = -(-count // views)
    typer.echo(
        f"drew {count} pictures of {identities} people into {out}; next: passerby prepare table --root {out}"
    )
