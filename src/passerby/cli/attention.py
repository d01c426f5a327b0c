"""`passerby attention`: where a model looked, drawn over the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.attributes import split_attributes
from passerby.cli.auxiliary import KeypointsOption, MasksOption, create_auxiliary
from passerby.cli.options import BundleArgument, DeviceOption, PicturesArgument
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from passerby.bundle import Bundle
    from passerby.explain.attention_maps import AttentionMaps
    from passerby.inference.auxiliary import AuxiliaryInputs

__all__ = ["attention"]


def attention(
    bundle: BundleArgument,
    pictures: PicturesArgument,
    attributes: Annotated[
        str | None,
        typer.Option(
            help="Such as Hat,Backpack.", show_default="all present, and the likeliest others up to six"
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            help="Such as attention3,attention4; a*b is the product of two maps, a+b their mean.",
            show_default="all but confidences",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The figure: .png, .jpg, .webp, .pdf …",
            dir_okay=False,
            show_default="attention.png, or none if --raw is given",
        ),
    ] = None,
    raw: Annotated[
        Path | None, typer.Option(help="Folder for one .npz a picture, with the maps.", file_okay=False)
    ] = None,
    by_task: Annotated[
        bool, typer.Option("--by-task", help="A column a task, under the attribute it is surest of.")
    ] = False,
    masks: MasksOption = None,
    keypoints: KeypointsOption = None,
    true_parsing: Annotated[
        Path | None,
        typer.Option(
            help="Folder with <name of the picture>.png, true parsing maps to show beside the model's own.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    columns: Annotated[int, typer.Option(min=1, help="Attributes beside each other, at most.")] = 6,
    height: Annotated[
        int, typer.Option(min=64, max=4096, help="Of a picture in the figure, in pixels.")
    ] = 256,
    device: DeviceOption = "auto",
) -> None:
    """Draw where a model looked for each attribute, and how it parsed the person, if it does.

    Exit status: 0 all pictures read, 1 some skipped (named on standard error), 2 nothing done for an error
    that you can mend.
    """
    if by_task and attributes is not None:
        raise typer.BadParameter("give either --attributes or --by-task, not both")
    if out is None and raw is None:
        out = Path("attention.png")

    from passerby.bundle import load
    from passerby.inference.sources import find_images
    from passerby.visualization.attention_figure import draw_attention
    from passerby.visualization.figure_file import check_figure, save_figure

    paths = find_images(pictures)
    if out is not None:
        check_outputs([out], paths)
        check_figure(out, count=len(paths), height_px=height)
    model = load(bundle, device=device)
    chosen = None if attributes is None else split_attributes(attributes, model.schema)
    names = None if maps is None else [name.strip() for name in maps.split(",")]
    auxiliary = create_auxiliary(model, masks=masks, keypoints=keypoints, true_parsing=true_parsing)
    kept, read = _compute(model, paths, names=names, raw=raw, keep=out is not None, auxiliary=auxiliary)
    if out is not None and kept:
        figure = draw_attention(
            kept,
            attributes=chosen,
            names=names,
            by_task=model.schema if by_task else None,
            columns=columns,
            height_px=height,
        )
        save_figure(out, figure)
        typer.echo(f"{out}: {len(kept)} picture(s), {figure.width} × {figure.height} pixels")
    if raw is not None and read:
        typer.echo(f"{raw}: {read} file(s)")
    if read < len(paths):
        typer.echo(f"passerby: skipped {len(paths) - read} of {len(paths)} pictures", err=True)
        raise typer.Exit(1)


def _compute(
    model: Bundle,
    paths: list[Path],
    *,
    names: list[str] | None,
    raw: Path | None,
    keep: bool,
    auxiliary: AuxiliaryInputs | None,
) -> tuple[list[AttentionMaps], int]:
    """The maps of all pictures if they are to be kept, and how many pictures could be read."""
    from passerby.explain.attention_maps import combine_maps, save_maps, stream_maps
    from passerby.inference.predictor import Skipped

    kept: list[AttentionMaps] = []
    read = 0
    places = [] if raw is None else place_below(raw, paths, ".npz", keep_suffix=True)
    with show_progress("looking", hidden=len(paths) <= 16) as progress:
        for done, item in enumerate(stream_maps(model, paths, auxiliary=auxiliary), start=1):
            progress(done, len(paths))
            if isinstance(item, Skipped):
                typer.echo(f"passerby: skipped: {item.reason}", err=True)
                continue
            for note in item.notes:
                typer.echo(f"passerby: {item.source}: {note}", err=True)
            if not read:
                for name in names or ():
                    combine_maps(item, name)  # a wrong name ends the command before it has written anything
            read += 1
            if raw is not None:
                save_maps(places[done - 1], item)
            if keep:
                kept.append(item)
    return kept, read
