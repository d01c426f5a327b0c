"""`passerby localize`: heat maps and boxes of attributes in images."""

from __future__ import annotations

import json
import sys
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.attributes import name_files, split_attributes
from passerby.cli.auxiliary import AuxiliaryOptions
from passerby.cli.domain import load_for_images
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import (
    BundleArgument,
    DeviceOption,
    FigureOptions,
    HeatMapOptions,
    OptionalPicturesArgument,
)
from passerby.cli.output import print_note
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.persons import Person, TableOptions, describe_skipped, list_boxes
from passerby.cli.progress import show_progress
from passerby.cli.signals import exit_on_signals
from passerby.io import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from passerby.explain.localization import Localization
    from passerby.inference.batches import Skipped
    from passerby.inference.sources import Source

__all__ = ["localize"]

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions(FigureOptions):
    """Files to write, and the size of the figures."""

    out: Annotated[
        Path | None,
        typer.Option(help="One figure of all images: .png, .jpg, .webp, .pdf …", dir_okay=False),
    ] = None
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for one figure per person and attribute.", file_okay=False),
    ] = None
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--jsonl",
            help="File for the boxes: one line of JSON per person; - is standard output.",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None

    def check(self, count: int, *, attributes: int | None) -> None:
        """Refuse a figure that would be too large."""
        from passerby.visualization.localization_figure import check_grid_size

        if self.out is not None:
            check_grid_size(
                self.out,
                pictures=count,
                attributes=attributes,
                columns=self.columns,
                height_px=self.height,
            )


@expand_option_groups
def localize(
    bundle: BundleArgument,
    heat_maps: HeatMapOptions,
    output: OutputOptions,
    auxiliary: AuxiliaryOptions,
    table: TableOptions,
    pictures: OptionalPicturesArgument = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Attributes, for example Hat,Boots.", show_default="those present in each image"),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Show where the attributes of persons are in images, as heat maps and boxes.

    Prints a table unless --out, --folder or --jsonl is given.

    Exit status: 0 if all images were read, 1 if some were skipped (listed on standard error), 2 after any
    other error in the input or the options.
    """
    if output.out is not None and output.out == output.json_file:
        raise typer.BadParameter("--out and --jsonl are the same file; change one, such as to boxes.jsonl")

    from passerby.cli.inputs import inspect_bundle
    from passerby.explain.boxes import Binarization

    binarization = Binarization.parse(heat_maps.binarize)
    sources = table.find(pictures)
    inputs = [each.path for each in sources] + ([] if table.table is None else [table.table])
    check_outputs([path for path in (output.out, output.json_file) if path is not None], inputs)
    output.check(len(sources), attributes=None)
    auxiliary.check()
    facts = inspect_bundle(bundle, device)
    chosen = None if attributes is None else split_attributes(attributes, facts.schema)
    if chosen is not None:
        output.check(len(sources), attributes=len(set(chosen)))
    drawings = None
    if output.folder is not None:
        drawings = _name_drawings(output.folder, sources, chosen or facts.schema.names)
        check_outputs(chain.from_iterable(each.values() for each in drawings.values()), inputs)
    from passerby.explain.localization import localize_many

    model = load_for_images(facts)
    items = localize_many(
        model,
        [each.path for each in sources],
        crops=list_boxes(sources),
        attributes=chosen,
        method=None if heat_maps.method is None else heat_maps.method.value,
        binarization=binarization,
        boxes=heat_maps.boxes.value,
        auxiliary=auxiliary.create(model),
    )
    counts = _Counts(table.unit)
    with exit_on_signals():
        _write(_report(items, sources, counts), output, drawings, counts)
    if counts.skipped:
        typer.echo(f"passerby: skipped {counts.skipped} of {len(sources)} {table.unit}s", err=True)
        raise typer.Exit(1)


def _write(
    found: Iterator[Localization],
    output: OutputOptions,
    drawings: Mapping[Person, Mapping[str, Path]] | None,
    counts: _Counts,
) -> None:
    """Write everything that was requested in one pass over the localisations."""
    from passerby.explain.box_table import write_boxes
    from passerby.inference.writers import open_output

    if drawings is not None:
        found = _draw_each(found, drawings, counts, height_px=output.height)
    json_file = None if output.json_file == STANDARD_OUTPUT else output.json_file
    with nullcontext() if output.json_file is None else open_output(json_file) as stream:
        if stream is not None:
            found = _write_lines(found, stream)
        if output.out is not None:
            _draw_figure(found, output.out, columns=output.columns, height_px=output.height)
        elif output.folder is None and output.json_file is None:
            write_boxes(found, sys.stdout)
        else:
            deque(found, maxlen=0)
    counts.print(output.folder, json_file)


def _name_drawings(
    folder: Path, sources: Sequence[Source], names: Sequence[str]
) -> dict[Person, dict[str, Path]]:
    """The figure file of each attribute of each person."""
    from passerby.bundle import source_of

    suffixes = name_files(names)
    targets = place_below(folder, sources, ".png", keep_suffix=True)
    return {
        (source_of(source.path), source.row): {
            name: target.with_name(f"{target.stem}.{suffix}.png") for name, suffix in suffixes.items()
        }
        for source, target in zip(sources, targets, strict=True)
    }


@dataclass
class _Counts:
    """Numbers of persons read and skipped, and of figures drawn."""

    unit: str
    read: int = 0
    skipped: int = 0
    drawn: int = 0

    def print(self, folder: Path | None, json_file: Path | None) -> None:
        if folder is not None:
            print_note(f"{folder}: {count_of(self.drawn, 'file')}")
        if json_file is not None:
            print_note(f"{json_file}: {count_of(self.read, self.unit)}")


def _report(
    items: Iterator[Localization | Skipped], sources: Sequence[Source], counts: _Counts
) -> Iterator[Localization]:
    """Yield the localisations with a progress bar on a terminal; report skipped persons at once."""
    from passerby.inference.batches import Skipped

    with show_progress("localizing", hidden=len(sources) <= 16) as progress:
        for done, (source, item) in enumerate(zip(sources, items, strict=True), start=1):
            progress(done, len(sources))
            if isinstance(item, Skipped):
                counts.skipped += 1
                typer.echo(describe_skipped(source, item), err=True)
            else:
                counts.read += 1
                yield replace(item, row=source.row)


def _draw_each(
    found: Iterator[Localization],
    files: Mapping[Person, Mapping[str, Path]],
    counts: _Counts,
    *,
    height_px: int,
) -> Iterator[Localization]:
    """Pass the localisations on, and draw each attribute."""
    from passerby.visualization.figure_file import save_figure
    from passerby.visualization.localization_figure import draw_localization

    for item in found:
        for name in item.names:
            save_figure(
                files[item.source, item.row][name], draw_localization(item, name, height_px=height_px)
            )
            counts.drawn += 1
        yield item


def _write_lines(found: Iterator[Localization], stream: TextIO) -> Iterator[Localization]:
    """Pass the localisations on, and write a line of JSON for each."""
    for item in found:
        stream.write(json.dumps(item.to_dict(), ensure_ascii=False) + "\n")
        yield item


def _draw_figure(found: Iterator[Localization], out: Path, *, columns: int, height_px: int) -> None:
    """Draw one figure of all localisations; write no file if there is none."""
    from passerby.visualization.figure_file import save_figure
    from passerby.visualization.localization_figure import draw_localizations

    first = next(found, None)
    if first is not None:
        figure = draw_localizations(chain([first], found), columns=columns, height_px=height_px)
        save_figure(out, figure)
        print_note(f"{out}: {figure.width} × {figure.height} pixels")
