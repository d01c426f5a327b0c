"""Predictions as readable tables, JSON lines and CSV; parsing maps as PNG."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from passerby.errors import DataError
from passerby.io import count_of, replace_file
from passerby.parsing import get_palette
from passerby.terminal import choose_width
from passerby.types import Prediction

__all__ = [
    "PathCell",
    "open_output",
    "print_with_notes",
    "write_class_names",
    "write_csv",
    "write_jsonl",
    "write_parsing",
    "write_table",
]

_PLACE = ("row", "x0", "y0", "x1", "y1")
"""Columns of a person's place: the row in the table of images, and the box."""


def write_jsonl(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Write one JSON object per line: `source`, `present`, `probabilities` (six decimals), `notes` if any.

    The `row` and the `box` of a person follow the source if there are any.

    Each line is flushed as soon as its prediction is available.
    """
    for prediction in predictions:
        values = prediction.to_dict()
        values["probabilities"] = {name: round(p, 6) for name, p in values["probabilities"].items()}
        stream.write(json.dumps(values, ensure_ascii=False) + "\n")
        stream.flush()


def write_csv(
    predictions: Iterable[Prediction],
    stream: TextIO,
    *,
    names: Sequence[str],
    with_boxes: bool = False,
    header: bool = True,
) -> None:
    """Write a header and one row per image: `source`, `present`, each probability, `notes`.

    Present attributes are joined by `; `, as are notes.

    Args:
        names: The attributes, in the order of the predictions; the header is written before the first one.
        with_boxes: Also write `row`, `x0`, `y0`, `x1` and `y1` of each person, after the source.
        header: Write the header.
    """
    writer = csv.writer(stream, lineterminator="\n")
    if header:
        writer.writerow(("source", *(_PLACE if with_boxes else ()), "present", *names, "notes"))
    for prediction in predictions:
        place = _list_place(prediction) if with_boxes else ()
        probabilities = (f"{p:.6f}" for p in prediction.probabilities)
        notes = "; ".join(prediction.notes)
        writer.writerow((prediction.source, *place, "; ".join(prediction.present), *probabilities, notes))
        stream.flush()


def _list_place(prediction: Prediction) -> tuple[str, ...]:
    """The cells of `_PLACE`; empty where a person has no row or box."""
    sides = ("",) * 4 if prediction.box is None else (f"{side:.9g}" for side in prediction.box.as_xyxy())
    return ("" if prediction.row is None else str(prediction.row), *sides)


def write_parsing(path: Path, parsing: NDArray[np.uint8]) -> None:
    """Write a parsing map as a PNG with a palette: the pixel values are the classes, displayed in colours.

    Raises:
        DataError: If the file cannot be written.

    Shape:
        parsing: (h, w), indices of classes.
    """
    image = Image.fromarray(parsing)
    image.putpalette(get_palette().tobytes())
    with _writing(path) as temporary:
        image.save(temporary, format="PNG")


def write_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Write the class names of a folder's parsing maps as its `classes.txt`, one per line.

    Raises:
        DataError: If the file cannot be written.
    """
    from passerby.data.formats.dataset_files import CLASSES_FILE

    with _writing(folder / CLASSES_FILE) as temporary:
        temporary.write_text("\n".join(classes) + "\n", encoding="utf-8")


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """The temporary path of a file to be written; its folder is created if necessary."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise DataError(f"cannot write {path} ({error.strerror}); give another folder") from error


def write_table(
    predictions: Iterable[Prediction],
    stream: TextIO,
    *,
    top: int | None = None,
    everything: bool = False,
) -> None:
    """Write a readable table: each image with its attributes by descending probability.

    Args:
        top: Show this many of the most probable attributes, present or not.
        everything: Show all attributes. By default those that are present.

    Raises:
        DataError: If both are given, or `top` is below 1.
    """
    if everything and top is not None:
        raise DataError("expected either `top` or `everything`, got both; leave one out")
    if top is not None and top < 1:
        raise DataError(f"expected top of at least 1, got {top}")
    shown = list(predictions)
    with_rows = any(prediction.row is not None for prediction in shown)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (*(("row", "box") if with_rows else ()), "image", "attributes"):
        table.add_column(column, overflow="fold")
    notes: Counter[str] = Counter()
    for prediction in shown:
        notes.update(prediction.notes)
        place = (str(prediction.row), str(prediction.box or "all")) if with_rows else ()
        attributes = _attributes(prediction, top=top, everything=everything)
        table.add_row(*place, PathCell(prediction.source), attributes)
    print_with_notes(table, notes, stream)


def print_with_notes(table: Table, notes: Mapping[str, int], stream: TextIO) -> None:
    """Print a table, then each note with the number of images it applies to."""
    console = Console(file=stream, soft_wrap=False, width=choose_width(stream))
    console.print(table)
    for note, count in notes.items():
        console.print(Text(f"{count_of(count, 'image')}: {note}", style="yellow"))


class PathCell:
    """A path in a table: a line ends after a slash if the column is too narrow for the whole path."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, max(1, cell_len(self.path))).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines, width = [""], options.max_width
        for part in re.findall(r"[^/\\]*[/\\]|[^/\\]+", self.path):
            if lines[-1] and cell_len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
        yield Text("\n".join(lines), overflow="fold")


def _attributes(prediction: Prediction, *, top: int | None, everything: bool) -> Text:
    rows = sorted(
        zip(prediction.names, prediction.probabilities, prediction.thresholds, strict=True),
        key=lambda row: -row[1],
    )
    if not everything:
        rows = rows[:top] if top is not None else [row for row in rows if row[1] > row[2]]
    text = Text()
    for name, probability, threshold in rows:
        text.append("  " if text else "")
        text.append(f"{name} {probability:.2f}", style="" if probability > threshold else "dim")
    return text or Text("none", style="dim")


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open standard output, or a file that appears only once it is complete.

    Args:
        path: The file, whose folder is created if necessary; None for standard output.

    Raises:
        DataError: If the file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(replace_file(path))
            stream = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        except OSError as error:
            raise DataError(f"cannot write {path} ({error.strerror}); give another path") from error
        yield stream
