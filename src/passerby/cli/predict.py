"""`passerby predict`: predict the attributes of the persons in images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from passerby.cli.auxiliary import AuxiliaryOptions
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import BundleArgument, DeviceOption, FiveCropsOption, PicturesArgument
from passerby.cli.output import print_note
from passerby.cli.output_paths import place_below
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from passerby.inference.batches import Skipped
    from passerby.inference.predictor import Predictor
    from passerby.inference.tta import TTA
    from passerby.types import Prediction

__all__ = ["predict"]


class Format(StrEnum):
    """Output formats."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Form of the result."""

    form: Annotated[Format, typer.Option("--format", help="Format of the result.")] = Format.table
    out: Annotated[
        Path | None, typer.Option(help="File to write instead of standard output.", dir_okay=False)
    ] = None
    parsing: Annotated[
        Path | None,
        typer.Option(
            help="Folder for parsing maps, if the model computes them: one PNG per image, whose values "
            "are class numbers; classes.txt names the classes.",
            file_okay=False,
        ),
    ] = None
    everything: Annotated[
        bool, typer.Option("--all", help="Table: list all attributes, not only those present.")
    ] = False
    top: Annotated[
        int | None, typer.Option(min=1, help="Table: list only the N most probable attributes.")
    ] = None

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.everything and self.top is not None:
            raise typer.BadParameter("give either --all or --top, not both")
        if self.form is not Format.table and (self.everything or self.top is not None):
            raise typer.BadParameter(
                f"--all and --top apply to the table; {self.form.value} always contains all attributes"
            )

    def write(self, predictions: Iterator[Prediction], names: Sequence[str]) -> None:
        """Write the predictions in the chosen format."""
        from passerby.inference.writers import open_output, write_csv, write_jsonl, write_table

        with open_output(self.out) as stream:
            if self.form is Format.table:
                write_table(predictions, stream, top=self.top, everything=self.everything)
            elif self.form is Format.csv:
                write_csv(predictions, stream, names=names)
            else:
                write_jsonl(predictions, stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorOptions:
    """How the images are predicted."""

    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 32
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Threads that decode images.", show_default="one per processor, at most 8"),
    ] = None
    device: DeviceOption = "auto"
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False
    five_crops: FiveCropsOption = False

    @property
    def tta(self) -> list[TTA]:
        """Names of the chosen test-time augmentations."""
        chosen: dict[TTA, bool] = {"flip": self.flip, "five-crops": self.five_crops}
        return [name for name, wanted in chosen.items() if wanted]


@expand_option_groups
def predict(
    bundle: BundleArgument,
    pictures: PicturesArgument,
    output: OutputOptions,
    options: PredictorOptions,
    auxiliary: AuxiliaryOptions,
) -> None:
    """Predict the attributes of the persons in images.

    Exit status: 0 if all images were read, 1 if some were skipped (listed on standard error), 2 after any
    other error in the input or the options.
    """
    output.check()

    from passerby.bundle import load, source_of
    from passerby.inference.predictor import Predictor
    from passerby.inference.sources import find_images

    paths = find_images(pictures)
    auxiliary.check()
    files: dict[str, Path] = {}
    if output.parsing is not None:
        targets = place_below(output.parsing, paths, ".png", keep_suffix=False)
        _check_free(output.parsing, targets)
        files = {source_of(path): target for path, target in zip(paths, targets, strict=True)}
    model = load(bundle, device=options.device)
    predictor = Predictor(
        model,
        batch_size=options.batch_size,
        threads=options.workers,
        tta=options.tta,
        auxiliary=auxiliary.create(model),
        parse=output.parsing is not None,
    )
    skipped: list[Skipped] = []
    predictions = _predict(predictor, paths, skipped)
    if output.parsing is not None:
        predictions = _draw_parsing(predictions, output.parsing, files, model.model.parsing_classes)
    output.write(predictions, predictor.bundle.schema.names)
    if skipped:
        typer.echo(f"passerby: skipped {len(skipped)} of {len(paths)} images", err=True)
        raise typer.Exit(1)


def _predict(predictor: Predictor, paths: list[Path], skipped: list[Skipped]) -> Iterator[Prediction]:
    """Yield the predictions with a progress bar on a terminal; report skipped images at once."""
    from passerby.inference.batches import Skipped

    with show_progress("predicting", hidden=len(paths) <= predictor.batch_size) as progress:
        for done, item in enumerate(predictor.stream(paths), start=1):
            progress(done, len(paths))
            if isinstance(item, Skipped):
                skipped.append(item)
                typer.echo(f"passerby: skipped: {item.reason}", err=True)
            else:
                yield item


def _check_free(folder: Path, targets: list[Path]) -> None:
    """Refuse to overwrite files, which may be images or ground-truth parsing maps."""
    from passerby.errors import ConfigError

    if taken := [path for path in targets if path.exists()]:
        raise ConfigError(
            f"--parsing: {taken[0]} exists already; give a folder other than {folder}, or remove the file"
        )


def _draw_parsing(
    predictions: Iterator[Prediction], folder: Path, files: Mapping[str, Path], classes: tuple[str, ...]
) -> Iterator[Prediction]:
    """Pass the predictions on, and write the parsing map of each."""
    from passerby.inference.writers import write_class_names, write_parsing

    write_class_names(folder, classes)
    drawn = 0
    for prediction in predictions:
        if prediction.parsing is not None:
            write_parsing(files[prediction.source], prediction.parsing)
            drawn += 1
        yield prediction
    print_note(f"{folder}: {drawn} parsing map(s)")
