"""`passerby prepare`: the files of a data set in, one manifest out, with a summary that a person can read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from passerby.data.manifest import Manifest
    from passerby.data.summary import ImageCheck


class PartitionKind(StrEnum):
    """Partitions that `prepare` makes beside the official ones."""

    random = "random"
    identity_disjoint = "identity-disjoint"


def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="peta, pa100k, rap1, rap2, wider, market1501, upar, ccp, or table for data of your own."
        ),
    ],
    root: Annotated[
        Path, typer.Option(help="Folder of the data set; paths in the manifest are relative to it.")
    ],
    out: Annotated[Path | None, typer.Option(help="Manifest to write [default: <dataset>.parquet].")] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Go on without the pictures that are not there.")
    ] = False,
    attributes: Annotated[
        str | None,
        typer.Option(help="peta, rap1: evaluated or all. table: names of the columns, separated by commas."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="table: the CSV or Parquet file, if the root has several.")
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="table: CSV that describes the attributes.")] = None,
    name: Annotated[
        str | None, typer.Option(help="table: name of the data set [default: the file's].")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="peta: mat, or text for the Label.txt files.")] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="rap1: pictures are full frames, not crops.")
    ] = False,
    partition: Annotated[
        list[PartitionKind] | None, typer.Option(help="Make a further partition; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the partitions made by --partition.")] = 0,
    max_drift: Annotated[
        float,
        typer.Option(help="identity-disjoint: largest difference of an attribute's ratio between splits."),
    ] = 0.03,
    min_test_images: Annotated[
        int, typer.Option(help="identity-disjoint: least size of the test split.")
    ] = 300,
    check_images: Annotated[
        bool, typer.Option(help="Decode every picture, to find unreadable ones and exact duplicates.")
    ] = True,
) -> None:
    """Turn a data set's own files into one manifest."""
    from rich.console import Console

    from passerby.cli.summary import print_summary
    from passerby.data.summary import summarise

    console = Console()
    options = {
        "attributes": attributes,
        "table": table,
        "schema": schema,
        "name": name,
        "labels": labels,
        "frames": frames or None,
    }
    with _shown_warnings(console):
        manifest = _read(dataset, root, allow_missing, options)
    for kind in dict.fromkeys(partition or []):
        manifest = _add_partition(
            manifest, kind, seed=seed, max_drift=max_drift, min_test_images=min_test_images
        )
    check = _check(manifest, console) if check_images else None
    print_summary(summarise(manifest, check=check), console)
    path = out or Path(f"{dataset}.parquet")
    manifest.write(path)
    console.print(f"Wrote [bold]{path}[/] ({len(manifest):,} rows).", highlight=False, soft_wrap=True)


def _read(dataset: str, root: Path, allow_missing: bool, options: Mapping[str, Any]) -> Manifest:
    import inspect

    from passerby.data.formats import FORMATS
    from passerby.errors import ConfigError

    if dataset not in FORMATS:
        raise ConfigError(f"no data set {dataset!r}; expected one of {', '.join(FORMATS)}")
    if not root.exists():
        raise ConfigError(f"expected the data set at {root}, which is not there; check --root")
    taken = inspect.signature(FORMATS[dataset]).parameters
    given = {k: v for k, v in options.items() if v is not None}
    for option in given:
        if option not in taken:
            raise ConfigError(f"--{option} is no option of {dataset}; leave it out")
    _check_choice(given, "labels", ("mat", "text"))
    if dataset == "table" and "attributes" in given:
        given["attributes"] = [a.strip() for a in given["attributes"].split(",")]
    else:
        _check_choice(given, "attributes", ("evaluated", "all"))
    return FORMATS[dataset](root, allow_missing=allow_missing, **given)


def _check_choice(given: Mapping[str, Any], option: str, choices: tuple[str, ...]) -> None:
    from passerby.errors import ConfigError

    if option in given and given[option] not in choices:
        raise ConfigError(f"--{option}: expected {' or '.join(choices)}, got {given[option]!r}")


def _add_partition(
    manifest: Manifest, kind: PartitionKind, *, seed: int, max_drift: float, min_test_images: int
) -> Manifest:
    from passerby.data.partitions import identity_disjoint_partition, random_partition

    if kind is PartitionKind.random:
        return manifest.with_partition(f"random-{seed}", random_partition(len(manifest), seed=seed))
    splits = identity_disjoint_partition(
        manifest, seed=seed, max_drift=max_drift, min_test_images=min_test_images
    )
    return manifest.with_partition(f"identity-disjoint-{seed}", splits)


def _check(manifest: Manifest, console: Any) -> ImageCheck:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from passerby.data.summary import check_images

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Reading pictures", total=None)
        report: Callable[[int, int], None] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        return check_images(manifest, progress=report)


@contextmanager
def _shown_warnings(console: Any) -> Iterator[None]:
    """Print what the readers log, as a person wants to see it."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(f"[yellow]Note:[/] {record.getMessage()}", highlight=False, soft_wrap=True)

    logger = logging.getLogger("passerby.data")
    handler = Handler(logging.WARNING)
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
