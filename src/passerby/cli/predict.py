"""`passerby predict`: predict the attributes of the persons in images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from passerby.cli.auxiliary import AuxiliaryOptions
from passerby.cli.domain import load_for_images
from passerby.cli.inputs import inspect_bundle
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import BundleArgument, DeviceOption, FiveCropsOption, OptionalPicturesArgument
from passerby.cli.output import print_note
from passerby.cli.output_paths import check_outputs, place_below
from passerby.cli.persons import Person, TableOptions, describe_skipped, list_boxes
from passerby.cli.progress import show_progress
from passerby.cli.signals import exit_on_signals
from passerby.io import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from passerby.inference.predictor import Predictor
    from passerby.inference.resume import ResumableOutput
    from passerby.inference.sources import Source
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

    given_form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Format of the result.",
            show_default="by the suffix of --out (.csv, .jsonl), else table",
        ),
    ] = None
    out: Annotated[
        Path | None, typer.Option(help="File to write instead of standard output.", dir_okay=False)
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the file of an interrupted run; begin it if there is none; leave a complete one "
            "as it is. jsonl and csv only.",
        ),
    ] = False
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

    @property
    def form(self) -> Format:
        """The format that was given, or that of the suffix of the file."""
        if self.given_form is not None:
            return self.given_form
        suffix = "" if self.out is None else self.out.suffix.lower()
        return {".csv": Format.csv, ".jsonl": Format.jsonl}.get(suffix, Format.table)

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.everything and self.top is not None:
            raise typer.BadParameter("give either --all or --top, not both")
        if self.form is not Format.table and (self.everything or self.top is not None):
            raise typer.BadParameter(
                f"--all and --top apply to the table; {self.form.value} always contains all attributes"
            )
        if self.resume and (self.out is None or self.form is Format.table):
            raise typer.BadParameter(
                "--resume continues an --out file of --format jsonl or csv; a table is written in one piece"
            )

    def find_resumable(self) -> ResumableOutput | None:
        """The file that keeps its rows if the run is interrupted; None for another output."""
        from passerby.inference.resume import ResumableOutput

        if self.out is None or self.form is Format.table:
            return None
        return ResumableOutput(
            self.out, form="csv" if self.form is Format.csv else "jsonl", resume=self.resume
        )

    def name_maps(self, sources: Sequence[Source]) -> dict[Person, Path]:
        """The file of the parsing map of each person; none unless they are requested."""
        from passerby.bundle import source_of

        if self.parsing is None:
            return {}
        files = place_below(self.parsing, sources, ".png", keep_suffix=False)
        return {(source_of(each.path), each.row): file for each, file in zip(sources, files, strict=True)}

    def write(
        self,
        predictions: Iterator[Prediction],
        stream: TextIO,
        *,
        names: Sequence[str],
        with_boxes: bool,
        header: bool,
    ) -> None:
        """Write the predictions in the chosen format."""
        from passerby.inference.writers import write_csv, write_jsonl, write_table

        if self.form is Format.table:
            write_table(predictions, stream, top=self.top, everything=self.everything)
        elif self.form is Format.csv:
            write_csv(predictions, stream, names=names, with_boxes=with_boxes, header=header)
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
    output: OutputOptions,
    options: PredictorOptions,
    auxiliary: AuxiliaryOptions,
    table: TableOptions,
    pictures: OptionalPicturesArgument = None,
) -> None:
    """Predict the attributes of the persons in images.

    Exit status: 0 if all images were read, 1 if some were skipped (listed on standard error), 2 after any
    other error in the input or the options, 130 after Ctrl-C.
    """
    output.check()
    sources = table.find(pictures)
    if output.out is not None:
        tables = [] if table.table is None else [table.table]
        check_outputs([output.out], [*(each.path for each in sources), *tables])
    resumable = output.find_resumable()
    if resumable is not None and (rows := resumable.count_complete(sources)) is not None:
        _report_complete(resumable.path, rows, count=len(sources), unit=table.unit)
        return
    done = 0 if resumable is None else resumable.count_done(sources)
    files = output.name_maps(sources)
    if output.parsing is not None and not done:
        _check_free(output.parsing, list(files.values()))

    auxiliary.check()
    facts = inspect_bundle(bundle, options.device)

    from passerby.inference.predictor import Predictor
    from passerby.inference.writers import open_output

    model = load_for_images(facts)
    predictor = Predictor(
        model,
        batch_size=options.batch_size,
        threads=options.workers,
        tta=options.tta,
        auxiliary=auxiliary.create(model),
        parse=output.parsing is not None,
    )
    before = 0 if resumable is None else done - resumable.rows
    what = "images" if table.table is None else "persons"
    run = _Run(predictor, sources, done, skipped=before, what=what)
    predictions = run.predict()
    if output.parsing is not None:
        predictions = _draw_parsing(predictions, output.parsing, files, model.model.parsing_classes)
    if resumable is None:
        target = open_output(output.out)
    else:
        target = resumable.open(_describe(run, output, auxiliary))
    try:
        with exit_on_signals(), target as stream:
            output.write(
                predictions,
                stream,
                names=model.schema.names,
                with_boxes=table.table is not None,
                header=resumable is None or not resumable.rows,
            )
    except KeyboardInterrupt:
        kept = "" if resumable is None else f"; {resumable.explain_rest()}"
        typer.echo(f"passerby: interrupted{kept}", err=True)
        raise typer.Exit(130) from None
    if output.out is not None:
        print_note(f"{output.out}: {count_of(len(sources) - run.skipped, 'result')}")
    if run.skipped:
        typer.echo(f"passerby: skipped {run.skipped} of {len(sources)} {what}", err=True)
        raise typer.Exit(1)


@dataclass
class _Run:
    """The persons to predict, and how far the prediction is.

    Args:
        sources: All persons.
        done: Number of them that an interrupted run finished.
        skipped: Number of them without a result so far.
        what: What they are called in messages.
    """

    predictor: Predictor
    sources: Sequence[Source]
    done: int
    skipped: int
    what: str

    def predict(self) -> Iterator[Prediction]:
        """Yield the predictions with a progress bar on a terminal; report skipped images at once."""
        from passerby.inference.batches import Skipped

        todo, count = self.sources[self.done :], len(self.sources)
        if self.done:
            earlier = f"; {self.skipped} of these were skipped" if self.skipped else ""
            typer.echo(f"passerby: continuing after {self.done} of {count} {self.what}{earlier}", err=True)
        stream = self.predictor.stream([source.path for source in todo], boxes=list_boxes(todo))
        with show_progress("predicting", hidden=len(todo) <= self.predictor.batch_size) as progress:
            for number, (source, item) in enumerate(zip(todo, stream, strict=True), start=self.done + 1):
                progress(number, count)
                if isinstance(item, Skipped):
                    self.skipped += 1
                    typer.echo(describe_skipped(source, item), err=True)
                else:
                    yield replace(item, row=source.row)


def _report_complete(path: Path, rows: int, *, count: int, unit: str) -> None:
    """Say that there is nothing to continue; exit as the run that wrote the file."""
    without = count - rows
    rest = f", {without:,} of them without one (unreadable, or new since then)" if without else ""
    typer.echo(
        f"passerby: {path} is complete: {count_of(rows, 'result')} for {count_of(count, unit)}{rest}; "
        "nothing was predicted. To predict again, for example with another bundle, leave out --resume",
        err=True,
    )
    if without:
        raise typer.Exit(1)


def _describe(run: _Run, output: OutputOptions, auxiliary: AuxiliaryOptions) -> dict[str, Any]:
    """All that the rows of a file depend on."""
    persons, files = hashlib.sha256(), hashlib.sha256()
    for source in run.sources:
        box = None if source.box is None else source.box.as_xyxy()
        persons.update(json.dumps((str(source.path), source.row, box)).encode())
        files.update(json.dumps(_describe_file(source.path)).encode())
    return {
        "bundle": run.predictor.bundle.fingerprint,
        "images": {
            "count": len(run.sources),
            "paths, rows and boxes": persons.hexdigest()[:16],
            "sizes and times of change": files.hexdigest()[:16],
        },
        "--format": output.form.value,
        "--flip": "flip" in run.predictor.tta,
        "--five-crops": "five-crops" in run.predictor.tta,
        "--masks": auxiliary.masks,
        "--keypoints": auxiliary.keypoints,
        "--parsing": None if output.parsing is None else str(output.parsing),
    }


def _describe_file(path: Path) -> tuple[int, int] | None:
    """Bytes of a file, and when it was changed; None if it cannot be examined."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _check_free(folder: Path, targets: list[Path]) -> None:
    """Refuse to overwrite files, which may be images or ground-truth parsing maps."""
    from passerby.errors import ConfigError

    if taken := [path for path in targets if path.exists()]:
        raise ConfigError(
            f"--parsing: {taken[0]} exists already; give a folder other than {folder}, or remove the file"
        )


def _draw_parsing(
    predictions: Iterator[Prediction], folder: Path, files: Mapping[Person, Path], classes: tuple[str, ...]
) -> Iterator[Prediction]:
    """Pass the predictions on, and write the parsing map of each."""
    from passerby.inference.writers import write_class_names, write_parsing

    write_class_names(folder, classes)
    drawn = 0
    for prediction in predictions:
        if prediction.parsing is not None:
            write_parsing(files[prediction.source, prediction.row], prediction.parsing)
            drawn += 1
        yield prediction
    print_note(f"{folder}: {count_of(drawn, 'parsing map')}")
