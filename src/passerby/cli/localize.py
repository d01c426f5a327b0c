"""`passerby localize`: heat maps and boxes of attributes in images."""

from __future__ import annotations

import json
import sys
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.attributes import name_files, split_attributes
from passerby.cli.auxiliary import AuxiliaryOptions
from passerby.cli.domain import load_for_images
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import BundleArgument, DeviceOption, FigureOptions, HeatMapOptions, PicturesArgument
from passerby.cli.output import print_note
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.progress import show_progress
from passerby.cli.signals import exit_on_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from passerby.explain.localization import Localization
    from passerby.inference.batches import Skipped

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
        typer.Option(help="Folder for one figure per image and attribute.", file_okay=False),
    ] = None
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="File for the boxes: one line of JSON per image; - is standard output.",
            dir_okay=False,
            allow_dash=True,
        ),
    ] = None

    def check(self, paths: Sequence[Path], *, attributes: int | None) -> None:
        """Refuse a figure that would be too large."""
        from passerby.visualization.localization_figure import check_grid_size

        if self.out is not None:
            check_grid_size(
                self.out,
                pictures=len(paths),
                attributes=attributes,
                columns=self.columns,
                height_px=self.height,
            )


@expand_option_groups
def localize(
    bundle: BundleArgument,
    pictures: PicturesArgument,
    heat_maps: HeatMapOptions,
    output: OutputOptions,
    auxiliary: AuxiliaryOptions,
    attributes: Annotated[
        str | None,
        typer.Option(help="Attributes, for example Hat,Boots.", show_default="those present in each image"),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Show where attributes are in images, as heat maps and boxes.

    Prints a table unless --out, --folder or --json is given.

    Exit status: 0 if all images were read, 1 if some were skipped (listed on standard error), 2 after any
    other error in the input or the options.
    """
    if output.out is not None and output.out == output.json_file:
        raise typer.BadParameter("--out and --json are the same file; change one, for example to boxes.jsonl")

    from passerby.cli.inputs import inspect_bundle
    from passerby.explain.boxes import Binarization
    from passerby.inference.sources import find_images

    binarization = Binarization.parse(heat_maps.binarize)
    paths = find_images(pictures)
    check_outputs([path for path in (output.out, output.json_file) if path is not None], paths)
    output.check(paths, attributes=None)
    auxiliary.check()
    facts = inspect_bundle(bundle, device)
    chosen = None if attributes is None else split_attributes(attributes, facts.schema)
    if chosen is not None:
        output.check(paths, attributes=len(set(chosen)))
    names = chosen or facts.schema.names
    drawings = None if output.folder is None else _name_drawings(output.folder, paths, names)
    from passerby.explain.localization import localize_many

    model = load_for_images(facts)
    items = localize_many(
        model,
        paths,
        attributes=chosen,
        method=None if heat_maps.method is None else heat_maps.method.value,
        binarization=binarization,
        boxes=heat_maps.boxes.value,
        auxiliary=auxiliary.create(model),
    )
    counts = _Counts()
    with exit_on_signals():
        _write(_report(items, len(paths), counts), output, drawings, counts)
    if counts.skipped:
        typer.echo(f"passerby: skipped {counts.skipped} of {len(paths)} images", err=True)
        raise typer.Exit(1)


def _write(
    found: Iterator[Localization],
    output: OutputOptions,
    drawings: Mapping[str, Mapping[str, Path]] | None,
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


def _name_drawings(folder: Path, paths: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """The figure file of each attribute of each image, by the source of the image."""
    from passerby.bundle import source_of

    suffixes = name_files(names)
    files = {
        source_of(path): {
            name: target.with_name(f"{target.stem}.{suffix}.png") for name, suffix in suffixes.items()
        }
        for path, target in zip(
            paths, place_below(folder, list(paths), ".png", keep_suffix=True), strict=True
        )
    }
    check_outputs(chain.from_iterable(each.values() for each in files.values()), paths)
    return files


@dataclass
class _Counts:
    """Numbers of images read and skipped, and of figures drawn."""

    read: int = 0
    skipped: int = 0
    drawn: int = 0

    def print(self, folder: Path | None, json_file: Path | None) -> None:
        if folder is not None:
            print_note(f"{folder}: {self.drawn} file(s)")
        if json_file is not None:
            print_note(f"{json_file}: {self.read} image(s)")


def _report(items: Iterator[Localization | Skipped], count: int, counts: _Counts) -> Iterator[Localization]:
    """Yield the localisations with a progress bar on a terminal; report skipped images at once."""
    from passerby.inference.batches import Skipped

    with show_progress("localizing", hidden=count <= 16) as progress:
        for done, item in enumerate(items, start=1):
            progress(done, count)
            if isinstance(item, Skipped):
                counts.skipped += 1
                typer.echo(f"passerby: skipped: {item.reason}", err=True)
            else:
                counts.read += 1
                yield item


def _draw_each(
    found: Iterator[Localization],
    files: Mapping[str, Mapping[str, Path]],
    counts: _Counts,
    *,
    height_px: int,
) -> Iterator[Localization]:
    """Pass the localisations on, and draw each attribute."""
    from passerby.visualization.figure_file import save_figure
    from passerby.visualization.localization_figure import draw_localization

    for item in found:
        for name in item.names:
            save_figure(files[item.source][name], draw_localization(item, name, height_px=height_px))
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
