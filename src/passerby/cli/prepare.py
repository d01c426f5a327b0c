"""`passerby prepare`: convert a data set into a manifest, and summarise it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.completion import complete_datasets
from passerby.cli.option_groups import expand_option_groups
from passerby.cli.options import split_names
from passerby.cli.output import JsonOption, print_json, print_note
from passerby.cli.output_paths import check_manifest_name
from passerby.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.data.image_check import ImageCheck
    from passerby.data.manifest import Manifest

__all__ = ["prepare"]


class PartitionKind(StrEnum):
    """Partitions that `prepare` creates in addition to the official ones."""

    random = "random"
    identity_disjoint = "identity-disjoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatOptions:
    """Options of single data set formats."""

    attributes: Annotated[
        str | None,
        typer.Option(
            help="peta, rap1: evaluated (those that papers report) or all. table: comma-separated columns."
        ),
    ] = None
    table: Annotated[
        list[Path] | None,
        typer.Option(
            help="table: the CSV, Excel, ODS or Parquet file, needed if the root has several. May be "
            "repeated: train.csv, val.csv, … are the splits."
        ),
    ] = None
    worksheet: Annotated[
        str | None, typer.Option(help="table: sheet of a spreadsheet.", show_default="the first")
    ] = None
    attribute_names: Annotated[
        Path | None,
        typer.Option(
            help="table: file with the names of the labels, one per line, for a table without a header."
        ),
    ] = None
    image_column: Annotated[
        str | None,
        typer.Option(help="table: column of the paths.", show_default="image, filename, path and the like"),
    ] = None
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="table: columns to leave out, comma-separated; may be repeated."),
    ] = None
    unknown: Annotated[
        list[str] | None,
        typer.Option(help="table: labels that mean unknown, such as 2, comma-separated; may be repeated."),
    ] = None
    absent: Annotated[
        list[str] | None,
        typer.Option(
            help="table: labels that mean absent, such as none, comma-separated; may be repeated. "
            '"": empty cells.'
        ),
    ] = None
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            help="table: columns that become one attribute for each value, comma-separated; may be repeated."
        ),
    ] = None
    schema: Annotated[Path | None, typer.Option(help="table: CSV that describes the attributes.")] = None
    name: Annotated[
        str | None, typer.Option(help="table: name of the data set.", show_default="name of the file")
    ] = None
    labels: Annotated[
        str | None, typer.Option(help="peta: read labels from PETA.mat (mat) or the Label.txt files (text).")
    ] = None
    frames: Annotated[bool, typer.Option("--frames", help="rap1: images are full frames, not crops.")] = False

    def to_arguments(self) -> dict[str, Any]:
        """The options that were given, by name."""
        values = asdict(self) | {"frames": self.frames or None}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionOptions:
    """Partitions to create."""

    partition: Annotated[
        list[PartitionKind] | None, typer.Option(help="Add a partition; may be repeated.")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the partitions created by --partition.")] = 0
    max_drift: Annotated[
        float,
        typer.Option(
            help="identity-disjoint: maximum difference between splits in an attribute's share of positives."
        ),
    ] = 0.03
    min_test_images: Annotated[
        int, typer.Option(help="identity-disjoint: minimum size of the test split.")
    ] = 300

    def get_name(self, kind: PartitionKind) -> str:
        """Name of the partition to create."""
        return f"{kind.value}-{self.seed}"


@expand_option_groups
def prepare(
    dataset: Annotated[
        str,
        typer.Argument(
            help="peta, pa100k, rap1, rap2, wider, market1501, mars, upar, ccp, or table for your own data.",
            autocompletion=complete_datasets,
        ),
    ],
    root: Annotated[
        Path, typer.Option(help="Folder of the data set; paths in the manifest are relative to it.")
    ],
    format_options: FormatOptions,
    partitions: PartitionOptions,
    out: Annotated[
        Path | None, typer.Option(help="Manifest to write.", show_default="<dataset>.parquet")
    ] = None,
    allow_missing: Annotated[bool, typer.Option(help="Skip rows whose image is missing.")] = False,
    domain: Annotated[
        str | None,
        typer.Option(
            help="What the images show in a few words. Models trained on them state it, and `predict` warns "
            "if it begins with 'synthetic'.",
            show_default="that of a data set drawn by `synth`",
        ),
    ] = None,
    check_images: Annotated[
        bool, typer.Option(help="Decode every image to find unreadable ones, copies and wrong boxes.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Convert the files of a data set into a manifest."""
    from passerby.data.summary import summarise

    path = out or Path(f"{dataset}.parquet")
    check_manifest_name(path)
    manifest = _read(dataset, root, allow_missing, format_options.to_arguments())
    if domain is not None:
        manifest = replace(manifest, domain=domain)
    kinds = list(dict.fromkeys(partitions.partition or []))
    _check_new_partitions(manifest, kinds, partitions)
    check = _check(manifest) if check_images else None
    for kind in kinds:
        manifest = _add_partition(manifest, kind, partitions, check)
    summary = summarise(manifest, check=check)
    manifest.write(path)
    if as_json:
        print_json({"manifest": str(path), **asdict(summary)})
    else:
        from passerby.cli.summary import print_summary

        print_summary(summary)
    print_note(f"Wrote {path} ({len(manifest):,} rows).")
    if not summary.splits:
        print_note("There is no partition; add --partition random to train and test on these images.")


def _read(dataset: str, root: Path, allow_missing: bool, given: dict[str, Any]) -> Manifest:
    import inspect

    from passerby.data.formats import FORMATS
    from passerby.data.formats.withdrawn import check_not_withdrawn
    from passerby.errors import ConfigError

    check_not_withdrawn(dataset=dataset, root=root.resolve())
    if dataset not in FORMATS:
        raise ConfigError(f"no data set {dataset!r}; expected one of {', '.join(FORMATS)}")
    if not root.exists():
        raise ConfigError(f"expected the folder of the data set, but {root} does not exist; check --root")
    accepted = inspect.signature(FORMATS[dataset]).parameters
    for option in given:
        if option not in accepted:
            raise ConfigError(f"--{option.replace('_', '-')} is not an option of {dataset}; leave it out")
    _check_choice(given, "labels", ("mat", "text"))
    if dataset == "table" and "attributes" in given:
        given["attributes"] = split_names([given["attributes"]])
    else:
        _check_choice(given, "attributes", ("evaluated", "all"))
    for option in ("ignore", "unknown", "categorical"):
        if option in given:
            given[option] = split_names(given[option])
    if "absent" in given:
        given["absent"] = split_names(given["absent"]) + [""] * ("" in given["absent"])
    return FORMATS[dataset](root, allow_missing=allow_missing, **given)


def _check_choice(given: Mapping[str, Any], option: str, choices: tuple[str, ...]) -> None:
    from passerby.errors import ConfigError

    if option in given and given[option] not in choices:
        raise ConfigError(f"--{option}: expected {' or '.join(choices)}, got {given[option]!r}")


def _check_new_partitions(
    manifest: Manifest, kinds: Sequence[PartitionKind], options: PartitionOptions
) -> None:
    """Find out before the images are read whether partitions can be added."""
    from passerby.data.partitions import check_identities

    for kind in kinds:
        manifest.check_new_partition(options.get_name(kind))
        if kind is PartitionKind.identity_disjoint:
            check_identities(manifest)


def _add_partition(
    manifest: Manifest, kind: PartitionKind, options: PartitionOptions, check: ImageCheck | None
) -> Manifest:
    from passerby.data.partitions import identity_disjoint_partition, random_partition

    digests = check.digests if check else None
    if kind is PartitionKind.random:
        splits: Sequence[str | None] = random_partition(manifest, digests=digests, seed=options.seed)
    else:
        splits = identity_disjoint_partition(
            manifest,
            digests=digests,
            seed=options.seed,
            max_drift=options.max_drift,
            min_test_images=options.min_test_images,
        )
    return manifest.with_partition(options.get_name(kind), splits)


def _check(manifest: Manifest) -> ImageCheck:
    from passerby.data.image_check import check_images

    with show_progress("reading images") as progress:
        return check_images(manifest, progress=progress)
