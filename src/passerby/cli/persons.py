"""The persons that a command takes: from image files, or from the rows of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from passerby.cli.options import Split, split_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.inference.batches import Skipped
    from passerby.inference.sources import Source
    from passerby.types import Box

__all__ = ["Person", "TableOptions", "describe_skipped", "list_boxes"]

Person: TypeAlias = tuple[str, int | None]
"""The source of an image and the row of the person in a table, which identify a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """A table of images instead of files."""

    table: Annotated[
        Path | None,
        typer.Option(
            help="Take the persons from the rows of a table instead of files: CSV, Excel, ODS or Parquet "
            "with a column image and the box of each person in pixels (x0, y0, x1, y1), or a manifest.",
            dir_okay=False,
        ),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the paths in the table are relative to.", show_default="the table's folder"
        ),
    ] = None
    partition: Annotated[
        str | None, typer.Option(help="Partition, if the table is a manifest.", show_default="the only one")
    ] = None
    split: Annotated[
        Split | None,
        typer.Option(
            help="Split, if the table is a manifest.", show_default="all rows", case_sensitive=False
        ),
    ] = None
    image_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the paths in the table.", show_default="image, filename, path and the like"
        ),
    ] = None
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Columns of the table to leave out, comma-separated; may be repeated."),
    ] = None
    attribute_names: Annotated[
        Path | None,
        typer.Option(help="File with the names of the labels, one per line, for a table without a header."),
    ] = None
    worksheet: Annotated[
        str | None, typer.Option(help="Sheet of the spreadsheet.", show_default="the first")
    ] = None

    def find(self, pictures: list[str] | None) -> list[Source]:
        """The persons of the table, or of the image files: whichever is given."""
        from passerby.inference.sources import Source, find_images, read_sources

        if bool(pictures) == (self.table is not None):
            raise typer.BadParameter("give either images or --table")
        if self.table is not None:
            split = None if self.split is None else self.split.value
            return read_sources(
                self.table,
                root=self.root,
                partition=self.partition,
                split=split,
                image_column=self.image_column,
                ignore=split_names(self.ignore or []),
                attribute_names=self.attribute_names,
                worksheet=self.worksheet,
            )
        given = [f"--{name.replace('_', '-')}" for name, value in asdict(self).items() if value]
        if given:
            raise typer.BadParameter(f"without --table, leave out {', '.join(given)}")
        return [Source(path) for path in find_images(pictures or [])]

    @property
    def unit(self) -> str:
        """What a result belongs to."""
        return "image" if self.table is None else "person"


def list_boxes(sources: Sequence[Source]) -> list[Box | None] | None:
    """The box of each person; None if there is no box at all."""
    boxes = [source.box for source in sources]
    return boxes if any(boxes) else None


def describe_skipped(source: Source, skipped: Skipped) -> str:
    """The line that reports a person without a result."""
    row = "" if source.row is None else f"row {source.row}: "
    return f"passerby: skipped: {row}{skipped.reason}"
