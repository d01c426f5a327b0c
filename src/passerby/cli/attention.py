"""`passerby attention`: the attention maps of a model, drawn over the images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.attributes import split_attributes
from passerby.cli.auxiliary import AuxiliaryOptions
from passerby.cli.domain import load_for_images
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import (
    BundleArgument,
    DeviceOption,
    FigureOptions,
    OptionalPicturesArgument,
    split_list,
)
from passerby.cli.output import print_note
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.persons import TableOptions, describe_skipped, list_boxes
from passerby.cli.progress import show_progress
from passerby.io import count_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.bundle import Bundle
    from passerby.explain.attention_maps import AttentionMaps
    from passerby.inference.auxiliary import AuxiliaryInputs
    from passerby.inference.sources import Source
    from passerby.schema import AttributeSchema

__all__ = ["attention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions(FigureOptions):
    """Files to write, and the layout of the figure."""

    out: Annotated[
        Path | None,
        typer.Option(
            help="Figure to write: .png, .jpg, .webp, .pdf …",
            dir_okay=False,
            show_default="attention.png, or none if --raw is given",
        ),
    ] = None
    raw: Annotated[
        Path | None,
        typer.Option(help="Folder for one .npz file per person, with the maps.", file_okay=False),
    ] = None
    by_task: Annotated[
        bool, typer.Option("--by-task", help="One column per task, with its most probable attribute.")
    ] = False


@expand_option_groups
def attention(
    bundle: BundleArgument,
    output: OutputOptions,
    auxiliary: AuxiliaryOptions,
    table: TableOptions,
    pictures: OptionalPicturesArgument = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            help="Attributes, for example Hat,Backpack.",
            show_default="all present, and the most probable others up to six",
        ),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            help="Maps, for example attention3,attention4; a*b is the product of two maps, a+b their mean.",
            show_default="all except confidences",
        ),
    ] = None,
    true_parsing: Annotated[
        Path | None,
        typer.Option(
            help="Folder with <image name>.png, ground-truth parsing maps to show next to the model's.",
            file_okay=False,
            exists=True,
        ),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw the attention maps of a model over images, and its parsing maps if it computes any.

    Exit status: 0 if all images were read, 1 if some were skipped (listed on standard error), 2 after any
    other error in the input or the options.
    """
    if output.by_task and attributes is not None:
        raise typer.BadParameter("give either --attributes or --by-task, not both")
    out = Path("attention.png") if output.out is None and output.raw is None else output.out

    from passerby.cli.inputs import inspect_bundle
    from passerby.visualization.figure_file import check_figure

    sources = table.find(pictures)
    if out is not None:
        tables = [] if table.table is None else [table.table]
        check_outputs([out], [*(each.path for each in sources), *tables])
        check_figure(out, count=len(sources), height_px=output.height)
    auxiliary.check()
    facts = inspect_bundle(bundle, device)
    chosen = None if attributes is None else split_attributes(attributes, facts.schema)
    model = load_for_images(facts)
    names = split_list(maps)
    inputs = auxiliary.create(model, true_parsing=true_parsing)
    kept, read = _compute(model, sources, names=names, raw=output.raw, keep=out is not None, auxiliary=inputs)
    if out is not None and kept:
        schema = model.schema if output.by_task else None
        _draw(kept, out, attributes=chosen, names=names, by_task=schema, output=output, unit=table.unit)
    if output.raw is not None and read:
        print_note(f"{output.raw}: {count_of(read, 'file')}")
    if skipped := len(sources) - read:
        typer.echo(f"passerby: skipped {skipped} of {len(sources)} {table.unit}s", err=True)
        raise typer.Exit(1)


def _draw(
    maps: list[AttentionMaps],
    out: Path,
    *,
    attributes: list[str] | None,
    names: list[str] | None,
    by_task: AttributeSchema | None,
    output: OutputOptions,
    unit: str,
) -> None:
    from passerby.visualization.attention_figure import draw_attention
    from passerby.visualization.figure_file import save_figure

    figure = draw_attention(
        maps,
        attributes=attributes,
        names=names,
        by_task=by_task,
        columns=output.columns,
        height_px=output.height,
    )
    save_figure(out, figure)
    print_note(f"{out}: {count_of(len(maps), unit)}, {figure.width} × {figure.height} pixels")


def _compute(
    model: Bundle,
    sources: Sequence[Source],
    *,
    names: list[str] | None,
    raw: Path | None,
    keep: bool,
    auxiliary: AuxiliaryInputs | None,
) -> tuple[list[AttentionMaps], int]:
    """The maps of all persons if `keep`, and the number of persons that could be read."""
    from passerby.explain.attention_maps import save_maps, stream_maps
    from passerby.inference.batches import Skipped

    kept: list[AttentionMaps] = []
    read = 0
    targets = [] if raw is None else place_below(raw, sources, ".npz", keep_suffix=True)
    items = stream_maps(
        model, [each.path for each in sources], crops=list_boxes(sources), auxiliary=auxiliary
    )
    with show_progress("computing maps", hidden=len(sources) <= 16) as progress:
        for done, (source, found) in enumerate(zip(sources, items, strict=True), start=1):
            progress(done, len(sources))
            if isinstance(found, Skipped):
                typer.echo(describe_skipped(source, found), err=True)
                continue
            item = replace(found, row=source.row)
            for note in item.notes:
                typer.echo(f"passerby: {item.source}: {note}", err=True)
            if not read:
                for name in names or ():
                    item.combine(name)  # an unknown name is an error before anything is written
            read += 1
            if raw is not None:
                save_maps(targets[done - 1], item)
            if keep:
                kept.append(item)
    return kept, read
