"""`passerby predict`: name the attributes of the people in pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.auxiliary import KeypointsOption, MasksOption, create_auxiliary
from passerby.cli.options import BundleArgument, DeviceOption, FiveCropsOption, PicturesArgument
from passerby.cli.output_paths import place_below
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from passerby.inference.predictor import Predictor, Skipped
    from passerby.types import Prediction

__all__ = ["predict"]


class Format(StrEnum):
    """Forms of output."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


def predict(
    bundle: BundleArgument,
    pictures: PicturesArgument,
    form: Annotated[Format, typer.Option("--format", help="How to write the result.")] = Format.table,
    out: Annotated[
        Path | None, typer.Option(help="File to write to instead of standard output.", dir_okay=False)
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures scored at a time.")] = 32,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Decoding threads; by default one a processor, 8 at most.")
    ] = None,
    device: DeviceOption = "auto",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image.")] = False,
    five_crops: FiveCropsOption = False,
    masks: MasksOption = None,
    keypoints: KeypointsOption = None,
    parsing: Annotated[
        Path | None,
        typer.Option(
            help="Folder to draw the parsing maps in, of a model that makes some: a PNG a picture, whose "
            "values are the numbers of the classes in its classes.txt.",
            file_okay=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="In the table: all attributes, not only those present.")
    ] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="In the table: this many of the likeliest attributes.")
    ] = None,
) -> None:
    """Name the attributes of the people in pictures.

    Exit status: 0 all pictures read, 1 some skipped (named on standard error), 2 nothing done for an error
    that you can mend.
    """
    if everything and top is not None:
        raise typer.BadParameter("give either --all or --top, not both")
    if form is not Format.table and (everything or top is not None):
        raise typer.BadParameter(
            f"--all and --top shape the table; {form.value} always carries all attributes"
        )

    from passerby.bundle import load, source_of
    from passerby.inference.predictor import Predictor
    from passerby.inference.sources import find_images
    from passerby.inference.writers import open_output, write_csv, write_jsonl, write_table

    paths = find_images(pictures)
    files: dict[str, Path] = {}
    if parsing is not None:
        places = place_below(parsing, paths, ".png", keep_suffix=False)
        _check_free(parsing, places)
        files = {source_of(path): place for path, place in zip(paths, places, strict=True)}
    model = load(bundle, device=device)
    auxiliary = create_auxiliary(model, masks=masks, keypoints=keypoints)
    parse = parsing is not None
    predictor = Predictor(
        model,
        batch_size=batch_size,
        threads=threads,
        flip=flip,
        auxiliary=auxiliary,
        parse=parse,
        five_crops=five_crops,
    )
    skipped: list[Skipped] = []
    with open_output(out) as stream:
        predictions = _predict(predictor, paths, skipped)
        if parsing is not None:
            predictions = _draw_parsing(predictions, parsing, files, model.model.parsing_classes)
        if form is Format.table:
            write_table(predictions, stream, top=top, everything=everything)
        elif form is Format.csv:
            write_csv(predictions, stream, names=predictor.bundle.schema.names)
        else:
            write_jsonl(predictions, stream)
    if skipped:
        typer.echo(f"passerby: skipped {len(skipped)} of {len(paths)} pictures", err=True)
        raise typer.Exit(1)


def _predict(predictor: Predictor, paths: list[Path], skipped: list[Skipped]) -> Iterator[Prediction]:
    """Predictions one by one, with a progress bar where people watch; what is skipped is named at once."""
    from passerby.inference.predictor import Skipped

    with show_progress("predicting", hidden=len(paths) <= predictor.batch_size) as progress:
        for done, item in enumerate(predictor.stream(paths), start=1):
            progress(done, len(paths))
            if isinstance(item, Skipped):
                skipped.append(item)
                typer.echo(f"passerby: skipped: {item.reason}", err=True)
            else:
                yield item


def _check_free(folder: Path, places: list[Path]) -> None:
    """Refuse to draw over what may be pictures, or true parsing maps."""
    from passerby.errors import ConfigError

    if taken := [place for place in places if place.exists()]:
        raise ConfigError(
            f"--parsing is the folder to draw in, and {taken[0]} is there already; give another folder than "
            f"{folder}, or remove it first"
        )


def _draw_parsing(
    predictions: Iterator[Prediction], folder: Path, files: Mapping[str, Path], classes: tuple[str, ...]
) -> Iterator[Prediction]:
    """The same predictions; the parsing map of each is drawn on the way."""
    from passerby.inference.writers import write_class_names, write_parsing

    write_class_names(folder, classes)
    drawn = 0
    for prediction in predictions:
        if prediction.parsing is not None:
            write_parsing(files[prediction.source], prediction.parsing)
            drawn += 1
        yield prediction
    typer.echo(f"{folder}: {drawn} parsing map(s)", err=True)
