"""`passerby localize`: where in the pictures attributes are seen."""

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
from passerby.cli.auxiliary import KeypointsOption, MasksOption, create_auxiliary
from passerby.cli.options import (
    BinarizeOption,
    BoxChoice,
    BundleArgument,
    DeviceOption,
    MethodOption,
    PicturesArgument,
)
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from passerby.explain.localization import Localization
    from passerby.inference.predictor import Skipped

__all__ = ["localize"]


def localize(
    bundle: BundleArgument,
    pictures: PicturesArgument,
    attributes: Annotated[
        str | None,
        typer.Option(help="Such as Hat,Boots.", show_default="of each picture those that are present"),
    ] = None,
    method: MethodOption = None,
    binarize: BinarizeOption = "max:0.5",
    boxes: Annotated[
        BoxChoice, typer.Option(help="One box around all of it, or one a piece, such as of two boots.")
    ] = BoxChoice.outer,
    out: Annotated[
        Path | None,
        typer.Option(help="A sheet of all pictures: .png, .jpg, .webp, .pdf …", dir_okay=False),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for a drawing of each picture and attribute.", file_okay=False),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="File for the boxes: a line of JSON a picture.", dir_okay=False),
    ] = None,
    masks: MasksOption = None,
    keypoints: KeypointsOption = None,
    columns: Annotated[int, typer.Option(min=1, help="In the sheet: attributes beside each other.")] = 6,
    height: Annotated[int, typer.Option(min=64, max=4096, help="Of a drawn picture, in pixels.")] = 256,
    device: DeviceOption = "auto",
) -> None:
    """Show where in the pictures attributes are seen: as heat maps with boxes, and as numbers.

    Without --out, --folder and --json a table is printed.

    Exit status: 0 all pictures read, 1 some skipped (named on standard error), 2 nothing done for an error
    that you can mend.
    """
    if out is not None and out == json_file:
        raise typer.BadParameter("--out and --json are one file; give the boxes another, such as boxes.jsonl")

    from passerby.bundle import load
    from passerby.explain.box_table import write_boxes
    from passerby.explain.boxes import Binarization
    from passerby.explain.localization import localize_many
    from passerby.inference.sources import find_images
    from passerby.inference.writers import open_output
    from passerby.visualization.localization_figure import check_grid_size

    binarization = Binarization.parse(binarize)
    paths = find_images(pictures)
    check_outputs([path for path in (out, json_file) if path is not None], paths)
    if out is not None:
        check_grid_size(out, pictures=len(paths), attributes=None, columns=columns, height_px=height)
    model = load(bundle, device=device)
    chosen = None if attributes is None else split_attributes(attributes, model.schema)
    if out is not None and chosen is not None:
        count = len(set(chosen))
        check_grid_size(out, pictures=len(paths), attributes=count, columns=columns, height_px=height)
    drawings = None if folder is None else _place_drawings(folder, paths, chosen or model.schema.names)
    items = localize_many(
        model,
        paths,
        attributes=chosen,
        method=None if method is None else method.value,
        binarization=binarization,
        boxes=boxes.value,
        auxiliary=create_auxiliary(model, masks=masks, keypoints=keypoints),
    )
    tally = _Tally()
    found = _report(items, len(paths), tally)
    if drawings is not None:
        found = _draw_each(found, drawings, tally, height_px=height)
    with nullcontext() if json_file is None else open_output(json_file) as stream:
        if stream is not None:
            found = _write_lines(found, stream)
        if out is not None:
            _draw_sheet(found, out, columns=columns, height_px=height)
        elif folder is None and json_file is None:
            write_boxes(found, sys.stdout)
        else:
            deque(found, maxlen=0)
    tally.print(folder, json_file)
    if tally.skipped:
        typer.echo(f"passerby: skipped {tally.skipped} of {len(paths)} pictures", err=True)
        raise typer.Exit(1)


def _place_drawings(folder: Path, paths: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """The file of each attribute of each picture, by the picture's source."""
    from passerby.bundle import source_of

    parts = name_files(names)
    files = {
        source_of(path): {name: place.with_name(f"{place.stem}.{part}.png") for name, part in parts.items()}
        for path, place in zip(paths, place_below(folder, list(paths), ".png", keep_suffix=True), strict=True)
    }
    check_outputs(chain.from_iterable(each.values() for each in files.values()), paths)
    return files


# ---------------------------------------------------------------------- on the way


@dataclass
class _Tally:
    """What has been done so far."""

    read: int = 0
    skipped: int = 0
    drawn: int = 0

    def print(self, folder: Path | None, json_file: Path | None) -> None:
        if folder is not None:
            typer.echo(f"{folder}: {self.drawn} file(s)")
        if json_file is not None:
            typer.echo(f"{json_file}: {self.read} picture(s)")


def _report(items: Iterator[Localization | Skipped], count: int, tally: _Tally) -> Iterator[Localization]:
    """What was found, with a progress bar where people watch; what is skipped is named at once."""
    from passerby.inference.predictor import Skipped

    with show_progress("localizing", hidden=count <= 16) as progress:
        for done, item in enumerate(items, start=1):
            progress(done, count)
            if isinstance(item, Skipped):
                tally.skipped += 1
                typer.echo(f"passerby: skipped: {item.reason}", err=True)
            else:
                tally.read += 1
                yield item


def _draw_each(
    found: Iterator[Localization],
    files: Mapping[str, Mapping[str, Path]],
    tally: _Tally,
    *,
    height_px: int,
) -> Iterator[Localization]:
    """The same; each attribute is drawn on the way."""
    from passerby.visualization.figure_file import save_figure
    from passerby.visualization.localization_figure import draw_localization

    for item in found:
        for name in item.names:
            save_figure(files[item.source][name], draw_localization(item, name, height_px=height_px))
            tally.drawn += 1
        yield item


def _write_lines(found: Iterator[Localization], stream: TextIO) -> Iterator[Localization]:
    """The same; a line of JSON is written of each on the way."""
    for item in found:
        stream.write(json.dumps(item.to_dict(), ensure_ascii=False) + "\n")
        yield item


def _draw_sheet(found: Iterator[Localization], out: Path, *, columns: int, height_px: int) -> None:
    """The sheet of all that was found; no file where nothing was."""
    from passerby.visualization.figure_file import save_figure
    from passerby.visualization.localization_figure import draw_localizations

    first = next(found, None)
    if first is not None:
        figure = draw_localizations(chain([first], found), columns=columns, height_px=height_px)
        save_figure(out, figure)
        typer.echo(f"{out}: {figure.width} × {figure.height} pixels")
